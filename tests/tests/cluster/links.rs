use crate::{OBSERVER, all_is_well, replica};
use pbft_message::{ReplicaReport, View};
use pbft_tests::{Fault, Links, Load, Network, Plan, Random, eventually};
use std::time::Duration;

async fn linked(seed: u64) -> Network {
    Network::started(&Plan::of(4).with_links(seed)).await
}

fn links(network: &Network) -> &Links {
    network.links.as_ref().expect("the plan has links")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partitioned_backup_heals_and_catches_up() {
    let network = linked(41).await;
    let observer = network.client(OBSERVER);
    let mut load = Load::start(&network, 41);
    load.goes_on(50).await;
    links(&network).isolate(replica(3));
    let look = async || network.reports(&observer).await.get(&replica(3))?.peers_up.is_empty().then_some(());
    eventually("the partitioned replica notices", look).await;
    load.goes_on(200).await;
    links(&network).heal();
    load.goes_on(50).await;
    let history = load.finish().await;
    all_is_well(&network, &observer, history).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partitioned_primary_is_replaced_and_heals() {
    let network = linked(42).await;
    let observer = network.client(OBSERVER);
    let mut load = Load::start(&network, 42);
    load.goes_on(50).await;
    let view = network.reports(&observer).await.values().map(|report| report.view).max().unwrap_or(View(0));
    let primary = network.genesis.primary(view);
    links(&network).isolate(primary);
    load.goes_on(100).await;
    links(&network).heal();
    let look = |report: &ReplicaReport| (report.active && report.view > view).then_some(());
    network.report_shows(&observer, primary, "entered the others' view", look).await;
    load.goes_on(50).await;
    let history = load.finish().await;
    all_is_well(&network, &observer, history).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_quorum_nothing_is_answered_and_after_healing_all_is() {
    let network = linked(43).await;
    let observer = network.client(OBSERVER);
    let mut load = Load::start(&network, 43);
    load.goes_on(50).await;
    links(&network).set_all(Fault { cut: true, ..Fault::default() });
    let refused =
        observer.request_with_timeout(vec![pbft_services::kv::Operation::get("x").encode()], Duration::from_secs(2)).await;
    let error = refused.expect_err("nobody can agree on anything");
    assert_eq!(error.name(), "OutcomeUnknown", "{error}");
    links(&network).heal();
    load.goes_on(100).await;
    let history = load.finish().await;
    all_is_well(&network, &observer, history).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_go_on_over_lossy_slow_and_disorderly_links() {
    let network = linked(44).await;
    let observer = network.client(OBSERVER);
    let millis = Duration::from_millis;
    links(&network).set_all(Fault { loss: 10, duplication: 5, delay: millis(20), jitter: millis(10), cut: false });
    let mut load = Load::start(&network, 44);
    load.goes_on(150).await;
    links(&network).heal();
    let history = load.finish().await;
    all_is_well(&network, &observer, history).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn links_cut_one_way_at_random_stop_requests_only_for_a_while() {
    let mut random = Random::of_test(45);
    let network = linked(45).await;
    let observer = network.client(OBSERVER);
    let mut load = Load::start(&network, 45);
    load.goes_on(50).await;
    for _ in 0..6 {
        // One replica's links only: f is 1.
        let deaf = replica(random.below(4) as u32);
        for other in network.ids().into_iter().filter(|other| *other != deaf) {
            if random.happens(60) {
                links(&network).set(other, deaf, Fault { cut: true, ..Fault::default() });
            }
        }
        load.goes_on(60).await;
        links(&network).heal();
    }
    load.goes_on(50).await;
    let history = load.finish().await;
    all_is_well(&network, &observer, history).await;
}
