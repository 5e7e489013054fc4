//! R9 and R15 in scenarios: replicas that come back from their journals and snapshots.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used)]

mod cluster;

use cluster::{Cluster, save, signed::other_digest};
use pbft_message::*;
use pbft_protocol::Now;
use pbft_protocol::agreement::*;
use std::cell::Cell;
use std::rc::Rc;

/// One checkpoint interval.
fn order_four(cluster: &mut Cluster) {
    for number in 0..4 {
        cluster.submit(0, &format!("{number}")).unwrap();
        cluster.run(10);
    }
    cluster.run(20);
}

#[test]
fn r15_a_restarted_backup_keeps_its_view_and_votes_and_loses_nothing() {
    let mut cluster = Cluster::new(4);
    for number in 0..10 {
        cluster.submit(0, &format!("{number}")).unwrap();
        cluster.run(10);
    }
    cluster.crash(3);
    cluster.submit(0, "while away").unwrap();
    cluster.run(10);
    cluster.restart(3);
    cluster.run_until(1_000, |cluster| cluster.served(3) == 11);
    assert_eq!(cluster.replica(3).view(), View(0));
    // With another replica down its vote is needed again.
    cluster.crash(2);
    cluster.submit(0, "needs its vote").unwrap();
    cluster.run(50);
    assert_eq!(cluster.served(3), 12);
}

#[test]
fn r15_a_restarted_primary_casts_no_vote_in_its_old_view_and_leaves_it_first() {
    let mut cluster = Cluster::new(4);
    cluster.submit(0, "before").unwrap();
    cluster.run(20);
    cluster.crash(0);
    cluster.sent.clear();
    cluster.restart(0);
    cluster.submit_to_all("after");
    cluster.run_until(2_000, |cluster| cluster.all_served(2));
    let in_old_view = |message: &Message| match message {
        Message::PrePrepare { header, .. } => header.view == View(0),
        Message::Commit(commit) => commit.view == View(0) && commit.sequence > SequenceNumber(1),
        _ => false,
    };
    assert!(!cluster.sent.iter().any(|(from, _, message)| *from == 0 && in_old_view(message)));
    assert!(cluster.alive().into_iter().all(|id| cluster.replica(id).view() == View(1)));
    assert!((0..4).all(|id| cluster.evidence(id).is_empty()), "an honest restart accuses nobody");
}

/// The executor tells that one snapshot is durable, and that the next one is begun, in one breath.
#[test]
fn r09_the_journal_begins_with_no_base_whose_snapshot_is_not_durable() {
    let mut cluster = Cluster::new(4);
    order_four(&mut cluster);
    cluster.with_replica(3, |replica, now| replica.handle_snapshot_started(now, SequenceNumber(4)));
    let at_four = cluster.nodes[3].executor.clone();
    order_four(&mut cluster);
    cluster.with_replica(3, |replica, now| {
        replica.handle_snapshot(now, SequenceNumber(4));
        replica.handle_snapshot_started(now, SequenceNumber(8));
    });
    cluster.run(20);
    let committed = |cluster: &Cluster| -> Vec<u64> {
        let records = cluster.nodes[3].journal.iter();
        records
            .filter_map(|record| if let Record::Committed(certificate) = record { Some(certificate.sequence.0) } else { None })
            .collect()
    };
    assert_eq!(committed(&cluster), [5, 6, 7, 8], "what the snapshot at 4 lacks is there, and nothing else");
    // The snapshot at 8 is not: it comes back at 4, alone, with all that it acknowledged.
    cluster.isolate(3, true);
    cluster.crash(3);
    cluster.restart_from(3, at_four);
    cluster.run(50);
    assert_eq!(cluster.served(3), 8);
    cluster.isolate(3, false);
    cluster.with_replica(3, |replica, now| replica.handle_snapshot_started(now, SequenceNumber(8)));
    // One that is durable, but not beside the newest base.
    cluster.with_replica(3, |replica, now| replica.handle_snapshot(now, SequenceNumber(4)));
    cluster.run(20);
    assert!(committed(&cluster).contains(&5));
    cluster.with_replica(3, |replica, now| replica.handle_snapshot(now, SequenceNumber(8)));
    cluster.run(20);
    assert!(!committed(&cluster).contains(&8));
}

