//! A small cluster whose keys are all known here, so that the fuzzer can sign for anyone.

use pbft_crypto::{Digest, SecretKey, Signature};
use pbft_message::*;
use std::sync::{Arc, LazyLock};

/// K and k of the cluster.
pub const CHECKPOINT_INTERVAL: u64 = 4;
pub const LOG_WINDOW: u64 = 16;

/// Four replicas and three clients.
pub struct Cluster {
    pub genesis: Arc<Genesis>,
    pub authenticator: Authenticator,
    pub signers: Vec<Signer>,
    /// Nine batches that any primary may propose, the null request's place being taken by index 0 in [`Cluster::digest`].
    batches: Vec<Verified<Batch>>,
}

static CLUSTER: LazyLock<Cluster> = LazyLock::new(Cluster::new);

/// The cluster; made once.
pub fn cluster() -> &'static Cluster {
    &CLUSTER
}

pub fn key(number: u64) -> SecretKey {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    SecretKey::from_seed(&seed)
}

pub fn client_key(number: u64) -> SecretKey {
    key(200 + number)
}

fn genesis() -> Genesis {
    let replica = |id| ReplicaEntry { signing_key: key(id).public(), transport_key: key(100 + id).public() };
    let client =
        |number| ClientEntry { signing_key: ClientId(client_key(number).public()), transport_key: key(300 + number).public() };
    Genesis {
        name: "fuzz".into(),
        test_network: true,
        parameters: Parameters { checkpoint_interval: CHECKPOINT_INTERVAL, log_window: LOG_WINDOW, ..Parameters::default() },
        service: ServiceParameters::default(),
        replicas: (0..4).map(replica).collect(),
        operators: vec![ClientEntry { signing_key: ClientId(key(400).public()), transport_key: key(401).public() }],
        clients: (0..3).map(client).collect(),
    }
}

impl Cluster {
    fn new() -> Self {
        let genesis = Arc::new(genesis());
        genesis.check().unwrap();
        let authenticator = Authenticator::new(genesis.clone());
        let domain = *authenticator.domain();
        let signers = (0..4).map(|id| Signer::new(ReplicaId(id), domain, key(u64::from(id)))).collect();
        let mut cluster = Self { genesis, authenticator, signers, batches: Vec::new() };
        cluster.batches = (0..9).map(|number| cluster.batch(number, number, &[(number % 3, 1 + number, 1)])).collect();
        cluster
    }

    pub fn signer(&self, replica: ReplicaId) -> &Signer {
        &self.signers[replica.0 as usize % self.signers.len()]
    }

    pub fn primary(&self, view: View) -> ReplicaId {
        self.genesis.primary(view)
    }

    pub fn request(&self, client: u64, timestamp: u64, length: usize) -> Signed<Request> {
        let key = client_key(client);
        let operations = Blobs::new(&[vec![b'x'; length]]);
        let request = Request { client: ClientId(key.public()), timestamp: Timestamp(timestamp), operations };
        sign_request(request, self.authenticator.domain(), &key)
    }

    /// A batch of requests, each a client, a timestamp and a length.
    pub fn batch(&self, time: u64, number: u64, requests: &[(u64, u64, usize)]) -> Verified<Batch> {
        let requests =
            requests.iter().map(|(client, timestamp, length)| self.request(*client, *timestamp, *length + number as usize));
        let verified = self.authenticator.verify_requests(requests.collect()).into_iter().map(Result::unwrap).collect();
        Batch::of_verified(time, verified)
    }

    /// What one sequence number may order: 0 is the null request.
    pub fn digest(&self, choice: usize) -> Digest {
        self.body_batch(choice).map_or(NULL_DIGEST, |batch| batch.digest())
    }

    /// The body of the same choice; empty for the null request.
    pub fn body(&self, choice: usize) -> Blob {
        self.body_batch(choice).map(|batch| batch.bytes().clone()).unwrap_or_default()
    }

    fn body_batch(&self, choice: usize) -> Option<&Verified<Batch>> {
        self.batches.get((choice % (self.batches.len() + 1)).checked_sub(1)?)
    }

    /// The pre-prepare of the view's primary.
    pub fn pre_prepare(&self, view: View, sequence: SequenceNumber, digest: Digest) -> Signed<PrePrepare> {
        let replica = self.primary(view);
        self.signer(replica).sign(PrePrepare { view, sequence, digest, replica }).into_inner()
    }

    pub fn prepare(&self, view: View, sequence: SequenceNumber, digest: Digest, replica: ReplicaId) -> Signed<Prepare> {
        self.signer(replica).sign(Prepare { view, sequence, digest, replica }).into_inner()
    }

    pub fn commit(&self, view: View, sequence: SequenceNumber, digest: Digest, replica: ReplicaId) -> Signed<Commit> {
        self.signer(replica).sign(Commit { view, sequence, digest, replica }).into_inner()
    }

    pub fn checkpoint(&self, sequence: SequenceNumber, digest: Digest, replica: ReplicaId) -> Signed<Checkpoint> {
        self.signer(replica).sign(Checkpoint { sequence, digest, replica }).into_inner()
    }

    /// A valid certificate; two of the three backups have prepared.
    pub fn prepared(&self, view: View, sequence: SequenceNumber, digest: Digest) -> PreparedCertificate {
        let pre_prepare = self.pre_prepare(view, sequence, digest).signature();
        let backups = self.genesis.replica_ids().filter(|replica| *replica != self.primary(view));
        let prepares = self.list(backups.take(2), |replica| self.prepare(view, sequence, digest, replica).signature());
        PreparedCertificate { view, sequence, digest, pre_prepare, prepares }
    }

    pub fn committed(&self, view: View, sequence: SequenceNumber, digest: Digest) -> CommitCertificate {
        let commits =
            self.list(self.genesis.replica_ids().take(3), |replica| self.commit(view, sequence, digest, replica).signature());
        CommitCertificate { view, sequence, digest, commits }
    }

    pub fn stable(&self, sequence: SequenceNumber, digest: Digest) -> StableCertificate {
        let checkpoints =
            self.list(self.genesis.replica_ids().take(3), |replica| self.checkpoint(sequence, digest, replica).signature());
        StableCertificate { sequence, digest, checkpoints }
    }

    fn list(&self, signers: impl Iterator<Item = ReplicaId>, sign: impl Fn(ReplicaId) -> Signature) -> SignatureList {
        signers.map(|replica| (replica, sign(replica))).collect()
    }

    pub fn view_change(
        &self,
        view: View,
        stable: Option<StableCertificate>,
        prepared: Vec<PreparedCertificate>,
        replica: ReplicaId,
    ) -> Signed<ViewChange> {
        self.signer(replica).sign(ViewChange { view, stable, prepared, replica }).into_inner()
    }

    /// The new-view that follows from these view-changes; O is empty if nothing follows.
    pub fn new_view(&self, view: View, view_changes: Vec<Signed<ViewChange>>) -> Signed<NewView> {
        let replica = self.primary(view);
        let proposals = match NewViewPlan::of(view_changes.iter().map(|change| &**change)) {
            Ok(plan) if plan.max.0.saturating_sub(plan.min.0) <= LOG_WINDOW => plan.proposals().collect(),
            _ => Vec::new(),
        };
        let pre_prepares = proposals.into_iter().map(|(sequence, digest)| self.pre_prepare(view, sequence, digest)).collect();
        self.signer(replica).sign(NewView { view, view_changes, pre_prepares, replica }).into_inner()
    }
}
