use crate::{ClientId, ReplicaId, Request, RequestRefusal, Signed, View, codec};
use pbft_crypto::{Digest, PublicKey};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What a cluster is: the document that its organisations share and whose hash is the cluster id (R1).
/// Addresses are not part of it; they live in each replica's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Genesis {
    /// A name for people.
    pub name: String,
    /// A cluster for tests: development keys and lying replicas are allowed.
    pub test_network: bool,
    /// The rules' numbers.
    pub parameters: Parameters,
    /// What the replicated service is.
    pub service: ServiceParameters,
    /// The replicas, in the order of their numbers; 4 to 100.
    pub replicas: Vec<ReplicaEntry>,
    /// Operators, who may change clients and membership (R8, R22). They connect as clients do.
    pub operators: Vec<ClientEntry>,
    /// The first clients.
    pub clients: Vec<ClientEntry>,
}

/// A replica's public keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplicaEntry {
    /// Signs votes.
    pub signing_key: PublicKey,
    /// Authenticates connections.
    pub transport_key: PublicKey,
}

/// A client's public keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientEntry {
    /// Signs requests; it is the client's name.
    pub signing_key: ClientId,
    /// Authenticates connections.
    pub transport_key: PublicKey,
}

/// Numbers that all replicas must agree on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// K: a checkpoint every so many sequence numbers (R9); 1 to 4096.
    pub checkpoint_interval: u64,
    /// k: how far the high watermark lies above the low one; 2K to 16384.
    pub log_window: u64,
    /// W: how many requests a client may have in flight (R8); 1 to 4096.
    pub requests_in_flight: usize,
    /// The largest request, in encoded bytes; 1 KiB to 8 MiB.
    pub max_request_bytes: usize,
    /// The most operations in a request; 1 to 65536.
    pub max_operations: usize,
    /// The largest batch, in encoded bytes; 4 KiB more than a request, to 16 MiB.
    pub max_batch_bytes: usize,
    /// The most clients, operators and revoked clients included; 1 to 1000000.
    pub max_clients: usize,
    /// The most bytes of results kept for retries, over all clients (R8); at most 128 MiB.
    pub max_cached_result_bytes: usize,
}

/// Which service is replicated, and its limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServiceParameters {
    /// `kv`, `null`, or the name of your own.
    pub name: String,
    /// The longest key, in bytes; 1 byte to 1 MiB.
    pub max_key_bytes: usize,
    /// The longest value, in bytes; at most 8 MiB.
    pub max_value_bytes: usize,
    /// The most entries in the answer to a range; 1 to 100000.
    pub max_range_entries: usize,
    /// The most bytes in the results of one request; room for the largest key and value and 4 KiB, to 16 MiB.
    pub max_result_bytes: usize,
    /// How many buckets the keys fall into by their hash. A bucket is a chunk of the state: more of them make a
    /// checkpoint cheaper after few changes to a large state, and all checkpoints of a small state dearer. 1 to 131072.
    pub buckets: u32,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            checkpoint_interval: 64,
            log_window: 256,
            requests_in_flight: 256,
            max_request_bytes: 2 << 20,
            max_operations: 1024,
            max_batch_bytes: 4 << 20,
            max_clients: 10_000,
            max_cached_result_bytes: 64 << 20,
        }
    }
}

impl Default for ServiceParameters {
    fn default() -> Self {
        Self {
            name: "kv".to_owned(),
            max_key_bytes: 4 << 10,
            max_value_bytes: 1 << 20,
            max_range_entries: 1000,
            max_result_bytes: 4 << 20,
            buckets: 1 << 14,
        }
    }
}

