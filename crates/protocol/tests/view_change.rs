//! R10-R13 and R17 in scenarios: dead, deaf, mute, lying and leaving primaries.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used)]

mod cluster;

use cluster::{Cluster, signed};
use pbft_message::*;
use pbft_protocol::agreement::*;

#[test]
fn r10_a_dead_primary_is_replaced_and_requests_go_on_for_every_n() {
    for n in [4, 5, 6, 7, 10] {
        let mut cluster = Cluster::new(n);
        cluster.submit(0, "before").unwrap();
        cluster.run(20);
        cluster.crash(0);
        cluster.submit_to_all("after");
        cluster.run_until(1_500, |cluster| cluster.all_served(2));
        assert!(cluster.views().iter().all(|view| *view == 1), "n = {n}: {}", cluster.describe());
    }
}

#[test]
fn r10_a_silent_primary_is_replaced_even_without_requests() {
    let mut cluster = Cluster::new(4);
    cluster.crash(0);
    cluster.run_until(1_500, |cluster| cluster.views() == [1, 1, 1] && cluster.replica(1).is_active());
}

#[test]
fn r10_fewer_than_a_quorum_wait_for_the_others_in_the_next_view_and_run_no_further() {
    let mut cluster = Cluster::new(4);
    cluster.crash(0);
    cluster.isolate(3, true);
    cluster.run(10_000);
    assert_eq!(cluster.views()[..2], [1, 1]);
}

#[test]
fn r13_a_new_view_that_was_lost_is_sent_again_to_who_waits_for_it() {
    let mut cluster = Cluster::new(4);
    cluster.crash(0);
    cluster.lie = Box::new(|_, to, message| if to == 3 && matches!(message, Message::NewView(_)) { vec![] } else { vec![message] });
    cluster.submit_to_all("a");
    cluster.run_until(3_000, |cluster| {
        [1, 2].iter().all(|id| cluster.replica(*id).view() == View(1) && cluster.replica(*id).is_active())
    });
    cluster.run(100);
    assert_eq!((cluster.views(), cluster.replica(3).is_active()), (vec![1, 1, 1], false));
    cluster.lie = Box::new(|_, _, message| vec![message]);
    cluster.run_until(400, |cluster| cluster.replica(3).is_active() && cluster.replica(3).view() == View(1));
}

#[test]
fn r10_a_primary_that_orders_others_but_censors_one_client_or_one_request_is_replaced() {
    // The others are another client's, or the same one's.
    for favoured in [0, 1] {
        censor(favoured);
    }
}

fn censor(favoured: u64) {
    let mut cluster = Cluster::new(4);
    let victim = cluster.request(1, "censored");
    // The primary never gets to see the victim's request, and so never proposes it.
    cluster.lie = Box::new(|_, to, message| {
        let censored = matches!(&message, Message::Request(request) if to == 0 && request.operations.each().eq([b"censored"]));
        if censored { vec![] } else { vec![message] }
    });
    for id in 1..4 {
        cluster.with_replica(id, |replica, now| replica.handle_request(now, victim.clone())).unwrap().unwrap();
    }
    for number in 0..12 {
        let request = cluster.request(favoured, &format!("{number}"));
        for id in [0, 3] {
            let _ = cluster.with_replica(id, |replica, now| replica.handle_request(now, request.clone()));
        }
        cluster.run(50);
    }
    assert!(cluster.views().iter().all(|view| *view >= 1), "within the time-out: {}", cluster.describe());
    cluster.run(1_500);
    assert!(cluster.nodes[1].executor.requests.iter().any(|(client, _)| *client == victim.client), "{}", cluster.describe());
    assert!(cluster.views().iter().all(|view| *view >= 1));
}

