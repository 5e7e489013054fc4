//! R9: what a replica does with checkpoints, one by one.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used)]

mod cluster;

use cluster::{Cluster, signed::other_digest};
use pbft_crypto::Digest;
use pbft_message::*;
use pbft_protocol::agreement::*;

fn checkpoint(cluster: &Cluster, sequence: u64, digest: Digest, replica: u32) -> Message {
    let body = Checkpoint { sequence: SequenceNumber(sequence), digest, replica: ReplicaId(replica) };
    Message::Checkpoint(cluster.signer(u64::from(replica)).sign(body).into_inner())
}

/// What replica 3, which hears nobody else, says to a checkpoint.
fn told(cluster: &mut Cluster, message: Message, from: u32) -> Option<Rejection> {
    cluster.rejections.clear();
    cluster.inject(from, 3, message);
    cluster.run(2);
    cluster.rejections.iter().find(|(replica, _)| *replica == 3).map(|(_, rejection)| *rejection)
}

fn alone() -> Cluster {
    let mut cluster = Cluster::new(4);
    cluster.isolate(3, true);
    cluster
}

#[test]
fn r17_two_checkpoints_of_one_replica_raise_an_alarm() {
    let mut cluster = alone();
    let (one, other) = (Digest::of("one", &[]), other_digest());
    let [first, again] = [one, one].map(|digest| checkpoint(&cluster, 4, digest, 1));
    assert_eq!(told(&mut cluster, first, 1), None);
    assert_eq!(told(&mut cluster, again, 1), Some(Rejection::Duplicate));
    assert!(!cluster.events.iter().any(|(_, event)| matches!(event, Event::Alarm(_))));
    let second = checkpoint(&cluster, 4, other, 1);
    assert_eq!(told(&mut cluster, second, 1), Some(Rejection::ConflictingVote));
    let alarm = Event::Alarm(Alarm::TwoCheckpoints(SequenceNumber(4), ReplicaId(1)));
    assert_eq!(cluster.told(3, |event| *event == alarm), 1);
}

#[test]
fn r09_a_checkpoint_is_at_a_multiple_of_k_above_h() {
    let mut cluster = Cluster::new(4);
    for number in 0..4 {
        cluster.submit(0, &format!("{number}")).unwrap();
        cluster.run(10);
    }
    assert_eq!(cluster.replica(3).low_watermark(), SequenceNumber(4));
    cluster.isolate(3, true);
    for (sequence, answer) in [(4, Some(Rejection::Stale)), (6, Some(Rejection::OutsideWatermarks)), (8, None), (20, None)] {
        let message = checkpoint(&cluster, sequence, other_digest(), 1);
        assert_eq!(told(&mut cluster, message, 1), answer, "at {sequence}");
    }
}

#[test]
fn r09_a_weak_quorum_beyond_the_log_tells_a_replica_that_it_is_behind() {
    let mut cluster = alone();
    cluster.run(1_000);
    let asks = |cluster: &Cluster| cluster.sent.iter().any(|(from, _, message)| *from == 3 && message.name() == "status");
    cluster.cut.clear();
    cluster.cut.extend([(0, 3), (1, 3), (2, 3)]);
    cluster.sent.clear();
    let beyond = |cluster: &Cluster, sequence, replica| checkpoint(cluster, sequence, other_digest(), replica);
    // The status timer runs too: what is asked in the same millisecond is asked because of the checkpoints.
    cluster.run_until(1_000, asks);
    cluster.sent.clear();
    for (sequence, answer) in [(24, None), (24, Some(Rejection::Duplicate)), (20, Some(Rejection::Duplicate)), (28, None)] {
        let message = beyond(&cluster, sequence, 1);
        assert_eq!(told(&mut cluster, message, 1), answer, "at {sequence}");
    }
    assert!(!asks(&cluster), "one may lie");
    let message = beyond(&cluster, 20, 2);
    assert_eq!(told(&mut cluster, message, 2), None);
    assert!(asks(&cluster));
}

#[test]
fn r09_checkpoints_beyond_the_log_count_once_h_has_come_nearer() {
    let mut cluster = alone();
    for replica in [0, 1, 2] {
        let message = checkpoint(&cluster, 20, other_digest(), replica);
        assert_eq!(told(&mut cluster, message, replica), None);
    }
    assert_eq!(cluster.replica(3).low_watermark(), SequenceNumber(0));
    for replica in [0, 1, 2] {
        let message = checkpoint(&cluster, 4, other_digest(), replica);
        assert_eq!(told(&mut cluster, message, replica), None);
    }
    assert_eq!(cluster.replica(3).low_watermark(), SequenceNumber(20));
    let stable: Vec<u64> = cluster
        .events
        .iter()
        .filter_map(|(id, event)| match event {
            Event::StableCheckpoint { sequence } if *id == 3 => Some(sequence.0),
            _ => None,
        })
        .collect();
    assert_eq!(stable, [4, 20]);
}
