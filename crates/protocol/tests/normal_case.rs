//! R2-R10, R15 and R19 in scenarios without a liar.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used)]

mod cluster;

use cluster::{Cluster, MS, signed};
use pbft_crypto::Digest;
use pbft_message::*;
use pbft_protocol::agreement::*;

#[test]
fn r06_a_request_to_the_primary_is_executed_by_all_for_every_n() {
    for n in [4, 5, 6, 7, 10] {
        let mut cluster = Cluster::new(n);
        cluster.submit(0, "a").unwrap();
        cluster.run(10);
        assert!(cluster.all_served(1), "n = {n}: {}", cluster.describe());
        assert!(cluster.alive().iter().all(|id| cluster.replica(*id).view() == View(0)));
    }
}

#[test]
fn r02_a_request_to_a_backup_is_relayed_once_and_executed_by_all() {
    let mut cluster = Cluster::new(4);
    let request = cluster.request(0, "a");
    for _ in 0..2 {
        cluster.with_replica(2, |replica, now| replica.handle_request(now, request.clone())).unwrap().unwrap();
    }
    cluster.run(20);
    assert!(cluster.all_served(1));
    let relays: Vec<(u32, u32)> = cluster
        .sent
        .iter()
        .filter(|(_, _, message)| matches!(message, Message::Request(_)))
        .map(|(from, to, _)| (*from, *to))
        .collect();
    assert_eq!(relays, [(2, 0), (2, 1), (2, 3)]);
}

#[test]
fn r08_a_request_that_was_ordered_is_answered_and_never_ordered_again() {
    let mut cluster = Cluster::new(4);
    let request = cluster.request(0, "a");
    for _ in 0..3 {
        cluster.with_replica(0, |replica, now| replica.handle_request(now, request.clone())).unwrap().unwrap();
        cluster.run(20);
    }
    assert_eq!((0..4).map(|id| cluster.served(id)).collect::<Vec<_>>(), [1, 1, 1, 1]);
}

#[test]
fn r07_with_f_replicas_down_requests_go_on_for_every_n() {
    for (n, f) in [(4, 1), (5, 1), (6, 1), (7, 2), (10, 3)] {
        let mut cluster = Cluster::new(n);
        for id in 0..f {
            cluster.crash(u32::try_from(n - 1 - id).unwrap());
        }
        for number in 0..20 {
            cluster.submit(0, &format!("{number}")).unwrap();
            cluster.run(5);
        }
        cluster.run(50);
        assert!(cluster.all_served(20), "n = {n}: {}", cluster.describe());
    }
}

#[test]
fn r07_without_a_quorum_nothing_is_executed() {
    for (n, down) in [(4, 2), (5, 2), (6, 3), (7, 3), (10, 4)] {
        let mut cluster = Cluster::new(n);
        for id in 0..down {
            cluster.crash(u32::try_from(n - 1 - id).unwrap());
        }
        cluster.submit(0, "a").unwrap();
        cluster.run(5_000);
        assert!(cluster.alive().into_iter().all(|id| cluster.served(id) == 0), "n = {n}");
    }
}

#[test]
fn requests_that_come_while_batches_are_in_flight_share_a_batch() {
    let mut cluster = Cluster::new(4);
    for number in 0..50 {
        cluster.submit(0, &format!("{number}")).unwrap();
    }
    cluster.run(50);
    assert!(cluster.all_served(50));
    assert_eq!(cluster.replica(0).executed(), SequenceNumber(3), "two lone requests, then one batch of all the others");
}

#[test]
fn r19_large_batches_fill_the_pipeline_and_go_no_further() {
    let limits = Limits { batch_requests: 8, pipeline: 4, ..Limits::default() };
    let mut cluster = Cluster::with_limits(4, Parameters::default(), limits);
    for number in 0..50 {
        cluster.submit(0, &format!("{number}")).unwrap();
    }
    let proposals = cluster.sent.iter().filter_map(|(_, _, message)| match message {
        Message::PrePrepare { header, .. } => Some(header.sequence),
        _ => None,
    });
    assert_eq!(proposals.max(), Some(SequenceNumber(4)), "two lone requests, and two batches of a quarter of the largest");
    cluster.run(50);
    assert!(cluster.all_served(50));
    assert_eq!(cluster.replica(0).executed(), SequenceNumber(10), "six batches more for the other 44");
}