/// The clock of the lowest one does not start again with each that comes after it.
#[test]
fn r10_a_client_that_asks_on_and_on_does_not_save_the_primary_that_censors_it() {
    let mut cluster = Cluster::new(4);
    cluster.lie = Box::new(|_, to, message| if to == 0 && matches!(message, Message::Request(_)) { vec![] } else { vec![message] });
    for number in 0..8 {
        let request = cluster.request(1, &format!("{number}"));
        for id in 1..4 {
            cluster.with_replica(id, |replica, now| replica.handle_request(now, request.clone())).unwrap().unwrap();
        }
        cluster.run(100);
    }
    assert!((1..4).all(|id| cluster.replica(id).view() == View(1)), "{}", cluster.describe());
}

/// Only the state tells it that the request was executed long ago.
#[test]
fn r02_a_replica_alone_in_a_view_that_it_would_lead_passes_requests_on() {
    let mut cluster = Cluster::new(5);
    for from in [0, 3] {
        let change = signed::view_change(&cluster, 2, vec![], from);
        cluster.inject(from, 2, Message::ViewChange(change));
    }
    cluster.run_until(500, |cluster| cluster.replica(2).view() == View(2) && !cluster.replica(2).is_active());
    // What it passes on first is lost.
    cluster.lie =
        Box::new(|from, _, message| if from == 2 && matches!(message, Message::Request(_)) { vec![] } else { vec![message] });
    let request = cluster.request(0, "a");
    cluster.with_replica(2, |replica, now| replica.handle_request(now, request.clone())).unwrap().unwrap();
    cluster.run(20);
    assert_eq!(cluster.served(0), 0);
    cluster.lie = Box::new(|_, _, message| vec![message]);
    // It is sent again in time, and not whenever the client asks: nobody makes it flood the others.
    for _ in 0..100 {
        cluster.with_replica(2, |replica, now| replica.handle_request(now, request.clone())).unwrap().unwrap();
    }
    cluster.run(20);
    assert_eq!(cluster.served(0), 0);
    cluster.run_until(2_000, |cluster| cluster.all_served(1));
}

#[test]
fn r10_successive_dead_primaries_are_passed_over() {
    let mut cluster = Cluster::new(7);
    cluster.crash(0);
    cluster.crash(1);
    cluster.submit_to_all("a");
    cluster.run_until(5_000, |cluster| cluster.all_served(1));
    assert!(cluster.views().iter().all(|view| *view == 2), "{}", cluster.describe());
}

#[test]
fn r10_those_whom_one_has_left_behind_in_a_view_follow_it() {
    let mut cluster = Cluster::new(4);
    cluster.crash(0);
    // 3 hears all that want view 1 and gives it up in time; 1, its primary, and 2 do not hear each other until then.
    cluster.cut.extend([(1, 2), (2, 1)]);
    cluster.submit_to_all("a");
    cluster.run_until(5_000, |cluster| cluster.views() == [1, 1, 2]);
    cluster.cut.clear();
    cluster.run_until(5_000, |cluster| cluster.all_served(1));
}

#[test]
fn r10_after_a_total_partition_heals_the_views_meet() {
    let mut cluster = Cluster::new(4);
    for id in 0..4 {
        cluster.isolate(id, true);
    }
    cluster.submit_to_all("a");
    cluster.run(20_000);
    for id in 0..4 {
        cluster.isolate(id, false);
    }
    cluster.run_until(10_000, |cluster| cluster.all_served(1));
}

#[test]
fn r10_the_timeout_is_capped() {
    let mut cluster = Cluster::new(4);
    // No new-view ever arrives: every attempt fails.
    cluster.lie = Box::new(|_, _, message| if matches!(message, Message::NewView(_)) { vec![] } else { vec![message] });
    cluster.crash(0);
    cluster.run(60_000);
    let changes = cluster.replica(1).view_change_count();
    assert!((14..=24).contains(&changes), "{changes} view changes in 60 s: capped at 4 s each");
    cluster.lie = Box::new(|_, _, message| vec![message]);
    cluster.submit_to_all("a");
    cluster.run_until(10_000, |cluster| cluster.all_served(1));
}

