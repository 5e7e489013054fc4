//! R14 and R23: what was lost or missed comes with the next status, batch by batch, or as a state.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used)]

mod cluster;

use cluster::{Cluster, signed};
use pbft_message::*;
use pbft_protocol::agreement::*;

#[test]
fn r23_one_lost_message_of_each_kind_costs_one_status_period_and_no_view_change() {
    for kind in ["pre-prepare", "prepare", "commit", "checkpoint"] {
        let mut cluster = Cluster::new(4);
        let mut lost = 0;
        cluster.lie = Box::new(move |_, to, message| {
            if to == 3 && message.name() == kind && lost < 3 {
                lost += 1;
                return vec![];
            }
            vec![message]
        });
        for number in 0..4 {
            cluster.submit(0, &format!("{number}")).unwrap();
            cluster.run(10);
        }
        cluster.run(400);
        assert!(cluster.all_served(4), "{kind} lost: {}", cluster.describe());
        assert_eq!(cluster.replica(3).low_watermark(), SequenceNumber(4), "{kind} lost");
        assert!((0..4).all(|id| cluster.replica(id).view() == View(0)), "{kind} lost");
    }
}

#[test]
fn r23_what_a_status_has_is_not_sent_again() {
    let mut cluster = Cluster::new(4);
    cluster.submit(0, "a").unwrap();
    cluster.submit(0, "b").unwrap();
    cluster.run(20);
    let Status { prepared, committed, low_watermark, .. } = cluster.replica(1).status();
    assert_eq!((low_watermark, prepared, committed), (SequenceNumber(0), vec![3, 0], vec![3, 0]));
    let said = cluster.sent.iter().filter(|(_, _, message)| is_of_the_log(message)).count();
    cluster.run(350);
    assert!(cluster.sent.iter().filter(|(_, _, message)| matches!(message, Message::Status(_))).count() > 12);
    assert_eq!(cluster.sent.iter().filter(|(_, _, message)| is_of_the_log(message)).count(), said);
}

fn is_of_the_log(message: &Message) -> bool {
    matches!(message.name(), "pre-prepare" | "prepare" | "commit" | "committed")
}

#[test]
fn r23_under_heavy_loss_everything_is_executed_in_the_end() {
    for n in [4, 7] {
        let mut cluster = Cluster::new(n);
        let mut count: u32 = 0;
        cluster.lie = Box::new(move |_, _, message| {
            count = count.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if (count >> 16) % 10 < 3 { vec![] } else { vec![message] }
        });
        for number in 0..40 {
            cluster.submit_to_all(&format!("{number}"));
            cluster.run(100);
        }
        cluster.run_until(60_000, |cluster| cluster.all_served(40));
    }
}

#[test]
fn r23_a_replica_that_was_cut_off_catches_up_batch_by_batch() {
    let mut cluster = Cluster::new(4);
    cluster.isolate(3, true);
    for number in 0..10 {
        cluster.submit(0, &format!("{number}")).unwrap();
        cluster.run(10);
    }
    assert_eq!(cluster.served(3), 0);
    cluster.isolate(3, false);
    cluster.run_until(2_000, |cluster| cluster.served(3) == 10);
    assert_eq!(cluster.replica(3).view(), View(0), "a lone deaf replica changes no view");
}

#[test]
fn r14_a_replica_that_was_away_beyond_the_log_fetches_the_state() {
    let mut cluster = Cluster::new(4);
    cluster.isolate(3, true);
    for number in 0..80 {
        cluster.submit(0, &format!("{number}")).unwrap();
        cluster.run(10);
    }
    cluster.isolate(3, false);
    // Nobody serves what comes next, so that nothing is waited for.
    cluster.run_until(1_000, |cluster| cluster.replica(3).executed() == SequenceNumber(80));
    assert_eq!(cluster.replica(3).low_watermark(), SequenceNumber(80));
    cluster.submit(0, "more").unwrap();
    cluster.run(20);
    assert_eq!(cluster.replica(3).executed(), SequenceNumber(81));
}

#[test]
fn r14_a_replica_that_others_can_serve_batches_waits_for_them_and_fetches_no_state() {
    let mut cluster = Cluster::new(4);
    cluster.isolate(3, true);
    for number in 0..10 {
        cluster.submit(0, &format!("{number}")).unwrap();
        cluster.run(10);
    }
    cluster.isolate(3, false);
    // It learns where the others are, and the batches are lost for five status periods.
    cluster.lie = Box::new(|_, to, message| if to == 3 && message.name() == "committed" { vec![] } else { vec![message] });
    cluster.run(500);
    assert_eq!((cluster.replica(3).low_watermark(), cluster.served(3)), (SequenceNumber(12), 0));
    cluster.lie = Box::new(|_, _, message| vec![message]);
    cluster.run_until(1_000, |cluster| cluster.served(3) == 10);
    assert!(cluster.transfers.is_empty());
}

