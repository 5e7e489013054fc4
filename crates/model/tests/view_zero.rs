//! The normal case under a primary that proposes two values and votes for both.

#![allow(missing_docs)]

use pbft_model::*;

fn equivocation() -> Scenario {
    let lies = Lies { pre_prepares: true, votes: 0..1, ..Lies::default() };
    Scenario { lies, ..Scenario::new([0]) }
}

/// Two backups heard one value first, the third the other. From there: every state that there is.
#[test]
fn an_equivocating_primary_who_votes_for_both_values_exhaustively() {
    let model = PbftModel::new(equivocation())
        .deliver_value(0, 1, "pre-prepare", 0)
        .deliver_value(0, 2, "pre-prepare", 0)
        .deliver_value(0, 3, "pre-prepare", 1);
    let outcome = model.explore(None);
    println!("{}", outcome.report("equivocation, exhaustive"));
    outcome.assert_safe(&[properties::COMMITS_IN_VIEW_0, properties::LIE_PROVEN]);
    assert_eq!(outcome.states, 297_825);
}

/// From genesis, with suspicion, evidence and view-changes in between.
#[test]
fn an_equivocating_primary_from_genesis() {
    let mut scenario = Scenario { suspicion: true, gossip: true, highest_view: 1, ..equivocation() };
    scenario.lies = Lies { suspects: true, view_changes_to: 1, ..scenario.lies.clone() };
    let outcome = PbftModel::new(scenario).explore(Some(4));
    println!("{}", outcome.report("equivocation from genesis"));
    outcome.assert_safe(&[properties::LIE_PROVEN]);
    assert_eq!(outcome.states, 13_992);
}
