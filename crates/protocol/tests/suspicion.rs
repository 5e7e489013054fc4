//! R10: who suspects the primary, who does not, and who follows.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used)]

mod cluster;

use cluster::Cluster;
use pbft_message::*;

#[test]
fn r10_heartbeats_of_another_do_not_keep_a_silent_primary() {
    let mut cluster = Cluster::new(4);
    cluster.crash(0);
    for counter in 1..150 {
        for to in [1, 3] {
            cluster.inject(2, to, Message::Heartbeat { view: View(0), counter });
        }
        cluster.run(10);
    }
    assert_eq!(cluster.views(), [1, 1, 1]);
}

#[test]
fn r10_one_replica_that_cannot_hear_the_primary_changes_no_view() {
    let mut cluster = Cluster::new(4);
    cluster.cut.insert((0, 3));
    for number in 0..20 {
        cluster.submit_to_all(&format!("{number}"));
        cluster.run(200);
    }
    assert_eq!(cluster.views(), [0, 0, 0, 0], "{}", cluster.describe());
    assert!(cluster.all_served(20));
}

#[test]
fn r10_one_liar_that_claims_to_be_far_ahead_delays_no_suspicion() {
    let replaced = |lies: bool| {
        let mut cluster = Cluster::new(4);
        cluster.lie = Box::new(move |from, _, message| match message {
            Message::Status(status) if lies && from == 3 => {
                vec![Message::Status(Status { low_watermark: SequenceNumber(1 << 40), ..status })]
            }
            other => vec![other],
        });
        cluster.submit_to_all("before");
        // Long enough for everybody to tell everybody where they stand.
        cluster.run(3_000);
        cluster.crash(0);
        cluster.run_until(5_000, |cluster| [1, 2].iter().all(|id| cluster.replica(*id).view() == View(1)));
        cluster.now
    };
    assert_eq!(replaced(true), replaced(false));
}

#[test]
fn r10_a_replica_that_fetches_a_state_catches_up_before_it_suspects() {
    let mut cluster = Cluster::new(4);
    cluster.nodes[3].executor.stalled = true;
    cluster.isolate(3, true);
    let old = cluster.request(1, "old");
    let ask = |cluster: &mut Cluster, id| cluster.with_replica(id, |replica, now| replica.handle_request(now, old.clone()));
    for id in 0..3 {
        ask(&mut cluster, id).unwrap().unwrap();
    }
    for number in 0..40 {
        cluster.submit(0, &format!("{number}")).unwrap();
        cluster.run(4);
    }
    cluster.isolate(3, false);
    cluster.run_until(3_000, |cluster| !cluster.transfers.is_empty());
    ask(&mut cluster, 3).unwrap().unwrap();
    // The time-out is 500 ms.
    cluster.run(900);
    let suspects =
        cluster.sent.iter().filter(|(from, _, message)| *from == 3 && matches!(message, Message::Suspect { .. })).count();
    assert_eq!(suspects, 0, "{}", cluster.describe());
    // But not for ever: a state that nobody serves is no excuse.
    cluster.run_until(2_000, |cluster| {
        cluster.sent.iter().any(|(from, _, message)| *from == 3 && matches!(message, Message::Suspect { .. }))
    });
}

#[test]
fn r10_who_is_behind_catches_up_before_it_suspects() {
    let mut cluster = Cluster::new(4);
    // Replica 3 hears of the others' checkpoint, and of nothing that was ordered.
    cluster.lie =
        Box::new(|_, to, message| if to != 3 || matches!(message.name(), "status" | "heartbeat") { vec![message] } else { vec![] });
    for number in 0..4 {
        cluster.submit(0, &format!("{number}")).unwrap();
        cluster.run(10);
    }
    cluster.run(100);
    cluster.submit(3, "b").unwrap();
    cluster.run(800);
    assert_eq!((cluster.served(1), cluster.replica(3).progress().suspicion), (5, None), "{}", cluster.describe());
    cluster.run(400);
    assert!(cluster.replica(3).progress().suspicion.is_some(), "once a view only");
}

/// Replicas 1 and 2 do not hear the primary. Replica 3 does, hears no suspicion of these, and no view-change of those.
fn left_behind(unsuspected: &'static [u32], unchanged: &'static [u32]) -> Cluster {
    let mut cluster = Cluster::new(4);
    cluster.cut.extend([(0, 1), (0, 2)]);
    cluster.lie = Box::new(move |from, to, message| match &message {
        Message::Suspect { .. } if to == 3 && unsuspected.contains(&from) => vec![],
        Message::ViewChange(_) if to == 3 && unchanged.contains(&from) => vec![],
        _ => vec![message],
    });
    cluster.run_until(1_000, |cluster| [1, 2].iter().all(|id| cluster.replica(*id).view() == View(1)));
    cluster.run(5);
    cluster
}

#[test]
fn r10_two_that_want_a_higher_view_take_along_who_heard_no_suspicion() {
    assert_eq!(left_behind(&[0, 1, 2], &[0]).views(), [1, 1, 1, 1]);
}

#[test]
fn r10_a_suspicion_of_one_and_a_view_change_of_another_are_a_weak_quorum() {
    assert_eq!(left_behind(&[0, 2], &[0, 1]).views(), [1, 1, 1, 1]);
}

#[test]
fn r10_a_primary_that_nobody_answers_suspects_not_itself() {
    let mut cluster = Cluster::new(4);
    cluster.cut.extend([(1, 0), (2, 0), (3, 0)]);
    cluster.submit(0, "a").unwrap();
    cluster.run(2_000);
    assert_eq!((cluster.served(0), cluster.replica(0).progress().suspicion), (0, None));
    assert!(!cluster.sent.iter().any(|(from, _, message)| *from == 0 && matches!(message, Message::Suspect { .. })));
}