/// Replica 3 was away beyond the log, and has the state at 80 fetched, which does not come.
fn fetching() -> Cluster {
    let mut cluster = Cluster::new(4);
    cluster.isolate(3, true);
    for number in 0..80 {
        cluster.submit(0, &format!("{number}")).unwrap();
        cluster.run(10);
    }
    cluster.nodes[3].executor.stalled = true;
    cluster.isolate(3, false);
    cluster.run_until(3_000, |cluster| !cluster.transfers.is_empty());
    cluster
}

#[test]
fn r14_what_is_ordered_while_a_state_is_fetched_is_kept_and_the_target_stays() {
    let mut cluster = fetching();
    // Far beyond what the others keep.
    for number in 80..160 {
        cluster.submit(0, &format!("{number}")).unwrap();
        cluster.run(50);
    }
    assert_eq!(cluster.replica(3).low_watermark(), SequenceNumber(160));
    assert_eq!(cluster.replica(3).executed(), SequenceNumber(0));
    let [(3, target)] = &cluster.transfers[..] else { panic!("{} transfers", cluster.transfers.len()) };
    assert_eq!(target.sequence, SequenceNumber(80));
    let target = target.clone();
    cluster.nodes[3].executor.stalled = false;
    cluster.transfer(3, &target);
    cluster.run(100);
    assert_eq!((cluster.replica(3).executed(), cluster.transfers.len()), (SequenceNumber(160), 1));
}

#[test]
fn r14_a_newer_state_is_fetched_when_nobody_serves_the_one_that_was_wanted() {
    let mut cluster = fetching();
    let stalled = |cluster: &mut Cluster| cluster.with_replica(3, |replica, now| replica.handle_transfer_stalled(now));
    stalled(&mut cluster);
    assert_eq!(cluster.transfers.len(), 1, "there is no newer one");
    for number in 80..90 {
        cluster.submit(0, &format!("{number}")).unwrap();
        cluster.run(50);
    }
    stalled(&mut cluster);
    let targets: Vec<_> = cluster.transfers.iter().map(|(_, target)| target.sequence).collect();
    assert_eq!(targets, [SequenceNumber(80), cluster.replica(3).low_watermark()]);
    // The older one is installed after all: the newer one is still to come, and nothing is executed on top of it.
    let [older, target] = [0, 1].map(|number| cluster.transfers[number].1.clone());
    cluster.transfer(3, &older);
    cluster.run(100);
    let progress = cluster.replica(3).progress();
    assert_eq!((progress.executed, progress.transferring), (older.sequence, Some(target.sequence)));
    cluster.nodes[3].executor.stalled = false;
    cluster.transfer(3, &target);
    cluster.run(100);
    assert_eq!(cluster.replica(3).executed(), SequenceNumber(90));
}

#[test]
fn r19_a_replica_that_catches_up_frees_what_it_has_executed() {
    let mut cluster = Cluster::new(4);
    cluster.crash(3);
    let large = "x".repeat(8 << 10);
    for number in 0..12 {
        cluster.submit(0, &format!("{number}{large}")).unwrap();
        cluster.run(10);
    }
    cluster.config.limits.body_bytes = 48 << 10;
    cluster.restart(3);
    // Four at a time: what had no room comes again after four status periods.
    cluster.run(1_500);
    assert_eq!(cluster.served(3), 12, "{} {:?}", cluster.describe(), cluster.replica(3).held());
    assert_eq!(cluster.replica(3).held().beyond(cluster.replica(3).bounds()), None);
}

#[test]
fn r23_a_batch_larger_than_one_answer_is_served_to_a_replica_that_was_away() {
    let mut cluster = Cluster::new(4);
    cluster.isolate(3, true);
    let large = "x".repeat(3 << 19);
    let (first, second) = (cluster.request(0, &large), cluster.request(1, &large));
    cluster.with_replica(0, |replica, now| {
        replica.handle_request(now, first).unwrap();
        replica.handle_request(now, second).unwrap();
    });
    cluster.run(50);
    assert_eq!(cluster.replica(0).executed(), SequenceNumber(1), "one batch of 3 MiB");
    cluster.isolate(3, false);
    cluster.run_until(1_000, |cluster| cluster.served(3) == 2);
}

