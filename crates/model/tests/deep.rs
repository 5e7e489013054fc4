//! Deeper than every change can wait for: cargo test --release -p pbft-model --test deep -- --ignored --nocapture

#![allow(missing_docs)]

use pbft_model::*;

fn explore(name: &str, scenario: Scenario, depth: usize) {
    let outcome = PbftModel::new(scenario).explore(Some(depth));
    println!("{}", outcome.report(name));
    outcome.assert_safe(&[properties::LIE_PROVEN]);
}

#[test]
#[ignore = "takes minutes and gigabytes"]
fn an_equivocating_primary_from_genesis() {
    let lies = Lies { pre_prepares: true, votes: 0..1, suspects: true, view_changes_to: 1, ..Lies::default() };
    let scenario = Scenario { lies, suspicion: true, gossip: true, highest_view: 1, ..Scenario::new([0]) };
    explore("deep: equivocation from genesis", scenario, 6);
}

#[test]
#[ignore = "takes minutes and gigabytes"]
fn a_backup_crashes_under_an_equivocating_primary() {
    let lies = Lies { pre_prepares: true, votes: 0..1, ..Lies::default() };
    explore("deep: crash from genesis", Scenario { lies, crashes: [1].into(), ..Scenario::new([0]) }, 10);
}
