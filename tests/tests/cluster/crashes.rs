use crate::{OBSERVER, all_is_well, replica};
use pbft_tests::{Load, Network, Plan, Random, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn replicas_killed_at_random_under_load_lose_nothing() {
    let mut random = Random::of_test(11);
    let mut network = Network::started(&Plan::of(4)).await;
    let observer = network.client(OBSERVER);
    let mut load = Load::start(&network, 11);
    load.goes_on(50).await;
    for _ in 0..8 {
        let victim = replica(random.below(4) as u32);
        network.kill(victim);
        load.goes_on(random.below(100) as usize).await;
        // Back before the next one goes: f is 1.
        network.comes_back(&observer, victim).await;
        load.goes_on(random.below(40) as usize).await;
    }
    let history = load.finish().await;
    all_is_well(&network, &observer, history).await;
    network.nobody_contradicts_itself();
}

#[tokio::test(flavor = "multi_thread")]
async fn all_replicas_killed_at_once_lose_nothing() {
    let mut network = Network::started(&Plan::of(4)).await;
    let observer = network.client(OBSERVER);
    let mut load = Load::start(&network, 12);
    for _ in 0..3 {
        load.goes_on(120).await;
        for id in network.ids() {
            network.kill(id);
        }
        for id in network.ids() {
            network.start(id);
        }
    }
    load.goes_on(50).await;
    let history = load.finish().await;
    all_is_well(&network, &observer, history).await;
    network.nobody_contradicts_itself();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_primary_is_replaced_each_time() {
    let mut network = Network::started(&Plan::of(4)).await;
    let observer = network.client(OBSERVER);
    let mut load = Load::start(&network, 13);
    load.goes_on(30).await;
    for _ in 0..4 {
        let reports = network.reports(&observer).await;
        let view = reports.values().map(|report| report.view).max().unwrap();
        let primary = network.genesis.primary(view);
        network.kill(primary);
        load.goes_on(30).await;
        let survivor = network.ids().into_iter().find(|id| *id != primary).unwrap();
        network.report_shows(&observer, survivor, "a higher view", |report| (report.view > view).then_some(())).await;
        network.start(primary);
        network.report_shows(&observer, primary, "is back", |report| (report.active && report.view > view).then_some(())).await;
    }
    let history = load.finish().await;
    all_is_well(&network, &observer, history).await;
    network.nobody_contradicts_itself();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_journal_survives_kills_and_restarts_from_snapshots() {
    let mut random = Random::of_test(14);
    let mut network = Network::started(&Plan::of(4).with_short_log()).await;
    let observer = network.client(OBSERVER);
    let mut load = Load::start(&network, 14);
    load.goes_on(150).await;
    for _ in 0..5 {
        let victim = replica(random.below(4) as u32);
        let saved = async || network.log(victim).contains("saved a snapshot").then_some(());
        eventually("there is a snapshot to restart from", saved).await;
        network.kill(victim);
        network.comes_back(&observer, victim).await;
        load.goes_on(150).await;
    }
    let history = load.finish().await;
    all_is_well(&network, &observer, history).await;
    network.nobody_contradicts_itself();
}

/// Hours of a cluster's bad luck: each cycle one replica is killed under load and comes back. `PBFT_KILL_CYCLES` says how many.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a thousand kills take half an hour"]
async fn a_thousand_kills_under_load_lose_nothing() {
    let cycles = std::env::var("PBFT_KILL_CYCLES").ok().and_then(|cycles| cycles.parse().ok()).unwrap_or(1000);
    let mut random = Random::of_test(15);
    let mut network = Network::started(&Plan::of(4).with_short_log()).await;
    let observer = network.client(OBSERVER);
    let mut load = Load::start(&network, 15);
    for cycle in 0..cycles {
        let victim = replica(random.below(4) as u32);
        network.kill(victim);
        load.goes_on(random.below(10) as usize).await;
        network.comes_back(&observer, victim).await;
        load.goes_on(random.below(20) as usize).await;
        if cycle % 100 == 99 {
            println!("{} kills", cycle + 1);
            network.nobody_is_accused(&observer).await;
        }
    }
    let history = load.finish().await;
    all_is_well(&network, &observer, history).await;
    network.nobody_contradicts_itself();
}
