//! Who is missing, and whether the others are enough.

use super::finding::Finding;
use super::look::{Look, replicas};
use pbft_message::ReplicaId;
use pbft_network::DialProblem;
use std::collections::BTreeSet;

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
            "Compare the genesis there and here (pbft genesis show); or an operator revoked the client (pbft client list), its new \
             transport key is not in use yet (pbft key rotate-transport --finish), or that is the replica's port for replicas",
        ),
        Some(DialProblem::Version) => warning(
            "OtherWireVersion",
            format!("replica {id} at {address} speaks no wire version that this program speaks"),
            "Upgrade the older of both: pbft version, pbftd --version",
        ),
        Some(DialProblem::Unresolved) => warning(
            "UnresolvedName",
            format!("this client cannot look up {address}, the address that it has for replica {id}"),
            "Correct replicas in this client's config.toml, or the name server",
        ),
        Some(DialProblem::Unreachable | DialProblem::Failed) | None => unreachable(look, id),
    }
}

fn unreachable(look: &Look, id: ReplicaId) -> Finding {
    let address = look.address(id);
    let seen_by = look.heard_by(id);
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

/// Whether enough vote, or will as soon as they have heard each other. What this client cannot know is not held against anybody.
fn quorum(look: &Look) -> Option<Finding> {
    let (voters, quorum, unjudged) = (look.voters(), look.genesis.quorum(), look.unjudged());
    let present: BTreeSet<ReplicaId> = voters.union(&look.recovering()).copied().collect();
    if present.len() >= quorum {
        return None;
    }
    if present.len().saturating_add(unjudged.len()) >= quorum {
        let message = format!("this client cannot tell whether the cluster works: {} tell it nothing", replicas(unjudged));
        let action = "Mend first what keeps this client from them; or ask as another client";
        return Some(Finding::warning("CannotJudge", None, message, action));
    }
    let lacking = quorum.saturating_sub(present.len());
    let away = |id: &ReplicaId| !present.contains(id);
    let candidates: Vec<ReplicaId> = look.genesis.replica_ids().filter(away).filter(|id| !look.votes_no_more(*id)).collect();
    let named: Vec<String> = candidates.iter().map(|id| format!("{id}{}", look.flaw(*id))).collect();
    let message = format!(
        "there is no quorum: {} of {} replicas vote, {quorum} must; nothing is ordered, and nothing is lost",
        voters.len(),
        look.genesis.replica_count()
    );
    let action = if candidates.len() < lacking {
        let gone = look.genesis.replica_ids().filter(|id| look.votes_no_more(*id));
        format!(
            "It takes {lacking} more, and {} will never vote again: see \"Losing more than f for good\" in the operator's guide",
            replicas(gone)
        )
    } else {
        format!("Bring back {lacking} of these: {}. No other step is needed", named.join(", "))
    };
    Some(Finding::critical("NoQuorum", None, message, action))
}

fn faults(look: &Look) -> Option<Finding> {
    let (voters, recovering, unjudged) = (look.voters(), look.recovering(), look.unjudged());
    let excused = |id: &ReplicaId| voters.contains(id) || recovering.contains(id) || unjudged.contains(id);
    let silent = look.genesis.replica_ids().filter(|id| !excused(id));
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
            (DialProblem::Unresolved, "UnresolvedName"),
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
    fn who_will_never_vote_is_not_to_be_brought_back() {
        let mut look = without(&[2]);
        look.reports.get_mut(&ReplicaId(0)).unwrap().condition.silence = Some("learner".to_owned());
        let found = find(&look);
        assert_eq!(codes(&found), [("Unreachable", Some(2)), ("NoQuorum", None), ("TooManyFaults", None)]);
        assert!(found[1].action.contains("Bring back 1 of these: 2 (does not answer)."), "{:?}", found[1]);
        look.reports.get_mut(&ReplicaId(1)).unwrap().condition.silence = Some("halted".to_owned());
        let found = find(&look);
        assert!(found[1].action.contains("replicas 0 and 1 will never vote again"), "{:?}", found[1]);
    }

    #[test]
    fn who_waits_for_a_quorum_lacks_nothing_but_that() {
        let mut look = without(&[2, 3]);
        look.reports.values_mut().for_each(|report| report.condition.silence = Some("recovering".to_owned()));
        let found = find(&look);
        assert!(found[2].message.contains("0 of 4 replicas vote"), "{:?}", found[2]);
        assert!(found[2].action.contains("Bring back 1 of these: 2 (does not answer), 3 (does not answer)."), "{:?}", found[2]);
    }

    #[test]
    fn what_keeps_only_this_client_away_is_no_fault_of_the_cluster() {
        let mut revoked = without(&[0, 1, 2, 3]);
        revoked.problems.extend((0..4).map(|id| (ReplicaId(id), DialProblem::Refused)));
        let mut expected: Vec<_> = (0..4).map(|id| ("RefusesClient", Some(id))).collect();
        expected.push(("CannotJudge", None));
        assert_eq!(codes(&find(&revoked)), expected);
        let mut walled = without(&[2, 3]);
        let peers = walled.reports.values_mut().flat_map(|report| &mut report.condition.peers);
        peers.for_each(|peer| peer.silent = Some(100));
        assert_eq!(codes(&find(&walled)), [("Unreachable", Some(2)), ("Unreachable", Some(3)), ("CannotJudge", None)]);
    }
}
