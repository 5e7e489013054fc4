//! Lies in votes and checkpoints.

use crate::world::{Liar, World, digest, id, status};
use pbft_byzantine::Strategy;
use pbft_message::*;
use std::collections::BTreeSet;

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

#[test]
fn r06_no_certificate_of_a_certificate_forger_is_valid() {
    let world = World::of(4);
    let mut liar = Liar::new(&world, Strategy::CertificateForger, OWN);
    let batch = world.batch(&[0]);
    let prepare = |backup| world.prepare(0, 1, batch.digest(), id(backup));
    // Refused for who signed what alone: all else about it is right.
    let proves_nothing =
        |message: &Message| matches!(world.judges(OWN, message), Err(Invalid::BadSignature | Invalid::BadCertificate));
    assert_eq!(liar.hears(id(0), &world.pre_prepare(0, 1, &batch)), []);
    assert_eq!(liar.hears(id(2), &prepare(2)), []);
    // Another place, of which it has no body, is in nobody's way.
    assert_eq!(liar.hears(id(3), &world.prepare(0, 2, digest("unknown"), id(3))), []);
    let in_time = liar.hears(id(3), &prepare(3));
    assert_eq!(in_time.iter().map(|(to, _)| *to).collect::<Vec<_>>(), [id(0), id(2), id(3)]);
    assert!(in_time.iter().all(|(_, message)| message.name() == "committed" && proves_nothing(message)), "{in_time:?}");
    let (mut kinds, mut repeated) = (BTreeSet::new(), 0);
    for executed in 0..60 {
        let told = liar.tells(id(3), &status(0, executed));
        assert_eq!((told.len(), &told[0]), (2, &status(0, executed)));
        assert!(proves_nothing(&told[1]), "{:?}", told[1]);
        let (kind, signers) = match &told[1] {
            Message::Committed { certificate, .. } => ((0, certificate.digest == NULL_DIGEST), &certificate.commits),
            Message::Stable(certificate) => ((1, false), &certificate.checkpoints),
            other => panic!("{other:?} is no certificate"),
        };
        repeated += usize::from(signers.len() > 1 && signers.iter().all(|(signer, _)| *signer == OWN));
        kinds.insert((kind, signers.len()));
    }
    assert_eq!(kinds, BTreeSet::from([((0, true), 1), ((0, true), 3), ((0, false), 3), ((1, false), 3)]));
    assert!((5..40).contains(&repeated), "{repeated} of 60 name the liar alone");
}

#[test]
fn r01_half_of_what_a_bad_signer_signs_is_refused_for_its_signature_alone() {
    let world = World::of(4);
    let honest = [
        world.prepare(0, 1, digest("one"), OWN),
        world.commit(0, 1, digest("one"), OWN),
        world.checkpoint(8, digest("state"), OWN),
        Message::ViewChange(world.view_change(2, None, &[1, 2], OWN)),
        world.pre_prepare(1, 1, &world.batch(&[0])),
        Message::Request(world.request(0, 1)),
    ];
    for message in honest {
        let mut liar = Liar::new(&world, Strategy::BadSigner, OWN);
        let told: Vec<Message> = (0..40).flat_map(|_| liar.tells(id(3), &message)).collect();
        let (good, bad): (Vec<_>, Vec<_>) = told.into_iter().partition(|told| *told == message);
        assert!(good.len() > 10 && bad.len() > 10, "{} and {}", good.len(), bad.len());
        assert!(bad.iter().all(|bad| world.judges(OWN, bad) == Err(Invalid::BadSignature)), "{message:?}");
    }
    let suspicion = Message::Suspect { view: View(0) };
    assert_eq!(Liar::new(&world, Strategy::BadSigner, OWN).tells(id(3), &suspicion), [suspicion]);
}

#[test]
fn r17_no_accusation_of_a_false_witness_is_valid_and_no_vote_that_it_shows() {
    let world = World::of(4);
    let mut liar = Liar::new(&world, Strategy::FalseWitness, OWN);
    let honest = |sender| world.view_change(2, None, &[1, 2], id(sender));
    for sequence in [1, 2] {
        liar.hears(id(0), &world.pre_prepare(0, sequence, &world.batch(&[sequence])));
        liar.hears(id(2), &world.prepare(0, sequence, digest("one"), id(2)));
        liar.hears(id(2), &world.commit(0, sequence, digest("one"), id(2)));
    }
    for sender in [0, 2, 3] {
        liar.hears(id(sender), &Message::ViewChange(honest(sender)));
    }
    liar.hears(id(2), &world.new_view(2, vec![honest(0), honest(2), honest(3)]));
    let (mut kinds, mut invented, mut stale) = (BTreeSet::new(), 0, 0);
    for number in 0..200 {
        for message in liar.tells(id(3), &status(0, number)).into_iter().skip(1) {
            assert!(world.judges(OWN, &message).is_err(), "{message:?}");
            let Message::Evidence(evidence) = message else { panic!("{message:?} is no evidence") };
            kinds.insert(evidence.kind());
        }
        let witness = Message::Witness(Box::new(Witness { asked: number, votes: Votes::default() }));
        for message in liar.tells(id(3), &witness) {
            let Message::Witness(told) = message else { panic!("it says something else") };
            let own = told.votes.commit.as_ref().filter(|commit| commit.replica == id(3));
            assert!(own.is_none() || world.judges(OWN, &Message::Witness(told.clone())).is_err());
            invented += usize::from(own.is_some());
            stale += usize::from(told.asked + 1 == number);
        }
    }
    assert_eq!((kinds.len(), stale), (8, 199), "{kinds:?}");
    assert!(invented > 25, "{invented}");
}