/// Its own new-view may be in the part of the journal that goes, and not be sent yet.
#[test]
fn r09_the_journal_begins_anew_with_the_new_view_that_a_primary_is_about_to_send() {
    let mut cluster = Cluster::new(4);
    order_four(&mut cluster);
    cluster.crash(0);
    let remembers = |cluster: &Cluster| {
        let mut replica = cluster.replica(1).clone();
        let now = Now { monotonic: cluster.now, wall: 0 };
        replica.handle_snapshot_started(now, SequenceNumber(4));
        let (_, rest) = replica.poll_effects().split();
        let records = rest.base().unwrap_or_default();
        !replica.is_active() && records.iter().any(|record| matches!(record, Record::NewView(own) if own.view == View(1)))
    };
    cluster.run_until(3_000, remembers);
}

#[test]
fn r09_a_replay_that_gives_another_state_than_was_signed_halts() {
    let mut cluster = Cluster::new(4);
    // No checkpoint becomes stable: nobody certifies a state.
    cluster.lie = Box::new(|_, _, message| if matches!(message, Message::Checkpoint(_)) { vec![] } else { vec![message] });
    let mut other = cluster.nodes[3].executor.clone();
    other.state = other_digest();
    for number in 0..4 {
        cluster.submit(0, &format!("{number}")).unwrap();
        cluster.run(10);
    }
    cluster.crash(3);
    cluster.restart_from(3, other);
    cluster.run(50);
    assert_eq!(cluster.replica(3).halted(), Some(Alarm::ReplayDiffers(SequenceNumber(4))));
}

#[test]
fn r15_when_all_restart_at_once_nothing_that_was_executed_is_lost() {
    for n in [4, 7] {
        let mut cluster = Cluster::new(n);
        for number in 0..10 {
            cluster.submit(0, &format!("{number}")).unwrap();
            cluster.run(10);
        }
        let executed = cluster.nodes[1].executor.executed.clone();
        for id in cluster.alive() {
            cluster.crash(id);
        }
        for id in 0..u32::try_from(n).unwrap() {
            cluster.restart(id);
        }
        cluster.submit_to_all("after");
        cluster.run_until(5_000, |cluster| cluster.all_served(11));
        assert!(cluster.nodes[1].executor.executed.starts_with(&executed));
        assert!(cluster.alive().iter().all(|id| cluster.evidence(*id).is_empty()), "n = {n}");
    }
}

#[test]
fn r15_a_replica_killed_between_a_certificate_and_its_body_fetches_the_body_after_the_restart() {
    let mut cluster = Cluster::new(4);
    // Replica 3 gets votes only, and no body by any way.
    cluster.lie = Box::new(|_, to, message| match &message {
        Message::PrePrepare { .. } | Message::Body(_) | Message::Committed { .. } if to == 3 => vec![],
        _ => vec![message],
    });
    cluster.submit(0, "a").unwrap();
    cluster.run(30);
    assert!(cluster.nodes[3].journal.iter().any(|record| matches!(record, Record::Committed(_))));
    cluster.crash(3);
    cluster.restart(3);
    cluster.lie = Box::new(|_, _, message| vec![message]);
    cluster.run_until(300, |cluster| cluster.served(3) == 1);
}

#[test]
fn r15_what_was_executed_is_replayed_without_help_though_its_first_body_came_late() {
    let mut cluster = Cluster::with(4, Parameters { checkpoint_interval: 4, log_window: 8, ..Parameters::default() });
    let late = Rc::new(Cell::new(false));
    let open = late.clone();
    // Replica 3 learns what is committed, but not the first body, nor a checkpoint above 8, before it is late.
    cluster.lie = Box::new(move |_, to, message| match &message {
        Message::PrePrepare { header, .. } if to == 3 && header.sequence.0 == 1 => vec![],
        Message::Body(_) | Message::Committed { .. } | Message::Stable(_) if to == 3 && !open.get() => vec![],
        Message::Checkpoint(checkpoint) if to == 3 && checkpoint.sequence.0 > 8 && !open.get() => vec![],
        _ => vec![message],
    });
    for number in 0..16 {
        cluster.submit(0, &format!("{number}")).unwrap();
        cluster.run(6);
    }
    let committed = |cluster: &Cluster| cluster.nodes[3].journal.iter().filter(|r| matches!(r, Record::Committed(_))).count();
    assert_eq!((committed(&cluster), cluster.served(3)), (16, 0), "{}", cluster.describe());
    let first = cluster.sent.iter().find_map(|(_, _, message)| match message {
        Message::PrePrepare { header, body } if header.sequence.0 == 1 => Some(body.clone()),
        _ => None,
    });
    cluster.inject(0, 3, Message::Body(first.unwrap()));
    cluster.run(10);
    assert_eq!((cluster.served(3), cluster.replica(3).low_watermark().0), (16, 8), "{}", cluster.describe());
    late.set(true);
    cluster.run_until(2_000, |cluster| cluster.replica(3).low_watermark().0 == 16);
    assert_eq!(cluster.transfers, [], "it has executed all itself");
    cluster.run(5);
    cluster.crash(3);
    cluster.isolate(3, true);
    cluster.restart(3);
    cluster.run(5);
    assert_eq!(cluster.served(3), 16);
}