#[test]
fn r11_what_prepared_anywhere_survives_into_the_next_view() {
    for n in [4, 5, 6, 7, 10] {
        let mut cluster = Cluster::new(n);
        // Commits never arrive: the batch prepares at all and commits nowhere.
        cluster.lie = Box::new(|_, _, message| if matches!(message, Message::Commit(_)) { vec![] } else { vec![message] });
        cluster.submit(0, "prepared").unwrap();
        cluster.run(20);
        let digest = cluster.nodes[1].journal.iter().find_map(|record| match record {
            Record::Prepared(certificate) => Some(certificate.digest),
            _ => None,
        });
        cluster.crash(0);
        cluster.lie = Box::new(|_, _, message| vec![message]);
        cluster.run_until(3_000, |cluster| cluster.all_served(1));
        assert_eq!(cluster.nodes[1].executor.executed[0], digest.unwrap(), "n = {n}: the same batch at the same number");
    }
}

/// The first proposal reaches nobody, the second prepares everywhere but does not commit; then the primary dies.
fn leave_a_gap(cluster: &mut Cluster) {
    cluster.lie = Box::new(|_, _, message| match &message {
        Message::PrePrepare { header, .. } if header.view == View(0) && header.sequence == SequenceNumber(1) => vec![],
        Message::Commit(_) => vec![],
        _ => vec![message],
    });
    cluster.submit(0, "lost").unwrap();
    cluster.submit(0, "prepared").unwrap();
    cluster.run(20);
    cluster.crash(0);
    cluster.lie = Box::new(|_, _, message| vec![message]);
}

#[test]
fn r12_numbers_that_nobody_prepared_become_null() {
    let mut cluster = Cluster::new(4);
    leave_a_gap(&mut cluster);
    cluster.run_until(3_000, |cluster| cluster.all_served(1));
    let executed = &cluster.nodes[1].executor.executed;
    assert_eq!(executed[0], NULL_DIGEST);
    assert_ne!(executed[1], NULL_DIGEST);
}

#[test]
fn r23_who_was_away_is_told_of_null_requests_too() {
    let mut cluster = Cluster::new(7);
    cluster.isolate(6, true);
    leave_a_gap(&mut cluster);
    cluster.run_until(3_000, |cluster| (1..6).all(|id| cluster.replica(id).executed() == SequenceNumber(2)));
    // The others send their own votes for it to nobody any more.
    cluster.lie = Box::new(|_, to, message| if to == 6 && matches!(message, Message::Commit(_)) { vec![] } else { vec![message] });
    cluster.isolate(6, false);
    cluster.run_until(1_000, |cluster| cluster.replica(6).executed() == SequenceNumber(2));
    assert_eq!(cluster.nodes[6].executor.executed[0], NULL_DIGEST);
    assert!(cluster.transfers.is_empty());
}

/// What replica 0 proposed is prepared, and it is dead. Replica 1, the next primary, never got the proposal.
fn prepared_without_its_body() -> Cluster {
    let mut cluster = Cluster::new(4);
    cluster.lie = Box::new(|_, to, message| match &message {
        Message::PrePrepare { .. } | Message::Committed { .. } if to == 1 => vec![],
        Message::Commit(_) => vec![],
        _ => vec![message],
    });
    cluster.submit(0, "prepared").unwrap();
    cluster.run(20);
    cluster.crash(0);
    cluster.lie = Box::new(|_, _, message| vec![message]);
    cluster
}

#[test]
fn r12_a_new_primary_without_a_prepared_body_fetches_it_first() {
    let mut cluster = prepared_without_its_body();
    cluster.run_until(3_000, |cluster| cluster.all_served(1));
    assert!(cluster.sent.iter().any(|(from, _, message)| *from == 1 && matches!(message, Message::FetchBody { .. })));
}

#[test]
fn r12_a_body_is_asked_for_again_when_the_question_was_lost() {
    let mut cluster = prepared_without_its_body();
    let mut lost = 0;
    cluster.lie = Box::new(move |_, _, message| {
        if lost < 3 && matches!(message, Message::FetchBody { .. }) {
            lost += 1;
            return vec![];
        }
        vec![message]
    });
    cluster.run_until(3_000, |cluster| cluster.all_served(1));
    assert_eq!(cluster.views(), [1, 1, 1], "{}", cluster.describe());
}

