//! Lies of a primary about what it proposes.

use crate::world::{Liar, World, digest, id, status};
use pbft_byzantine::Strategy;
use pbft_crypto::Digest;
use pbft_message::*;
use std::collections::BTreeSet;
use std::time::Duration;

/// Replica 0, primary of view 0.
const PRIMARY: ReplicaId = ReplicaId(0);
const HEARTBEAT: Message = Message::Heartbeat { view: View(0), counter: 1 };

/// The header and body of a proposal that passes the authenticator.
fn valid(world: &World, message: &Message) -> (PrePrepare, Proposal) {
    match world.judges(PRIMARY, message).unwrap() {
        VerifiedMessage::PrePrepare { header, body } => (**header, body),
        other => panic!("{other:?} is no proposal"),
    }
}

fn requests(proposal: &Proposal) -> Vec<ClientId> {
    match proposal {
        Proposal::Valid(batch) => batch.requests().iter().map(|request| request.client).collect(),
        Proposal::Null => Vec::new(),
        Proposal::Invalid(_) => panic!("the batch is invalid"),
    }
}

#[test]
fn an_equivocator_proposes_two_valid_batches_and_votes_for_both() {
    let world = World::of(4);
    let mut liar = Liar::new(&world, Strategy::Equivocate, PRIMARY);
    let proposal = world.pre_prepare(0, 1, &world.batch(&[0, 1]));
    assert_eq!(liar.tells(id(2), &proposal), std::slice::from_ref(&proposal));
    let told = liar.tells(id(1), &proposal);
    assert_eq!(told, liar.tells(id(3), &proposal));
    let ((first, one), (second, other)) = (valid(&world, &proposal), valid(&world, &told[0]));
    assert_eq!((first.view, first.sequence), (second.view, second.sequence));
    assert_ne!(first.digest, second.digest);
    assert_eq!(requests(&one), requests(&other));
    for (backup, digest) in [(2, first.digest), (3, second.digest)] {
        let answer = liar.hears(id(backup), &world.prepare(0, 1, digest, id(backup)));
        assert_eq!(answer, [(id(backup), world.commit(0, 1, digest, PRIMARY))]);
    }
}

#[test]
fn a_belated_primary_proposes_to_one_backup_what_contradicts_the_batch_that_it_has_executed() {
    let world = World::of(4);
    let mut liar = Liar::new(&world, Strategy::Belated, PRIMARY);
    let proposal = world.pre_prepare(0, 1, &world.batch(&[0]));
    let others = world.others(PRIMARY);
    let (told, left_out): (Vec<_>, Vec<_>) = others.into_iter().partition(|to| liar.tells(*to, &proposal) == [proposal.clone()]);
    assert_eq!((told.len(), left_out.len()), (2, 1));
    assert_eq!(liar.tells(left_out[0], &world.pre_prepare(0, 2, &world.batch(&[1]))), []);
    assert_eq!(liar.hears(told[0], &status(0, 1)), []);
    assert_eq!(liar.hears(left_out[0], &status(0, 0)), []);
    let late = liar.hears(left_out[0], &status(0, 1));
    assert_eq!((late.len(), late[0].0), (1, left_out[0]));
    let ((first, one), (second, other)) = (valid(&world, &proposal), valid(&world, &late[0].1));
    assert_eq!((first.view, first.sequence), (second.view, second.sequence));
    assert_ne!(first.digest, second.digest);
    assert_eq!(requests(&one), requests(&other));
    assert_eq!(liar.hears(left_out[0], &status(0, 1)), [], "once");
}

#[test]
fn a_second_equivocator_votes_for_whatever_each_replica_prepared() {
    let world = World::of(7);
    let mut liar = Liar::new(&world, Strategy::Equivocate, id(1));
    let (one, other) = (digest("one"), digest("other"));
    let own = world.prepare(0, 1, other, id(1));
    assert_eq!(liar.tells(id(2), &own), [], "it waits for what replica 2 prepared");
    assert_eq!(liar.tells(PRIMARY, &own), std::slice::from_ref(&own), "the primary prepares nothing");
    let heard = world.prepare(0, 1, one, id(2));
    let answer = [(id(2), world.prepare(0, 1, one, id(1))), (id(2), world.commit(0, 1, one, id(1)))];
    assert_eq!(liar.hears(id(2), &heard), answer);
    assert_eq!(liar.tells(id(2), &own), []);
    assert_eq!(liar.tells(id(2), &world.commit(0, 1, other, id(1))), []);
    let answers: Vec<_> = (0..9).flat_map(|_| liar.hears(id(2), &heard)).collect();
    assert_eq!(answers.len(), 4, "two of these do not go on for ever");
}

