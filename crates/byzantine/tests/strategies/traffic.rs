//! Lies about who gets what, and when.

use crate::world::{Liar, World, digest, id};
use pbft_byzantine::Strategy;
use pbft_message::*;
use std::collections::BTreeSet;
use std::time::Duration;

const OWN: ReplicaId = ReplicaId(1);

#[test]
fn a_selective_sender_talks_to_fewer_than_make_a_quorum_and_changes_them() {
    let world = World::of(7);
    let mut liar = Liar::new(&world, Strategy::SelectiveSender, OWN);
    let vote = world.commit(0, 1, digest("one"), OWN);
    let mut listeners = BTreeSet::new();
    let mut counts = BTreeSet::new();
    for second in 0..100 {
        liar.now = Duration::from_secs(second);
        let reached: Vec<_> = world.others(OWN).into_iter().filter(|to| !liar.tells(*to, &vote).is_empty()).collect();
        counts.insert(reached.len());
        listeners.insert(reached);
    }
    assert_eq!(counts, BTreeSet::from([3, 4]), "quorum is 5");
    assert!((5..=20).contains(&listeners.len()), "fixed for five seconds: {}", listeners.len());
}

#[test]
fn a_replayer_sends_old_messages_again_and_some_as_signed_elsewhere() {
    let world = World::of(4);
    let mut liar = Liar::new(&world, Strategy::Replayer, OWN);
    let heard: Vec<Message> = (1..=20).map(|number| world.commit(0, number, digest("one"), id(3))).collect();
    for message in &heard {
        assert_eq!(liar.hears(id(3), message), [], "two of these would excite each other");
    }
    let own: Vec<Message> = (1..=200).map(|number| world.commit(0, number, digest("one"), OWN)).collect();
    let (mut again, mut elsewhere, mut others) = (0, 0, 0);
    let mut receivers = BTreeSet::new();
    for message in &own {
        let sent = liar.sends(id(0), message);
        assert_eq!(sent[0], (id(0), message.clone()));
        let Some((to, replayed)) = sent.get(1) else { continue };
        receivers.insert(*to);
        match world.judges(OWN, replayed) {
            Ok(_) => again += usize::from(own.contains(replayed)),
            Err(Invalid::NotTheSender) => others += usize::from(heard.contains(replayed)),
            Err(Invalid::BadSignature) => elsewhere += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(again > 10 && elsewhere > 3 && others > 1, "{again} {elsewhere} {others}");
    assert_eq!(receivers, BTreeSet::from([id(0), id(2), id(3)]));
}

#[test]
fn r01_what_a_replayer_signs_elsewhere_is_valid_there_and_nowhere_else() {
    let world = World::of(4);
    let signer = world.signer(OWN);
    let here = *world.authenticator.domain();
    let vote = Commit { view: View(0), sequence: SequenceNumber(1), digest: digest("one"), replica: OWN };
    let elsewhere = signer.in_domain(Domain { epoch: Epoch(1), ..here }).sign(vote).into_inner();
    assert_eq!(world.judges(OWN, &Message::Commit(elsewhere)), Err(Invalid::BadSignature));
    let back = signer.in_domain(Domain { epoch: Epoch(1), ..here }).in_domain(here).sign(vote).into_inner();
    assert!(world.judges(OWN, &Message::Commit(back)).is_ok());
}

#[test]
fn only_those_that_fall_silent_hold_back_what_they_do_not_lie_about() {
    let world = World::of(4);
    let heartbeat = Message::Heartbeat { view: View(0), counter: 1 };
    for strategy in Strategy::ALL {
        let mut liar = Liar::new(&world, strategy, OWN);
        let told: Vec<_> = world.others(OWN).into_iter().flat_map(|to| liar.sends(to, &heartbeat)).collect();
        let passed = told.iter().filter(|(_, message)| *message == heartbeat).count();
        let expected = match strategy {
            Strategy::Mute => 0..=0,
            Strategy::SelectiveSender => 1..=2,
            Strategy::Replayer => 3..=6,
            _ => 3..=3,
        };
        assert!(expected.contains(&passed), "{}: {passed}", strategy.name());
    }
}

fn status() -> Status {
    Status {
        view: View(3),
        active: true,
        low_watermark: SequenceNumber(4),
        executed: SequenceNumber(9),
        oldest_served: SequenceNumber(2),
        prepared: vec![0; 2],
        committed: vec![0; 2],
        asks: Some(5),
        votes: true,
    }
}

#[test]
fn r23_a_status_liar_stands_anywhere_but_where_it_does_and_presses_for_views() {
    let world = World::of(4);
    let mut liar = Liar::new(&world, Strategy::StatusLiar, OWN);
    let (mut lies, mut pressed) = (0, 0);
    for _ in 0..100 {
        let told = liar.tells(id(2), &Message::Status(status()));
        let Message::Status(lie) = &told[0] else { panic!("no status leaves") };
        assert_eq!(lie.asks, Some(5));
        lies += usize::from(lie.executed == SequenceNumber(u64::MAX) && lie.oldest_served == SequenceNumber(0));
        assert_ne!(*lie, status());
        pressed += told[1..].iter().filter(|one| matches!(one, Message::Suspect { view } if *view >= View(3))).count();
    }
    assert!(lies > 20 && pressed > 20, "{lies} {pressed}");
}

#[test]
fn r19_a_flooder_asks_many_times_over() {
    let world = World::of(4);
    let mut liar = Liar::new(&world, Strategy::Flooder, OWN);
    let told = liar.tells(id(2), &Message::Status(status()));
    assert_eq!((told.len(), &told[0]), (11, &Message::Status(status())));
    assert!(told[1..].iter().all(|one| matches!(one, Message::Status(needy) if needy.executed == SequenceNumber(0))));
    let prepare = world.prepare(0, 1, digest("one"), OWN);
    assert_eq!(liar.tells(id(2), &prepare), [prepare]);
    liar.now = std::time::Duration::from_secs(3);
    let fetches = |told: Vec<Message>| {
        let question = Message::FetchBody { digest: digest("one") };
        told.iter().filter(|one| **one == question).count()
    };
    assert_eq!(fetches(liar.tells(id(2), &Message::Status(status()))), 0, "replica 0 comes first");
    assert_eq!(fetches(liar.tells(id(0), &Message::Status(status()))), 800);
    assert_eq!(fetches(liar.tells(id(0), &Message::Status(status()))), 0, "it rests");
}
