//! Where replicas listen and how they are found: ports of their own for clients, IPv6, names.

use crate::doctor::{all_is_well, found};
use crate::http::rewrite_config;
use crate::replica;
use pbft_tests::{Network, Plan, free_port};
use std::net::{Ipv6Addr, SocketAddr};

/// Client number 3's home is where the doctor is asked from.
const CLIENT: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn clients_have_a_port_of_their_own_and_nobody_else_is_served_there() {
    let mut network = Network::new(&Plan::of(4)).await;
    let ports: Vec<SocketAddr> = network.ids().iter().map(|_| free_port()).collect();
    for (id, port) in network.ids().into_iter().zip(&ports) {
        rewrite_config(&network, id, |config| config.listen_clients = Some(*port));
        network.start(id);
    }
    let home = network.client_home(CLIENT);
    network.write_addresses(&home, &ports);
    all_is_well(&home).await;
    // The replicas' port is for replicas,
    let mut addresses = ports.clone();
    addresses[1] = network.address(replica(1));
    network.write_addresses(&home, &addresses);
    found(&home, "RefusesClient", Some(replica(1))).await;
    // and the clients' for clients.
    network.write_addresses(&home, &ports);
    network.kill(replica(0));
    rewrite_config(&network, replica(0), |config| config.replicas[3] = ports[3].to_string());
    network.start(replica(0));
    found(&home, "DifferentGenesis", Some(replica(0))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_and_clients_speak_ipv6() {
    let mut network = Network::new(&Plan::of(4)).await;
    let addresses: Vec<SocketAddr> =
        network.ids().into_iter().map(|id| (Ipv6Addr::LOCALHOST, network.address(id).port()).into()).collect();
    for id in network.ids() {
        rewrite_config(&network, id, |config| {
            config.listen = addresses[id.0 as usize];
            config.replicas = addresses.iter().map(SocketAddr::to_string).collect();
        });
        network.start(id);
    }
    let home = network.client_home(CLIENT);
    network.write_addresses(&home, &addresses);
    all_is_well(&home).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_does_not_resolve_stops_no_replica() {
    let mut network = Network::new(&Plan::of(4)).await;
    rewrite_config(&network, replica(0), |config| config.replicas[3] = "nowhere.invalid:7103".to_owned());
    // Names are looked up, and found where they are known.
    rewrite_config(&network, replica(0), |config| config.replicas[1] = config.replicas[1].replace("127.0.0.1", "localhost"));
    network.ids().into_iter().for_each(|id| network.start(id));
    let home = network.client_home(CLIENT);
    let told = found(&home, "UnresolvedName", Some(replica(0))).await;
    assert!(told.contains("for replica 3"), "{told}");
    assert!(network.log(replica(0)).contains("event=\"unresolved\""), "{}", network.log(replica(0)));
    assert!(network.runs(replica(0)));
}
