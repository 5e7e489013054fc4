//! What a replica tells operators of itself.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used)]

mod cluster;

use cluster::{Cluster, MS};
use pbft_message::*;
use pbft_protocol::agreement::*;
use std::time::Duration;

/// How many delays there are, and their sum.
fn tally(delays: &Delays) -> (u64, Duration) {
    (delays.count(), delays.sum())
}

#[test]
fn r18_a_request_is_measured_until_it_is_proposed_and_until_it_is_committed() {
    let mut cluster = Cluster::new(4);
    // The primary proposes at once; a message takes 1 ms, and the journal 0.2 ms.
    cluster.submit_to_all("a");
    cluster.run(50);
    let delays = cluster.replica(0).delays();
    assert_eq!(tally(&delays.proposed), (1, Duration::ZERO));
    let delays = cluster.replica(1).delays();
    assert_eq!(tally(&delays.proposed), (1, MS));
    let (count, committed) = tally(&delays.committed);
    assert!(count == 1 && committed > 2 * MS && committed < 10 * MS, "{committed:?}");
}

#[test]
fn r18_what_a_dead_primary_costs_is_in_the_delay() {
    let mut cluster = Cluster::new(4);
    cluster.crash(0);
    cluster.submit_to_all("a");
    cluster.run_until(1_500, |cluster| cluster.all_served(1));
    for id in 1..4 {
        let (count, proposed) = tally(&cluster.replica(id).delays().proposed);
        // The time-out runs from the last heartbeat, which is up to 100 ms old.
        assert!(count == 1 && proposed > 400 * MS, "replica {id}: {count} {proposed:?}");
    }
}

#[test]
fn progress_names_the_primary_and_how_far_this_replica_and_a_weak_quorum_of_the_others_are() {
    let mut cluster = Cluster::new(4);
    cluster.isolate(3, true);
    for number in 0..3 {
        cluster.submit_to_all(&number.to_string());
        cluster.run(5);
    }
    // One liar says that it has executed much more.
    let status = Status { executed: SequenceNumber(1_000), ..cluster.replica(2).status() };
    cluster
        .with_replica(3, |replica, now| replica.handle_message(now, ReplicaId(2), VerifiedMessage::Status(status)))
        .unwrap()
        .unwrap();
    let ahead = cluster.replica(3).progress();
    assert_eq!((ahead.executed, ahead.executed_elsewhere), (SequenceNumber(0), SequenceNumber(0)));
    let truth = cluster.replica(1).status();
    assert_eq!(truth.executed, SequenceNumber(3));
    cluster
        .with_replica(3, |replica, now| replica.handle_message(now, ReplicaId(1), VerifiedMessage::Status(truth)))
        .unwrap()
        .unwrap();
    let progress = cluster.replica(3).progress();
    assert_eq!((progress.primary, progress.view, progress.active), (ReplicaId(0), View(0), true));
    assert_eq!((progress.committed, progress.executed_elsewhere), (SequenceNumber(0), SequenceNumber(3)));
    assert_eq!((progress.low_watermark, progress.high_watermark), (SequenceNumber(0), SequenceNumber(16)));
}

#[test]
fn a_suspicion_is_told_with_its_reason_and_who_shares_it() {
    let mut cluster = Cluster::new(4);
    // Only replica 3 misses the primary, and the others hear of it.
    cluster.cut.insert((0, 3));
    cluster.run(700);
    assert_eq!(cluster.replica(3).progress().suspicion, Some(Reason::NoHeartbeat));
    let suspecting =
        |id: u32| -> Vec<ReplicaId> { cluster.replica(id).peers().filter(|peer| peer.suspects).map(|peer| peer.replica).collect() };
    assert_eq!(suspecting(1), [ReplicaId(3)]);
    assert_eq!(suspecting(3), []);
    assert!(cluster.replica(1).peers().all(|peer| peer.status.is_some()));
}