#[test]
fn r09_checkpoints_become_stable_and_the_log_is_freed_for_every_n() {
    for n in [4, 5, 6, 7, 10] {
        let mut cluster = Cluster::new(n);
        for number in 0..40 {
            cluster.submit(0, &format!("{number}")).unwrap();
            cluster.run(10);
        }
        assert!(cluster.all_served(40));
        for id in cluster.alive() {
            assert_eq!(cluster.replica(id).low_watermark(), SequenceNumber(40), "n = {n}: {}", cluster.describe());
        }
    }
}

#[test]
fn r09_an_idle_cluster_fills_the_log_to_the_next_checkpoint_once() {
    let mut cluster = Cluster::new(4);
    cluster.submit(0, "a").unwrap();
    cluster.run(2_000);
    for id in 0..4 {
        assert_eq!(cluster.replica(id).low_watermark(), SequenceNumber(4), "{}", cluster.describe());
    }
    cluster.run(10_000);
    assert_eq!(cluster.replica(0).executed(), SequenceNumber(4), "idle progress goes no further than one checkpoint");
    assert!(cluster.transfers.is_empty(), "nobody is behind");
}

#[test]
fn r09_a_replica_whose_state_differs_from_the_certified_one_stops_voting() {
    let mut cluster = Cluster::new(4);
    cluster.nodes[3].executor.state = pbft_crypto::Digest::of("corrupt", &[]);
    for number in 0..4 {
        cluster.submit(0, &format!("{number}")).unwrap();
        cluster.run(10);
    }
    cluster.run(50);
    assert_eq!(cluster.replica(3).halted(), Some(Alarm::Diverged(SequenceNumber(4))));
    cluster.sent.clear();
    cluster.submit(0, "more").unwrap();
    cluster.run(50);
    let votes = |message: &Message| matches!(message, Message::Prepare { .. } | Message::Commit(_) | Message::Checkpoint(_));
    assert!(!cluster.sent.iter().any(|(from, _, message)| *from == 3 && votes(message)), "it signs nothing more");
    assert!((0..3).all(|id| cluster.served(id) == 5));
}

#[test]
fn r09_a_full_log_without_a_stable_checkpoint_raises_one_alarm_and_stops() {
    let mut cluster = Cluster::new(4);
    cluster.lie = Box::new(|_, _, message| if matches!(message, Message::Checkpoint(_)) { vec![] } else { vec![message] });
    for number in 0..20 {
        cluster.submit(0, &format!("{number}")).unwrap();
        cluster.run(10);
    }
    cluster.run(10_000);
    assert_eq!(cluster.replica(1).executed(), SequenceNumber(16), "nothing is ordered above H");
    let alarm = Event::Alarm(Alarm::NoStableCheckpoint(SequenceNumber(16)));
    assert_eq!(cluster.told(1, |event| *event == alarm), 1);
}

#[test]
fn r10_a_request_that_fell_below_its_clients_window_is_discharged() {
    let mut cluster = Cluster::with(4, Parameters { requests_in_flight: 4, ..Parameters::default() });
    let old = cluster.request(0, "too old");
    // The primary never gets it, and orders four later ones of the same client.
    cluster.lie = Box::new(|_, to, message| if to == 0 && matches!(message, Message::Request(_)) { vec![] } else { vec![message] });
    for id in 1..4 {
        cluster.with_replica(id, |replica, now| replica.handle_request(now, old.clone())).unwrap().unwrap();
    }
    for number in 0..4 {
        cluster.submit(0, &format!("{number}")).unwrap();
    }
    cluster.run(5_000);
    assert!(cluster.all_served(4));
    assert!((0..4).all(|id| cluster.replica(id).view() == View(0)), "it will never be ordered, so nobody waits for it");
    let again = cluster.with_replica(1, |replica, now| replica.handle_request(now, old)).unwrap();
    assert_eq!(again, Err(RequestRefusal::TooOld));
}

#[test]
fn r10_without_faults_there_is_no_view_change() {
    let mut cluster = Cluster::new(4);
    for number in 0..200 {
        cluster.submit_to_all(&format!("{number}"));
        cluster.run(50);
    }
    assert!(cluster.all_served(200));
    assert!(
        cluster.alive().into_iter().all(|id| cluster.replica(id).view() == View(0) && cluster.replica(id).view_change_count() == 0)
    );
}

