//! Who is behind, and states that do not fit together.

use super::finding::Finding;
use super::look::{Look, reason, replicas, words};
use pbft_crypto::Digest;
use pbft_message::{Awaited, ReplicaId, ReplicaReport, SequenceNumber};
use std::collections::BTreeMap;

pub fn find(look: &Look) -> Vec<Finding> {
    look.reports.values().filter_map(behind).chain(checkpoint(look)).chain(states(look)).collect()
}

fn behind(report: &ReplicaReport) -> Option<Finding> {
    let id = report.replica;
    match reason(report) {
        "transferring" => {
            let action = "Wait; limits.transfer_bytes_per_second of the others bounds how long it takes";
            Some(Finding::warning("Transferring", Some(id.0), format!("replica {id} is {}", words(report)), action))
        }
        "behind" => {
            let action = "Wait; if it lasts, see its log, its connections and its load";
            Some(Finding::warning("Behind", Some(id.0), format!("replica {id} is {}", words(report)), action))
        }
        _ => None,
    }
}

/// The log is full, and no checkpoint lets it go on.
fn checkpoint(look: &Look) -> Option<Finding> {
    let awaited = look.reports.values().find_map(|report| match report.condition.awaited {
        Some(Awaited::Checkpoints(number, here)) => Some((report.replica, number, here)),
        _ => None,
    });
    let (id, number, here) = awaited?;
    let message = format!(
        "the log of replica {id} is full: the checkpoint at {number} has {here} of {} CHECKPOINTs that match, so nothing more is ordered",
        look.genesis.quorum()
    );
    Some(Finding::critical(
        "NoStableCheckpoint",
        Some(id.0),
        message,
        "Bring missing replicas back; if none is missing, their states differ: pbft status",
    ))
}

/// Two certified states at one number would mean that more than f lie; or one who reports does.
fn states(look: &Look) -> Option<Finding> {
    let mut roots: BTreeMap<(SequenceNumber, Digest), Vec<ReplicaId>> = BTreeMap::new();
    for report in look.reports.values() {
        roots.entry((report.stable_checkpoint, report.state_root)).or_default().push(report.replica);
    }
    let mut places = roots.iter().zip(roots.iter().skip(1));
    let (((number, _), one), (_, other)) = places.find(|(((first, _), _), ((second, _), _))| first == second)?;
    let message = format!(
        "{} and {} report different states at the stable checkpoint {number}",
        replicas(one.iter().copied()),
        replicas(other.iter().copied())
    );
    let action =
        "One side lies, or more than f replicas are faulty. Stop the replicas, keep all data/, and compare them: pbft audit";
    Some(Finding::critical("StatesDiffer", None, message, action))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{codes, look, unready};
    use super::*;

    #[test]
    fn a_lag_a_full_log_and_different_states_are_found() {
        assert_eq!(find(&look()), []);
        assert_eq!(codes(&find(&unready(1, "behind"))), [("Behind", Some(1))]);
        assert_eq!(codes(&find(&unready(1, "transferring"))), [("Transferring", Some(1))]);
        let mut full = look();
        full.reports.get_mut(&ReplicaId(2)).unwrap().condition.awaited = Some(Awaited::Checkpoints(SequenceNumber(64), 2));
        assert_eq!(codes(&find(&full)), [("NoStableCheckpoint", Some(2))]);
        let mut apart = look();
        apart.reports.get_mut(&ReplicaId(3)).unwrap().state_root = Digest::from_bytes([9; 32]);
        assert_eq!(codes(&find(&apart)), [("StatesDiffer", None)]);
        apart.reports.get_mut(&ReplicaId(3)).unwrap().stable_checkpoint = SequenceNumber(128);
        assert_eq!(find(&apart), [], "at another number another state is no wonder");
    }
}