#[test]
fn r23_votes_for_what_prepared_in_the_view_before_are_sent_again_when_they_were_lost() {
    let mut cluster = Cluster::new(4);
    cluster.lie = Box::new(|_, _, message| if matches!(message, Message::Commit(_)) { vec![] } else { vec![message] });
    cluster.submit(0, "prepared").unwrap();
    cluster.run(20);
    cluster.crash(0);
    // In view 1 replica 3, without which there is no quorum, gets no vote at first.
    cluster.lie = Box::new(|_, to, message| match &message {
        Message::Commit(commit) if commit.view == View(0) => vec![],
        Message::Prepare { .. } if to == 3 => vec![],
        _ => vec![message],
    });
    cluster.run_until(3_000, |cluster| cluster.replica(3).view() == View(1) && cluster.replica(3).is_active());
    cluster.run(50);
    assert!(!cluster.all_served(1));
    cluster.lie = Box::new(|_, _, message| match &message {
        Message::Commit(commit) if commit.view == View(0) => vec![],
        _ => vec![message],
    });
    cluster.run_until(300, |cluster| cluster.all_served(1));
    assert_eq!(cluster.views(), [1, 1, 1]);
}

#[test]
fn r13_a_batch_that_was_executed_is_not_executed_again_in_the_new_view() {
    let mut cluster = Cluster::new(4);
    for number in 0..3 {
        cluster.submit(0, &format!("{number}")).unwrap();
        cluster.run(20);
    }
    cluster.crash(0);
    cluster.submit_to_all("after");
    cluster.run_until(2_000, |cluster| cluster.all_served(4));
    assert_eq!(cluster.nodes[1].executor.requests.len(), 4);
}

#[test]
fn r13_a_replayed_new_view_of_a_lower_view_changes_nothing() {
    let mut cluster = Cluster::new(7);
    cluster.crash(0);
    cluster.run_until(3_000, |cluster| {
        cluster.alive().iter().all(|id| cluster.replica(*id).is_active() && cluster.replica(*id).view() == View(1))
    });
    let old = cluster.sent.iter().find_map(|(_, _, message)| match message {
        Message::NewView(new_view) => Some(Message::NewView(new_view.clone())),
        _ => None,
    });
    cluster.crash(1);
    cluster.run_until(3_000, |cluster| cluster.views().iter().all(|view| *view == 2) && cluster.replica(2).is_active());
    cluster.run(100);
    cluster.rejections.clear();
    cluster.events.clear();
    for id in 3..7 {
        cluster.inject(2, id, old.clone().unwrap());
    }
    cluster.run(50);
    assert!(cluster.views().iter().all(|view| *view == 2));
    assert_eq!(cluster.rejections, [3, 4, 5, 6].map(|id| (id, Rejection::Stale)));
    assert!(!cluster.events.iter().any(|(_, event)| matches!(event, Event::ViewEntered { .. })), "not for a moment either");
}

#[test]
fn r13_a_lagging_replica_in_a_lower_view_gets_the_new_view_from_a_peer() {
    let mut cluster = Cluster::new(7);
    cluster.isolate(6, true);
    cluster.crash(0);
    cluster.submit_to_all("a");
    cluster.run_until(3_000, |cluster| (1..6).all(|id| cluster.served(id) == 1));
    cluster.isolate(6, false);
    cluster.run_until(2_000, |cluster| {
        cluster.replica(6).view() == View(1) && cluster.replica(6).is_active() && cluster.served(6) == 1
    });
}