#[test]
fn r07_a_slow_service_does_not_stall_voting() {
    let mut cluster = Cluster::new(4);
    cluster.nodes[3].executor.stalled = true;
    for number in 0..12 {
        cluster.submit(0, &format!("{number}")).unwrap();
        cluster.run(10);
    }
    assert_eq!(cluster.replica(3).low_watermark(), SequenceNumber(12), "h follows certificates, not the own execution");
    assert_eq!(cluster.replica(3).executed(), SequenceNumber(0));
    cluster.nodes[3].executor.stalled = false;
    cluster.execute_waiting(3);
    cluster.run(50);
    assert_eq!(cluster.served(3), 12);
}

#[test]
fn r19_the_primary_proposes_no_further_than_its_own_execution_allows() {
    let mut cluster = Cluster::with(4, Parameters::default());
    cluster.nodes[0].executor.stalled = true;
    for number in 0..200 {
        cluster.submit(0, &format!("{number}")).unwrap();
        cluster.run(5);
    }
    let lag = cluster.config.limits.execution_lag;
    assert_eq!(cluster.replica(1).executed(), SequenceNumber(lag));
}

#[test]
fn r19_a_client_beyond_its_places_in_flight_is_told_to_wait() {
    let mut cluster = Cluster::new(4);
    for id in 1..4 {
        cluster.crash(id);
    }
    let places = cluster.genesis.parameters.requests_in_flight;
    for number in 0..places {
        assert_eq!(cluster.submit(0, &format!("{number}")), Ok(()));
    }
    assert!(matches!(cluster.submit(0, "one too many"), Err(RequestRefusal::Busy { .. })));
}

#[test]
fn r19_batches_that_fill_the_memory_before_a_checkpoint_do_not_stop_the_cluster() {
    let limits = Limits { body_bytes: 64 << 10, ..Limits::default() };
    let mut cluster = Cluster::with_limits(4, Parameters::default(), limits);
    let large = "x".repeat(8 << 10);
    for number in 0..60 {
        cluster.submit(0, &format!("{number}{large}")).unwrap();
        cluster.run(10);
    }
    cluster.run(3_000);
    assert!(cluster.all_served(60), "{}", cluster.describe());
    assert!((0..4).all(|id| cluster.replica(id).view() == View(0)));
}

#[test]
fn r10_a_client_that_sends_ever_lower_timestamps_changes_no_view() {
    let mut cluster = Cluster::new(4);
    for number in 0..250 {
        let request = cluster.request_at(0, 1_000 - number, "lower");
        let earlier = cluster.request_at(0, 999 - number, "lower");
        for id in 0..4 {
            let _ = cluster.with_replica(id, |replica, now| replica.handle_request(now, request.clone()));
            let _ = cluster.with_replica(id, |replica, now| replica.handle_request(now, earlier.clone()));
        }
        cluster.run(5);
    }
    assert!((0..4).all(|id| cluster.replica(id).view() == View(0)));
}

#[test]
fn r02_what_one_backup_passes_on_is_watched_by_all() {
    let mut cluster = Cluster::new(4);
    cluster.lie = Box::new(|_, to, message| if to == 0 && matches!(message, Message::Request(_)) { vec![] } else { vec![message] });
    // A primary that lives and never gets it is left, for which the one that passed it on is not enough.
    cluster.submit(2, "a").unwrap();
    cluster.run_until(2_000, |cluster| cluster.all_served(1));
    assert!((0..4).all(|id| cluster.replica(id).view() == View(1)));
}

#[test]
fn r10_a_request_that_never_reached_the_primary_is_sent_to_it_again_before_it_is_suspected() {
    let mut cluster = Cluster::new(4);
    // Replica 3 passes a client's request on to the backups, but not to the primary.
    let request = cluster.request(0, "withheld");
    for id in [1, 2] {
        cluster.inject(3, id, Message::Request((*request).clone()));
    }
    cluster.run(1_000);
    assert!(cluster.all_served(1));
    assert!((0..4).all(|id| cluster.replica(id).view() == View(0)));
}

#[test]
fn r19_a_primary_is_reminded_of_a_request_until_it_takes_it() {
    let mut cluster = Cluster::new(4);
    let request = cluster.request(0, "no room for it at first");
    cluster.lie = Box::new(|_, _, message| if matches!(message, Message::Request(_)) { vec![] } else { vec![message] });
    cluster.with_replica(3, |replica, now| replica.handle_request(now, request)).unwrap().unwrap();
    // The reminder at half of the request's time is lost too.
    cluster.run(400);
    cluster.lie = Box::new(|_, _, message| vec![message]);
    cluster.run(600);
    assert!(cluster.all_served(1), "{}", cluster.describe());
    assert!((0..4).all(|id| cluster.replica(id).view() == View(0)));
}

