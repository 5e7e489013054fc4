//! Clusters of real processes: what they survive, and what they refuse. One binary, so that tests share the cores well;
//! `cargo test -p pbft-tests liars` runs one file's.

// As in the library: a failed step is a failed test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod amnesia;
mod bad_input;
mod catching_up;
mod crashes;
mod damage;
mod doctor;
mod fail_points;
mod full_disk;
mod http;
mod liars;
mod links;
mod logs;
mod normal;
mod pauses;
mod ports;
mod requests;
mod rolling;
mod start;

use pbft_client::Client;
use pbft_message::ReplicaId;
use pbft_tests::{Agreement, History, Network};

const fn replica(number: u32) -> ReplicaId {
    ReplicaId(number)
}

/// The client that asks the replicas where they stand; it takes no part in the load.
const OBSERVER: usize = 4;

/// What must hold at the end of every test with honest replicas only.
async fn all_is_well(network: &Network, observer: &Client, history: History) -> Agreement {
    let agreement = all_is_well_among(network, observer, history, &network.ids()).await;
    network.nobody_is_accused(observer).await;
    agreement
}

/// What must hold at the end of every test, for these replicas, the honest ones.
async fn all_is_well_among(network: &Network, observer: &Client, history: History, honest: &[ReplicaId]) -> Agreement {
    history.check(network, observer).await;
    network.agreed(observer, honest).await
}
