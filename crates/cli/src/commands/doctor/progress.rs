//! Why nothing is ordered: whose view, which timer, which certificate is missing.

use super::finding::Finding;
use super::look::{Look, replicas, seconds};
use pbft_message::{Awaited, ReplicaId, ReplicaReport, View};
use std::collections::BTreeMap;

/// A request that is owed for longer than any primary takes.
const LONG: u64 = 2_000;

pub fn find(look: &Look) -> Vec<Finding> {
    view_changes(look).into_iter().chain(owed(look)).chain(suspected(look)).collect()
}

/// Views that are wanted and not entered.
fn view_changes(look: &Look) -> Vec<Finding> {
    let voters = look.voters();
    let voting = || look.reports.values().filter(|report| voters.contains(&report.replica));
    let mut wanted: BTreeMap<View, Vec<&ReplicaReport>> = BTreeMap::new();
    voting().filter(|report| !report.active).for_each(|report| wanted.entry(report.view).or_default().push(report));
    let active_in = |view| voting().filter(|report| report.active && report.view == view).count();
    let goes_on = voting().any(|report| report.active && active_in(report.view) >= look.genesis.quorum());
    let finding = |(view, reports): (&View, &Vec<&ReplicaReport>)| {
        let primary = look.genesis.primary(*view);
        let missing: Vec<String> = reports.iter().filter_map(|report| lacks(look, report)).take(1).collect();
        let message = format!(
            "{} want to enter view {view}, whose primary is replica {primary}{}: {}",
            replicas(reports.iter().map(|report| report.replica)),
            look.flaw(primary),
            missing.join("")
        );
        let action = match reports.first().and_then(|report| report.condition.awaited) {
            Some(Awaited::ViewChanges(_)) => {
                "A quorum must want the view: bring replicas back, and look at the connections between them"
            }
            _ => {
                "Wait for the time-out: the next view has another primary. If views go on changing, look at the network between replicas"
            }
        };
        match goes_on {
            true => Finding::warning("ViewChange", reports.first().map(|report| report.replica.0), message, action),
            false => Finding::critical("ViewChange", None, message, action),
        }
    };
    wanted.iter().map(finding).collect()
}

/// Requests that the primary owes.
fn owed(look: &Look) -> Option<Finding> {
    let late = |report: &&ReplicaReport| report.condition.owed > LONG.max(report.condition.timeout.saturating_mul(2));
    let worst = look.reports.values().filter(late).max_by_key(|report| report.condition.owed)?;
    let (id, view) = (worst.replica, worst.view);
    let primary = look.genesis.primary(view);
    let missing = lacks(look, worst).unwrap_or_else(|| "it does not say what is missing".to_owned());
    let message = format!(
        "replica {id} has waited {} for a request to be ordered in view {view}, whose primary is replica {primary}{}: {missing}",
        seconds(worst.condition.owed),
        look.flaw(primary)
    );
    let action = match look.voters().len() < look.genesis.quorum() {
        true => "Bring back a quorum: what waits is then ordered, or its client sends it again",
        false => {
            "The primary is going to be replaced. If it lasts, look at the network and at the load (pbft_queue_length) of the replicas"
        }
    };
    Some(Finding::critical("RequestOwed", None, message, action))
}

/// Who suspects whom.
fn suspected(look: &Look) -> Vec<Finding> {
    let mut by_view: BTreeMap<View, Vec<&ReplicaReport>> = BTreeMap::new();
    for report in look.reports.values().filter(|report| report.active && report.condition.suspicion.is_some()) {
        by_view.entry(report.view).or_default().push(report);
    }
    let finding = |(view, reports): (View, Vec<&ReplicaReport>)| {
        let primary = look.genesis.primary(view);
        let why = reports.first().and_then(|report| report.condition.suspicion.as_deref()).unwrap_or_default();
        let who: Vec<ReplicaId> = reports.iter().map(|report| report.replica).collect();
        let message = format!(
            "replica {primary}, the primary of view {view}, is suspected by {}: {}; it takes {} to replace it",
            replicas(who),
            why.escape_debug(),
            look.genesis.weak_quorum()
        );
        Finding::warning(
            "Suspected",
            Some(primary.0),
            message,
            "Look at that primary's connections to those who suspect it, and at its load",
        )
    };
    by_view.into_iter().map(finding).collect()
}

