use crate::refusals::Source;
use crate::shared::Shared;
use bytes::Bytes;
use pbft_crypto::{Digest, PublicKey};
use pbft_message::{Genesis, Hello, HelloRefused, ReplicaId, Role, codec};
use pbft_network::{Class, Greeter};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The first message in both directions: who, which cluster, which versions, and where the replica stands.
pub struct ReplicaGreeter {
    replica: ReplicaId,
    cluster: Digest,
    replicas: BTreeMap<PublicKey, ReplicaId>,
    shared: Arc<Shared>,
}

impl ReplicaGreeter {
    pub fn new(replica: ReplicaId, genesis: &Genesis, shared: Arc<Shared>) -> Self {
        let replicas = genesis.replica_ids().zip(&genesis.replicas).map(|(id, entry)| (entry.transport_key, id)).collect();
        Self { replica, cluster: genesis.cluster_id(), replicas, shared }
    }

    fn check(&self, peer: &PublicKey, class: Class, hello: &[u8]) -> Result<(), HelloRefused> {
        let hello: Hello = codec::decode(hello).map_err(|_| HelloRefused::Malformed)?;
        hello.check(self.cluster)?;
        let matches = match (class, &hello.role) {
            (Class::Replica, Role::Replica { replica, .. }) => self.replicas.get(peer) == Some(replica),
            (Class::Client, Role::Client) => true,
            _ => false,
        };
        if matches { Ok(()) } else { Err(HelloRefused::NotTheConnection) }
    }
}

impl Greeter for ReplicaGreeter {
    fn greeting(&self, _peer: &PublicKey, class: Class) -> Bytes {
        let status = || self.shared.details().as_ref().map(|details| details.status.clone());
        let status = if class == Class::Replica { status() } else { None };
        codec::encode(&Hello::new(self.cluster, Role::Replica { replica: self.replica, status })).into()
    }

    fn accept_greeting(&self, peer: &PublicKey, class: Class, hello: &[u8]) -> Result<(), String> {
        self.check(peer, class, hello).map_err(|refused| {
            if let HelloRefused::OtherCluster { .. } = refused {
                self.shared.refusals.count("other_cluster", Source::Key(*peer));
            }
            refused.to_string()
        })
    }
}
