//! A small cluster's keys, a service of sixteen chunks, and an executor that is fed in one line.

use crate::execution::*;
use crate::service::{Context, RestoreError, Service, Snapshot};
use pbft_crypto::{Digest, SecretKey};
use pbft_message::*;
use std::collections::BTreeMap;
use std::sync::Arc;

pub const K: u64 = 4;
pub const W: usize = 4;
pub const CHUNKS: u32 = 16;

pub fn key(number: u64) -> SecretKey {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    SecretKey::from_seed(&seed)
}

pub fn client(number: u64) -> ClientId {
    ClientId(key(1000 + 2 * number).public())
}

/// Four replicas and the clients 0 to 3; W = 4, K = 4.
pub fn genesis() -> Genesis {
    Genesis {
        name: "test".into(),
        test_network: true,
        parameters: Parameters { checkpoint_interval: K, log_window: 2 * K, requests_in_flight: W, ..Parameters::default() },
        service: ServiceParameters { max_result_bytes: 64, ..ServiceParameters::default() },
        replicas: (0..4)
            .map(|id| ReplicaEntry { signing_key: key(2 * id).public(), transport_key: key(2 * id + 1).public() })
            .collect(),
        operators: vec![],
        clients: (0..4)
            .map(|number| ClientEntry { signing_key: client(number), transport_key: key(1001 + 2 * number).public() })
            .collect(),
    }
}

/// `set KEY VALUE` stores and returns the old value, `append KEY VALUE` makes double execution visible, `time` returns the time,
/// `room` the bytes left for results, `fill COUNT` that many bytes. The first byte of a key chooses its chunk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Map(BTreeMap<u32, Arc<BTreeMap<String, String>>>, Vec<u32>);

struct FrozenMap(BTreeMap<u32, Arc<BTreeMap<String, String>>>);

impl Map {
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(&chunk_of(key))?.get(key).map(String::as_str)
    }

    fn entry(&mut self, key: &str) -> &mut String {
        self.1.push(chunk_of(key));
        Arc::make_mut(self.0.entry(chunk_of(key)).or_default()).entry(key.into()).or_default()
    }
}

pub fn chunk_of(key: &str) -> u32 {
    u32::from(*key.as_bytes().first().unwrap_or(&0)) % CHUNKS
}

impl Service for Map {
    fn execute(&mut self, context: &Context, operation: &[u8]) -> Vec<u8> {
        let text = String::from_utf8_lossy(operation);
        let words: Vec<&str> = text.split(' ').collect();
        match words[..] {
            ["set", key, value] => std::mem::replace(self.entry(key), value.into()).into(),
            ["append", key, value] => {
                self.entry(key).push_str(value);
                self.entry(key).clone().into_bytes()
            }
            ["time"] => context.time.to_string().into(),
            ["room"] => context.max_result_bytes.to_string().into(),
            ["fill", count] => vec![b'x'; count.parse().unwrap()],
            _ => b"what?".to_vec(),
        }
    }

    fn is_read(&self, operation: &[u8]) -> bool {
        operation == b"time"
    }

    fn snapshot(&self) -> Arc<dyn Snapshot> {
        Arc::new(FrozenMap(self.0.clone()))
    }

    fn changed_chunks(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.1)
    }

    fn restore(&mut self, chunks: Vec<Vec<u8>>) -> Result<(), RestoreError> {
        let mut map = Self::default();
        for (index, chunk) in (0..).zip(chunks) {
            let entries: Vec<(String, String)> =
                codec::decode(&chunk).map_err(|error| RestoreError { chunk: index, reason: error.to_string() })?;
            if !entries.is_empty() {
                map.0.insert(index, Arc::new(entries.into_iter().collect()));
            }
        }
        *self = map;
        Ok(())
    }
}

impl Snapshot for FrozenMap {
    fn chunk_count(&self) -> u32 {
        CHUNKS
    }

    fn chunk(&self, index: u32) -> Vec<u8> {
        let entries: Vec<(&String, &String)> = self.0.get(&index).map(|chunk| chunk.iter().collect()).unwrap_or_default();
        codec::encode(&entries)
    }
}

/// One request of a client.
pub fn request(number: u64, timestamp: u64, operations: &[&str]) -> Signed<Request> {
    request_of(&genesis(), number, timestamp, operations)
}

pub fn request_of(genesis: &Genesis, number: u64, timestamp: u64, operations: &[&str]) -> Signed<Request> {
    let request = Request { client: client(number), timestamp: Timestamp(timestamp), operations: Blobs::new(operations) };
    sign_request(request, &domain(genesis), &key(1000 + 2 * number))
}

