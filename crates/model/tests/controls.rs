//! Deliberate bugs, which the checker must find.

#![allow(missing_docs)]

use pbft_model::*;

fn assert_found(name: &str, outcome: &Outcome, property: &str) {
    let words = outcome.words(property);
    println!("{}  {}", outcome.report(name), words.join("\n  "));
    assert!(!words.is_empty(), "{name} must break {property}");
}

fn crashing(driver: Driver) -> PbftModel {
    let lies = Lies { pre_prepares: true, votes: 0..1, ..Lies::default() };
    PbftModel::new(Scenario { lies, crashes: [1].into(), driver, ..Scenario::new([0]) })
}

#[test]
fn sending_before_persisting_breaks_one_promise() {
    let outcome = crashing(Driver::SendsBeforePersisting).explore_until(properties::ONE_PROMISE);
    assert_found("sends before persisting", &outcome, properties::ONE_PROMISE);
}

#[test]
fn forgetting_votes_breaks_one_promise() {
    let outcome = crashing(Driver::LosesVotes).explore_until(properties::ONE_PROMISE);
    assert_found("loses votes", &outcome, properties::ONE_PROMISE);
}

#[test]
fn two_liars_break_agreement() {
    let lies = Lies { pre_prepares: true, votes: 0..1, ..Lies::default() };
    let model = PbftModel::new(Scenario { lies, ..Scenario::new([0, 1]) }).deliver_value(0, 2, "pre-prepare", 0).deliver_value(
        0,
        3,
        "pre-prepare",
        1,
    );
    let outcome = model.explore_until(properties::AGREEMENT);
    assert_found("two liars", &outcome, properties::AGREEMENT);
}

/// Replica 2 executes d1 in view 0 with the votes of 0 and 1, who leave it out of their view-changes.
#[test]
fn two_liars_who_hide_what_prepared_break_agreement() {
    let lies = Lies { pre_prepares: true, votes: 0..1, view_changes_to: 1, new_views: true, suspects: true };
    let scenario = Scenario { lies, highest_view: 1, ..Scenario::new([0, 1]) };
    let model = PbftModel::new(scenario)
        .deliver_value(0, 2, "pre-prepare", 0)
        .deliver_value(1, 2, "prepare", 0)
        .deliver_value(0, 2, "commit", 0)
        .deliver_value(1, 2, "commit", 0)
        .deliver(0, 3, "suspect")
        .deliver(1, 3, "suspect")
        .deliver_new_view(1, 3, &[])
        .lies(Lies { pre_prepares: true, votes: 1..2, ..Lies::default() });
    let outcome = model.explore_until(properties::AGREEMENT);
    assert_found("two liars hide P", &outcome, properties::AGREEMENT);
}
