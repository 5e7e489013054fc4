//! A replica loses what was not durable, between prepare and commit, and comes back.

#![allow(missing_docs)]

use pbft_model::*;

#[test]
fn a_backup_crashes_under_an_equivocating_primary() {
    let lies = Lies { pre_prepares: true, votes: 0..1, ..Lies::default() };
    let scenario = Scenario { lies, crashes: [1].into(), ..Scenario::new([0]) };
    let model = PbftModel::new(scenario).deliver_value(0, 2, "pre-prepare", 0).deliver_value(0, 3, "pre-prepare", 1);
    let outcome = model.explore(Some(8));
    println!("{}", outcome.report("crash"));
    outcome.assert_safe(&[properties::COMMITS_AFTER_CRASH, properties::LIE_PROVEN]);
    assert_eq!(outcome.states, 253_231);
}
