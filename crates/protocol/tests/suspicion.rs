//! R10: who suspects the primary, who does not, and who follows.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used)]

mod cluster;

use cluster::{Cluster, MS, signed};
use pbft_message::*;
use pbft_protocol::agreement::*;

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

/// Replica 3 hears of the others' checkpoint, and of nothing that was ordered.
fn behind() -> Cluster {
    let mut cluster = Cluster::new(4);
    cluster.lie =
        Box::new(|_, to, message| if to != 3 || matches!(message.name(), "status" | "heartbeat") { vec![message] } else { vec![] });
    for number in 0..4 {
        cluster.submit(0, &format!("{number}")).unwrap();
        cluster.run(10);
    }
    cluster.run(100);
    cluster
}

#[test]
fn r10_who_is_behind_catches_up_before_it_suspects() {
    let mut cluster = behind();
    cluster.submit(3, "b").unwrap();
    cluster.run(800);
    assert_eq!((cluster.served(1), cluster.replica(3).progress().suspicion), (5, None), "{}", cluster.describe());
    cluster.run(400);
    assert!(cluster.replica(3).progress().suspicion.is_some(), "once a view only");
}

#[test]
fn r10_who_is_behind_suspects_a_dead_primary_once_it_has_had_its_time_to_catch_up() {
    let mut cluster = behind();
    // It waits for no request: only the primary's heartbeats are missing.
    cluster.crash(0);
    cluster.run(800);
    assert_eq!((cluster.replica(3).view(), cluster.replica(3).progress().suspicion), (View(0), None));
    cluster.run(400);
    assert!(cluster.replica(3).progress().suspicion.is_some(), "{}", cluster.describe());
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

#[test]
fn r10_the_timeout_doubles_with_each_view_and_halves_with_each_quiet_checkpoint() {
    let mut cluster = Cluster::new(4);
    cluster.lie = Box::new(|_, _, message| if matches!(message, Message::NewView(_)) { vec![] } else { vec![message] });
    cluster.crash(0);
    let timeout = |cluster: &Cluster| cluster.replica(1).progress().timeout.as_millis();
    let mut timeouts = vec![timeout(&cluster)];
    for view in 1..=6 {
        cluster.run_until(10_000, |cluster| cluster.replica(1).view() == View(view));
        timeouts.push(timeout(&cluster));
    }
    assert_eq!(timeouts, [500, 500, 1_000, 2_000, 4_000, 4_000, 4_000]);
    cluster.lie = Box::new(|_, _, message| vec![message]);
    cluster.submit_to_all("a");
    cluster.run_until(10_000, |cluster| cluster.all_served(1));
    let attempts = cluster.replica(1).view_change_count();
    let mut timeouts = vec![timeout(&cluster)];
    for checkpoint in 1..8 {
        cluster.submit_to_all("b");
        cluster.run_until(5_000, |cluster| cluster.replica(1).low_watermark() == SequenceNumber(4 * checkpoint));
        timeouts.push(timeout(&cluster));
    }
    assert_eq!(cluster.replica(1).view_change_count(), attempts);
    // The first checkpoint is not of a quiet view. However long it took, the second one halves the time-out.
    assert_eq!(timeouts, [4_000, 4_000, 2_000, 1_000, 500, 500, 500, 500]);
}

#[test]
fn r10_a_suspicion_is_repeated_while_it_lasts_and_withdrawn_when_it_ends() {
    let mut cluster = Cluster::new(4);
    cluster.cut.insert((0, 3));
    let suspicions = |cluster: &Cluster| {
        cluster.sent.iter().filter(|(from, to, message)| (*from, *to, message.name()) == (3, 1, "suspect")).count()
    };
    cluster.run_until(1_000, |cluster| suspicions(cluster) == 1);
    cluster.run_until(300, |cluster| suspicions(cluster) == 2);
    cluster.run_until(300, |cluster| suspicions(cluster) == 3);
    assert!(cluster.replica(3).progress().suspicion.is_some());
    cluster.cut.clear();
    cluster.run(500);
    assert_eq!((suspicions(&cluster), cluster.replica(3).progress().suspicion), (3, None));
    assert_eq!(cluster.views(), [0, 0, 0, 0]);
}

#[test]
fn r10_of_those_that_want_higher_views_the_weak_quorums_lowest_is_joined() {
    let mut cluster = Cluster::new(7);
    cluster.isolate(6, true);
    for (from, view) in [(1, 9), (2, 3), (3, 5)] {
        let change = signed::view_change(&cluster, view, vec![], from);
        cluster.inject(from, 6, Message::ViewChange(change));
        cluster.run(2);
    }
    assert_eq!(cluster.replica(6).view(), View(3), "three of seven, so one of them is correct");
}

#[test]
fn r10_a_primary_that_was_never_heard_is_left_too() {
    let mut cluster = Cluster::new(4);
    for id in 0..4 {
        cluster.crash(id);
    }
    for id in 1..4 {
        cluster.restart(id);
    }
    cluster.run_until(3_000, |cluster| cluster.views() == [1, 1, 1] && cluster.replica(1).is_active());
}

#[test]
fn r10_one_that_wants_ever_higher_views_keeps_nobody_waiting_in_the_one_that_it_should_open() {
    let mut cluster = Cluster::new(4);
    cluster.isolate(1, true);
    assert!(!cluster.hand_over(0), "it leads");
    for view in 2..8 {
        cluster.run(100);
        let change = signed::view_change(&cluster, view, vec![], 1);
        [0, 2, 3].into_iter().for_each(|to| cluster.inject(1, to, Message::ViewChange(change.clone())));
    }
    cluster.run(50);
    let entered = |id| (cluster.replica(id).view(), cluster.replica(id).is_active());
    assert_eq!([0, 2, 3].map(entered), [(View(2), true); 3], "{}", cluster.describe());
}

#[test]
fn r10_a_primary_that_leads_again_is_heard_though_it_counts_its_heartbeats_anew() {
    let mut cluster = Cluster::new(4);
    cluster.run(10_000);
    for primary in 0..4 {
        assert!(!cluster.hand_over(primary), "it leads");
        let next = View(u64::from(primary) + 1);
        cluster.run_until(500, |cluster| (0..4).all(|id| cluster.replica(id).view() == next && cluster.replica(id).is_active()));
        if primary == 0 {
            cluster.crash(0);
            cluster.restart(0);
            cluster.run(200);
        }
    }
    // Longer than the time-out, which has doubled with each view, and than it takes to count to where it was.
    cluster.run(12_000);
    assert_eq!(cluster.views(), [4; 4]);
}

/// Between an own vote and its durability it leaves the view.
#[test]
fn r10_who_has_left_a_view_commits_nothing_in_it() {
    let mut cluster = Cluster::new(4);
    cluster.isolate(3, true);
    let (digest, proposal) = signed::proposal(&mut cluster, 0, "a");
    // Its own prepare is the second one, and makes it prepared.
    let prepare = signed::prepare_message(&cluster, 0, digest, 1);
    cluster.inject(1, 3, prepare);
    cluster.run(2);
    cluster.inject(0, 3, proposal);
    for from in [1, 2] {
        cluster.inject(from, 3, Message::Suspect { view: View(0) });
    }
    cluster.run(5);
    assert_eq!((cluster.replica(3).view(), cluster.replica(3).is_active()), (View(1), false));
    let said = |name: &str| cluster.nodes[3].journal.iter().filter(|record| format!("{record:?}").starts_with(name)).count();
    assert_eq!((said("Prepare("), said("Commit("), said("ViewChange(")), (1, 0, 1));
}

/// Nor is a proposal accepted that waited for its time to come.
#[test]
fn r10_who_has_left_a_view_accepts_nothing_in_it() {
    let accepted = |leaves: bool| {
        let mut cluster = Cluster::new(4);
        cluster.isolate(3, true);
        let drift = cluster.config.timing.clock_drift + MS * 20;
        let batch = Batch::of_verified(cluster.wall() + u64::try_from(drift.as_micros()).unwrap(), vec![cluster.request(0, "a")]);
        let header = signed::header(&cluster, 0, signed::ONE, batch.digest());
        cluster.inject(0, 3, Message::PrePrepare { header, body: batch.bytes().clone() });
        cluster.run(2);
        for from in [1, 2].into_iter().filter(|_| leaves) {
            cluster.inject(from, 3, Message::Suspect { view: View(0) });
        }
        cluster.run(50);
        assert_eq!(cluster.replica(3).view(), View(u64::from(leaves)));
        cluster.nodes[3].journal.iter().any(|record| matches!(record, Record::Prepare(_) | Record::PrePrepare(_)))
    };
    assert_eq!((accepted(false), accepted(true)), (true, false));
}
