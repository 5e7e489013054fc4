use super::space::Part;
use super::{TwinsScenario, run_twins, scenario_count};
use crate::checks::Invariant;
use std::collections::BTreeSet;

#[test]
fn no_scenario_comes_twice() {
    let scenarios: BTreeSet<TwinsScenario> = (0..100_000).map(TwinsScenario::number).collect();
    assert_eq!(scenarios.len(), 100_000);
}

#[test]
fn every_scenario_of_a_part_comes_up() {
    let part = &Part::of(4, &[2])[0];
    let scenarios: BTreeSet<TwinsScenario> = (0..part.size()).map(|rank| part.scenario(rank)).collect();
    assert_eq!(scenarios.len() as u128, part.size());
    println!("{} in all", scenario_count());
}

#[test]
fn a_few_scenarios_have_all_sizes_twins_and_rounds() {
    let scenarios: Vec<TwinsScenario> = (0..500).map(TwinsScenario::number).collect();
    let kinds: BTreeSet<_> = scenarios.iter().map(|one| (one.replicas, one.twins.clone(), one.rounds.len())).collect();
    // Each of 4 to 7 alone, and each pair of 7, with each number of rounds.
    assert_eq!(kinds.len(), (4 + 5 + 6 + 7 + 21) * 4);
    for one in &scenarios {
        assert!(one.twins.len() as u32 * 3 < one.replicas);
        assert!(one.rounds.iter().all(|round| round.groups.len() == one.replicas as usize + one.twins.len()));
    }
    let groups: BTreeSet<Option<u8>> =
        scenarios.iter().flat_map(|one| &one.rounds).map(|round| round.groups.iter().copied().max()).collect();
    assert_eq!(groups, [Some(0), Some(1), Some(2)].into());
}

#[test]
fn scenarios_hold_and_repeat() {
    for index in 0..20 {
        let outcome = run_twins(index, false);
        assert_eq!(outcome.violation, None, "scenario {index}");
        assert_eq!(outcome, run_twins(index, false));
    }
}

/// With one twin more than f there must be scenarios in which two correct replicas commit different batches: the mode
/// does reach what it is to find.
#[test]
fn too_many_twins_break_agreement() {
    let part = &Part::of(4, &[0, 1])[0];
    let broken = |rank| part.scenario(rank).run(rank as u64, false).violation.map(|violation| violation.invariant);
    let found: Vec<Invariant> = (0..400).filter_map(broken).collect();
    println!("{found:?}");
    assert!(found.contains(&Invariant::Agreement));
}