#[test]
fn r13_a_false_new_view_is_refused_proven_and_its_primary_passed_over() {
    let mut cluster = Cluster::new(4);
    cluster.lie = Box::new(|_, _, message| if matches!(message, Message::Commit(_)) { vec![] } else { vec![message] });
    cluster.submit(0, "prepared").unwrap();
    cluster.run(20);
    cluster.crash(0);
    // The primary of view 1 leaves out what prepared.
    let liar = cluster.signer(1);
    cluster.lie = Box::new(move |from, _, message| match message {
        Message::NewView(new_view) if from == 1 && new_view.view == View(1) => {
            let mut body = (*new_view).clone();
            body.pre_prepares.clear();
            vec![Message::NewView(liar.sign(body).into_inner())]
        }
        other => vec![other],
    });
    cluster.run_until(5_000, |cluster| [2, 3].iter().all(|id| cluster.replica(*id).view() >= View(2) && cluster.served(*id) == 1));
    assert!(cluster.evidence(2).contains(&(1, EvidenceKind::FalseNewView)), "{:?}", cluster.evidence(2));
}

/// The primary tells one half of the backups one thing and the other half another.
fn equivocate(cluster: &mut Cluster, liar: u32) {
    let signer = cluster.signer(u64::from(liar));
    let authenticator = cluster.config.authenticator.clone();
    cluster.lie = Box::new(move |from, to, message| match message {
        Message::PrePrepare { header, body } if from == liar && to % 2 == 1 && !body.is_empty() => {
            let Proposal::Valid(batch) = authenticator.verify_body(body) else { return vec![] };
            let other = Batch::of_verified(batch.time() + 1, batch.verified_requests().collect());
            let header = signer.sign(PrePrepare { digest: other.digest(), ..*header }).into_inner();
            vec![Message::PrePrepare { header, body: other.bytes().clone() }]
        }
        other => vec![other],
    });
}

#[test]
fn r17_both_halves_of_an_equivocation_meet_at_every_correct_replica_and_the_primary_is_replaced() {
    for n in [4, 5, 6, 7, 10] {
        let mut cluster = Cluster::new(n);
        equivocate(&mut cluster, 0);
        cluster.submit_to_all("a");
        let correct: Vec<u32> = (1..u32::try_from(n).unwrap()).collect();
        cluster.run_until(3_000, |cluster| correct.iter().all(|id| cluster.served(*id) == 1));
        for id in correct {
            assert!(cluster.evidence(id).contains(&(0, EvidenceKind::TwoPrePrepares)), "n = {n}, replica {id}");
            assert!(cluster.replica(id).view() >= View(1));
        }
    }
}

#[test]
fn r17_evidence_is_stored_spread_once_and_survives_a_restart() {
    let mut cluster = Cluster::new(4);
    equivocate(&mut cluster, 0);
    cluster.submit_to_all("a");
    cluster.run(3_000);
    let spread =
        cluster.sent.iter().filter(|(from, to, message)| *from == 1 && *to == 2 && matches!(message, Message::Evidence(_)));
    assert_eq!(spread.count(), cluster.evidence(1).len());
    let held = cluster.evidence(1);
    cluster.crash(1);
    cluster.restart(1);
    assert_eq!(cluster.evidence(1), held);
    assert!(held.iter().all(|(accused, _)| *accused == 0), "nobody else is accused: {held:?}");
}

/// The evidence is there before the view is.
#[test]
fn r10_a_proven_liar_is_suspected_as_soon_as_its_view_is_entered() {
    let mut cluster = Cluster::new(4);
    let other = signed::proposal(&mut cluster, 1, "a").0;
    let [one, another] = [other, signed::other_digest()].map(|digest| signed::header(&cluster, 1, signed::ONE, digest));
    let evidence = Evidence::PrePrepares(one, another);
    // What it is told stays with it.
    cluster.cut.extend((0..3).map(|to| (3, to)));
    cluster.inject(0, 3, Message::Evidence(evidence));
    cluster.run(20);
    assert_eq!(cluster.evidence(3), [(1, EvidenceKind::TwoPrePrepares)]);
    cluster.cut.clear();
    let suspects = |cluster: &Cluster| {
        cluster.sent.iter().filter(|(from, _, message)| *from == 3 && matches!(message, Message::Suspect { view: View(1) })).count()
    };
    cluster.crash(0);
    cluster.run_until(3_000, |cluster| cluster.replica(3).view() == View(1) && cluster.replica(3).is_active());
    cluster.run(5);
    assert!(suspects(&cluster) > 0, "{}", cluster.describe());
}