/// Why a genesis describes no cluster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GenesisError {
    /// PBFT needs four replicas to survive one liar.
    #[error("the genesis names {0} replicas: at least 4 are needed to survive one that lies")]
    TooFewReplicas(usize),
    /// More than the signature lists are dimensioned for.
    #[error("the genesis names {0} replicas: at most 100 are supported")]
    TooManyReplicas(usize),
    /// One key stands twice.
    #[error("key {0} stands twice in the genesis: every signing and transport key must be its own")]
    DuplicateKey(PublicKey),
    /// A key is unusable (R20).
    #[error("key {0} in the genesis is not a usable Ed25519 public key")]
    BadKey(PublicKey),
    /// More clients than the limit.
    #[error("the genesis names {found} clients and operators, its own limit is {limit}")]
    TooManyClients {
        /// How many there are.
        found: usize,
        /// How many there may be.
        limit: usize,
    },
    /// A parameter out of its range.
    #[error("genesis parameter {name} is out of range: {rule}")]
    Parameter {
        /// The parameter.
        name: &'static str,
        /// What must hold.
        rule: &'static str,
    },
}

impl Parameters {
    /// Whether a request keeps to the limits that its bytes alone decide.
    pub fn check_request(&self, request: &Signed<Request>) -> Result<(), RequestRefusal> {
        let too_large = |limit: &str, maximum: usize| RequestRefusal::TooLarge { limit: limit.to_owned(), maximum: maximum as u64 };
        if request.size() > self.max_request_bytes {
            return Err(too_large("the request's size in bytes", self.max_request_bytes));
        }
        if request.operations.len() > self.max_operations {
            return Err(too_large("the number of operations in a request", self.max_operations));
        }
        if request.operations.is_empty() {
            return Err(RequestRefusal::Malformed);
        }
        Ok(())
    }

    fn check(&self) -> Result<(), GenesisError> {
        let rules: [(&'static str, bool, &'static str); 8] = [
            ("checkpoint_interval", (1..=4096).contains(&self.checkpoint_interval), "from 1 to 4096"),
            (
                "log_window",
                self.log_window >= self.checkpoint_interval.saturating_mul(2) && self.log_window <= 16_384,
                "at least twice checkpoint_interval, at most 16384",
            ),
            ("requests_in_flight", (1..=4096).contains(&self.requests_in_flight), "from 1 to 4096"),
            ("max_request_bytes", (1024..=8 << 20).contains(&self.max_request_bytes), "from 1 KiB to 8 MiB"),
            ("max_operations", (1..=65_536).contains(&self.max_operations), "from 1 to 65536"),
            (
                "max_batch_bytes",
                self.max_batch_bytes >= self.max_request_bytes.saturating_add(4096) && self.max_batch_bytes <= 16 << 20,
                "at least max_request_bytes and 4 KiB, at most 16 MiB",
            ),
            ("max_clients", (1..=1_000_000).contains(&self.max_clients), "from 1 to 1000000"),
            ("max_cached_result_bytes", self.max_cached_result_bytes <= 128 << 20, "at most 128 MiB"),
        ];
        first_broken(rules)
    }
}

impl ServiceParameters {
    fn check(&self) -> Result<(), GenesisError> {
        let entry = self.max_key_bytes.saturating_add(self.max_value_bytes).saturating_add(4096);
        let rules: [(&'static str, bool, &'static str); 5] = [
            ("service.buckets", (1..=1 << 17).contains(&self.buckets), "from 1 to 131072"),
            ("service.max_key_bytes", (1..=1 << 20).contains(&self.max_key_bytes), "from 1 byte to 1 MiB"),
            ("service.max_value_bytes", self.max_value_bytes <= 8 << 20, "at most 8 MiB"),
            ("service.max_range_entries", (1..=100_000).contains(&self.max_range_entries), "from 1 to 100000"),
            (
                "service.max_result_bytes",
                self.max_result_bytes >= entry && self.max_result_bytes <= 16 << 20,
                "room for the largest key and value and 4 KiB, at most 16 MiB",
            ),
        ];
        first_broken(rules)
    }
}