#[test]
fn r09_a_replica_that_stopped_voting_does_not_vote_again_after_a_restart() {
    let mut cluster = Cluster::new(4);
    cluster.nodes[3].executor.state = pbft_crypto::Digest::of("corrupt", &[]);
    for number in 0..4 {
        cluster.submit(0, &format!("{number}")).unwrap();
        cluster.run(10);
    }
    cluster.run(50);
    assert!(cluster.replica(3).halted().is_some());
    cluster.crash(3);
    cluster.restart(3);
    assert_eq!(cluster.replica(3).halted(), Some(Alarm::Diverged(SequenceNumber(4))));
}

#[test]
fn r15_a_replica_killed_while_it_wants_a_view_still_wants_it_with_the_same_bytes() {
    let mut cluster = Cluster::new(4);
    cluster.lie = Box::new(|_, _, message| if matches!(message, Message::NewView(_)) { vec![] } else { vec![message] });
    cluster.crash(0);
    cluster.run_until(2_000, |cluster| cluster.replica(2).view() == View(1));
    cluster.run(5);
    let wanted = |cluster: &Cluster| {
        cluster.nodes[2].journal.iter().rev().find_map(|record| match record {
            Record::ViewChange(change) => Some(change.clone()),
            _ => None,
        })
    };
    let before = wanted(&cluster).unwrap();
    cluster.crash(2);
    cluster.sent.clear();
    cluster.restart(2);
    // Until its witnesses are heard.
    cluster.run(200);
    let again = cluster.sent.iter().find_map(|(from, _, message)| match message {
        Message::ViewChange(change) if *from == 2 => Some(change.clone()),
        _ => None,
    });
    assert_eq!(again, Some(before));
}

#[test]
fn r15_kill_and_restart_at_random_under_load_contradicts_nothing() {
    for seed in 0..6_u32 {
        let mut cluster = Cluster::new(4);
        let mut random = seed.wrapping_mul(747_796_405).wrapping_add(1);
        let mut next = move || {
            random ^= random << 13;
            random ^= random >> 17;
            random ^= random << 5;
            random
        };
        for number in 0..60 {
            cluster.submit_to_all(&format!("{number}"));
            cluster.run(u64::from(next() % 40));
            let victim = next() % 4;
            if next() % 4 == 0 && cluster.alive().len() == 4 {
                cluster.crash(victim);
                cluster.run(u64::from(next() % 800));
                cluster.restart(victim);
            }
        }
        cluster.run_until(30_000, |cluster| cluster.all_served(60));
        assert!(cluster.alive().iter().all(|id| cluster.evidence(*id).is_empty()), "seed {seed}: an honest replica is accused");
        assert!(cluster.alive().iter().all(|id| cluster.replica(*id).halted().is_none()), "seed {seed}");
    }
}

#[test]
fn r09_a_journal_that_began_anew_at_a_snapshot_restores_the_same_replica() {
    let mut cluster = Cluster::new(4);
    for number in 0..7 {
        cluster.submit(0, &format!("{number}")).unwrap();
        cluster.run(10);
    }
    let long = cluster.nodes[2].journal.len();
    // The scenario's executor has no snapshots: the one at genesis keeps all that was executed in the journal.
    cluster.with_replica(2, |replica, now| save(replica, now, SequenceNumber(0)));
    cluster.run(5);
    assert!(cluster.nodes[2].journal.len() < long);
    cluster.crash(2);
    cluster.restart(2);
    cluster.run_until(1_000, |cluster| cluster.served(2) == 7 && cluster.replica(2).silence().is_none());
    cluster.crash(3);
    cluster.submit(0, "needs its vote").unwrap();
    cluster.run(50);
    assert_eq!(cluster.served(2), 8);
}

