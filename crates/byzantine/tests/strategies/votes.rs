//! Lies in votes and checkpoints.

use crate::world::{Liar, World, digest, id};
use pbft_byzantine::Strategy;
use pbft_message::*;

/// A backup of view 0.
const OWN: ReplicaId = ReplicaId(1);

#[test]
fn a_double_voter_invents_a_second_digest() {
    let world = World::of(4);
    let mut liar = Liar::new(&world, Strategy::DoubleVote, OWN);
    for vote in [world.prepare(0, 1, digest("one"), OWN), world.commit(0, 1, digest("one"), OWN)] {
        let told = liar.tells(id(3), &vote);
        assert_eq!((told.len(), &told[0]), (2, &vote));
        assert_ne!(told[1], vote);
        assert!(told.iter().all(|message| world.judges(OWN, message).is_ok()));
    }
}

#[test]
fn a_double_voter_votes_for_both_proposals_of_a_lying_primary() {
    let world = World::of(4);
    let mut liar = Liar::new(&world, Strategy::DoubleVote, OWN);
    let (batch, other) = (world.batch(&[0]), world.batch(&[1]));
    let votes = |digest| [world.prepare(0, 1, digest, OWN), world.commit(0, 1, digest, OWN)];
    let ([prepare, commit], [second_prepare, second_commit]) = (votes(batch.digest()), votes(other.digest()));
    assert_eq!(liar.hears(id(0), &world.pre_prepare(0, 1, &batch)), []);
    liar.tells(id(2), &prepare);
    let all = liar.hears(id(3), &world.prepare(0, 1, other.digest(), id(3)));
    let expected = [0, 2, 3].map(|to| [(id(to), second_prepare.clone()), (id(to), second_commit.clone())]);
    assert_eq!(all, expected.concat());
    assert_eq!(liar.tells(id(2), &prepare), [prepare.clone(), second_prepare.clone()]);
    assert_eq!(liar.tells(id(3), &prepare), [second_prepare, prepare]);
    assert_eq!(liar.tells(id(3), &commit), [second_commit, commit]);
    let third = liar.hears(id(3), &world.prepare(0, 1, digest("third"), id(3)));
    assert_eq!(third, [], "two are enough");
}

#[test]
fn a_double_voter_takes_no_invention_of_another_liar_for_a_proposal() {
    let world = World::of(4);
    let mut liar = Liar::new(&world, Strategy::DoubleVote, OWN);
    liar.tells(id(2), &world.prepare(0, 1, digest("one"), OWN));
    liar.hears(id(0), &world.pre_prepare(0, 1, &world.batch(&[0])));
    let Message::Prepare { pre_prepare, .. } = world.prepare(0, 1, digest("one"), id(3)) else { unreachable!() };
    let Message::Prepare { prepare, .. } = world.prepare(0, 1, digest("invented"), id(3)) else { unreachable!() };
    assert_eq!(liar.hears(id(3), &Message::Prepare { prepare, pre_prepare }), []);
}

#[test]
fn checkpoint_liars_sign_the_same_false_states_here_and_far_ahead() {
    let world = World::of(7);
    let told = |own: ReplicaId| {
        let told = Liar::new(&world, Strategy::CheckpointLiar, own).tells(id(0), &world.checkpoint(8, digest("state"), own));
        let told = told.into_iter().map(|message| match world.judges(own, &message).unwrap() {
            VerifiedMessage::Checkpoint(checkpoint) => (checkpoint.sequence.0, checkpoint.digest),
            other => panic!("{other:?} is no checkpoint"),
        });
        told.collect::<Vec<_>>()
    };
    let lies = told(id(1));
    assert_eq!(lies.iter().map(|(sequence, _)| *sequence).collect::<Vec<_>>(), [8, 12, 28, u64::MAX - 3]);
    assert!(lies.iter().all(|(_, false_state)| *false_state != digest("state")));
    assert_eq!(lies, told(id(2)));
}

#[test]
fn a_small_scope_mutator_alters_one_field_of_some_votes() {
    let world = World::of(4);
    let mut liar = Liar::new(&world, Strategy::SmallScopeMutator, OWN);
    let vote = world.prepare(2, 5, digest("one"), OWN);
    let fields = |message: &Message| match message {
        Message::Prepare { prepare, .. } => **prepare,
        other => panic!("{other:?} is no prepare"),
    };
    let honest = fields(&vote);
    let (mut altered, mut refused) = ([0; 4], 0);
    for _ in 0..800 {
        let [told] = &liar.tells(id(2), &vote)[..] else { panic!("one message becomes one") };
        let lie = fields(told);
        let differs =
            [lie.view != honest.view, lie.sequence != honest.sequence, lie.digest != honest.digest, lie.replica != honest.replica];
        let count = differs.iter().filter(|differs| **differs).count();
        assert!(count <= 1 && lie.view.0.abs_diff(2) <= 1 && lie.sequence.0.abs_diff(5) <= 1);
        differs.iter().zip(&mut altered).for_each(|(differs, count)| *count += usize::from(*differs));
        refused += usize::from(world.judges(OWN, told).is_err());
    }
    assert!(altered.iter().all(|count| *count > 5), "{altered:?}");
    assert!((50..150).contains(&altered.iter().sum::<usize>()), "{altered:?}");
    // Its own view's primary prepares nothing (view 1), and nobody speaks for another.
    assert!(refused >= altered[3] && refused < altered.iter().sum());
}
