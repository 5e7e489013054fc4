//! What never changes while a model is explored: the cluster, its keys, the two values, the timers.

use pbft_crypto::SecretKey;
use pbft_message::*;
use pbft_protocol::Now;
use pbft_protocol::agreement::{Config, Limits, Timing};
use pbft_protocol::execution::RequestWindow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The replicas.
pub const REPLICAS: u32 = 4;

/// One quantum of time: as long as suspicion, or the wait for a new-view, takes.
const QUANTUM: Duration = Duration::from_secs(1);
/// A time that never comes.
const NEVER: Duration = Duration::from_secs(1_000_000_000);
const START: Duration = Duration::from_secs(1000);
const WALL: u64 = 1_700_000_000_000_000;

/// The cluster, and what its clients ask for.
pub struct World {
    pub authenticator: Authenticator,
    pub config: Config,
    /// The two values: batches of one request each.
    pub values: [Verified<Batch>; 2],
    pub requests: [Verified<Signed<Request>>; 2],
}

fn key(number: u64) -> SecretKey {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    SecretKey::from_seed(&seed)
}

impl World {
    pub fn new() -> Self {
        let entry = |id| ReplicaEntry { signing_key: key(id).public(), transport_key: key(1000 + id).public() };
        let client = ClientEntry { signing_key: ClientId(key(2000).public()), transport_key: key(3000).public() };
        let genesis = Genesis {
            name: "m".into(),
            test_network: true,
            parameters: Parameters { checkpoint_interval: 4, log_window: 8, requests_in_flight: 4, ..Parameters::default() },
            service: ServiceParameters::default(),
            replicas: (0..u64::from(REPLICAS)).map(entry).collect(),
            operators: vec![],
            clients: vec![client],
        };
        genesis.check().unwrap();
        let authenticator = Authenticator::new(Arc::new(genesis));
        let timing = Timing {
            base_timeout: QUANTUM,
            max_timeout: QUANTUM,
            heartbeat: NEVER,
            status: NEVER,
            idle_status: NEVER,
            resend: NEVER,
            fetch: NEVER,
            idle_checkpoint: NEVER,
            ..Timing::default()
        };
        let config = Config { authenticator: authenticator.clone(), timing, limits: Limits::default() };
        let requests = [1, 2].map(|timestamp| request(&authenticator, timestamp));
        let values = requests.clone().map(|request| Batch::of_verified(WALL, vec![request]));
        Self { authenticator, config, values, requests }
    }

    pub fn signer(&self, replica: u32) -> Signer {
        Signer::new(ReplicaId(replica), *self.authenticator.domain(), key(u64::from(replica)))
    }

    pub fn primary(&self, view: View) -> u32 {
        self.authenticator.genesis().primary(view).0
    }

    pub fn quorum(&self) -> usize {
        self.authenticator.genesis().quorum()
    }

    /// The time at a replica whose timers have expired so many times.
    pub fn now(expired: u8) -> Now {
        Now { monotonic: START + QUANTUM * u32::from(expired), wall: WALL }
    }

    /// What a service knows of its clients before anything was executed.
    pub fn windows(&self) -> BTreeMap<ClientId, RequestWindow> {
        let genesis = self.authenticator.genesis();
        let window = || RequestWindow::new(genesis.parameters.requests_in_flight);
        genesis.clients.iter().map(|client| (client.signing_key, window())).collect()
    }

    /// The value's name for people, if it is one.
    pub fn name(&self, digest: &pbft_crypto::Digest) -> String {
        let known = self.values.iter().position(|value| value.digest() == *digest);
        match known {
            Some(index) => format!("d{}", index + 1),
            None if *digest == NULL_DIGEST => "null".to_owned(),
            None => digest.short(),
        }
    }
}

fn request(authenticator: &Authenticator, timestamp: u64) -> Verified<Signed<Request>> {
    let client = key(2000);
    let request = Request { client: ClientId(client.public()), timestamp: Timestamp(timestamp), operations: Blobs::new(&[b"x"]) };
    let signed = sign_request(request, authenticator.domain(), &client);
    authenticator.verify_requests(vec![signed]).pop().unwrap().unwrap()
}
