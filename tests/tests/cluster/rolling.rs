//! Replicas restarted one after the other while clients work: for an upgrade, or because a host is.

use crate::{OBSERVER, all_is_well, replica};
use pbft_tests::{Load, Network, Plan, pbft, pbftd_with_fail_points};
use serde_json::Value;
use std::io;
use std::process::Output;
use tokio::task::JoinHandle;

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_costs_nobody_a_timeout() {
    let mut network = Network::started(&Plan::of(4)).await;
    let observer = network.client(OBSERVER);
    let mut load = Load::start(&network, 31);
    load.goes_on(50).await;
    for id in network.ids() {
        assert_eq!(network.drain(id), Some(0));
        let log = network.log(id);
        assert!(log.contains("the primary hands over before it stops"), "replica {id} was primary in its turn: {log}");
        nobody_waited_for_a_timer(&log);
        load.goes_on(30).await;
        network.comes_back(&observer, id).await;
        load.goes_on(30).await;
    }
    let history = load.finish().await;
    all_is_well(&network, &observer, history).await;
    network.ids().into_iter().for_each(|id| nobody_waited_for_a_timer(&network.log(id)));
}

fn nobody_waited_for_a_timer(log: &str) {
    for timer in ["the primary shows no life", "a request is not ordered in time", "the new primary sends no new-view"] {
        assert!(!log.contains(timer), "{log}");
    }
}

/// 200 operations a second from now on, none of them tried again by the caller.
fn steady_load(network: &Network, seconds: u32) -> JoinHandle<io::Result<Output>> {
    let mut bench = pbft();
    bench
        .args(["bench", "--rate", "200", "-o", "json", "--duration", &format!("{seconds}s"), "--home"])
        .arg(network.client_home(0));
    tokio::spawn(tokio::process::Command::from(bench).kill_on_drop(true).output())
}

/// Those under way at the end count with their age.
async fn no_error_and_no_long_wait(load: JoinHandle<io::Result<Output>>) {
    const LONGEST_MS: f64 = 2000.0;
    let output = load.await.unwrap().unwrap();
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["errors"], 0, "{found}");
    assert!(found["latency_ms"]["max"].as_f64().unwrap() < LONGEST_MS, "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_client_sees_an_error_or_waits_for_long_while_all_restart_in_turn() {
    let mut network = Network::started(&Plan::of(4)).await;
    let observer = network.client(OBSERVER);
    let load = steady_load(&network, 25);
    for id in network.ids() {
        assert_eq!(network.drain(id), Some(0));
        network.comes_back(&observer, id).await;
    }
    no_error_and_no_long_wait(load).await;
}

/// It is sent to those alone that know it, however far the upgrade has come.
#[tokio::test(flavor = "multi_thread")]
async fn no_client_sees_an_upgrade_to_a_build_that_knows_one_more_message() {
    const NOTES: &str = "pbft_messages_received_total{type=\"note\"}";
    pbftd_with_fail_points();
    let mut network = Network::started(&Plan::of(4)).await;
    let observer = network.client(OBSERVER);
    let load = steady_load(&network, 30);
    for id in network.ids() {
        assert_eq!(network.drain(id), Some(0));
        network.start_other_build(id);
        network
            .report_shows(&observer, id, "runs, upgraded", |report| report.version.ends_with("+fail-points").then_some(()))
            .await;
        network.readiness(id, 200, "ready").await;
        for other in network.ids() {
            assert_eq!(network.refused(&observer, other, "malformed_message").await, 0, "{other} after {id}");
            let hears = network.metrics(other).await.has(NOTES);
            assert!(other <= id || !hears, "replica {other}, which is not upgraded");
        }
    }
    for id in network.ids() {
        network.metrics_show(id, "hears the new message", |metrics| metrics.of(NOTES) > 0.0).await;
    }
    no_error_and_no_long_wait(load).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_without_a_quorum_stops_all_the_same() {
    let mut network = Network::started(&Plan::of(4)).await;
    let observer = network.client(OBSERVER);
    network.report_shows(&observer, replica(0), "runs, and heeds signals", |_| Some(())).await;
    network.kill(replica(2));
    network.kill(replica(3));
    assert_eq!(network.stop(replica(0)), Some(0), "nobody takes over, and it stops");
}
