//! Connections between replicas, as both ends see them.

use super::finding::Finding;
use super::look::Look;
use pbft_message::{PeerReport, ReplicaId};
use pbft_network::DialProblem;

pub fn find(look: &Look) -> Vec<Finding> {
    let mut found = Vec::new();
    for (id, report) in &look.reports {
        for peer in report.condition.peers.iter().filter(|peer| !peer.up) {
            found.extend(misconfigured(*id, peer).or_else(|| cut(look, *id, peer.replica)));
        }
    }
    found.extend(look.reports.values().filter(|report| is_alone(look, report.replica)).map(|report| alone(report.replica)));
    found
}

/// This client reaches it and others, and it is connected to none of them.
fn is_alone(look: &Look, id: ReplicaId) -> bool {
    let peers = look.reports.get(&id).map_or(&[][..], |report| &report.condition.peers);
    let others = look.reports.len().saturating_sub(1);
    others > 1 && !peers.is_empty() && peers.iter().all(|peer| !peer.up && misconfigured(id, peer).is_none())
}

fn alone(id: ReplicaId) -> Finding {
    let message = format!("replica {id} is connected to no other replica, though this client reaches it");
    let action = format!("Compare listen in its config.toml with what the others have for replica {id}, and open that UDP port");
    Finding::warning("Disconnected", Some(id.0), message, action)
}

/// Of two replicas the one with the lower number dials: it has the address, and knows what is wrong.
fn misconfigured(id: ReplicaId, peer: &PeerReport) -> Option<Finding> {
    let other = peer.replica;
    let problem = peer.problem.as_deref()?;
    let (code, message, action) = if problem == DialProblem::WrongKey.name() {
        (
            "WrongAddress",
            format!("at the address that replica {id} has for replica {other} answers somebody with another key"),
            format!("Correct replicas in config.toml of replica {id}"),
        )
    } else if problem == DialProblem::Refused.name() || problem == DialProblem::Hello.name() {
        (
            "DifferentGenesis",
            format!(
                "replica {other} refuses replica {id}: they do not have the same genesis, or the address is its port for clients"
            ),
            "Compare the cluster id of both (pbft genesis show), then the ports".to_owned(),
        )
    } else if problem == DialProblem::Unresolved.name() {
        (
            "UnresolvedName",
            format!("replica {id} cannot look up the name that it has for replica {other}"),
            format!("Correct replicas in config.toml of replica {id}, or its name server"),
        )
    } else if problem == DialProblem::Version.name() {
        ("OtherWireVersion", format!("replicas {id} and {other} speak no common wire version"), "Upgrade the older one".to_owned())
    } else {
        return None;
    };
    Some(Finding::warning(code, Some(id.0), message, action))
}

/// Both are up, and do not reach each other. Told once for both.
fn cut(look: &Look, id: ReplicaId, other: ReplicaId) -> Option<Finding> {
    let theirs = look.reports.get(&other)?;
    if is_alone(look, id) || is_alone(look, other) {
        return None;
    }
    if id > other && theirs.condition.peers.iter().any(|peer| peer.replica == id && !peer.up) {
        return None;
    }
    let message = format!("replicas {id} and {other} have no connection to each other, though this client reaches both");
    let dialler = id.min(other);
    let action = format!(
        "Open the UDP ports between them, and compare replicas in config.toml of replica {dialler} with listen of the other"
    );
    Some(Finding::warning("Disconnected", Some(dialler.0), message, action))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{codes, look};
    use super::*;

    fn cut_between(look: &mut Look, id: u32, other: u32, problem: Option<DialProblem>) {
        let peers = &mut look.reports.get_mut(&ReplicaId(id)).unwrap().condition.peers;
        let peer = peers.iter_mut().find(|peer| peer.replica == ReplicaId(other)).unwrap();
        peer.up = false;
        peer.problem = problem.map(|problem| problem.name().to_owned());
    }

    #[test]
    fn a_link_that_is_down_is_told_once_whoever_says_so() {
        assert_eq!(find(&look()), []);
        let mut both = look();
        cut_between(&mut both, 1, 2, Some(DialProblem::Unreachable));
        cut_between(&mut both, 2, 1, None);
        assert_eq!(codes(&find(&both)), [("Disconnected", Some(1))]);
        let mut one = look();
        cut_between(&mut one, 2, 1, None);
        assert_eq!(codes(&find(&one)), [("Disconnected", Some(1))]);
    }

    #[test]
    fn who_is_connected_to_nobody_is_told_once_whether_it_dials_or_not() {
        for lonely in [1, 3] {
            let mut look = look();
            for other in (0..4).filter(|other| *other != lonely) {
                cut_between(&mut look, lonely, other, (lonely < other).then_some(DialProblem::Unreachable));
                cut_between(&mut look, other, lonely, (other < lonely).then_some(DialProblem::Unreachable));
            }
            let found = find(&look);
            assert_eq!(codes(&found), [("Disconnected", Some(lonely))]);
            assert!(found[0].message.contains("connected to no other replica"), "{:?}", found[0]);
        }
    }

    #[test]
    fn a_wrong_address_and_a_different_genesis_are_named() {
        for (problem, code) in [
            (DialProblem::WrongKey, "WrongAddress"),
            (DialProblem::Refused, "DifferentGenesis"),
            (DialProblem::Hello, "DifferentGenesis"),
            (DialProblem::Version, "OtherWireVersion"),
            (DialProblem::Unresolved, "UnresolvedName"),
        ] {
            let mut look = look();
            cut_between(&mut look, 0, 3, Some(problem));
            look.reports.remove(&ReplicaId(3));
            assert_eq!(codes(&find(&look)), [(code, Some(0))]);
        }
    }
}
