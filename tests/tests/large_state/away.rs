use crate::keys;
use crate::open_load::{OpenLoad, fill, peak};
use pbft_client::Client;
use pbft_message::{ReplicaId, ReplicaReport};
use pbft_tests::{Network, Plan};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// The client that asks where the replicas stand.
const OBSERVER: usize = 4;
const AWAY: ReplicaId = ReplicaId(3);
/// What it misses.
const MISSED: u64 = 1_000_000;
const CALM: Duration = Duration::from_secs(20);

/// A variable's number, or what it is without.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn a_replica_that_was_away_comes_back_while_the_cluster_serves() {
    let mut plan = Plan::of(4);
    plan.limits.transfer_bytes_per_second = setting("PBFT_TRANSFER_MB", 32) << 20;
    let mut network = Network::started(&plan).await;
    let clients: Vec<Client> = (0..OBSERVER).map(|number| network.client(number)).collect();
    let observer = network.client(OBSERVER);
    let began = Instant::now();
    fill(&clients, keys()).await;
    println!("filled with {} keys in {:.0?}", keys(), began.elapsed());

    let peak = peak(&clients, Duration::from_secs(10)).await;
    let rate = setting("PBFT_RATE", peak * 30 / 100);
    assert!(rate > 0, "a machine that serves nothing measures nothing");
    println!("peak {peak}/s, load {rate}/s, {} MB/s a replica", plan.limits.transfer_bytes_per_second >> 20);
    sleep(Duration::from_secs(5)).await;
    let load = OpenLoad::start(clients.clone(), rate);
    sleep(Duration::from_secs(5)).await;
    let normal = load.during("all four", sleep(CALM)).await;
    load.stop();

    network.kill(AWAY);
    let began = Instant::now();
    fill(&clients, setting("PBFT_MISSED", MISSED)).await;
    println!("missed {} operations in {:.0?}", setting("PBFT_MISSED", MISSED), began.elapsed());
    sleep(Duration::from_secs(5)).await;
    let load = OpenLoad::start(clients, rate);
    sleep(Duration::from_secs(5)).await;
    load.during("three", sleep(CALM)).await;

    let began = Instant::now();
    network.start_aside(AWAY);
    let meanwhile = load.during("while it comes back", is_even(&network, &observer)).await;
    println!("even again after {:.1} s", began.elapsed().as_secs_f64());
    load.during("all four again", sleep(CALM)).await;
    load.stop();
    let log = network.log(AWAY);
    log.lines().filter(|line| line.contains("state_") || line.contains("poisoned")).for_each(|line| println!("{line}"));
    for id in network.ids() {
        println!("replica {id}: {} MB resident", network.memory(id) >> 20);
    }
    network.agreed(&observer, &network.ids()).await;
    assert!(log.contains("state_installed"), "it came back by a state");
    assert_eq!(meanwhile.failed, 0, "{meanwhile:?}");
    assert!(meanwhile.answered_per_second >= 0.98 * meanwhile.sent_per_second, "the rate is kept: {meanwhile:?}");
    assert!(meanwhile.p99 < 2 * normal.p99, "p99 stays below twice normal: {normal:?}, {meanwhile:?}");
}

/// It has executed what another has, but for one log window.
async fn is_even(network: &Network, observer: &Client) {
    let deadline = Instant::now() + Duration::from_secs(600);
    loop {
        let reports = network.reports(observer).await;
        let executed = |id: ReplicaId| reports.get(&id).map(|report: &ReplicaReport| report.executed);
        if let (Some(here), Some(there)) = (executed(AWAY), executed(ReplicaId(1)))
            && there.above(here) < network.genesis.parameters.log_window
        {
            return;
        }
        assert!(Instant::now() < deadline, "it does not come back: {}", network.log(AWAY));
        sleep(Duration::from_millis(200)).await;
    }
}
