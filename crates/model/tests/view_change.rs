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
    model.timeout(2).timeout(3).deliver(3, 2, "suspect").deliver(2, 3, "suspect").deliver(2, 0, "view-change").deliver(
        3,
        0,
        "view-change",
    )
}

/// What replica 1 says until the view changes.
fn first_lies() -> Lies {
    Lies { votes: 0..1, ..Lies::default() }
}

fn lying_new_primary() -> Scenario {
    Scenario { lies: first_lies(), timeouts: 1, highest_view: 1, suspicion: true, ..Scenario::new([1]) }
}

fn explore(name: &str, model: PbftModel, depth: Option<usize>, reached: &[&str], states: usize) {
    let outcome = model.explore(depth);
    println!("{}", outcome.report(name));
    outcome.assert_safe(reached);
    assert_eq!(outcome.states, states, "the space has changed: is it still what the test means?");
}

/// Its view-changes with and without what prepared, its new-views from every quorum, honest or null over d1.
#[test]
fn a_new_primary_that_lies_about_what_prepared() {
    let lies = Lies { view_changes_to: 1, new_views: true, ..Lies::default() };
    let model = left_by_two(committed_at_one(lying_new_primary())).lies(lies);
    explore("new primary lies", model, Some(2), &[properties::COMMITS_IN_VIEW_0, properties::LIE_PROVEN], 1_429);
}

/// It opens its view to 2 and 3 as it must, then votes for both values.
#[test]
fn a_new_primary_that_votes_for_both_values() {
    let lies = Lies { view_changes_to: 1, new_views: true, ..Lies::default() };
    let model = left_by_two(committed_at_one(lying_new_primary())).lies(lies);
    let model = model.deliver_new_view(1, 3, &[0]).deliver_new_view(1, 2, &[0]);
    let model = model.lies(Lies { pre_prepares: true, votes: 1..2, ..Lies::default() });
    explore("new primary votes for both", model, Some(6), &[properties::CARRIED_OVER, properties::LIE_PROVEN], 612_124);
}

/// Replica 1 opens no view; 2 and 3 give up on it. View 2 belongs to 2, who is correct.
fn left_again() -> PbftModel {
    let scenario = Scenario { highest_view: 2, timeouts: 2, ..lying_new_primary() };
    left_by_two(committed_at_one(scenario))
        .lies(Lies { view_changes_to: 2, ..Lies::default() })
        .deliver(0, 2, "view-change")
        .deliver(3, 2, "view-change")
        .timeout(2)
        .deliver(0, 3, "view-change")
        .deliver(2, 3, "view-change")
        .timeout(3)
}

#[test]
fn a_liar_in_two_view_changes() {
    explore("two view changes", left_again(), Some(5), &[properties::COMMITS_IN_VIEW_0, properties::LIE_PROVEN], 71_072);
}

/// The new-view of view 2 is there: from the liar's votes for both values on.
#[test]
fn what_committed_is_carried_over_two_view_changes() {
    let model = left_again()
        .deliver(2, 0, "view-change")
        .deliver(3, 0, "view-change")
        .deliver(0, 2, "view-change")
        .deliver(3, 2, "view-change")
        .deliver(2, 3, "new-view")
        .deliver(2, 0, "new-view")
        .lies(Lies { votes: 2..3, ..Lies::default() });
    explore("carried over two view changes", model, Some(5), &[properties::CARRIED_OVER], 133_064);
}

/// The old primary lies: it proposed d1 to 1 and 2, and d2 to 3. Replica 2 executes d1, then 1, 2 and 3 leave the view.
/// The new primary, 1, is correct.
fn equivocated() -> PbftModel {
    let lies = Lies { pre_prepares: true, votes: 0..1, ..Lies::default() };
    let scenario = Scenario { lies, timeouts: 1, highest_view: 1, suspicion: true, ..Scenario::new([0]) };
    PbftModel::new(scenario)
        .deliver_value(0, 1, "pre-prepare", 0)
        .deliver_value(0, 2, "pre-prepare", 0)
        .deliver_value(0, 3, "pre-prepare", 1)
        .deliver(1, 2, "prepare")
        .deliver(2, 1, "prepare")
        .deliver(1, 2, "commit")
        .deliver_value(0, 2, "commit", 0)
        .timeout(1)
        .timeout(3)
        .deliver(1, 3, "suspect")
        .deliver(3, 1, "suspect")
        .deliver(1, 2, "view-change")
        .deliver(3, 2, "view-change")
}

#[test]
fn an_old_primary_that_lies_about_what_prepared() {
    let model = equivocated().lies(Lies { view_changes_to: 1, ..Lies::default() });
    explore("old primary lies", model, Some(6), &[properties::COMMITS_IN_VIEW_0, properties::LIE_PROVEN], 106_849);
}

/// The new-view is there: from the liar's votes for both values on. 3 accepted d2 before.
#[test]
fn what_committed_is_carried_over_from_an_equivocating_primary() {
    let model = equivocated()
        .deliver(2, 1, "view-change")
        .deliver(3, 1, "view-change")
        .deliver(1, 2, "new-view")
        .deliver(1, 3, "new-view")
        .lies(Lies { votes: 1..2, ..Lies::default() });
    explore("carried over", model, Some(5), &[properties::CARRIED_OVER], 213_059);
}

/// Number 2 is prepared at 2 and 3 in view 0, number 1 nowhere: the new view puts null at 1 and d2 at 2.
#[test]
fn a_gap_becomes_null() {
    let lies = Lies { pre_prepares: true, votes: 0..1, ..Lies::default() };
    let scenario = Scenario { sequences: 2, lies, timeouts: 1, highest_view: 1, suspicion: true, ..Scenario::new([0]) };
    let model = PbftModel::new(scenario)
        .deliver_number(0, 2, "pre-prepare", 1, 2)
        .deliver_number(0, 3, "pre-prepare", 1, 2)
        .deliver(2, 3, "prepare")
        .deliver(3, 2, "prepare")
        .timeout(1)
        .timeout(3)
        .deliver(1, 3, "suspect")
        .deliver(3, 1, "suspect")
        .deliver(3, 1, "view-change")
        .deliver(1, 2, "view-change")
        .deliver(3, 2, "view-change")
        .deliver(2, 1, "view-change")
        .deliver(0, 1, "body")
        .deliver(1, 2, "new-view")
        .deliver(1, 3, "new-view")
        .deliver(2, 1, "prepare")
        .deliver(3, 1, "prepare")
        .deliver(3, 2, "prepare")
        .deliver(1, 2, "commit")
        .deliver(2, 3, "prepare")
        .deliver(3, 2, "commit")
        .lies(Lies { votes: 1..2, ..Lies::default() });
    explore("a gap", model, Some(2), &[properties::COMMITS_LATER], 835);
}
