//! Names, the modifier, and what holds for all.

use crate::world::{Liar, World, digest, id};
use pbft_byzantine::{Lie, Strategy, intermittent};
use pbft_message::*;
use std::collections::BTreeSet;

#[test]
fn every_strategy_has_a_name_of_its_own_and_a_summary() {
    let names: BTreeSet<_> = Strategy::ALL.into_iter().map(Strategy::name).collect();
    assert_eq!(names.len(), Strategy::ALL.len());
    for strategy in Strategy::ALL {
        assert_eq!(strategy.name().parse(), Ok(strategy));
        assert!(strategy.summary().len() > 10);
        for lie in [Lie::from(strategy), Lie { strategy, intermittent: true }] {
            assert_eq!(lie.to_string().parse(), Ok(lie));
        }
    }
    let refused = "flatter".parse::<Lie>().unwrap_err().to_string();
    assert!(refused.starts_with("flatter is no strategy: one of equivocate, belated, double-vote,"), "{refused}");
    assert!("intermittent:".parse::<Lie>().is_err() && "intermittent:intermittent:mute".parse::<Lie>().is_err());
}

#[test]
fn an_intermittent_liar_is_honest_until_it_sees_a_view_change() {
    let world = World::of(4);
    let vote = world.commit(0, 1, digest("one"), id(1));
    let mut liar = Liar::behind(intermittent(Box::new(|_, _| Vec::new())));
    assert_eq!(liar.hears(id(2), &vote), []);
    assert_eq!(liar.tells(id(2), &vote), std::slice::from_ref(&vote));
    liar.hears(id(2), &Message::ViewChange(world.view_change(1, None, &[], id(2))));
    assert_eq!(liar.tells(id(2), &vote), []);
}

#[test]
fn r17_no_liar_testifies_against_itself() {
    let world = World::of(4);
    let evidence = |accused: u64| {
        let header = |text| world.header(accused, 1, digest(text));
        Message::Evidence(Evidence::PrePrepares(header("one"), header("other")))
    };
    let mut liar = Liar::new(&world, Strategy::Equivocate, id(1));
    assert!(world.judges(id(1), &evidence(1)).is_ok());
    assert_eq!(liar.tells(id(2), &evidence(1)), []);
    assert_eq!(liar.tells(id(2), &evidence(0)), [evidence(0)]);
}

#[test]
fn the_same_seed_tells_the_same_lies() {
    let world = World::of(4);
    let run = |strategy: Strategy, seed: u64| {
        let mut liar = Liar::with_seed(&world, strategy, id(0), seed);
        let mut sent = Vec::new();
        for number in 1..=40 {
            liar.now = std::time::Duration::from_millis(number * 400);
            for to in world.others(id(0)) {
                sent.extend(liar.sends(to, &world.commit(0, number, digest("one"), id(0))));
                sent.extend(liar.sends(to, &world.pre_prepare(0, number, &world.batch(&[0, 1, 2]))));
            }
        }
        sent
    };
    for strategy in Strategy::ALL {
        assert_eq!(run(strategy, 1), run(strategy, 1), "{}", strategy.name());
    }
    assert_ne!(run(Strategy::SmallScopeMutator, 1), run(Strategy::SmallScopeMutator, 2));
}
