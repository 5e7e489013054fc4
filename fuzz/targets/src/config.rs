//! The files that an operator writes, `config.toml` and `genesis.toml`: any text gets an answer, and what is accepted
//! survives being written again.

use crate::cluster::cluster;
use pbft_message::{Genesis, View, codec};
use pbft_node::ReplicaConfig;

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(config) = toml::from_str::<ReplicaConfig>(text) {
        let problem = config.problem(&cluster().genesis);
        let again: ReplicaConfig = toml::from_str(&toml::to_string(&config).expect("has a form")).expect("reads back");
        assert_eq!(again, config);
        assert_eq!(again.problem(&cluster().genesis), problem);
    }
    if let Ok(genesis) = toml::from_str::<Genesis>(text) {
        let _ = genesis.cluster_id();
        if genesis.check().is_ok() {
            accepted(&genesis);
        }
    }
}

fn accepted(genesis: &Genesis) {
    let again: Genesis = toml::from_str(&toml::to_string(genesis).expect("has a form")).expect("reads back");
    assert_eq!(again.cluster_id(), genesis.cluster_id());
    assert_eq!(codec::decode::<Genesis>(&codec::encode(genesis)).as_ref(), Ok(genesis));
    let (n, f, quorum) = (genesis.replica_count(), genesis.max_faulty(), genesis.quorum());
    assert!(f >= 1 && 2 * quorum > n + f && quorum <= n - f, "two quorums share a correct replica, and one is left");
    assert!(genesis.replica(genesis.primary(View(u64::MAX))).is_some());
    assert!(genesis.max_message_bytes() >= genesis.parameters.max_batch_bytes);
}