fn first_broken<const N: usize>(rules: [(&'static str, bool, &'static str); N]) -> Result<(), GenesisError> {
    match rules.into_iter().find(|(_, holds, _)| !holds) {
        Some((name, _, rule)) => Err(GenesisError::Parameter { name, rule }),
        None => Ok(()),
    }
}

impl Genesis {
    /// Refuses what describes no cluster: too few replicas, duplicate or unusable keys, parameters out of range.
    pub fn check(&self) -> Result<(), GenesisError> {
        if self.replicas.len() < 4 {
            return Err(GenesisError::TooFewReplicas(self.replicas.len()));
        }
        if self.replicas.len() > 100 {
            return Err(GenesisError::TooManyReplicas(self.replicas.len()));
        }
        let found = self.clients.len().saturating_add(self.operators.len());
        if found > self.parameters.max_clients {
            return Err(GenesisError::TooManyClients { found, limit: self.parameters.max_clients });
        }
        let replicas = self.replicas.iter().flat_map(|entry| [entry.signing_key, entry.transport_key]);
        let clients = self.clients.iter().chain(&self.operators);
        let clients = clients.flat_map(|entry| [entry.signing_key.0, entry.transport_key]);
        let mut seen = BTreeSet::new();
        for key in replicas.chain(clients) {
            key.check().map_err(|_| GenesisError::BadKey(key))?;
            if !seen.insert(key) {
                return Err(GenesisError::DuplicateKey(key));
            }
        }
        self.parameters.check()?;
        // Two new-views with a full log make one piece of evidence.
        let rule = "so small that new-views with a full log can be encoded: the more replicas, the smaller";
        first_broken([("log_window", self.max_message_bytes() <= codec::MAX_ENCODED_BYTES, rule)])?;
        self.service.check()
    }

    /// The cluster id: the hash of the whole genesis (R1).
    pub fn cluster_id(&self) -> Digest {
        Digest::of("pbft genesis", &[&codec::encode(self)])
    }

    /// n.
    pub fn replica_count(&self) -> usize {
        self.replicas.len()
    }

    /// f: how many replicas may lie, floor((n - 1) / 3).
    pub fn max_faulty(&self) -> usize {
        self.replicas.len().saturating_sub(1) / 3
    }

    /// How many replicas make a quorum, ceil((n + f + 1) / 2): two quorums share a correct replica.
    pub fn quorum(&self) -> usize {
        self.replicas.len().saturating_add(self.max_faulty()).saturating_add(1).div_ceil(2)
    }

    /// How many replicas hold at least one correct one, f + 1.
    pub fn weak_quorum(&self) -> usize {
        self.max_faulty().saturating_add(1)
    }

    /// The primary of a view: v mod n.
    pub fn primary(&self, view: View) -> ReplicaId {
        let count = self.replicas.len().max(1) as u64;
        ReplicaId(u32::try_from(view.0.checked_rem(count).unwrap_or(0)).unwrap_or(0))
    }

    /// All replicas' numbers, ascending.
    pub fn replica_ids(&self) -> impl Iterator<Item = ReplicaId> + use<> {
        (0..u32::try_from(self.replicas.len()).unwrap_or(u32::MAX)).map(ReplicaId)
    }

    /// A replica's keys.
    pub fn replica(&self, replica: ReplicaId) -> Option<&ReplicaEntry> {
        self.replicas.get(usize::try_from(replica.0).ok()?)
    }