#[test]
fn r15_votes_that_reached_nobody_are_sent_again_after_a_restart() {
    for lost in ["prepare", "commit"] {
        let mut cluster = Cluster::new(4);
        cluster.lie = Box::new(move |_, _, message| if message.name() == lost { vec![] } else { vec![message] });
        cluster.submit(0, "a").unwrap();
        cluster.run(20);
        for id in 1..4 {
            cluster.crash(id);
            cluster.restart(id);
        }
        cluster.lie = Box::new(|_, _, message| vec![message]);
        cluster.run_until(450, |cluster| cluster.all_served(1));
        assert_eq!(cluster.views(), [0, 0, 0, 0], "{lost}");
    }
}

/// What its next journal would begin with.
fn base(cluster: &mut Cluster, id: u32, snapshot: u64) -> Vec<Record> {
    let mut replica = cluster.replica(id).clone();
    replica.handle_snapshot_started(Now { monotonic: cluster.now, wall: 0 }, SequenceNumber(snapshot));
    let (_, rest) = replica.poll_effects().split();
    rest.base().unwrap().to_vec()
}

#[test]
fn r09_a_journal_begins_with_all_that_was_promised_also_before_a_restart() {
    let mut cluster = Cluster::new(4);
    // A checkpoint that is signed and not stable, and a view that is wanted and not entered.
    cluster.lie = Box::new(|_, _, message| match message {
        Message::Checkpoint(_) | Message::NewView(_) => vec![],
        _ => vec![message],
    });
    order_four(&mut cluster);
    cluster.crash(0);
    cluster.run_until(2_000, |cluster| cluster.replica(2).view() == View(1));
    cluster.run(5);
    for _ in 0..2 {
        let base = base(&mut cluster, 2, 0);
        let count = |is: fn(&Record) -> bool| base.iter().filter(|record| is(record)).count();
        assert_eq!(count(|record| matches!(record, Record::Checkpoint(own) if own.sequence == SequenceNumber(4))), 1);
        assert_eq!(count(|record| matches!(record, Record::ViewChange(own) if own.view == View(1))), 1);
        assert_eq!(count(|record| matches!(record, Record::Prepared(_))), 4);
        assert_eq!(count(|record| matches!(record, Record::Prepare(_))), 4);
        assert_eq!(count(|record| matches!(record, Record::Commit(_))), 4);
        assert_eq!(count(|record| matches!(record, Record::Body(_))), 4);
        cluster.crash(2);
        cluster.restart(2);
    }
}

#[test]
fn r09_a_journal_that_cannot_begin_anew_raises_one_alarm() {
    let mut cluster = Cluster::new(4);
    for _ in 0..8 {
        order_four(&mut cluster);
    }
    let alarms = |cluster: &Cluster| cluster.told(3, |event| matches!(event, Event::Alarm(Alarm::NoBase(_))));
    let mut begin = |sequence| {
        cluster.with_replica(3, |replica, now| replica.handle_snapshot_started(now, SequenceNumber(sequence)));
        alarms(&cluster)
    };
    // Nobody can replay from a snapshot that old; a good one in between begins the count anew.
    assert_eq!([4, 4, 32, 4, 4, 4, 4].map(&mut begin), [0, 0, 0, 0, 0, 1, 1]);
}

#[test]
fn r09_a_primary_that_restarts_signs_the_checkpoint_that_it_came_to_before_it_voted() {
    let mut cluster = Cluster::new(4);
    cluster.crash(3);
    cluster.nodes[0].executor.stalled = true;
    for number in 0..4 {
        cluster.submit(0, &format!("{number}")).unwrap();
        cluster.run(10);
    }
    assert_eq!((cluster.served(0), cluster.served(1)), (0, 4));
    cluster.crash(0);
    cluster.restart(0);
    let stable = |cluster: &Cluster| [0, 1, 2].iter().all(|id| cluster.replica(*id).low_watermark() == SequenceNumber(4));
    cluster.run_until(3_000, stable);
}