#[test]
fn r17_a_replica_that_was_away_gets_the_evidence_when_it_is_connected_again() {
    let mut cluster = Cluster::new(4);
    cluster.crash(3);
    equivocate(&mut cluster, 0);
    cluster.submit_to_all("a");
    cluster.run(3_000);
    assert!(cluster.evidence(1).contains(&(0, EvidenceKind::TwoPrePrepares)));
    cluster.restart(3);
    cluster.run(1_000);
    assert_eq!(cluster.evidence(3), []);
    cluster.with_replica(1, |replica, now| replica.handle_peer_up(now, ReplicaId(3)));
    cluster.run(100);
    assert_eq!(cluster.evidence(3), cluster.evidence(1));
}

#[test]
fn r17_double_votes_are_caught() {
    let mut cluster = Cluster::new(4);
    let liar = cluster.signer(3);
    let other = pbft_crypto::Digest::of("another", &[]);
    cluster.lie = Box::new(move |from, _, message| match message {
        Message::Prepare { prepare, pre_prepare } if from == 3 => {
            let second = liar.sign(Prepare { digest: other, ..*prepare }).into_inner();
            vec![Message::Prepare { prepare, pre_prepare }, Message::Prepare { prepare: second, pre_prepare }]
        }
        Message::Commit(commit) if from == 3 => {
            let second = liar.sign(Commit { digest: other, ..*commit }).into_inner();
            vec![Message::Commit(commit), Message::Commit(second)]
        }
        message => vec![message],
    });
    cluster.submit(0, "a").unwrap();
    cluster.run(100);
    for id in 0..3 {
        assert_eq!(cluster.served(id), 1);
        let evidence = cluster.evidence(id);
        assert!(evidence.contains(&(3, EvidenceKind::TwoPrepares)), "{evidence:?}");
        assert!(evidence.contains(&(3, EvidenceKind::TwoCommits)), "{evidence:?}");
        assert_eq!(cluster.replica(id).view(), View(0), "a lying backup changes no view");
    }
}

#[test]
fn r17_a_view_change_that_hides_what_was_committed_is_evidence() {
    let mut cluster = Cluster::new(4);
    cluster.submit(0, "a").unwrap();
    cluster.run(20);
    let liar = cluster.signer(3);
    let change = ViewChange { view: View(1), stable: None, prepared: vec![], replica: ReplicaId(3) };
    cluster.inject(3, 2, Message::ViewChange(liar.sign(change).into_inner()));
    cluster.run(20);
    assert_eq!(cluster.evidence(2), [(3, EvidenceKind::HiddenPrepared)]);
}

#[test]
fn r04_a_batch_with_a_forged_request_is_refused_proven_and_its_primary_replaced() {
    let mut cluster = Cluster::new(4);
    let signer = cluster.signer(0);
    let mut forged = codec::encode(&(0_u64, vec![cluster.request(0, "a").into_inner()]));
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let body = Blob::from(forged);
    let digest = batch_digest(&body);
    let header = PrePrepare { view: View(0), sequence: SequenceNumber(1), digest, replica: ReplicaId(0) };
    let header = signer.sign(header).into_inner();
    for id in 1..4 {
        cluster.inject(0, id, Message::PrePrepare { header: header.clone(), body: body.clone() });
    }
    cluster.run_until(1_000, |cluster| (1..4).all(|id| cluster.replica(id).view() == View(1) && cluster.replica(id).is_active()));
    assert!((1..4).all(|id| cluster.evidence(id) == [(0, EvidenceKind::InvalidBatch)]));
    let voted =
        cluster.sent.iter().any(|(_, _, message)| matches!(message, Message::Prepare { prepare, .. } if prepare.digest == digest));
    assert!(!voted);
}