#[test]
fn r19_a_status_with_more_bits_than_the_log_has_numbers_is_refused() {
    let mut cluster = Cluster::new(4);
    let mut take = |prepared: Vec<u8>, committed: Vec<u8>| {
        let status = Status { prepared, committed, ..cluster.replica(2).status() };
        cluster.with_replica(1, |replica, now| replica.handle_message(now, ReplicaId(2), VerifiedMessage::Status(status))).unwrap()
    };
    // Sixteen numbers are two bytes.
    assert_eq!(take(vec![0; 2], vec![0; 2]), Ok(()));
    assert_eq!(take(vec![], vec![0]), Ok(()));
    assert_eq!(take(vec![0; 3], vec![]), Err(Rejection::OutsideWatermarks));
    assert_eq!(take(vec![], vec![0; 3]), Err(Rejection::OutsideWatermarks));
}

#[test]
fn r09_the_checkpoint_at_the_high_watermark_counts() {
    let mut cluster = Cluster::new(4);
    // No checkpoint before it becomes stable.
    cluster.lie = Box::new(|_, _, message| match &message {
        Message::Checkpoint(checkpoint) if checkpoint.sequence < SequenceNumber(16) => vec![],
        _ => vec![message],
    });
    for number in 0..20 {
        cluster.submit(0, &format!("{number}")).unwrap();
        cluster.run(10);
    }
    assert!(cluster.all_served(20), "{}", cluster.describe());
    assert!((0..4).all(|id| cluster.replica(id).low_watermark() == SequenceNumber(20)), "{}", cluster.describe());
}

#[test]
fn r14_what_a_fetched_state_contains_is_awaited_no_longer() {
    let mut cluster = Cluster::new(4);
    cluster.nodes[3].executor.stalled = true;
    cluster.isolate(3, true);
    let old = cluster.request(1, "old");
    for id in 0..4 {
        cluster.with_replica(id, |replica, now| replica.handle_request(now, old.clone())).unwrap().unwrap();
    }
    for number in 0..80 {
        cluster.submit(0, &format!("{number}")).unwrap();
        cluster.run(4);
    }
    cluster.isolate(3, false);
    cluster.run_until(3_000, |cluster| !cluster.transfers.is_empty());
    assert!(cluster.replica(3).progress().watched_since.is_some());
    let target = cluster.transfers[0].1.clone();
    cluster.nodes[3].executor.stalled = false;
    cluster.transfer(3, &target);
    assert_eq!(cluster.replica(3).progress().watched_since, None);
}

#[test]
fn r14_a_transfer_that_failed_is_tried_again() {
    let mut cluster = fetching();
    cluster.with_replica(3, |replica, now| replica.handle_transfer_failed(now));
    let progress = cluster.replica(3).progress();
    assert_eq!((progress.transferring, progress.committed), (None, SequenceNumber(0)), "what it had hoped for is missing again");
    cluster.nodes[3].executor.stalled = false;
    cluster.run_until(3_000, |cluster| cluster.replica(3).executed() == SequenceNumber(80));
    assert_eq!(cluster.transfers.len(), 2);
}

#[test]
fn r23_checkpoints_that_reached_nobody_are_sent_again() {
    let mut cluster = Cluster::new(4);
    cluster.crash(3);
    cluster.lie = Box::new(|_, _, message| if message.name() == "checkpoint" { vec![] } else { vec![message] });
    for number in 0..4 {
        cluster.submit(0, &format!("{number}")).unwrap();
        cluster.run(10);
    }
    cluster.run(20);
    assert_eq!(cluster.replica(0).low_watermark(), SequenceNumber(0));
    cluster.lie = Box::new(|_, _, message| vec![message]);
    cluster.run_until(200, |cluster| (0..3).all(|id| cluster.replica(id).low_watermark() == SequenceNumber(4)));
}

#[test]
fn r19_a_body_that_nobody_asked_for_is_refused() {
    let mut cluster = Cluster::new(4);
    let (_, proposal) = signed::proposal(&mut cluster, 0, "unasked");
    let Message::PrePrepare { body, .. } = proposal else { unreachable!() };
    let before = cluster.replica(3).held();
    cluster.inject(1, 3, Message::Body(body));
    cluster.run(5);
    assert_eq!(cluster.rejections, [(3, Rejection::Unsolicited)]);
    assert_eq!(cluster.replica(3).held(), before);
}
