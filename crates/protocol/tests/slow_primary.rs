//! R18 in scenarios: primaries that are slow or unfair inside the time-out, and correct ones that have their reasons.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used)]

mod cluster;

use cluster::{Cluster, MS};
use pbft_message::*;
use pbft_protocol::agreement::*;

/// Nobody has left view 0.
fn is_first_view(cluster: &Cluster) -> bool {
    cluster.alive().into_iter().all(|id| cluster.replica(id).view_change_count() == 0)
}

/// Why the backups left view 0: their own measurements, or those of others.
fn left_for_slowness(cluster: &Cluster) -> bool {
    let slow = |event: &Event| matches!(event, Event::ViewChange { view: View(1), reason: Reason::SlowPrimary });
    (1..4).filter(|id| cluster.told(*id, slow) == 1).count() >= cluster.genesis.weak_quorum()
}

/// A request of a client that sent it to the backups only.
fn ask_backups(cluster: &mut Cluster, client: u64) {
    let request = cluster.request(client, "unfavoured");
    for id in 1..4 {
        let _ = cluster.with_replica(id, |replica, now| replica.handle_request(now, request.clone()));
    }
}

#[test]
fn r18_a_primary_that_holds_its_proposals_within_the_timeout_is_replaced() {
    for held in [80, 150, 350] {
        let mut cluster = Cluster::new(4);
        let holds = move |from, message: &Message| from == 0 && matches!(message, Message::PrePrepare { .. });
        cluster.delay = Box::new(move |from, _, message| if holds(from, message) { MS * held } else { MS });
        let mut asked = 0;
        while is_first_view(&cluster) {
            asked += 1;
            assert!(asked < 30, "{held} ms: {}", cluster.describe());
            cluster.submit_to_all(&format!("{asked}"));
            cluster.run(400);
        }
        cluster.run(1_000);
        assert!(left_for_slowness(&cluster), "{held} ms: {:?}", cluster.events);
        assert!(cluster.all_served(asked), "{held} ms: {}", cluster.describe());

        // The next one does not pay for it: a single pause costs it nothing.
        let holds = move |from, message: &Message| from == 1 && matches!(message, Message::PrePrepare { .. });
        cluster.delay = Box::new(move |from, _, message| if holds(from, message) { MS * held } else { MS });
        cluster.submit_to_all("once");
        cluster.run(400);
        cluster.delay = Box::new(|_, _, _| MS);
        cluster.submit_to_all("and on");
        cluster.run(400);
        assert!(cluster.alive().into_iter().all(|id| cluster.replica(id).view() == View(1)), "{held} ms: {}", cluster.describe());
    }
}

#[test]
fn r18_a_primary_that_lets_one_client_wait_while_it_serves_another_is_replaced() {
    // The backups know of the favoured client's requests too, or do not; batches have room for another one, or are full; the
    // favoured client waits as well, or does not.
    for (known, batch_requests, burst) in [(false, 100, 4), (true, 100, 4), (false, 4, 12), (true, 4, 26)] {
        let pipeline = if batch_requests > burst { Limits::default().pipeline } else { 1 };
        let limits = Limits { batch_requests, pipeline, ..Limits::default() };
        let parameters = Parameters { checkpoint_interval: 64, log_window: 256, ..Parameters::default() };
        let mut cluster = Cluster::with_limits(4, parameters, limits);
        // The primary looks at what it gets from others only after a while.
        cluster.delay = Box::new(|_, to, message| if to == 0 && matches!(message, Message::Request(_)) { MS * 200 } else { MS });
        for _ in 0..20 {
            ask_backups(&mut cluster, 1);
            for _ in 0..10 {
                for _ in 0..burst {
                    let request = cluster.request(0, "favoured");
                    for id in if known { 0..4 } else { 0..1 } {
                        let _ = cluster.with_replica(id, |replica, now| replica.handle_request(now, request.clone()));
                    }
                }
                cluster.run(25);
            }
        }
        assert!(left_for_slowness(&cluster), "{known}, {batch_requests}, {burst}: {:?}", cluster.events);
    }
}

/// The patience doubles with the time-out: what is slow for every primary changes no views for ever.
#[test]
fn r18_who_is_no_slower_than_the_primary_before_it_keeps_its_view() {
    // A checkpoint without a view change would halve the time-out again.
    let mut cluster = Cluster::with(4, Parameters::default());
    cluster.delay = Box::new(|_, _, message| if matches!(message, Message::PrePrepare { .. }) { MS * 80 } else { MS });
    for number in 0..100 {
        cluster.submit_to_all(&format!("{number}"));
        cluster.run(400);
    }
    assert!(cluster.all_served(100), "{}", cluster.describe());
    let views: Vec<u64> = (0..4).map(|id| cluster.replica(id).view().0).collect();
    assert!(views.iter().all(|view| (1..=3).contains(view)), "{views:?}");
}

/// What only backups know of is no reason to leave a primary that has no room for it.
#[test]
fn r18_a_client_that_floods_and_sends_some_requests_to_backups_only_costs_no_primary_its_view() {
    let parameters = Parameters { requests_in_flight: 4, checkpoint_interval: 64, log_window: 256, ..Parameters::default() };
    let mut cluster = Cluster::with(4, parameters);
    for _ in 0..100 {
        ask_backups(&mut cluster, 0);
        for _ in 0..4 {
            let request = cluster.request(0, "in the way");
            let _ = cluster.with_replica(0, |replica, now| replica.handle_request(now, request));
        }
        cluster.run(40);
    }
    assert!(is_first_view(&cluster), "{:?}", cluster.events);
}

#[test]
fn r18_a_pause_now_and_then_is_no_habit() {
    let mut cluster = Cluster::new(4);
    for round in 0..40 {
        let held = if round % 3 == 0 { 300 } else { 1 };
        cluster.delay = Box::new(move |from, _, _| if from == 0 { MS * held } else { MS });
        cluster.submit_to_all(&format!("{round}"));
        cluster.run(400);
    }
    assert!(cluster.all_served(40));
    assert!(is_first_view(&cluster), "{}", cluster.describe());
}

#[test]
fn r18_a_network_that_is_slow_for_all_is_not_the_primarys_fault() {
    let mut cluster = Cluster::new(4);
    cluster.delay = Box::new(|_, _, _| MS * 60);
    for number in 0..200 {
        cluster.submit_to_all(&format!("{number}"));
        cluster.run(20);
    }
    cluster.run(1_000);
    assert!(cluster.all_served(200));
    assert!(is_first_view(&cluster), "{}", cluster.describe());
}

#[test]
fn r18_requests_that_wait_for_others_before_them_are_not_the_primarys_fault() {
    let limits = Limits { batch_requests: 2, ..Limits::default() };
    let mut cluster =
        Cluster::with_limits(4, Parameters { checkpoint_interval: 64, log_window: 256, ..Parameters::default() }, limits);
    cluster.delay = Box::new(|_, _, _| MS * 5);
    for _ in 0..30 {
        for client in 0..2 {
            for _ in 0..10 {
                let request = cluster.request(client, "one of many");
                for id in 0..4 {
                    let _ = cluster.with_replica(id, |replica, now| replica.handle_request(now, request.clone()));
                }
            }
        }
        cluster.run(100);
    }
    cluster.run(3_000);
    assert!(cluster.all_served(600), "{}", cluster.describe());
    assert!(is_first_view(&cluster), "{:?}", cluster.events);
}