/// What a replica's agreement lacks, and what happens then.
fn lacks(look: &Look, report: &ReplicaReport) -> Option<String> {
    let quorum = look.genesis.quorum();
    let missing = match report.condition.awaited? {
        Awaited::ViewChanges(here) => format!("{here} of {quorum} VIEW-CHANGEs are there"),
        Awaited::NewView => "its NEW-VIEW is missing".to_owned(),
        Awaited::PrePrepare(number) => format!("the primary does not propose number {number}"),
        Awaited::Batch(number) => format!("the batch of number {number} is missing"),
        Awaited::Time(number) => format!("number {number} proposes a time too far ahead of replica {}'s clock", report.replica),
        Awaited::Prepares(number, here) => format!("number {number} has {here} of {quorum} PREPAREs, the proposal among them"),
        Awaited::Commits(number, here) => format!("number {number} has {here} of {quorum} COMMITs"),
        Awaited::Checkpoints(number, here) => format!("the checkpoint at {number} has {here} of {quorum} CHECKPOINTs that match"),
    };
    let decisive = ["new_view", "request", "primary_alive", "reproposed", "catch_up", "resend"];
    let timer = decisive.iter().find_map(|name| report.condition.timers.iter().find(|(timer, _)| timer == name));
    let timer = timer.map(|(name, left)| format!("; the timer {name} expires in {}", seconds(*left)));
    Some(missing + &timer.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{codes, look, without};
    use super::*;

    fn wants(look: &mut Look, id: u32, view: u64, awaited: Awaited) {
        let report = look.reports.get_mut(&ReplicaId(id)).unwrap();
        (report.view, report.active) = (View(view), false);
        report.condition.awaited = Some(awaited);
        report.condition.timers = vec![("resend".to_owned(), 100), ("new_view".to_owned(), 1_250)];
    }

    #[test]
    fn a_view_change_names_the_primary_and_what_is_missing() {
        let mut stuck = without(&[1, 3]);
        wants(&mut stuck, 0, 5, Awaited::ViewChanges(2));
        wants(&mut stuck, 2, 5, Awaited::ViewChanges(2));
        let found = find(&stuck);
        assert_eq!(codes(&found), [("ViewChange", None)]);
        let words = "replicas 0 and 2 want to enter view 5, whose primary is replica 1 (does not answer): 2 of 3 VIEW-CHANGEs are \
                     there; the timer new_view expires in 1.2 s";
        assert_eq!(found[0].message, words);
        let mut alone = look();
        wants(&mut alone, 3, 1, Awaited::ViewChanges(1));
        let found = find(&alone);
        assert_eq!(codes(&found), [("ViewChange", Some(3))], "the others go on without it");
        assert_eq!(found[0].severity, super::super::finding::Severity::Warning);
    }

    #[test]
    fn a_request_that_is_owed_names_the_missing_votes() {
        let mut look = without(&[2, 3]);
        let condition = &mut look.reports.get_mut(&ReplicaId(1)).unwrap().condition;
        (condition.owed, condition.timeout) = (12_340, 500);
        condition.awaited = Some(Awaited::Commits(pbft_message::SequenceNumber(17), 2));
        let found = find(&look);
        assert_eq!(codes(&found), [("RequestOwed", None)]);
        assert!(found[0].message.contains("12.3 s") && found[0].message.contains("number 17 has 2 of 3 COMMITs"), "{found:?}");
        look.reports.get_mut(&ReplicaId(1)).unwrap().condition.owed = 900;
        assert_eq!(find(&look), []);
    }

    #[test]
    fn a_suspicion_names_who_suspects_whom() {
        let mut look = look();
        look.reports.get_mut(&ReplicaId(3)).unwrap().condition.suspicion = Some("the primary shows no life".to_owned());
        let found = find(&look);
        assert_eq!(codes(&found), [("Suspected", Some(0))]);
        assert!(found[0].message.contains("suspected by replica 3"));
    }
}