#[test]
fn r19_a_relayed_request_is_not_refused_because_its_client_has_many_in_flight() {
    let mut cluster = Cluster::with(4, Parameters { requests_in_flight: 4, ..Parameters::default() });
    for id in 2..4 {
        cluster.crash(id);
    }
    for number in 0..4 {
        cluster.submit(0, &format!("{number}")).unwrap();
    }
    cluster.rejections.clear();
    for text in ["relayed", "one relayed too many"] {
        let relayed = cluster.request(0, text);
        cluster.inject(1, 0, Message::Request((*relayed).clone()));
    }
    cluster.run(5);
    assert_eq!(cluster.rejections, [(0, Rejection::RequestNotTaken)], "one place is kept, and only one");
}

#[test]
fn r08_an_unauthorised_client_is_refused_at_admission() {
    let mut cluster = Cluster::new(4);
    let request = cluster.request(77, "a");
    let refused = cluster.with_replica(0, |replica, now| replica.handle_request(now, request)).unwrap();
    assert_eq!(refused, Err(RequestRefusal::UnknownClient));
}

#[test]
fn r03_a_proposal_from_the_future_waits_and_nobody_is_suspected_for_it() {
    let mut cluster = Cluster::new(4);
    let drift = i64::try_from(cluster.config.timing.clock_drift.as_micros()).unwrap();
    cluster.nodes[0].wall_offset = drift + 300_000;
    cluster.submit(0, "a").unwrap();
    cluster.run(200);
    assert_eq!(cluster.served(1), 0, "the backups wait until the proposed time is near enough");
    cluster.run(200);
    assert!(cluster.all_served(1), "{}", cluster.describe());
    assert!((0..4).all(|id| cluster.replica(id).view() == View(0)));
}

#[test]
fn r04_a_header_outside_the_watermarks_is_rejected() {
    let mut cluster = Cluster::new(4);
    let signer = cluster.signer(0);
    for sequence in [0, 17, u64::MAX] {
        let header = PrePrepare { view: View(0), sequence: SequenceNumber(sequence), digest: NULL_DIGEST, replica: ReplicaId(0) };
        let header = signer.sign(header).into_inner();
        cluster.inject(0, 1, Message::PrePrepare { header, body: Blob::default() });
    }
    cluster.run(5);
    let outside = cluster.rejections.iter().filter(|(id, why)| *id == 1 && *why == Rejection::OutsideWatermarks).count();
    assert_eq!(outside, 3);
}

