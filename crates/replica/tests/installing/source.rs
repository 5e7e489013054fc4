//! A cluster's keys, a service of sixteen chunks, and the honest executor that a replica fetches from.

use crate::disk::SharedDisk;
use pbft_crypto::{Digest, SecretKey};
use pbft_message::*;
use pbft_protocol::execution::{Executor, Ordered};
use pbft_protocol::service::{Context, RestoreError, Service, Snapshot};
use pbft_storage::{Identity, Journal};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the replica has executed before it was away.
pub const BEFORE: SequenceNumber = SequenceNumber(2);
/// The stable checkpoint that it fetches.
pub const TARGET: SequenceNumber = SequenceNumber(12);
pub const OWN: ReplicaId = ReplicaId(3);

fn key(number: u64) -> SecretKey {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    SecretKey::from_seed(&seed)
}

/// An operation's first byte chooses the chunk that all of it is appended to.
#[derive(Default)]
pub struct Chunks(Vec<Vec<u8>>);

impl Service for Chunks {
    fn execute(&mut self, _: &Context, operation: &[u8]) -> Vec<u8> {
        self.0.resize(16, Vec::new());
        self.0[usize::from(operation[0]) % 16].extend(operation);
        Vec::new()
    }

    fn snapshot(&self) -> Arc<dyn Snapshot> {
        Arc::new(Frozen(self.0.clone()))
    }

    fn restore(&mut self, chunks: Vec<Vec<u8>>) -> Result<(), RestoreError> {
        self.0 = chunks;
        Ok(())
    }
}

struct Frozen(Vec<Vec<u8>>);

impl Snapshot for Frozen {
    fn chunk_count(&self) -> u32 {
        16
    }

    fn chunk(&self, index: u32) -> Vec<u8> {
        self.0.get(index as usize).cloned().unwrap_or_default()
    }
}

pub struct Source {
    pub authenticator: Authenticator,
    pub executor: Executor<Chunks>,
    pub stable: Verified<StableCertificate>,
    committed: BTreeMap<SequenceNumber, Verified<Batch>>,
    digests: BTreeMap<SequenceNumber, Digest>,
}

fn client_entry(number: u64) -> ClientEntry {
    ClientEntry { signing_key: ClientId(key(number).public()), transport_key: key(number + 1).public() }
}

/// Whom the operator authorises while the replica is away.
pub fn newcomer() -> ClientId {
    client_entry(220).signing_key
}

pub fn genesis() -> Arc<Genesis> {
    let entry = |id| ReplicaEntry { signing_key: key(id).public(), transport_key: key(100 + id).public() };
    Arc::new(Genesis {
        name: "installing".into(),
        test_network: true,
        parameters: Parameters { checkpoint_interval: 4, log_window: 8, ..Parameters::default() },
        service: ServiceParameters::default(),
        replicas: (0..4).map(entry).collect(),
        operators: vec![client_entry(210)],
        clients: vec![client_entry(200)],
    })
}

pub fn identity() -> Identity {
    Identity { cluster: genesis().cluster_id(), owner: key(u64::from(OWN.0)).public() }
}

pub fn new_disk() -> SharedDisk {
    let disk = SharedDisk::default();
    Journal::create(disk.clone(), &identity(), &[7; 32], 32 << 10).unwrap();
    disk
}

/// What a quorum signs.
fn certificate(authenticator: &Authenticator, sequence: SequenceNumber, digest: Digest) -> Verified<StableCertificate> {
    let sign = |id: u32| {
        let checkpoint = Checkpoint { sequence, digest, replica: ReplicaId(id) };
        (ReplicaId(id), authenticator.signer(ReplicaId(id), key(u64::from(id))).sign(checkpoint).signature())
    };
    let certificate = StableCertificate { sequence, digest, checkpoints: (0..3).map(sign).collect() };
    authenticator.verify_stable(certificate).unwrap()
}

impl Source {
    pub fn new() -> Self {
        let authenticator = Authenticator::new(genesis());
        let mut executor = Executor::new(genesis(), Chunks::default());
        let mut committed = BTreeMap::new();
        let mut digests = BTreeMap::new();
        let mut stable = None;
        for number in 1..=TARGET.0 {
            let sequence = SequenceNumber(number);
            let sign = |of: u64, operations| {
                let request = Request { client: ClientId(key(of).public()), timestamp: Timestamp(number), operations };
                sign_request(request, authenticator.domain(), &key(of))
            };
            let mut requests = vec![sign(200, Blobs::new(&[vec![number as u8; 100], vec![number as u8 + 1; 9]]))];
            if number == BEFORE.0 + 1 {
                let add = MembershipOperation::Add { client: client_entry(220), role: ClientRole::Write };
                requests.push(sign(210, Blobs::new(&[add.encode()])));
            }
            let requests = authenticator.verify_requests(requests).into_iter().map(Result::unwrap).collect();
            let batch = Batch::of_verified(number, requests);
            committed.insert(sequence, batch.clone());
            let executed = executor.execute(&Ordered { view: View(0), sequence, body: Some(batch) }).unwrap();
            digests.extend(executed.checkpoint.map(|digest| (sequence, digest)));
            if sequence == TARGET {
                stable = Some(certificate(&authenticator, sequence, digests[&TARGET]));
            }
        }
        let stable = stable.unwrap();
        executor.stable(stable.clone());
        Self { authenticator, executor, stable, committed, digests }
    }

    pub fn signer(&self) -> Signer {
        self.authenticator.signer(OWN, key(u64::from(OWN.0)))
    }

    /// A batch with the proof that it is committed.
    pub fn committed(&self, sequence: SequenceNumber) -> Message {
        let batch = &self.committed[&sequence];
        let (view, digest) = (View(0), batch.digest());
        let sign = |id: u32| {
            let commit = Commit { view, sequence, digest, replica: ReplicaId(id) };
            (ReplicaId(id), self.authenticator.signer(ReplicaId(id), key(u64::from(id))).sign(commit).signature())
        };
        let certificate = CommitCertificate { view, sequence, digest, commits: (0..3).map(sign).collect() };
        Message::Committed { certificate, body: batch.bytes().clone() }
    }

    /// The null batches up to a later checkpoint, and its certificate.
    pub fn later(&self, checkpoint: SequenceNumber) -> (Vec<Ordered>, Verified<StableCertificate>) {
        let mut executor = Executor::new(genesis(), Chunks::default());
        let body = |number: u64| self.committed.get(&SequenceNumber(number)).cloned();
        let ordered = |number| Ordered { view: View(0), sequence: SequenceNumber(number), body: body(number) };
        let digest = (1..=checkpoint.0).filter_map(|number| executor.execute(&ordered(number)).unwrap().checkpoint).last();
        (((checkpoint.0 - 3)..=checkpoint.0).map(ordered).collect(), certificate(&self.authenticator, checkpoint, digest.unwrap()))
    }

    /// The digest of the whole state after a number, as a replica computes it that executes or installs.
    pub fn digest_at(&self, sequence: SequenceNumber) -> Digest {
        if let Some(digest) = self.digests.get(&sequence) {
            return *digest;
        }
        let mut executor = Executor::new(genesis(), Chunks::default());
        for (sequence, batch) in self.committed.range(..=sequence) {
            executor.execute(&Ordered { view: View(0), sequence: *sequence, body: Some(batch.clone()) }).unwrap();
        }
        // Of the last checkpoint, and of what a client is answered: that is all that shows of a state between two.
        executor.local().state.digest()
    }
}