#[test]
fn a_slow_primary_holds_its_proposals_just_so_long() {
    let world = World::of(4);
    let mut liar = Liar::new(&world, Strategy::SlowPrimary, PRIMARY);
    let proposal = world.pre_prepare(0, 1, &world.batch(&[0]));
    assert_eq!(liar.tells(id(1), &proposal), []);
    liar.now = Duration::from_millis(200);
    assert_eq!(liar.tells(id(1), &proposal), [], "sent again, it is not sent twice");
    assert_eq!(liar.tells(id(1), &HEARTBEAT), [HEARTBEAT]);
    liar.now = Duration::from_millis(290);
    assert_eq!(liar.sends(id(2), &HEARTBEAT), [(id(2), HEARTBEAT), (id(1), proposal)]);
    assert_eq!(liar.tells(id(2), &HEARTBEAT), [HEARTBEAT]);
}

#[test]
fn a_censor_leaves_one_client_out_and_serves_the_others() {
    let world = World::of(4);
    let mut liar = Liar::new(&world, Strategy::Censor, PRIMARY);
    let told = liar.tells(id(1), &world.pre_prepare(0, 1, &world.batch(&[0, 1, 2])));
    let (header, body) = valid(&world, &told[0]);
    let left = requests(&body);
    assert_eq!(left.len(), 2);
    let victim = (0..3).find(|client| !left.contains(&world.request(*client, 1).client)).unwrap();
    let passed_on = |liar: &mut Liar, client| liar.tells(id(1), &Message::Request(world.request(client, 1))).len();
    assert_eq!((passed_on(&mut liar, victim), passed_on(&mut liar, (victim + 1) % 3)), (0, 1));
    let told = liar.tells(id(1), &world.pre_prepare(0, 2, &world.batch(&[victim])));
    assert_eq!(valid(&world, &told[0]).1, Proposal::Null);
    let fair = world.pre_prepare(0, 3, &world.batch(&[(victim + 1) % 3]));
    assert_eq!(liar.tells(id(1), &fair), [fair]);
    let answer = liar.hears(id(1), &world.prepare(0, 1, header.digest, id(1)));
    assert_eq!(answer, [(id(1), world.commit(0, 1, header.digest, PRIMARY))]);
}

#[test]
fn a_hole_maker_skips_numbers() {
    let world = World::of(4);
    let mut liar = Liar::new(&world, Strategy::HoleMaker, PRIMARY);
    let mut proposed = |sequence| {
        let told = liar.tells(id(1), &world.pre_prepare(0, sequence, &world.batch(&[0])));
        valid(&world, &told[0]).0.sequence.0
    };
    assert_eq!([1, 2, 3, 4, 5, 6].map(&mut proposed), [1, 2, 4, 5, 7, 8]);
}

#[test]
fn a_window_racer_proposes_at_the_end_of_the_window_and_beyond() {
    let world = World::of(4);
    let mut liar = Liar::new(&world, Strategy::WindowRacer, PRIMARY);
    let proposed = |liar: &mut Liar, sequence| -> Vec<u64> {
        let told = liar.tells(id(1), &world.pre_prepare(0, sequence, &world.batch(&[0])));
        told.iter().map(|message| valid(&world, message).0.sequence.0).collect()
    };
    assert_eq!(proposed(&mut liar, 1), [1, 16, 17, u64::MAX]);
    assert_eq!(proposed(&mut liar, 2), [2]);
    let status = Status {
        asks: None,
        votes: true,
        view: View(0),
        active: true,
        low_watermark: SequenceNumber(4),
        executed: SequenceNumber(4),
        oldest_served: SequenceNumber(1),
        prepared: vec![],
        committed: vec![],
    };
    liar.tells(id(1), &Message::Status(status));
    assert_eq!(proposed(&mut liar, 5), [5, 20, 21, u64::MAX]);
}

#[test]
fn a_body_withholder_proposes_to_a_weak_quorum_at_most_and_serves_no_body() {
    let world = World::of(7);
    let mut liar = Liar::new(&world, Strategy::BodyWithholder, PRIMARY);
    let batch = world.batch(&[0]);
    let mut told = |view| -> usize {
        let proposal = world.pre_prepare(view, 1, &batch);
        world.others(PRIMARY).into_iter().map(|to| liar.tells(to, &proposal).len()).sum()
    };
    let counts: Vec<usize> = (0..20).map(|turn| told(turn * 7)).collect();
    assert_eq!((counts.iter().min(), counts.iter().max()), (Some(&1), Some(&3)));
    assert_eq!(liar.tells(id(1), &Message::Body(batch.bytes().clone())), []);
}

