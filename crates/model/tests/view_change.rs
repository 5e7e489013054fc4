//! A value is committed at one replica in view 0, then the view changes.

#![allow(missing_docs)]

use pbft_model::*;

/// Replica 0 is an honest primary; 1, the next, lies. Replica 2 alone executes d1 in view 0; 3 heard nothing.
/// Then 2 and 3 leave the view.
fn committed_at_one(scenario: Scenario) -> PbftModel {
    PbftModel::new(scenario)
        .request(0, 0)
        .deliver(0, 2, "pre-prepare")
        .deliver(2, 0, "prepare")
        .deliver_value(1, 0, "prepare", 0)
        .deliver_value(1, 2, "prepare", 0)
        .deliver(0, 2, "commit")
        .deliver_value(1, 2, "commit", 0)
}

fn left_by_two(model: PbftModel) -> PbftModel {
    model.timeout(2).timeout(3).deliver(3, 2, "suspect").deliver(2, 3, "suspect").deliver(2, 0, "view-change").deliver(3, 0, "view-change")
}

fn lying_new_primary() -> Scenario {
    let lies = Lies { pre_prepares: true, votes_below_view: 2, view_changes_to: 1, new_views: true, ..Lies::default() };
    Scenario { lies, timeouts: 1, highest_view: 1, suspicion: true, ..Scenario::new([1]) }
}

#[test]
fn a_new_primary_that_lies_about_what_prepared() {
    let outcome = left_by_two(committed_at_one(lying_new_primary())).explore(Some(6));
    println!("{}", outcome.report("lying new primary"));
    outcome.assert_safe(&[properties::COMMITS_IN_VIEW_0, properties::LIE_PROVEN]);
}

/// Replica 1 says nothing more: view 2 belongs to 2, who is correct.
#[test]
fn two_view_changes() {
    let mut scenario = lying_new_primary();
    scenario.highest_view = 2;
    scenario.timeouts = 2;
    scenario.lies = Lies { view_changes_to: 2, new_views: false, pre_prepares: false, ..scenario.lies };
    let model = left_by_two(committed_at_one(scenario));
    let model = model
        .deliver(0, 2, "view-change").deliver(3, 2, "view-change").timeout(2)
        .deliver(0, 3, "view-change").deliver(2, 3, "view-change").timeout(3);
    let outcome = model.explore(Some(7));
    println!("{}", outcome.report("two view changes"));
    outcome.assert_safe(&[properties::COMMITS_IN_VIEW_0]);
}

/// The old primary lies: it proposed d1 to 1 and 2, and d2 to 3. Replica 2 executes d1. The new primary is correct.
#[test]
fn an_old_primary_that_lies_about_what_prepared() {
    let lies = Lies { pre_prepares: true, votes_below_view: 2, view_changes_to: 1, ..Lies::default() };
    let scenario = Scenario { lies, timeouts: 1, highest_view: 1, suspicion: true, ..Scenario::new([0]) };
    let model = PbftModel::new(scenario)
        .deliver_value(0, 1, "pre-prepare", 0)
        .deliver_value(0, 2, "pre-prepare", 0)
        .deliver_value(0, 3, "pre-prepare", 1)
        .deliver(1, 2, "prepare")
        .deliver(2, 1, "prepare")
        .deliver(1, 2, "commit")
        .deliver_value(0, 2, "commit", 0)
        .timeout(1).timeout(3)
        .deliver(1, 3, "suspect")
        .deliver(3, 1, "suspect");
    let outcome = model.explore(Some(6));
    println!("{}", outcome.report("lying old primary"));
    outcome.assert_safe(&[properties::COMMITS_IN_VIEW_0]);
}
