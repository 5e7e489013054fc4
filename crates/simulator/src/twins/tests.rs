use super::space::Part;
use super::{Round, TwinsScenario, run_twins, scenario_count};
use crate::checks::Invariant;
use std::collections::BTreeSet;
use std::time::Duration;

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
    assert_eq!(scenario_count(), 865_255_989_832_472_713_320);
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
/// does reach what it is to find. Without checkpoints, as with so many twins the first of them is already a violation.
#[test]
fn too_many_twins_break_agreement() {
    let broken = |scenario: TwinsScenario, seed| {
        let mut plan = scenario.plan();
        plan.parameters.checkpoint_interval = 256;
        plan.parameters.log_window = 512;
        plan.timing.idle_checkpoint = Duration::from_secs(3600);
        scenario.run_under(plan, seed, false).violation.map(|violation| violation.invariant)
    };
    let part = &Part::of(4, &[0, 1])[0];
    let found: BTreeSet<Invariant> = (0..150).filter_map(|rank| broken(part.scenario(rank.into()), rank)).collect();
    // In one view, in a new one that forgets, and in both.
    for broken in [Invariant::OnePreparedDigest, Invariant::CommittedIsReproposed, Invariant::Agreement] {
        assert!(found.contains(&broken), "{broken:?} is not among {found:?}");
    }
    let groups = vec![0, 0, 0, 1, 1, 1];
    let halves = TwinsScenario { replicas: 4, twins: vec![0, 1], rounds: vec![Round { groups, millis: 400 }] };
    assert_eq!(broken(halves, 0), Some(Invariant::OnePreparedDigest));
}