#[test]
fn a_poisoned_batch_is_named_rightly_and_invalid_for_all() {
    let world = World::of(4);
    let mut liar = Liar::new(&world, Strategy::PoisonBatch, PRIMARY);
    let proposal = world.pre_prepare(0, 1, &world.batch(&[0, 1, 2]));
    let told = liar.tells(id(1), &proposal);
    assert_eq!(liar.tells(id(2), &proposal), told);
    let (header, Proposal::Invalid(invalid)) = valid(&world, &told[0]) else { panic!("the batch is valid") };
    assert_eq!((header.digest, invalid.reason()), (invalid.digest(), "a client's signature does not verify"));
    let null = Message::PrePrepare { header: world.header(0, 2, NULL_DIGEST), body: Blob::default() };
    assert_eq!(liar.tells(id(1), &null), [null]);
}

#[test]
fn a_split_commit_reaches_one_replica_and_then_all_is_silent() {
    let world = World::of(7);
    let mut liar = Liar::new(&world, Strategy::SplitCommit, PRIMARY);
    let batch = world.batch(&[0]);
    let mut reached = |message: &Message| -> Vec<ReplicaId> {
        let others = world.others(PRIMARY).into_iter();
        others.filter(|to| !liar.tells(*to, message).is_empty()).collect()
    };
    let proposed = reached(&world.pre_prepare(0, 1, &batch));
    assert_eq!(proposed.len(), world.genesis().quorum() - 1, "just enough to prepare");
    assert_eq!(reached(&world.pre_prepare(0, 2, &batch)), []);
    assert_eq!(reached(&HEARTBEAT).len(), 6);
    let committed = reached(&world.commit(0, 1, batch.digest(), PRIMARY));
    assert!(committed.len() == 1 && proposed.contains(&committed[0]));
    assert_eq!(reached(&HEARTBEAT), []);
    assert_eq!(reached(&Message::ViewChange(world.view_change(1, None, &[1], PRIMARY))).len(), 6);
    assert_eq!(reached(&world.prepare(1, 1, batch.digest(), PRIMARY)).len(), 1, "as backup it votes for one only");
}

#[test]
fn the_mute_say_nothing_and_a_mute_primary_only_as_primary() {
    let world = World::of(4);
    let mut mute = Liar::new(&world, Strategy::Mute, id(1));
    let mut primary = Liar::new(&world, Strategy::MutePrimary, id(1));
    let replies = || ReplicaMessage::Replies(vec![]);
    assert_eq!(Liar::new(&world, Strategy::MutePrimary, PRIMARY).answers(replies()), [], "primary from the start");
    let vote = world.prepare(0, 1, Digest::ZERO, id(1));
    let change = |view| Message::ViewChange(world.view_change(view, None, &[], id(1)));
    assert!(mute.tells(id(2), &vote).is_empty() && mute.answers(replies()).is_empty());
    assert_eq!(primary.tells(id(2), &vote), [vote]);
    assert_eq!(primary.tells(id(2), &change(1)), [], "of view 1 it would be primary");
    assert_eq!(primary.tells(id(2), &world.new_view(1, vec![])), []);
    assert_eq!(primary.answers(replies()), []);
    assert_eq!(primary.tells(id(2), &change(2)), [change(2)]);
    assert_eq!(primary.answers(replies()).len(), 1);
}

#[test]
fn a_usurper_proposes_for_another_primary_and_prepares_as_primary() {
    let world = World::of(4);
    let (batch, own) = (world.batch(&[0]), id(1));
    let mut liar = Liar::new(&world, Strategy::Usurper, own);
    let proposals = liar.hears(PRIMARY, &world.pre_prepare(0, 1, &batch));
    assert_eq!(proposals.iter().map(|(to, _)| *to).collect::<Vec<_>>(), [id(0), id(2), id(3)]);
    for (_, proposal) in &proposals {
        let Message::PrePrepare { header, .. } = proposal else { panic!("{proposal:?} is no proposal") };
        let expected = PrePrepare { view: View(0), sequence: SequenceNumber(2), digest: batch.digest(), replica: own };
        assert_eq!(**header, expected);
        assert!(world.judges(own, proposal).is_err(), "only the primary proposes");
        assert_eq!(Liar::new(&world, Strategy::Usurper, id(2)).hears(own, proposal), [], "it does not usurp a usurper");
    }
    let mut liar = Liar::new(&world, Strategy::Usurper, PRIMARY);
    let proposal = world.pre_prepare(0, 1, &batch);
    assert_eq!(liar.hears(id(2), &world.pre_prepare(0, 1, &batch)), [], "nobody proposes to its primary");
    let told = liar.tells(id(2), &proposal);
    assert_eq!(told, [proposal, world.prepare(0, 1, batch.digest(), PRIMARY)]);
}