    /// The largest message between replicas, in bytes: a batch, a new-view with a full log in every view-change, or the
    /// outline of a state of some 100,000 chunks.
    pub fn max_message_bytes(&self) -> usize {
        let certificate = self.quorum().saturating_mul(68).saturating_add(128);
        let window = usize::try_from(self.parameters.log_window).unwrap_or(usize::MAX);
        let view_change = certificate.saturating_mul(window.saturating_add(1)).saturating_add(256);
        let new_view = view_change.saturating_mul(self.quorum()).saturating_add(window.saturating_mul(160));
        new_view.saturating_mul(2).max(self.parameters.max_batch_bytes).max(4 << 20).saturating_add(64 << 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pbft_crypto::SecretKey;

    fn key(number: u64) -> PublicKey {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&number.to_le_bytes());
        SecretKey::from_seed(&seed).public()
    }

    fn genesis(replicas: u64) -> Genesis {
        Genesis {
            name: "test".into(),
            test_network: true,
            parameters: Parameters::default(),
            service: ServiceParameters::default(),
            replicas: (0..replicas).map(|id| ReplicaEntry { signing_key: key(2 * id), transport_key: key(2 * id + 1) }).collect(),
            operators: vec![],
            clients: vec![ClientEntry { signing_key: ClientId(key(1000)), transport_key: key(1001) }],
        }
    }

    #[test]
    fn quorums_intersect_in_a_correct_replica_for_every_n() {
        for n in 4..=100 {
            let genesis = genesis(n);
            let (f, quorum) = (genesis.max_faulty(), genesis.quorum());
            let n = genesis.replica_count();
            assert!(2 * quorum > n + f, "n = {n}: two quorums share more than f replicas");
            assert!(quorum <= n - f, "n = {n}: the correct replicas alone make a quorum");
            assert!(2 * (quorum - 1) <= n + f, "n = {n}: no smaller quorum would do");
        }
        let quorums: Vec<usize> = [4, 5, 6, 7, 10].into_iter().map(|n| genesis(n).quorum()).collect();
        assert_eq!(quorums, [3, 4, 4, 5, 7]);
    }

    #[test]
    fn r01_the_cluster_id_changes_with_every_part_and_survives_toml() {
        let original = genesis(4);
        let text = toml::to_string(&original).unwrap();
        let parsed: Genesis = toml::from_str(&text).unwrap();
        assert_eq!(parsed.cluster_id(), original.cluster_id());
        let mut changed = original.clone();
        changed.test_network = false;
        assert_ne!(changed.cluster_id(), original.cluster_id());
        changed = original.clone();
        changed.replicas.swap(0, 1);
        assert_ne!(changed.cluster_id(), original.cluster_id());
    }

    #[test]
    fn what_describes_no_cluster_is_refused() {
        assert_eq!(genesis(4).check(), Ok(()));
        assert_eq!(genesis(3).check(), Err(GenesisError::TooFewReplicas(3)));
        let mut duplicate = genesis(4);
        duplicate.clients[0].transport_key = key(0);
        assert_eq!(duplicate.check(), Err(GenesisError::DuplicateKey(key(0))));
        let mut weak = genesis(4);
        weak.replicas[2].signing_key = PublicKey::from_bytes([0; 32]);
        assert!(matches!(weak.check(), Err(GenesisError::BadKey(_))));
        let mut window = genesis(4);
        window.parameters.log_window = 127;
        assert!(matches!(window.check(), Err(GenesisError::Parameter { name: "log_window", .. })));
    }

    #[test]
    fn every_parameter_has_its_bounds() {
        type Change = fn(&mut Genesis);
        let broken = |change: Change| {
            let mut genesis = genesis(4);
            change(&mut genesis);
            match genesis.check() {
                Ok(()) => "",
                Err(GenesisError::Parameter { name, .. }) => name,
                Err(other) => panic!("{other}"),
            }
        };
        let cases: [(Change, &str); 19] = [
            (|genesis| genesis.parameters.checkpoint_interval = 0, "checkpoint_interval"),
            (|genesis| genesis.parameters.log_window = 128, ""),
            (|genesis| genesis.parameters.log_window = 16_384, ""),
            (|genesis| genesis.parameters.log_window = 16_385, "log_window"),
            (|genesis| genesis.parameters.requests_in_flight = 4097, "requests_in_flight"),
            (|genesis| genesis.parameters.max_request_bytes = 1023, "max_request_bytes"),
            (|genesis| genesis.parameters.max_operations = 0, "max_operations"),
            (|genesis| genesis.parameters.max_batch_bytes = (2 << 20) + 4096, ""),
            (|genesis| genesis.parameters.max_batch_bytes = (2 << 20) + 4095, "max_batch_bytes"),
            (|genesis| genesis.parameters.max_batch_bytes = (16 << 20) + 1, "max_batch_bytes"),
            (|genesis| genesis.parameters.max_clients = 1_000_001, "max_clients"),
            (|genesis| genesis.parameters.max_cached_result_bytes = (128 << 20) + 1, "max_cached_result_bytes"),
            (|genesis| genesis.service.buckets = 0, "service.buckets"),
            (|genesis| genesis.service.max_key_bytes = 0, "service.max_key_bytes"),
            (|genesis| genesis.service.max_value_bytes = (8 << 20) + 1, "service.max_value_bytes"),
            (|genesis| genesis.service.max_range_entries = 0, "service.max_range_entries"),
            (|genesis| genesis.service.max_result_bytes = (1 << 20) + (8 << 10), ""),
            (|genesis| genesis.service.max_result_bytes = (1 << 20) + (8 << 10) - 1, "service.max_result_bytes"),
            (|genesis| genesis.service.max_result_bytes = (16 << 20) + 1, "service.max_result_bytes"),
        ];
        for (number, (change, name)) in cases.into_iter().enumerate() {
            assert_eq!(broken(change), name, "case {number}");
        }
    }

    #[test]
    fn there_are_no_more_replicas_and_clients_than_there_is_room_for() {
        let mut many = genesis(101);
        assert_eq!(many.check(), Err(GenesisError::TooManyReplicas(101)));
        many = genesis(100);
        assert!(matches!(many.check(), Err(GenesisError::Parameter { name: "log_window", .. })), "two new-views are too large");
        (many.parameters.checkpoint_interval, many.parameters.log_window) = (32, 64);
        assert_eq!(many.check(), Ok(()));
        let mut clients = genesis(4);
        clients.operators = vec![ClientEntry { signing_key: ClientId(key(2000)), transport_key: key(2001) }];
        clients.parameters.max_clients = 2;
        assert_eq!(clients.check(), Ok(()));
        clients.parameters.max_clients = 1;
        assert_eq!(clients.check(), Err(GenesisError::TooManyClients { found: 2, limit: 1 }));
    }

    #[test]
    fn two_new_views_with_a_full_log_fit_a_message_with_little_to_spare() {
        use crate::{Evidence, Message, NewView, PrePrepare, PreparedCertificate, SequenceNumber, Signed, ViewChange};
        let genesis = genesis(31);
        let signature = pbft_crypto::Signature::from_bytes([0; 64]);
        let list = |count: usize| genesis.replica_ids().take(count).map(|replica| (replica, signature)).collect();
        let (view, sequence, digest, replica) = (View(1), SequenceNumber(1), Digest::ZERO, ReplicaId(1));
        let prepares = list(genesis.quorum() - 1);
        let certificate = PreparedCertificate { view, sequence, digest, pre_prepare: signature, prepares };
        let stable = Some(crate::StableCertificate { sequence, digest, checkpoints: list(genesis.quorum()) });
        let full = usize::try_from(genesis.parameters.log_window).unwrap();
        let change = ViewChange { view, stable, prepared: vec![certificate; full], replica };
        let header = Signed::from_parts(PrePrepare { view, sequence, digest, replica }, signature);
        let view_changes = vec![Signed::from_parts(change, signature); genesis.quorum()];
        let new_view = Signed::from_parts(NewView { view, view_changes, pre_prepares: vec![header; full], replica }, signature);
        let size = codec::encoded_size(&Message::Evidence(Evidence::NewViews(Box::new((new_view.clone(), new_view)))));
        let most = genesis.max_message_bytes();
        assert!(size <= most && most - size < size / 16, "{size} of {most}");
    }
}