#[test]
fn r15_nothing_that_rests_on_a_vote_leaves_before_the_vote_is_durable() {
    let mut cluster = Cluster::new(4);
    let request = cluster.request(0, "a");
    let now = pbft_protocol::Now { monotonic: cluster.now + MS, wall: 0 };
    let mut primary = cluster.replica(0).clone();
    primary.handle_request(now, request).unwrap();
    let (at_once, _rest) = primary.poll_effects().split();
    let proposal = at_once.into_iter().find_map(|action| match action {
        Action::Broadcast(Message::PrePrepare { header, body }) => Some(Message::PrePrepare { header, body }),
        _ => None,
    });
    let proposal = cluster.config.authenticator.verify_message(ReplicaId(0), proposal.unwrap()).unwrap();
    let mut backup = cluster.replica(1).clone();
    backup.handle_message(now, ReplicaId(0), proposal).unwrap();
    let (at_once, rest) = backup.poll_effects().split();
    let is_vote = |action: &Action| matches!(action, Action::Broadcast(Message::Prepare { .. }));
    assert!(!at_once.iter().any(is_vote), "a prepare waits for the journal");
    struct Written(Vec<&'static str>);
    impl Persist for Written {
        type Error = std::convert::Infallible;
        fn append(&mut self, records: &[Record]) -> Result<usize, Self::Error> {
            self.0 = records
                .iter()
                .map(|record| match record {
                    Record::Body(_) => "body",
                    Record::PrePrepare(_) => "pre-prepare",
                    Record::Prepare(_) => "prepare",
                    _ => "other",
                })
                .collect();
            Ok(records.len())
        }
        fn begin_base(&mut self, _: &[Record]) -> Result<(), Self::Error> {
            Ok(())
        }
        fn adopt_base(&mut self) -> Result<(), Self::Error> {
            Ok(())
        }
    }
    let mut written = Written(vec![]);
    let Ok((after, _)) = rest.persist(&mut written);
    assert_eq!(written.0, ["body", "pre-prepare", "prepare"]);
    assert!(after.iter().any(is_vote));
}

#[test]
fn r19_waiting_requests_are_bounded_in_number_and_in_bytes_each_alone() {
    let bounds = [Limits { pending_requests: 2, ..Limits::default() }, Limits { pending_bytes: 1_000, ..Limits::default() }];
    for limits in bounds {
        let mut cluster = Cluster::with_limits(4, Parameters::default(), limits);
        cluster.isolate(1, true);
        let text = "x".repeat(300);
        cluster.submit(1, &text).unwrap();
        cluster.submit(1, &text).unwrap();
        assert!(matches!(cluster.submit(1, &text), Err(RequestRefusal::Busy { .. })));
        let waiting: usize = cluster.asked.iter().take(2).map(|request| request.size()).sum();
        assert_eq!((cluster.replica(1).held().requests, cluster.replica(1).progress().request_bytes), (2, waiting));
    }
}

#[test]
fn r04_a_proposal_that_is_repeated_is_a_duplicate_and_another_one_a_conflict() {
    let mut cluster = Cluster::new(4);
    cluster.submit(0, "a").unwrap();
    cluster.run(10);
    let is_proposal = |message: &Message| matches!(message, Message::PrePrepare { .. });
    let (_, _, repeated) = cluster.sent.iter().find(|(_, to, message)| *to == 1 && is_proposal(message)).unwrap().clone();
    cluster.inject(0, 1, repeated);
    cluster.run(5);
    assert_eq!(cluster.rejections, [(1, Rejection::Duplicate)]);
    let (_, other) = signed::proposal(&mut cluster, 0, "another");
    cluster.inject(0, 1, other);
    cluster.run(5);
    assert_eq!(cluster.rejections[1], (1, Rejection::ConflictingPrePrepare));
}

#[test]
fn r06_the_own_commit_may_be_the_last_of_a_quorum() {
    let mut cluster = Cluster::new(4);
    cluster.crash(3);
    // Replica 1 is the last to be prepared: the commits of the others are there before.
    cluster.delay = Box::new(|from, to, message| match message {
        Message::Prepare { .. } if (from, to) == (2, 1) => MS * 10,
        _ => MS,
    });
    cluster.submit(0, "a").unwrap();
    cluster.run(15);
    assert_eq!([0, 1, 2].map(|id| cluster.served(id)), [1, 1, 1]);
}

#[test]
fn r06_a_commit_of_a_later_view_takes_the_place_of_an_earlier_one_and_never_the_reverse() {
    let mut cluster = Cluster::new(4);
    let [early, other] = ["early", "other"].map(|text| Digest::of(text, &[]));
    let commit = |cluster: &Cluster, view, digest| Message::Commit(signed::commit(cluster, view, digest, 1));
    let mut answer = |view, digest| {
        cluster.rejections.clear();
        let message = commit(&cluster, view, digest);
        cluster.inject(1, 3, message);
        cluster.run(2);
        cluster.rejections.first().map(|(_, rejection)| *rejection)
    };
    assert_eq!(answer(1, early), None);
    assert_eq!(answer(1, early), Some(Rejection::Duplicate));
    assert_eq!(answer(2, other), None);
    assert_eq!(answer(1, early), Some(Rejection::Duplicate));
    assert_eq!(answer(2, early), Some(Rejection::ConflictingVote));
    // The commit that counts is the later one.
    for replica in [0, 2] {
        let message = Message::Commit(signed::commit(&cluster, 2, other, replica));
        cluster.inject(replica, 3, message);
    }
    cluster.run(5);
    let committed = |record: &Record| matches!(record, Record::Committed(certificate) if certificate.digest == other);
    assert!(cluster.nodes[3].journal.iter().any(committed));
}

#[test]
fn r07_a_proposal_that_comes_after_its_commits_is_executed_at_once() {
    let mut cluster = Cluster::new(4);
    cluster.delay = Box::new(|_, to, message| match message {
        Message::PrePrepare { .. } if to == 3 => MS * 30,
        _ => MS,
    });
    cluster.lie = Box::new(|_, _, message| if matches!(message, Message::Body(_)) { vec![] } else { vec![message] });
    cluster.submit(0, "a").unwrap();
    cluster.run(29);
    assert_eq!((cluster.served(0), cluster.served(3)), (1, 0));
    cluster.run(2);
    assert_eq!(cluster.served(3), 1);
}

#[test]
fn r06_a_proposal_of_something_else_than_is_committed_raises_an_alarm_and_gets_no_vote() {
    let mut cluster = Cluster::new(4);
    cluster.lie = Box::new(|_, to, message| match &message {
        Message::PrePrepare { .. } | Message::Body(_) if to == 3 => vec![],
        _ => vec![message],
    });
    cluster.submit(0, "a").unwrap();
    cluster.run(10);
    let (_, other) = signed::proposal(&mut cluster, 0, "other");
    cluster.inject(0, 3, other);
    cluster.run(10);
    let alarm = Event::Alarm(Alarm::ProposalContradictsCommitted(SequenceNumber(1)));
    assert!(cluster.told(3, |event| *event == alarm) > 0);
    assert!(!cluster.sent.iter().any(|(from, _, message)| *from == 3 && matches!(message, Message::Prepare { .. })));
}

/// Replica 2 shows to another one what view 1 committed at number 1.
fn tell_committed_later(cluster: &mut Cluster, to: u32) {
    let batch = Batch::of_verified(7, vec![cluster.request(0, "later")]);
    let certificate = signed::committed(cluster, 1, batch.digest(), &[1, 2, 3]);
    cluster.inject(2, to, Message::Committed { certificate, body: batch.bytes().clone() });
}

#[test]
fn r06_a_primary_left_behind_is_not_blamed_for_what_a_later_view_committed() {
    let mut cluster = Cluster::new(4);
    tell_committed_later(&mut cluster, 3);
    cluster.run(2);
    assert_eq!(cluster.served(3), 1);
    let (_, proposal) = signed::proposal(&mut cluster, 0, "early");
    cluster.inject(0, 3, proposal);
    cluster.run(10);
    assert_eq!(cluster.told(3, |event| matches!(event, Event::Alarm(_))), 0);
    assert!(!cluster.sent.iter().any(|(from, _, message)| *from == 3 && matches!(message, Message::Prepare { .. })));
}

#[test]
fn r06_what_was_accepted_before_another_batch_is_known_as_committed_gets_no_commit() {
    let mut cluster = Cluster::new(4);
    let (digest, proposal) = signed::proposal(&mut cluster, 0, "early");
    cluster.inject(0, 3, proposal);
    cluster.run(2);
    assert_eq!(cluster.told(3, |event| matches!(event, Event::Alarm(_))), 0);
    tell_committed_later(&mut cluster, 3);
    for from in [1, 2] {
        let prepare = signed::prepare_message(&cluster, 0, digest, from);
        cluster.inject(from, 3, prepare);
    }
    cluster.run(10);
    assert_eq!(cluster.served(3), 1);
    let votes = |of: fn(&Record) -> bool| cluster.nodes[3].journal.iter().filter(|record| of(record)).count();
    assert_eq!(votes(|record| matches!(record, Record::Prepare(_))), 1);
    assert_eq!(votes(|record| matches!(record, Record::Prepared(_) | Record::Commit(_))), 0);
}

#[test]
fn r06_a_primary_proposes_nothing_where_it_knows_what_a_later_view_committed() {
    let mut cluster = Cluster::new(4);
    tell_committed_later(&mut cluster, 0);
    cluster.run(2);
    assert_eq!(cluster.served(0), 1);
    cluster.submit(0, "another").unwrap();
    cluster.run(10);
    assert!(cluster.replica(0).is_active() && cluster.replica(0).view() == View(0));
    assert!(!cluster.nodes[0].journal.iter().any(|record| matches!(record, Record::PrePrepare(_))));
}

#[test]
fn r19_a_backup_takes_no_more_bodies_than_it_has_room_for() {
    let mut cluster = Cluster::with(4, Parameters { checkpoint_interval: 64, ..Parameters::default() });
    cluster.config.limits.body_bytes = 40 << 10;
    cluster.crash(3);
    cluster.restart(3);
    cluster.run_until(500, |cluster| cluster.replica(3).silence().is_none());
    // It hears no votes, so that nothing is settled, and gets no body in another way.
    cluster.lie = Box::new(|_, to, message| match message.name() {
        "prepare" | "commit" | "committed" | "body" if to == 3 => vec![],
        _ => vec![message],
    });
    let large = "x".repeat(8 << 10);
    for number in 0..12 {
        cluster.submit(0, &format!("{number}{large}")).unwrap();
        cluster.run(10);
    }
    assert_eq!(cluster.served(0), 12);
    assert_eq!(cluster.replica(3).held().beyond(cluster.replica(3).bounds()), None);
    let full = cluster.rejections.iter().filter(|rejection| **rejection == (3, Rejection::LogFull)).count();
    assert!(full >= 8, "{full} had no room");
}
