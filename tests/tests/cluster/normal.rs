use crate::{OBSERVER, all_is_well, replica};
use pbft_message::{ReplicaId, View};
use pbft_tests::{Load, Network, Plan, eventually};

async fn serves(replicas: u32) {
    let mut network = Network::started(&Plan::of(replicas)).await;
    let observer = network.client(OBSERVER);
    let mut load = Load::start(&network, u64::from(replicas));
    load.goes_on(600).await;
    let history = load.finish().await;
    assert!(history.answers.len() >= 600);
    let agreement = all_is_well(&network, &observer, history).await;
    assert!(agreement.sequence.0 > 0);

    let reports = network.reports(&observer).await;
    for id in network.ids() {
        let report = &reports[&id];
        let others: Vec<ReplicaId> = network.ids().into_iter().filter(|other| *other != id).collect();
        assert_eq!(report.peers_up, others);
        assert!(report.requests_executed >= 600);
        assert!(network.runs(id));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn four_replicas_serve() {
    serves(4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn seven_replicas_serve() {
    serves(7).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_a_replica_cleanly_and_it_comes_back() {
    let mut network = Network::started(&Plan::of(4)).await;
    let observer = network.client(OBSERVER);
    let mut load = Load::start(&network, 1);
    load.goes_on(50).await;
    assert_eq!(network.stop(replica(2)), Some(0));
    load.goes_on(50).await;
    network.start(replica(2));
    load.goes_on(50).await;
    let history = load.finish().await;
    all_is_well(&network, &observer, history).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_cluster_stays_in_its_view() {
    let network = Network::started(&Plan::of(4)).await;
    let observer = network.client(OBSERVER);
    let entered = async || {
        let reports = network.reports(&observer).await;
        let all_active = reports.len() == 4 && reports.values().all(|report| report.active && report.peers_up.len() == 3);
        all_active.then(|| reports.values().map(|report| report.view).max().unwrap_or(View(0)))
    };
    let view = eventually("all replicas are connected and active", entered).await;
    // Each look asks all replicas: many of them take longer than many time-outs.
    for _ in 0..40 {
        let reports = network.reports(&observer).await;
        assert!(reports.values().all(|report| report.executed.0 == 0), "an idle cluster orders nothing");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let latest = eventually("all are active still", entered).await;
    assert!(latest.0 <= view.0 + 1, "an idle cluster went from view {view} to {latest}");
}