#[test]
fn a_time_racer_proposes_valid_batches_of_later_times() {
    let world = World::of(4);
    let mut liar = Liar::new(&world, Strategy::TimeRacer, PRIMARY);
    let times = (1..40).map(|sequence| {
        let proposal = world.pre_prepare(0, sequence, &world.batch(&[0]));
        let told = liar.tells(id(1), &proposal);
        assert_eq!(liar.tells(id(2), &proposal), told, "the same to all");
        let (header, body) = valid(&world, &told[0]);
        assert_eq!((header.sequence, header.digest), (SequenceNumber(sequence), body.digest()));
        let Proposal::Valid(batch) = body else { panic!("{body:?}") };
        batch.time().saturating_sub(world.batch(&[0]).time())
    });
    let times: std::collections::BTreeSet<u64> = times.collect();
    assert_eq!(times.len(), 5);
    assert!(times.contains(&0) && times.contains(&3_600_000_000));
}

/// The times and requests of what a liar makes of 40 proposals, each of one request.
fn proposed(world: &World, liar: &mut Liar) -> Vec<Batch> {
    let told = |sequence: u64| {
        let sent = liar.tells(id(1), &world.pre_prepare(0, sequence, &world.batch(&[sequence % 3])));
        let (header, Proposal::Valid(batch)) = valid(world, &sent[0]) else { panic!("it is no batch") };
        assert_eq!((sent.len(), header.sequence, header.digest), (1, SequenceNumber(sequence), batch.digest()));
        batch.into_inner()
    };
    (1..=40).map(told).collect()
}

#[test]
fn r08_a_reorderer_orders_again_what_it_heard_and_what_bears_a_used_timestamp() {
    let world = World::of(4);
    let mut liar = Liar::new(&world, Strategy::Reorderer, PRIMARY);
    let relayed = world.request(7, 1);
    assert_eq!(liar.hears(id(1), &Message::Request(relayed.clone())), []);
    let batches = proposed(&world, &mut liar);
    assert!(batches.iter().all(|batch| (2..=4).contains(&batch.requests().len())));
    assert!(batches.iter().filter(|batch| batch.requests().contains(&relayed)).count() > 5);
    let twice = |batch: &&Batch| {
        let requests: BTreeSet<_> = batch.requests().iter().map(|request| (request.client, request.timestamp)).collect();
        requests.len() < batch.requests().len()
    };
    assert!(batches.iter().filter(twice).count() > 5);
    let mut backup = Liar::new(&world, Strategy::Reorderer, id(1));
    let prepare = world.prepare(0, 1, digest("one"), id(1));
    assert_eq!(backup.tells(id(2), &prepare), [prepare]);
}

#[test]
fn r08_a_stranger_signs_for_itself_what_another_asked_for() {
    let world = World::of(4);
    let mut liar = Liar::new(&world, Strategy::Stranger, PRIMARY);
    for batch in proposed(&world, &mut liar) {
        let [known, strange] = batch.requests() else { panic!("{batch:?} has other requests") };
        assert_eq!((known.timestamp, &known.operations), (strange.timestamp, &strange.operations));
        assert!(world.genesis().clients.iter().all(|client| client.signing_key != strange.client));
    }
}

#[test]
fn r04_a_malformed_batch_is_invalid_by_its_bytes_under_a_right_header() {
    let world = World::of(4);
    let mut liar = Liar::new(&world, Strategy::MalformedBatch, PRIMARY);
    let mut reasons = BTreeSet::new();
    for sequence in 1..=60 {
        let told = liar.tells(id(1), &world.pre_prepare(0, sequence, &world.batch(&[0])));
        let (header, Proposal::Invalid(invalid)) = valid(&world, &told[0]) else { panic!("it is a batch") };
        assert_eq!(invalid.digest(), header.digest);
        reasons.insert(invalid.reason().to_owned());
    }
    let rule = |words: &str| assert!(reasons.iter().any(|reason| reason.contains(words)), "{words}: {reasons:?}");
    ["empty", "larger than", "without operations"].iter().for_each(|words| rule(words));
    assert!(reasons.len() >= 5, "{reasons:?}");
}
