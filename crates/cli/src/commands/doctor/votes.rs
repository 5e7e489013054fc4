//! Replicas that follow without voting.

use super::finding::Finding;
use super::look::{Look, reason, silence, words};
use pbft_message::ReplicaReport;

pub fn find(look: &Look) -> Vec<Finding> {
    look.reports.values().filter_map(finding).collect()
}

fn finding(report: &ReplicaReport) -> Option<Finding> {
    let id = report.replica;
    let warning =
        |code, message: &str, action: &str| Some(Finding::warning(code, Some(id.0), format!("replica {id} {message}"), action));
    match silence(report) {
        "learner" => warning(
            "Learner",
            "lost the journal of its votes: it follows, and never votes under this key again",
            "The cluster has one replica less to lose until this one gets a new key",
        ),
        "repairing" => warning(
            "Repairing",
            "is being repaired: it does not vote until a certified state is on its disk",
            "Wait; the others must make a stable checkpoint",
        ),
        "recovering" => warning(
            "Recovering",
            "came back from its disk, and has not heard from a quorum what it holds of its votes",
            "Wait; it takes a quorum of replicas that run and reach it: see their connections if it lasts",
        ),
        "halted" => {
            let alarm = report.alarm.as_deref().unwrap_or_default().escape_debug();
            let action = "Copy its data/ before anything else, find the cause, then do what the alarm says";
            Some(Finding::critical("Halted", Some(id.0), format!("replica {id} stopped voting: {alarm}"), action))
        }
        _ if reason(report) == "still" => {
            let action = "Look at its disk first, then at its log; then restart it";
            Some(Finding::critical("Still", Some(id.0), format!("replica {id}: {}", words(report)), action))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{codes, look, unready};
    use super::*;
    use pbft_message::ReplicaId;

    #[test]
    fn each_silence_has_its_finding() {
        assert_eq!(find(&look()), []);
        let names = [("learner", "Learner"), ("repairing", "Repairing"), ("recovering", "Recovering"), ("halted", "Halted")];
        for (name, code) in names {
            let mut look = look();
            let report = look.reports.get_mut(&ReplicaId(2)).unwrap();
            report.condition.silence = Some(name.to_owned());
            report.alarm = Some("went\nastray".to_owned());
            let found = find(&look);
            assert_eq!(codes(&found), [(code, Some(2))]);
            assert!(!found[0].message.contains('\n'), "no line of a replica's making: {}", found[0].message);
        }
        assert_eq!(codes(&find(&unready(2, "still"))), [("Still", Some(2))]);
    }
}
