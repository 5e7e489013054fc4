//! Who is missing, and whether the others are enough.

use super::finding::Finding;
use super::look::{Look, replicas};
use pbft_message::{ReplicaId, ReplicaReport};
use pbft_network::DialProblem;
use std::collections::BTreeSet;

/// A replica that says nothing for so long counts as away.
const AWAY: u64 = 3_000;

pub fn find(look: &Look) -> Vec<Finding> {
    look.missing().map(|id| missing(look, id)).chain(quorum(look)).chain(faults(look)).collect()
}

fn missing(look: &Look, id: ReplicaId) -> Finding {
    let address = look.address(id);
    let warning = |code, message: String, action: &str| Finding::warning(code, Some(id.0), message, action);
    match look.problems.get(&id) {
        Some(DialProblem::WrongKey) => warning(
            "WrongKey",
            format!("who answers at {address} does not have the transport key that the genesis names for replica {id}"),
            "Correct replicas in this client's config.toml; or the replica there runs on another home: pbftd check",
        ),
        Some(DialProblem::Hello) => warning(
            "OtherCluster",
            format!("replica {id} at {address} belongs to another cluster than this client"),
            "Compare the cluster id of both genesis files: pbft genesis show",
        ),
        Some(DialProblem::Refused) => warning(
            "RefusesClient",
            format!("replica {id} at {address} refuses this client's transport key"),
            "Compare the genesis there and here (pbft genesis show), and the client's keys with it; or that is its port for replicas",
        ),
        Some(DialProblem::Version) => warning(
            "OtherWireVersion",
            format!("replica {id} at {address} speaks no wire version that this program speaks"),
            "Upgrade the older of both: pbft version, pbftd --version",
        ),
        Some(DialProblem::Unresolved | DialProblem::Unreachable | DialProblem::Failed) | None => unreachable(look, id),
    }
}

fn unreachable(look: &Look, id: ReplicaId) -> Finding {
    let address = look.address(id);
    let hears_it = |report: &&ReplicaReport| {
        report.condition.peers.iter().any(|peer| peer.replica == id && peer.silent.is_some_and(|silent| silent < AWAY))
    };
    let seen_by: Vec<ReplicaId> = look.reports.values().filter(hears_it).map(|report| report.replica).collect();
    if seen_by.is_empty() {
        let message = format!("replica {id} does not answer at {address}, and no replica that answers hears it");
        return Finding::warning(
            "Unreachable",
            Some(id.0),
            message,
            "Is its process running? Its log says why it ended; start it again",
        );
    }
    let message = format!("replica {id} does not answer this client at {address}, but {} hear it", replicas(seen_by));
    let action = "Look at the firewall between here and there, and at replicas in this client's config.toml";
    Finding::warning("Unreachable", Some(id.0), message, action)
}

fn quorum(look: &Look) -> Option<Finding> {
    let (voters, quorum) = (look.voters(), look.genesis.quorum());
    if voters.len() >= quorum {
        return None;
    }
    let lacking = quorum.saturating_sub(voters.len());
    let others: Vec<String> =
        look.genesis.replica_ids().filter(|id| !voters.contains(id)).map(|id| format!("{id}{}", look.flaw(id))).collect();
    let message = format!(
        "there is no quorum: {} of {} replicas vote, {quorum} must; nothing is ordered, and nothing is lost",
        voters.len(),
        look.genesis.replica_count()
    );
    let action = format!("Bring back {lacking} of these: {}. No other step is needed", others.join(", "));
    Some(Finding::critical("NoQuorum", None, message, action))
}

fn faults(look: &Look) -> Option<Finding> {
    let voters = look.voters();
    let silent = look.genesis.replica_ids().filter(|id| !voters.contains(id));
    let faulty: BTreeSet<ReplicaId> = silent.chain(look.liars()).collect();
    let f = look.genesis.max_faulty();
    if faulty.len() <= f {
        return None;
    }
    let named: Vec<String> = faulty.iter().map(|id| format!("{id}{}", look.flaw(*id))).collect();
    let message = format!("{} replicas are faulty, the cluster survives {f}: {}", faulty.len(), named.join(", "));
    let action = match look.liars().len() > f {
        true => "More lie than the cluster survives: trust no answer. Keep all data/, and compare them: pbft audit",
        false => "Bring back those that are only missing or silent; those that lie count as faulty until they are replaced",
    };
    Some(Finding::critical("TooManyFaults", None, message, action))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{codes, look, without};
    use super::*;

    #[test]
    fn one_missing_replica_is_a_warning_and_two_are_no_quorum() {
        assert_eq!(codes(&find(&look())), [("Unreachable", None); 0]);
        assert_eq!(codes(&find(&without(&[2]))), [("Unreachable", Some(2))]);
        let found = find(&without(&[1, 2]));
        let expected = [("Unreachable", Some(1)), ("Unreachable", Some(2)), ("NoQuorum", None), ("TooManyFaults", None)];
        assert_eq!(codes(&found), expected);
        assert!(found[2].action.contains("Bring back 1 of these: 1 (does not answer), 2 (does not answer)"), "{:?}", found[2]);
    }

    #[test]
    fn what_went_wrong_with_the_connection_is_told_apart() {
        for (problem, code) in [
            (DialProblem::WrongKey, "WrongKey"),
            (DialProblem::Hello, "OtherCluster"),
            (DialProblem::Refused, "RefusesClient"),
            (DialProblem::Version, "OtherWireVersion"),
            (DialProblem::Unreachable, "Unreachable"),
        ] {
            let mut look = without(&[3]);
            look.problems.insert(ReplicaId(3), problem);
            assert_eq!(codes(&find(&look)), [(code, Some(3))]);
        }
    }

    #[test]
    fn a_replica_that_others_hear_is_behind_a_firewall() {
        let mut look = without(&[2]);
        let peers = &mut look.reports.get_mut(&ReplicaId(0)).unwrap().condition.peers;
        peers.iter_mut().for_each(|peer| peer.silent = Some(100));
        assert!(find(&look)[0].message.contains("but replica 0 hear it"));
    }

    #[test]
    fn who_does_not_vote_counts_as_missing() {
        let mut look = without(&[2]);
        look.reports.get_mut(&ReplicaId(0)).unwrap().condition.silence = Some("learner".to_owned());
        assert_eq!(codes(&find(&look)), [("Unreachable", Some(2)), ("NoQuorum", None), ("TooManyFaults", None)]);
    }
}
