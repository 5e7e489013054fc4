use crate::{key, keys, percentile, value};
use pbft_crypto::{Digest, SecretKey};
use pbft_message::*;
use pbft_protocol::execution::{Executor, InstalledState, Ordered};
use pbft_replica::save_snapshot;
use pbft_services::kv::{KeyValueStore, Operation};
use pbft_storage::{FileDisk, Identity, Snapshots};
use pbft_tests::{Keys, Random};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const CHECKPOINTS: u64 = 12;
const REQUESTS_IN_A_BATCH: u64 = 16;

struct Store {
    keys: Vec<Keys>,
    client: SecretKey,
    authenticator: Authenticator,
    executor: Executor<KeyValueStore>,
    timestamp: u64,
}

impl Store {
    fn new() -> Self {
        let keys: Vec<Keys> = (0..4).map(|_| Keys::generate()).collect();
        let client = SecretKey::generate().unwrap();
        let entry = |keys: &Keys| ReplicaEntry { signing_key: keys.signing.public(), transport_key: keys.transport.public() };
        let genesis = Arc::new(Genesis {
            name: "large".into(),
            test_network: true,
            parameters: Parameters::default(),
            service: ServiceParameters::default(),
            replicas: keys.iter().map(entry).collect(),
            operators: vec![],
            clients: vec![ClientEntry {
                signing_key: ClientId(client.public()),
                transport_key: Keys::generate().transport.public(),
            }],
        });
        let executor = Executor::new(genesis.clone(), KeyValueStore::new(&genesis.service));
        Self { keys, client, authenticator: Authenticator::new(genesis), executor, timestamp: 0 }
    }

    /// Executes a batch; how long that took, and the digest if there was a checkpoint.
    fn execute(&mut self, requests: Vec<Vec<Operation>>) -> (Duration, Option<Digest>) {
        let mut signed = Vec::new();
        for operations in requests {
            self.timestamp += 1;
            let operations = Blobs::new(&operations.iter().map(Operation::encode).collect::<Vec<_>>());
            let request = Request { client: ClientId(self.client.public()), timestamp: Timestamp(self.timestamp), operations };
            signed.push(sign_request(request, self.authenticator.domain(), &self.client));
        }
        let verified = self.authenticator.verify_requests(signed).into_iter().map(Result::unwrap).collect();
        let sequence = self.executor.executed().next();
        let ordered = Ordered { view: View(0), sequence, body: Some(Batch::of_verified(self.timestamp, verified)) };
        let began = Instant::now();
        let executed = self.executor.execute(&ordered).unwrap();
        (began.elapsed(), executed.checkpoint)
    }

    fn make_stable(&mut self, digest: Digest) -> Verified<StableCertificate> {
        let sequence = self.executor.executed();
        let sign = |id: u32| {
            let signer = self.authenticator.signer(ReplicaId(id), self.keys[id as usize].signing.clone());
            (ReplicaId(id), signer.sign(Checkpoint { sequence, digest, replica: ReplicaId(id) }).signature())
        };
        let certificate = StableCertificate { sequence, digest, checkpoints: (0..3).map(sign).collect() };
        let certificate = self.authenticator.verify_stable(certificate).unwrap();
        self.executor.stable(certificate.clone());
        certificate
    }

    /// Batches of small writes until a checkpoint: the pauses of ordinary batches, and that of the checkpoint.
    fn reach_checkpoint(&mut self, random: &mut Random) -> (Vec<Duration>, Duration, Digest) {
        let mut pauses = Vec::new();
        loop {
            let write = |random: &mut Random| vec![Operation::put(key(random.below(keys())), value(random.draw()))];
            let requests = (0..REQUESTS_IN_A_BATCH).map(|_| write(random)).collect();
            let (took, checkpoint) = self.execute(requests);
            if let Some(digest) = checkpoint {
                return (pauses, took, digest);
            }
            pauses.push(took);
        }
    }
}

fn tell(what: &str, mut pauses: Vec<Duration>) {
    pauses.sort();
    let [median, p99, longest] = [50, 99, 100].map(|hundredths| percentile(&pauses, hundredths));
    println!("{what}: median {median:.1?}, p99 {p99:.1?}, longest {longest:.1?} of {}", pauses.len());
}

/// The process's resident memory, in MB.
fn memory(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

#[test]
#[ignore = "a measurement"]
fn the_longest_pause_of_execution_at_checkpoints_and_while_a_snapshot_is_saved() {
    let mut store = Store::new();
    let random = &mut Random::new(1);
    let mut number = 0;
    while number < keys() {
        let operations = (number..number + 1000).map(|number| Operation::put(key(number), value(number))).collect();
        let (_, checkpoint) = store.execute(vec![operations]);
        if let Some(digest) = checkpoint {
            store.make_stable(digest);
        }
        number += 1000;
    }
    println!("{} keys; resident {} MB", keys(), memory("VmRSS"));
    let (_, _, digest) = store.reach_checkpoint(random);
    store.make_stable(digest);

    let (mut ordinary, mut checkpoints) = (Vec::new(), Vec::new());
    for _ in 0..CHECKPOINTS {
        let (pauses, pause, digest) = store.reach_checkpoint(random);
        store.make_stable(digest);
        ordinary.extend(pauses);
        checkpoints.push(pause);
    }
    tell("a batch", ordinary);
    tell("a batch with a checkpoint", checkpoints);

    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let identity = Identity { cluster: store.authenticator.genesis().cluster_id(), owner: store.keys[0].signing.public() };
    let mut snapshots = Snapshots::open(FileDisk::open(folder.path()).unwrap(), &identity).unwrap();
    let (state, certificate) = store.executor.frozen(*store.executor.servable().last().unwrap()).unwrap();
    let saving = Arc::new(AtomicBool::new(true));
    let still = saving.clone();
    let saver = std::thread::spawn(move || {
        let began = Instant::now();
        let bytes = save_snapshot(&mut snapshots, &state, &certificate).unwrap();
        still.store(false, Ordering::Relaxed);
        (snapshots, began.elapsed(), bytes)
    });
    let (mut ordinary, mut checkpoints) = (Vec::new(), Vec::new());
    while saving.load(Ordering::Relaxed) {
        let (pauses, pause, digest) = store.reach_checkpoint(random);
        store.make_stable(digest);
        ordinary.extend(pauses);
        checkpoints.push(pause);
    }
    let (mut snapshots, took, bytes) = saver.join().unwrap();
    println!("saved {} MB in {took:.1?}", bytes / 1_000_000);
    tell("a batch meanwhile", ordinary);
    tell("a batch with a checkpoint meanwhile", checkpoints);
    println!("resident {} MB, at most {} MB", memory("VmRSS"), memory("VmHWM"));

    let genesis = store.authenticator.genesis().clone();
    let authenticator = store.authenticator.clone();
    drop(store);
    println!("resident without the store {} MB", memory("VmRSS"));
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let began = Instant::now();
    let snapshot = snapshots.load_newest().unwrap().unwrap();
    let read = began.elapsed();
    let saved = InstalledState::from_saved(&snapshot.header, snapshot.chunks, &authenticator).unwrap();
    let checked = began.elapsed();
    let executor = Executor::restore(genesis.clone(), KeyValueStore::new(&genesis.service), saved).unwrap();
    println!("restored {} in {:.1?}: read in {read:.1?}, checked at {checked:.1?}", executor.executed(), began.elapsed());
    println!("resident {} MB, at most {} MB", memory("VmRSS"), memory("VmHWM"));
}
