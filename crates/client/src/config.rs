use crate::ClientError;
use pbft_crypto::{PublicKey, SecretKey};
use pbft_message::{Genesis, ReplicaId};
use pbft_network::Settings;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// What a client must know to speak to a cluster.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// The cluster.
    pub genesis: Arc<Genesis>,
    /// Signs requests; it is the client's name.
    pub signing_key: SecretKey,
    /// Authenticates connections; another than the signing key.
    pub transport_key: SecretKey,
    /// Where the replicas listen (UDP), in the order of their numbers.
    pub addresses: Vec<SocketAddr>,
    /// How long [`Client::request`](crate::Client::request) waits.
    pub timeout: Duration,
}

impl ClientConfig {
    /// A configuration with a timeout of 10 s.
    pub const fn new(genesis: Arc<Genesis>, signing_key: SecretKey, transport_key: SecretKey, addresses: Vec<SocketAddr>) -> Self {
        Self { genesis, signing_key, transport_key, addresses, timeout: Duration::from_secs(10) }
    }

    pub(crate) fn check(&self) -> Result<(), ClientError> {
        self.genesis.check()?;
        let (found, expected) = (self.addresses.len(), self.genesis.replica_count());
        if found == expected { Ok(()) } else { Err(ClientError::AddressCount { found, expected }) }
    }

    /// The replicas by their transport keys.
    pub(crate) fn replicas(&self) -> BTreeMap<PublicKey, ReplicaId> {
        self.genesis.replicas.iter().map(|entry| entry.transport_key).zip(self.genesis.replica_ids()).collect()
    }

    /// Network settings of a party that dials only, with room for the largest answer.
    pub(crate) fn network(&self) -> Settings {
        let mut settings = Settings::new(self.transport_key.clone(), pbft_message::alpn());
        let largest = self.genesis.max_message_bytes().saturating_add(self.genesis.service.max_result_bytes);
        settings.replicas.max_frame = u32::try_from(largest).unwrap_or(u32::MAX);
        settings
    }
}
