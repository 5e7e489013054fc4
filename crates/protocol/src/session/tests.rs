#![allow(clippy::arithmetic_side_effects)]

use super::*;
use pbft_crypto::PublicKey;
use pbft_message::{Blobs, ClientEntry, Parameters, ReplicaEntry, RequestState, ServiceParameters};

const WALL: u64 = 1_700_000_000_000_000;

fn secret(number: u8) -> SecretKey {
    SecretKey::from_seed(&[number; 32])
}

fn key(number: u8) -> PublicKey {
    secret(number).public()
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A session of client 200 in a cluster of `n` replicas, in which a client may have 3 requests in flight.
fn session(n: u8) -> Session {
    let genesis = Genesis {
        name: "test".into(),
        test_network: true,
        parameters: Parameters { requests_in_flight: 3, max_request_bytes: 1024, max_operations: 2, ..Parameters::default() },
        service: ServiceParameters::default(),
        replicas: (0..n).map(|id| ReplicaEntry { signing_key: key(2 * id + 1), transport_key: key(2 * id + 2) }).collect(),
        operators: vec![],
        clients: vec![ClientEntry { signing_key: ClientId(key(200)), transport_key: key(201) }],
    };
    genesis.check().unwrap();
    Session::new(Arc::new(genesis), secret(200), Settings::default())
}

fn submit(session: &mut Session, now: Duration) -> Signed<Request> {
    session.submit(now, WALL, vec![Blob::from(&b"put"[..])]).unwrap();
    let mut sent = sent(session);
    assert_eq!(sent.len(), 1, "one replica, the primary, gets a new request");
    sent.remove(0).1
}

/// What the session sends now, and to whom.
fn sent(session: &mut Session) -> Vec<(u32, Signed<Request>)> {
    let mut sent = Vec::new();
    while let Some((replica, message)) = session.poll_transmit() {
        let ClientMessage::Request(request) = message else { panic!("a session sends only requests") };
        sent.push((replica.0, request));
    }
    sent
}

fn receivers(session: &mut Session) -> Vec<u32> {
    sent(session).into_iter().map(|(replica, _)| replica).collect()
}

#[test]
fn r18_one_request_every_so_often_goes_to_all_replicas_at_once() {
    let mut session = session(4);
    let mut receivers_at = |millis| {
        session.submit(ms(millis), WALL, vec![Blob::from(&b"put"[..])]).unwrap();
        let receivers = receivers(&mut session);
        session.abandon(session.client(), session.last);
        receivers
    };
    assert_eq!(receivers_at(50), [0]);
    assert_eq!(receivers_at(2049), [0]);
    assert_eq!(receivers_at(2050), [0, 1, 2, 3]);
    assert_eq!(receivers_at(2051), [0]);
    assert_eq!(receivers_at(9000), [0, 1, 2, 3]);
    assert_eq!(receivers_at(10_999), [0]);
}

/// An honest replica's reply: ordered at 7, with this result.
fn reply(session: &Session, request: &Signed<Request>, view: u64, result: &[u8]) -> Reply {
    Reply {
        epoch: Epoch(0),
        view: View(view),
        client: request.client,
        timestamp: request.timestamp,
        request: request.digest(&session.domain),
        sequence: SequenceNumber(7),
        outcome: Outcome::Executed(Blobs::new(&[result])),
    }
}

fn hear(session: &mut Session, from: u32, reply: Reply) -> Option<Completed> {
    session.handle_message(ms(0), ReplicaId(from), ReplicaMessage::Replies(vec![reply]));
    session.poll_completed()
}

fn hear_refusal(
    session: &mut Session,
    now: Duration,
    from: u32,
    request: &Signed<Request>,
    refusal: RequestRefusal,
) -> Option<Completed> {
    let (client, timestamp) = (request.client, request.timestamp);
    session.handle_message(now, ReplicaId(from), ReplicaMessage::Refused { client, timestamp, view: View(0), refusal });
    session.poll_completed()
}

fn accepted(request: &Signed<Request>, result: &[u8]) -> Completed {
    let results = vec![Blob::from(result)];
    let accepted = Accepted { timestamp: request.timestamp, sequence: SequenceNumber(7), results };
    Completed { client: request.client, timestamp: request.timestamp, result: Ok(accepted) }
}

fn refused(request: &Signed<Request>, refusal: RequestRefusal) -> Completed {
    Completed { client: request.client, timestamp: request.timestamp, result: Err(RequestError::Refused(refusal)) }
}

#[test]
fn r02_matching_wrong_replies_of_f_liars_are_never_accepted() {
    for (n, f) in [(4, 1), (5, 1), (6, 1), (7, 2), (10, 3)] {
        let mut session = session(n);
        let request = submit(&mut session, ms(0));
        for liar in 0..f {
            let lie = reply(&session, &request, 0, b"lie");
            assert_eq!(hear(&mut session, liar, lie), None);
        }
        for correct in f..2 * f {
            let truth = reply(&session, &request, 0, b"truth");
            assert_eq!(hear(&mut session, correct, truth), None, "n = {n}");
        }
        let truth = reply(&session, &request, 0, b"truth");
        assert_eq!(hear(&mut session, 2 * f, truth), Some(accepted(&request, b"truth")), "n = {n}");
        assert_eq!(session.in_flight(), 0);
    }
}

#[test]
fn r02_replies_match_whatever_their_views_but_in_all_else() {
    let mut session = session(4);
    let request = submit(&mut session, ms(0));
    let truth = reply(&session, &request, 3, b"truth");
    assert_eq!(hear(&mut session, 0, truth.clone()), None);
    let elsewhere = Reply { sequence: SequenceNumber(8), ..truth.clone() };
    assert_eq!(hear(&mut session, 1, elsewhere), None, "another sequence number");
    let later = Reply { epoch: Epoch(1), ..truth.clone() };
    assert_eq!(hear(&mut session, 2, later), None, "another epoch");
    assert_eq!(hear(&mut session, 3, Reply { view: View(4), ..truth }), Some(accepted(&request, b"truth")));
}

#[test]
fn r02_replies_of_one_replica_count_once() {
    let mut session = session(4);
    let request = submit(&mut session, ms(0));
    let lie = reply(&session, &request, 0, b"lie");
    for _ in 0..10 {
        assert_eq!(hear(&mut session, 3, lie.clone()), None);
    }
    session.handle_message(ms(0), ReplicaId(3), ReplicaMessage::Replies(vec![lie.clone(), lie.clone()]));
    assert_eq!(session.poll_completed(), None, "nor twice in one message");
    assert_eq!(hear(&mut session, 4, lie), None, "nor does one of a replica that does not exist");
    assert_eq!(session.in_flight(), 1);
}

#[test]
fn r02_a_replicas_other_answers_take_no_answer_away() {
    let mut session = session(4);
    let request = submit(&mut session, ms(0));
    let truth = reply(&session, &request, 0, b"truth");
    let gone = Reply { outcome: Outcome::ExecutedResultGone, ..truth.clone() };
    assert_eq!(hear(&mut session, 0, truth.clone()), None);
    assert_eq!(hear(&mut session, 0, gone), None, "a correct replica evicts its result and answers a retry");
    assert_eq!(hear_refusal(&mut session, ms(0), 0, &request, RequestRefusal::Busy { retry_after_ms: 50 }), None);
    assert_eq!(hear(&mut session, 1, truth), Some(accepted(&request, b"truth")));
}

#[test]
fn r19_a_liar_of_many_answers_fills_no_memory() {
    let mut session = session(4);
    let request = submit(&mut session, ms(0));
    let truth = reply(&session, &request, 0, b"truth");
    assert_eq!(hear(&mut session, 1, truth.clone()), None);
    for lie in 0_u64..100 {
        let lie = reply(&session, &request, lie, &lie.to_le_bytes());
        assert_eq!(hear(&mut session, 0, lie), None);
    }
    let answers = &session.outstanding[&(request.client, request.timestamp)].answers;
    assert_eq!(answers.len(), 1 + ANSWERS_OF_A_REPLICA);
    assert_eq!(hear(&mut session, 2, truth), Some(accepted(&request, b"truth")));
}

#[test]
fn r02_replies_to_another_request_are_ignored() {
    let mut session = session(4);
    let request = submit(&mut session, ms(0));
    let truth = reply(&session, &request, 0, b"truth");
    for from in 0..4 {
        let timestamp = Reply { timestamp: Timestamp(truth.timestamp.0 + 1), ..truth.clone() };
        assert_eq!(hear(&mut session, from, timestamp), None);
        let client = Reply { client: ClientId(key(100)), ..truth.clone() };
        assert_eq!(hear(&mut session, from, client), None);
        let state = ReplicaMessage::RequestStatus { query: 1, state: RequestState::NotExecuted };
        session.handle_message(ms(0), ReplicaId(from), state);
        assert_eq!(session.poll_completed(), None);
    }
    assert_eq!(session.in_flight(), 1);
    assert!(session.outstanding.values().all(|outstanding| outstanding.answers.is_empty()));
}

#[test]
fn r08_a_timestamp_that_weak_quorum_replicas_remember_for_another_request_is_reused() {
    let mut session = session(4);
    let request = submit(&mut session, ms(0));
    let other = Reply { request: Digest::from_bytes([1; 32]), ..reply(&session, &request, 0, b"of the other") };
    assert_eq!(hear(&mut session, 0, other.clone()), None);
    assert_eq!(hear(&mut session, 0, other.clone()), None, "one replica counts once");
    assert_eq!(hear(&mut session, 2, other), Some(refused(&request, RequestRefusal::TimestampReused)));
}

#[test]
fn r02_the_refusal_of_one_replica_is_not_believed_but_sends_to_all_at_once() {
    let mut session = session(4);
    let request = submit(&mut session, ms(0));
    assert_eq!(hear_refusal(&mut session, ms(5), 0, &request, RequestRefusal::UnknownClient), None);
    let all: Vec<_> = (0..4).map(|replica| (replica, request.clone())).collect();
    assert_eq!(sent(&mut session), all);
    assert_eq!(hear_refusal(&mut session, ms(6), 0, &request, RequestRefusal::UnknownClient), None);
    assert_eq!(hear_refusal(&mut session, ms(7), 1, &request, RequestRefusal::TooOld), None, "another reason does not add up");
    assert_eq!(receivers(&mut session), [0; 0], "a second refusal sends nothing");
    let truth = reply(&session, &request, 0, b"truth");
    assert_eq!(hear(&mut session, 2, truth.clone()), None);
    assert_eq!(hear(&mut session, 3, truth), Some(accepted(&request, b"truth")));
}

#[test]
fn r02_the_refusal_of_weak_quorum_replicas_is_final() {
    let mut session = session(7);
    let request = submit(&mut session, ms(0));
    assert_eq!(hear_refusal(&mut session, ms(1), 0, &request, RequestRefusal::TooOld), None);
    assert_eq!(hear_refusal(&mut session, ms(1), 6, &request, RequestRefusal::TooOld), None);
    let end = hear_refusal(&mut session, ms(1), 3, &request, RequestRefusal::TooOld);
    assert_eq!(end, Some(refused(&request, RequestRefusal::TooOld)));
    assert_eq!(receivers(&mut session), [0; 0], "what is over is not sent, though it was due");
    assert_eq!(session.poll_timeout(), None);
}

#[test]
fn r08_an_ordered_refusal_and_a_lost_result_are_accepted_like_results() {
    let mut session = session(4);
    let request = submit(&mut session, ms(0));
    let outcome = Outcome::Refused(RequestRefusal::TimestampReused);
    let no_op = Reply { outcome, ..reply(&session, &request, 0, b"") };
    assert_eq!(hear(&mut session, 0, no_op.clone()), None);
    assert_eq!(hear(&mut session, 1, no_op), Some(refused(&request, RequestRefusal::TimestampReused)));

    let request = submit(&mut session, ms(0));
    let gone = Reply { outcome: Outcome::ExecutedResultGone, ..reply(&session, &request, 0, b"") };
    assert_eq!(hear(&mut session, 0, gone.clone()), None);
    let end = hear(&mut session, 1, gone).unwrap();
    assert_eq!(end.result, Err(RequestError::ResultGone(SequenceNumber(7))));
}

#[test]
fn r02_f_liars_cannot_move_the_view_believed_in() {
    let mut session = session(7);
    let request = submit(&mut session, ms(0));
    let mut report = |from, view| {
        let other = Reply { timestamp: Timestamp(1), ..reply(&session, &request, view, b"") };
        hear(&mut session, from, other);
        session.view()
    };
    assert_eq!(report(5, u64::MAX), View(0));
    assert_eq!(report(6, u64::MAX), View(0));
    assert_eq!(report(5, u64::MAX - 1), View(0), "again the same liar");
    assert_eq!(report(1, 2), View(2), "the third highest: a correct replica is or was there");
    assert_eq!(report(2, 3), View(3));
    assert_eq!(report(2, 1), View(3), "late news take nothing back");
    assert_eq!(report(3, 3), View(3));
    let next = session.submit(ms(0), WALL, vec![Blob::from(&b"get"[..])]).unwrap();
    let to: Vec<_> = sent(&mut session).into_iter().map(|(replica, request)| (replica, request.timestamp)).collect();
    assert_eq!(to, [(3, next)], "the primary of view 3");
}

#[test]
fn r02_an_unanswered_request_goes_to_all_again_and_again_with_backoff() {
    let mut session = session(4);
    let mut now = ms(1000);
    let request = submit(&mut session, now);
    for wait in [300, 600, 1200, 2400, 4000, 4000, 4000] {
        let due = session.poll_timeout().unwrap();
        assert!(due > now + ms(wait) * 3 / 4 && due <= now + ms(wait), "{:?} is not about {wait} ms", due - now);
        session.handle_timeout(due - Duration::from_nanos(1));
        assert_eq!(receivers(&mut session), [0; 0], "not before its time");
        assert_eq!(session.poll_timeout(), Some(due));
        session.handle_timeout(due);
        let all: Vec<_> = (0..4).map(|replica| (replica, request.clone())).collect();
        assert_eq!(sent(&mut session), all, "the same request, signature and timestamp");
        now = due;
    }
}

#[test]
fn r02_the_time_of_a_request_that_was_answered_wakes_at_most_once_and_sends_nothing() {
    let mut session = session(4);
    let first = submit(&mut session, ms(0));
    let early = session.poll_timeout().unwrap();
    let second = submit(&mut session, ms(200));
    assert_eq!(session.poll_timeout(), Some(early), "the first that is due");
    for replica in [0, 1] {
        let reply = reply(&session, &first, 0, b"done");
        hear(&mut session, replica, reply);
    }
    session.handle_timeout(early);
    assert_eq!(receivers(&mut session), [0; 0]);
    let due = session.poll_timeout().unwrap();
    assert!(due > ms(200) + ms(300) * 3 / 4 && due <= ms(500), "{due:?} is not the second's");
    session.handle_timeout(due);
    let all: Vec<_> = (0..4).map(|replica| (replica, second.clone())).collect();
    assert_eq!(sent(&mut session), all);
}

#[test]
fn r02_the_times_of_retries_repeat_from_run_to_run_and_differ_from_request_to_request() {
    let times = |timestamp| {
        let mut session = session(4);
        session.submit(ms(0), timestamp, vec![Blob::from(&b"put"[..])]).unwrap();
        let mut times = vec![session.poll_timeout().unwrap()];
        for _ in 0..5 {
            session.handle_timeout(*times.last().unwrap());
            times.push(session.poll_timeout().unwrap());
        }
        times
    };
    assert_eq!(times(WALL), times(WALL));
    assert_ne!(times(WALL), times(WALL + 1));
}

#[test]
fn r02_timestamps_grow_even_if_the_wall_clock_steps_back() {
    let mut session = session(4);
    let mut next = |wall| session.submit(ms(0), wall, vec![Blob::from(&b"put"[..])]).unwrap();
    assert_eq!(next(WALL), Timestamp(WALL));
    assert_eq!(next(WALL - 1_000_000), Timestamp(WALL + 1));
    assert_eq!(next(WALL + 500), Timestamp(WALL + 500));

    session.abandon(session.client(), Timestamp(WALL));
    let old = session.sign(Timestamp(WALL + 9000), vec![Blob::from(&b"put"[..])]).unwrap();
    session.resubmit(ms(0), old).unwrap();
    session.abandon(session.client(), Timestamp(WALL + 1));
    assert_eq!(session.submit(ms(0), WALL, vec![Blob::default()]), Ok(Timestamp(WALL + 9001)), "above what was resubmitted");

    session.abandon(session.client(), Timestamp(WALL + 500));
    let last = session.sign(Timestamp(u64::MAX), vec![Blob::default()]).unwrap();
    session.resubmit(ms(0), last).unwrap();
    session.abandon(session.client(), Timestamp(WALL + 9000));
    assert_eq!(session.submit(ms(0), WALL, vec![Blob::default()]), Err(SubmitError::NoTimestampLeft));
}

#[test]
fn r08_no_more_than_w_requests_are_in_flight() {
    let mut session = session(4);
    let requests: Vec<_> = (0..3).map(|_| submit(&mut session, ms(0))).collect();
    let one_more = session.submit(ms(0), WALL, vec![Blob::default()]);
    assert_eq!(one_more, Err(SubmitError::TooManyInFlight(3)));
    let old = session.sign(Timestamp(1), vec![Blob::default()]).unwrap();
    assert_eq!(session.resubmit(ms(0), old), Err(SubmitError::TooManyInFlight(3)));
    assert_eq!(sent(&mut session), []);
    session.abandon(session.client(), requests[0].timestamp);
    assert_eq!(session.in_flight(), 2);
    submit(&mut session, ms(0));
    assert_eq!(session.in_flight(), 3);
}

#[test]
fn r08_a_request_in_flight_is_not_left_behind_by_w_later_ones() {
    let mut session = session(4);
    let requests = [0, 1, 2].map(|_| submit(&mut session, ms(0)));
    for done in [&requests[1], &requests[2]] {
        let truth = reply(&session, done, 0, b"truth");
        hear(&mut session, 0, truth.clone());
        assert!(hear(&mut session, 1, truth).is_some());
    }
    assert_eq!(session.in_flight(), 1);
    assert!(!session.has_room());
    let one_more = session.submit(ms(0), WALL, vec![Blob::default()]);
    assert_eq!(one_more, Err(SubmitError::TooManyInFlight(3)), "executed before the first, it would make that one too old");
    let truth = reply(&session, &requests[0], 0, b"truth");
    hear(&mut session, 0, truth.clone());
    assert!(hear(&mut session, 1, truth).is_some());
    for _ in 0..3 {
        submit(&mut session, ms(0));
    }
    assert_eq!(session.in_flight(), 3);
}

#[test]
fn r02_what_breaks_a_limit_of_the_genesis_is_refused_before_it_is_sent() {
    let mut session = session(4);
    let mut refusal = |operations| match session.submit(ms(0), WALL, operations) {
        Err(SubmitError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    };
    let limit = "the number of operations in a request".to_owned();
    assert_eq!(refusal(vec![Blob::default(); 3]), RequestRefusal::TooLarge { limit, maximum: 2 });
    let limit = "the request's size in bytes".to_owned();
    assert_eq!(refusal(vec![Blob::from(vec![0; 1024])]), RequestRefusal::TooLarge { limit, maximum: 1024 });
    assert_eq!(refusal(vec![]), RequestRefusal::Malformed);
    assert_eq!((session.in_flight(), receivers(&mut session)), (0, vec![]));
    assert_eq!(submit(&mut session, ms(0)).timestamp, Timestamp(WALL), "no timestamp was spent");
}

#[test]
fn r19_busy_is_never_final_and_its_sender_alone_is_left_alone() {
    let mut session = session(4);
    let request = submit(&mut session, ms(0));
    let timer = session.poll_timeout().unwrap();
    let busy = |retry_after_ms| RequestRefusal::Busy { retry_after_ms };
    for from in [0, 1, 2, 3] {
        assert_eq!(hear_refusal(&mut session, ms(10), from, &request, busy(100)), None);
    }
    assert_eq!(receivers(&mut session), [0; 0], "Busy does not send to all");
    assert_eq!(session.poll_timeout(), Some(ms(110)));
    session.handle_timeout(ms(109));
    assert_eq!(receivers(&mut session), [0; 0]);
    session.handle_timeout(ms(110));
    assert_eq!(receivers(&mut session), [0, 1, 2, 3], "each is asked again when its time has come");

    assert_eq!(hear_refusal(&mut session, ms(110), 0, &request, busy(u64::MAX)), None);
    assert_eq!(session.poll_timeout(), Some(timer), "a liar's hint does not move the timer");
    session.handle_timeout(timer);
    assert_eq!(receivers(&mut session), [1, 2, 3]);
    session.handle_timeout(ms(4109));
    assert_eq!(receivers(&mut session), [1, 2, 3]);
    session.handle_timeout(ms(4110));
    assert_eq!(receivers(&mut session), [0], "4 s are the longest");

    assert_eq!(hear_refusal(&mut session, ms(5000), 0, &request, busy(0)), None);
    session.handle_timeout(ms(5019));
    assert_eq!(receivers(&mut session), [0; 0]);
    session.handle_timeout(ms(5020));
    assert_eq!(receivers(&mut session), [0], "20 ms are the shortest");
    assert_eq!(session.in_flight(), 1);
}

#[test]
fn r02_pipelined_requests_complete_in_any_order() {
    let mut session = session(4);
    let [first, second, third] = [0, 1, 2].map(|_| submit(&mut session, ms(0)));
    let [one, two, three] = [&first, &second, &third].map(|request| reply(&session, request, 0, b"done"));
    session.handle_message(ms(1), ReplicaId(2), ReplicaMessage::Replies(vec![three.clone(), one.clone(), two.clone()]));
    assert_eq!(session.poll_completed(), None);
    session.handle_message(ms(2), ReplicaId(1), ReplicaMessage::Replies(vec![three, two.clone()]));
    let ends: Vec<_> = std::iter::from_fn(|| session.poll_completed()).collect();
    assert_eq!(ends, [accepted(&third, b"done"), accepted(&second, b"done")]);
    assert_eq!(hear(&mut session, 0, two), None, "a late reply completes nothing again");
    assert_eq!(hear(&mut session, 0, one), Some(accepted(&first, b"done")));
}

#[test]
fn r02_a_resubmitted_request_goes_to_all_with_its_old_timestamp() {
    let mut session = session(4);
    let request = submit(&mut session, ms(0));
    assert_eq!(session.resubmit(ms(0), request.clone()), Err(SubmitError::AlreadyInFlight(request.timestamp)));
    session.abandon(request.client, request.timestamp);
    let truth = reply(&session, &request, 0, b"truth");
    assert_eq!(hear(&mut session, 0, truth.clone()), None);
    assert_eq!(hear(&mut session, 1, truth.clone()), None, "abandoned");

    let again = session.sign(request.timestamp, vec![Blob::from(&b"put"[..])]).unwrap();
    assert_eq!(again, request);
    session.resubmit(ms(0), again).unwrap();
    let all: Vec<_> = (0..4).map(|replica| (replica, request.clone())).collect();
    assert_eq!(sent(&mut session), all);
    assert_eq!(hear(&mut session, 0, truth.clone()), None);
    assert_eq!(hear(&mut session, 1, truth), Some(accepted(&request, b"truth")));
}

#[test]
fn a_request_of_another_client_gets_its_refusal() {
    let mut session = session(4);
    let operations = Blobs::new(&[b"put"]);
    let body = Request { client: ClientId(key(100)), timestamp: Timestamp(u64::MAX), operations };
    let request = sign_request(body, &session.domain, &secret(100));
    session.resubmit(ms(0), request.clone()).unwrap();
    assert_eq!(receivers(&mut session), [0, 1, 2, 3]);
    assert_eq!(hear_refusal(&mut session, ms(0), 0, &request, RequestRefusal::UnknownClient), None);
    let end = hear_refusal(&mut session, ms(0), 1, &request, RequestRefusal::UnknownClient);
    assert_eq!(end, Some(refused(&request, RequestRefusal::UnknownClient)));
    assert_eq!(submit(&mut session, ms(0)).timestamp, Timestamp(WALL), "its timestamps are not ours");
}

#[test]
fn a_new_connection_gets_what_was_meant_for_it() {
    let mut session = session(4);
    let request = submit(&mut session, ms(0));
    session.handle_connected(ReplicaId(1));
    assert_eq!(receivers(&mut session), [0; 0]);
    session.handle_connected(ReplicaId(0));
    assert_eq!(sent(&mut session), [(0, request)]);
    session.handle_timeout(ms(300));
    assert_eq!(receivers(&mut session), [0, 1, 2, 3]);
    session.handle_connected(ReplicaId(1));
    assert_eq!(receivers(&mut session), [1]);
}
