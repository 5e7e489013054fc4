use crate::{OBSERVER, all_is_well, replica};
use pbft_client::Client;
use pbft_message::ReplicaReport;
use pbft_services::kv::{Expected, Operation};
use pbft_tests::{Load, Network, Plan};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_backup_is_not_missed_and_catches_up() {
    let mut network = Network::started(&Plan::of(4)).await;
    let observer = network.client(OBSERVER);
    let mut load = Load::start(&network, 21);
    load.goes_on(50).await;
    network.pause(replica(3));
    load.goes_on(300).await;
    network.resume(replica(3));
    load.goes_on(50).await;
    let history = load.finish().await;
    all_is_well(&network, &observer, history).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_primary_is_replaced_and_comes_back_as_a_backup() {
    let mut network = Network::started(&Plan::of(4)).await;
    let observer = network.client(OBSERVER);
    let mut load = Load::start(&network, 22);
    load.goes_on(50).await;
    let view = network.reports(&observer).await.values().map(|report| report.view).max().unwrap();
    let primary = network.genesis.primary(view);
    network.pause(primary);
    load.goes_on(200).await;
    network.resume(primary);
    let look = |report: &ReplicaReport| (report.active && report.view > view).then_some(());
    network.report_shows(&observer, primary, "entered the others' view", look).await;
    load.goes_on(50).await;
    let history = load.finish().await;
    all_is_well(&network, &observer, history).await;
}

/// A client that takes no part in the load.
const FILLER: usize = 3;

/// Sends much more than the paused replica's peers may hold for it. None of it changes anything: it asks for what never is.
async fn fill(client: Client) {
    for number in 0_u64.. {
        let value = number.to_le_bytes().repeat(8 << 10);
        let swap = Operation::compare_and_swap("filling", Expected::ModRevision(u64::MAX), value);
        client.request(vec![swap.encode()]).await.unwrap();
    }
}

/// What a connection to a peer that reads nothing may hold stays bounded (R19), and nobody waits for it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes over a minute"]
async fn r19_a_replica_paused_for_a_minute_under_load_costs_the_others_nothing_and_catches_up() {
    let mut network = Network::started(&Plan::of(4)).await;
    let observer = network.client(OBSERVER);
    let mut load = Load::start(&network, 23);
    load.goes_on(500).await;
    let before: Vec<u64> = (0..3).map(|id| network.memory(replica(id))).collect();
    network.pause(replica(3));
    let filling = tokio::spawn(fill(network.client(FILLER)));
    let (paused_at, mut answered, mut longest) = (Instant::now(), 0, Duration::ZERO);
    while paused_at.elapsed() < Duration::from_secs(60) {
        let began = Instant::now();
        load.goes_on(10).await;
        answered += 10;
        longest = longest.max(began.elapsed());
    }
    filling.abort();
    let after: Vec<u64> = (0..3).map(|id| network.memory(replica(id))).collect();
    println!(
        "{answered} requests in {:?}, ten of them in at most {longest:?}; memory before {before:?}, after {after:?}",
        paused_at.elapsed()
    );
    assert!(longest < Duration::from_secs(5), "the others stood still for {longest:?}");
    assert!(before.iter().zip(&after).all(|(before, after)| *after < before + (256 << 20)), "{before:?} {after:?}");
    network.resume(replica(3));
    load.goes_on(100).await;
    let history = load.finish().await;
    all_is_well(&network, &observer, history).await;
}