pub fn domain(genesis: &Genesis) -> Domain {
    Domain { cluster: genesis.cluster_id(), epoch: Epoch(0) }
}

pub fn digest(request: &Signed<Request>) -> Digest {
    request.digest(&domain(&genesis()))
}

pub struct World {
    pub genesis: Arc<Genesis>,
    pub authenticator: Authenticator,
    pub executor: Executor<Map>,
}

impl World {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut Genesis)) -> Self {
        let mut genesis = genesis();
        change(&mut genesis);
        let genesis = Arc::new(genesis);
        Self {
            authenticator: Authenticator::new(genesis.clone()),
            executor: Executor::new(genesis.clone(), Map::default()),
            genesis,
        }
    }

    pub fn request(&self, number: u64, timestamp: u64, operations: &[&str]) -> Signed<Request> {
        request_of(&self.genesis, number, timestamp, operations)
    }

    /// The next batch, proposed at a time.
    pub fn ordered(&self, time: u64, requests: Vec<Signed<Request>>) -> Ordered {
        let verified = self.authenticator.verify_requests(requests).into_iter().map(Result::unwrap).collect();
        Ordered { view: View(7), sequence: self.executor.executed().next(), body: Some(Batch::of_verified(time, verified)) }
    }

    pub fn batch(&mut self, requests: Vec<Signed<Request>>) -> Executed {
        let ordered = self.ordered(0, requests);
        self.executor.execute(&ordered).unwrap()
    }

    pub fn null(&mut self) -> Executed {
        let ordered = Ordered { view: View(7), sequence: self.executor.executed().next(), body: None };
        self.executor.execute(&ordered).unwrap()
    }

    /// A batch of one request of client 0, with the sequence number as its timestamp.
    pub fn run(&mut self, operations: &[&str]) -> Executed {
        let request = self.request(0, self.executor.executed().next().0, operations);
        self.batch(vec![request])
    }

    /// Null requests up to the next checkpoint; its digest.
    pub fn reach_checkpoint(&mut self) -> Digest {
        loop {
            if let Some(digest) = self.null().checkpoint {
                return digest;
            }
        }
    }

    /// Goes to the next checkpoint and makes it stable.
    pub fn reach_stable(&mut self) -> Verified<StableCertificate> {
        let digest = self.reach_checkpoint();
        let certificate = self.certificate(self.executor.executed(), digest);
        self.executor.stable(certificate.clone());
        certificate
    }

    /// Goes to the next checkpoint, and comes back from a snapshot of it.
    pub fn restored(&mut self) -> Executor<Map> {
        let certificate = self.reach_stable();
        let (frozen, _) = self.executor.frozen(certificate.sequence).unwrap();
        let saved = InstalledState::from_saved(&frozen.header(&certificate), frozen.chunks(), &self.authenticator).unwrap();
        Executor::restore(self.genesis.clone(), Map::default(), saved).unwrap()
    }

    /// What a quorum would sign.
    pub fn certificate(&self, sequence: SequenceNumber, digest: Digest) -> Verified<StableCertificate> {
        let sign = |id| {
            let replica = ReplicaId(id);
            let signer = Signer::new(replica, domain(&self.genesis), key(2 * u64::from(id)));
            (replica, signer.sign(Checkpoint { sequence, digest, replica }).signature())
        };
        let certificate = StableCertificate { sequence, digest, checkpoints: (0..3).map(sign).collect() };
        self.authenticator.verify_stable(certificate).unwrap()
    }

    /// The value of a key in the state at the last checkpoint.
    pub fn value(&self, key: &str) -> Option<String> {
        value_in(&self.executor.local(), key)
    }
}

pub fn value_in(frozen: &FrozenState, key: &str) -> Option<String> {
    let mut map = Map::default();
    map.restore((0..CHUNKS).map(|index| frozen.service.chunk(index)).collect()).unwrap();
    map.get(key).map(str::to_owned)
}

/// The results of an executed request, as text.
pub fn results(outcome: &Outcome) -> Vec<String> {
    let Outcome::Executed(results) = outcome else { panic!("not executed: {outcome:?}") };
    results.each().map(|result| String::from_utf8(result.to_vec()).unwrap()).collect()
}

pub fn outcomes(executed: &Executed) -> Vec<Outcome> {
    executed.replies.iter().map(|reply| reply.outcome.clone()).collect()
}

pub fn executed(results: &[&str]) -> Outcome {
    Outcome::Executed(Blobs::new(results))
}
