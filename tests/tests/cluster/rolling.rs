//! Replicas restarted one after the other while clients work: for an upgrade, or because a host is.

use crate::{OBSERVER, all_is_well, replica};
use pbft_tests::{Load, Network, Plan};

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

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_without_a_quorum_stops_all_the_same() {
    let mut network = Network::started(&Plan::of(4)).await;
    network.kill(replica(2));
    network.kill(replica(3));
    assert_eq!(network.stop(replica(0)), Some(0), "nobody takes over, and it stops");
}