#[test]
fn r10_a_primary_that_is_to_stop_hands_over_without_any_timer() {
    for n in [4, 5, 6, 7, 10] {
        let mut cluster = Cluster::new(n);
        cluster.submit_to_all("before");
        cluster.run(20);
        let began = cluster.now;
        assert!(!cluster.hand_over(0), "n = {n}: it leads, and is still needed");
        cluster.run_until(1_000, |cluster| {
            cluster.alive().iter().all(|id| cluster.replica(*id).view() == View(1) && cluster.replica(*id).is_active())
        });
        assert!(cluster.now - began < cluster.config.timing.base_timeout, "n = {n}");
        assert!(cluster.hand_over(0), "n = {n}: a backup is not needed");
        cluster.crash(0);
        cluster.submit_to_all("after");
        cluster.run_until(1_000, |cluster| cluster.alive().iter().all(|id| cluster.served(*id) == 2));
        assert!(cluster.alive().iter().all(|id| cluster.replica(*id).view() == View(1)), "n = {n}: one view change is enough");
    }
}

/// Null requests, so that nothing else is late.
#[test]
fn r10_a_view_that_never_commits_what_it_began_with_is_left() {
    let mut cluster = Cluster::new(4);
    cluster.submit(0, "a").unwrap();
    cluster.run(20);
    cluster.lie = Box::new(|_, _, message| if matches!(message, Message::Commit(_)) { vec![] } else { vec![message] });
    // Long enough for the primary to fill the log to the next checkpoint.
    cluster.run(700);
    cluster.hand_over(0);
    cluster.run_until(300, |cluster| (0..4).all(|id| cluster.replica(id).is_active() && cluster.replica(id).view() == View(1)));
    assert_eq!((cluster.replica(1).executed(), cluster.replica(1).progress().watched_since), (SequenceNumber(1), None));
    cluster.run_until(1_000, |cluster| cluster.views() == [2, 2, 2, 2]);
}

#[test]
fn r09_a_new_primary_without_work_fills_the_log_to_the_next_checkpoint() {
    let mut cluster = Cluster::new(4);
    cluster.submit(0, "a").unwrap();
    cluster.run(20);
    cluster.crash(0);
    cluster.run_until(3_000, |cluster| cluster.views() == [1, 1, 1] && cluster.replica(1).is_active());
    cluster.run(700);
    assert!((1..4).all(|id| cluster.replica(id).low_watermark() == SequenceNumber(4)), "{}", cluster.describe());
}

#[test]
fn r13_a_view_that_begins_with_what_was_committed_is_not_left() {
    let mut cluster = Cluster::new(4);
    cluster.config.timing.idle_checkpoint = std::time::Duration::from_secs(60);
    for id in 0..4 {
        cluster.crash(id);
    }
    for id in 0..4 {
        cluster.restart(id);
    }
    cluster.run(1_000);
    cluster.submit_to_all("a");
    cluster.run_until(2_000, |cluster| cluster.all_served(1));
    let view = cluster.views()[1];
    cluster.hand_over(u32::try_from(view % 4).unwrap());
    cluster.run(4_000);
    assert_eq!(cluster.views(), [view + 1; 4], "{}", cluster.describe());
    assert!(cluster.events.iter().all(|(_, event)| !matches!(event, Event::Alarm(_))));
}

/// Before anybody reminds it.
#[test]
fn r10_a_new_primary_is_sent_what_waits_as_soon_as_its_view_is_entered() {
    let mut cluster = Cluster::new(4);
    cluster.lie = Box::new(|_, to, message| match &message {
        Message::Request(_) if to < 2 => vec![],
        _ => vec![message],
    });
    cluster.submit(3, "a").unwrap();
    cluster.crash(0);
    cluster.run_until(3_000, |cluster| cluster.replica(1).view() == View(1));
    cluster.lie = Box::new(|_, _, message| vec![message]);
    cluster.run_until(500, |cluster| cluster.replica(3).is_active());
    cluster.run_until(20, |cluster| cluster.all_served(1));
}
