use crate::{OBSERVER, all_is_well, replica};
use pbft_message::ReplicaReport;
use pbft_tests::{Load, Network, Plan};

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