#[test]
fn the_running_timers_are_told_with_those_that_follow_from_requests() {
    let mut cluster = Cluster::new(4);
    let names = |replica: &Replica| replica.timers().map(|(timer, _)| timer.name()).collect::<Vec<_>>();
    assert_eq!(names(cluster.replica(0)), ["heartbeat", "status", "idle_checkpoint"]);
    assert_eq!(names(cluster.replica(1)), ["primary_alive", "status"]);
    cluster.isolate(1, true);
    cluster.submit(1, "waits").unwrap();
    let replica = cluster.replica(1);
    assert_eq!(names(replica), ["primary_alive", "status", "request", "measure"]);
    let next = replica.timers().map(|(_, deadline)| deadline).min();
    assert_eq!(next, replica.poll_timeout());
    // Both follow from what waits longest, whoever else asks.
    let of_requests = |replica: &Replica| replica.timers().skip(2).map(|(_, deadline)| deadline).collect::<Vec<_>>();
    let before = of_requests(replica);
    cluster.run(5);
    let later = cluster.request(1, "waits for less");
    cluster.with_replica(1, |replica, now| replica.handle_request(now, later)).unwrap().unwrap();
    assert_eq!(of_requests(cluster.replica(1)), before);
}

#[test]
fn a_view_change_is_told_with_the_reason_of_whoever_left() {
    let mut cluster = Cluster::new(4);
    cluster.crash(0);
    cluster.run_until(1_500, |cluster| (1..4).all(|id| cluster.replica(id).view() == View(1)));
    let told: Vec<Reason> = cluster
        .events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::ViewChange { reason, .. } => Some(*reason),
            _ => None,
        })
        .collect();
    assert!(told.contains(&Reason::NoHeartbeat), "{told:?}");
    assert!(Reason::ALL.iter().all(|reason| !reason.name().contains(' ') && reason.to_string().contains(' ')));
}

#[test]
fn what_agreement_waits_for_is_named() {
    let mut cluster = Cluster::new(4);
    let awaited = |cluster: &Cluster, id| cluster.replica(id).progress().awaited;
    assert_eq!(awaited(&cluster, 1), None);
    cluster.crash(2);
    cluster.crash(3);
    cluster.submit(1, "never proposed here").unwrap();
    assert_eq!(awaited(&cluster, 1), Some(Awaited::PrePrepare(SequenceNumber(1))));
    // Relayed to the primary and proposed: the proposal and the own vote are two of three.
    cluster.run(10);
    assert_eq!(awaited(&cluster, 1), Some(Awaited::Prepares(SequenceNumber(1), 2)));
    assert_eq!(awaited(&cluster, 0), Some(Awaited::Prepares(SequenceNumber(1), 2)));
}

#[test]
fn a_view_change_waits_for_view_changes_and_then_for_the_new_view() {
    let mut cluster = Cluster::new(7);
    let awaits = |cluster: &Cluster, awaited| (2..7).any(|id| cluster.replica(id).progress().awaited == Some(awaited));
    // The next primary is dead too, so its new-view never comes.
    cluster.crash(0);
    cluster.crash(1);
    cluster.submit(3, "waits").unwrap();
    cluster.run_until(2_000, |cluster| (1..5).any(|here| awaits(cluster, Awaited::ViewChanges(here))));
    cluster.run_until(2_000, |cluster| awaits(cluster, Awaited::NewView));
}

#[test]
fn a_full_log_waits_for_checkpoints() {
    let mut cluster = Cluster::new(4);
    cluster.lie = Box::new(|_, _, message| match message {
        Message::Checkpoint(_) => vec![],
        message => vec![message],
    });
    for number in 0..40 {
        cluster.submit_to_all(&number.to_string());
        cluster.run(5);
    }
    let awaited = cluster.replica(0).progress().awaited;
    assert_eq!(awaited, Some(Awaited::Checkpoints(SequenceNumber(4), 1)));
}
