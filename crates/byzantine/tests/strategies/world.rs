//! A genesis, its keys, real messages, and a liar to drive with them.

use pbft_byzantine::{Context, Strategy};
use pbft_crypto::{Digest, SecretKey, Signature};
use pbft_message::*;
use pbft_protocol::{Now, Outbound, Outgoing, Traffic};
use std::sync::Arc;
use std::time::Duration;

pub struct World {
    pub authenticator: Authenticator,
}

fn key(number: u64) -> SecretKey {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    SecretKey::from_seed(&seed)
}

pub fn id(number: u32) -> ReplicaId {
    ReplicaId(number)
}

pub fn digest(text: &str) -> Digest {
    Digest::of("test", &[text.as_bytes()])
}

impl World {
    pub fn of(replicas: u64) -> Self {
        let replica = |id| ReplicaEntry { signing_key: key(id).public(), transport_key: key(1000 + id).public() };
        let client =
            |id: u64| ClientEntry { signing_key: ClientId(key(2000 + id).public()), transport_key: key(3000 + id).public() };
        let genesis = Genesis {
            name: "lies".into(),
            test_network: true,
            parameters: Parameters { checkpoint_interval: 4, log_window: 16, ..Parameters::default() },
            service: ServiceParameters::default(),
            replicas: (0..replicas).map(replica).collect(),
            operators: vec![],
            clients: (0..3).map(client).collect(),
        };
        genesis.check().unwrap();
        Self { authenticator: Authenticator::new(Arc::new(genesis)) }
    }

    pub fn genesis(&self) -> &Genesis {
        self.authenticator.genesis()
    }

    pub fn signer(&self, replica: ReplicaId) -> Signer {
        Signer::new(replica, *self.authenticator.domain(), key(u64::from(replica.0)))
    }

    pub fn others(&self, own: ReplicaId) -> Vec<ReplicaId> {
        self.genesis().replica_ids().filter(|replica| *replica != own).collect()
    }

    /// What a replica makes of a message.
    pub fn judges(&self, from: ReplicaId, message: &Message) -> Result<VerifiedMessage, Invalid> {
        let message = codec::decode(&codec::encode(message)).unwrap();
        self.authenticator.verify_message(from, message)
    }

    pub fn request(&self, client: u64, timestamp: u64) -> Signed<Request> {
        let key = key(2000 + client);
        let client = ClientId(key.public());
        let request = Request { client, timestamp: Timestamp(timestamp), operations: Blobs::new(&[b"op"]) };
        sign_request(request, self.authenticator.domain(), &key)
    }

    /// One request of each of these clients.
    pub fn batch(&self, clients: &[u64]) -> Verified<Batch> {
        let requests = clients.iter().map(|client| self.request(*client, 1)).collect();
        let requests = self.authenticator.verify_requests(requests).into_iter().map(Result::unwrap).collect();
        Batch::of_verified(1_000_000, requests)
    }

    pub fn header(&self, view: u64, sequence: u64, digest: Digest) -> Signed<PrePrepare> {
        let replica = self.genesis().primary(View(view));
        let header = PrePrepare { view: View(view), sequence: SequenceNumber(sequence), digest, replica };
        self.signer(replica).sign(header).into_inner()
    }

    pub fn pre_prepare(&self, view: u64, sequence: u64, batch: &Batch) -> Message {
        Message::PrePrepare { header: self.header(view, sequence, batch.digest()), body: batch.bytes().clone() }
    }

    pub fn prepare(&self, view: u64, sequence: u64, digest: Digest, replica: ReplicaId) -> Message {
        let prepare = Prepare { view: View(view), sequence: SequenceNumber(sequence), digest, replica };
        let pre_prepare = self.header(view, sequence, digest).signature();
        Message::Prepare { prepare: self.signer(replica).sign(prepare).into_inner(), pre_prepare }
    }

    pub fn commit(&self, view: u64, sequence: u64, digest: Digest, replica: ReplicaId) -> Message {
        let commit = Commit { view: View(view), sequence: SequenceNumber(sequence), digest, replica };
        Message::Commit(self.signer(replica).sign(commit).into_inner())
    }

    pub fn checkpoint(&self, sequence: u64, digest: Digest, replica: ReplicaId) -> Message {
        Message::Checkpoint(self.signed_checkpoint(sequence, digest, replica))
    }

    fn signed_checkpoint(&self, sequence: u64, digest: Digest, replica: ReplicaId) -> Signed<Checkpoint> {
        self.signer(replica).sign(Checkpoint { sequence: SequenceNumber(sequence), digest, replica }).into_inner()
    }

    fn quorum(&self) -> impl Iterator<Item = ReplicaId> + use<> {
        self.genesis().replica_ids().take(self.genesis().quorum())
    }

    pub fn stable(&self, sequence: u64) -> StableCertificate {
        let digest = digest("state");
        let sign = |replica| (replica, self.signed_checkpoint(sequence, digest, replica).signature());
        StableCertificate { sequence: SequenceNumber(sequence), digest, checkpoints: self.quorum().map(sign).collect() }
    }

    pub fn prepared(&self, view: u64, sequence: u64, digest: Digest) -> PreparedCertificate {
        let signature = |replica| -> (ReplicaId, Signature) {
            let Message::Prepare { prepare, .. } = self.prepare(view, sequence, digest, replica) else { unreachable!() };
            (replica, prepare.signature())
        };
        let backups = self.others(self.genesis().primary(View(view)));
        PreparedCertificate {
            view: View(view),
            sequence: SequenceNumber(sequence),
            digest,
            pre_prepare: self.header(view, sequence, digest).signature(),
            prepares: backups.into_iter().take(self.genesis().quorum() - 1).map(signature).collect(),
        }
    }

    /// A view-change that reports numbers as prepared in view 0, each under its own digest.
    pub fn view_change(&self, view: u64, stable: Option<u64>, prepared: &[u64], replica: ReplicaId) -> Signed<ViewChange> {
        let prepared = prepared.iter().map(|sequence| self.prepared(0, *sequence, digest(&sequence.to_string()))).collect();
        let stable = stable.map(|sequence| self.stable(sequence));
        self.signer(replica).sign(ViewChange { view: View(view), stable, prepared, replica }).into_inner()
    }

    /// An honest new-view.
    pub fn new_view(&self, view: u64, mut view_changes: Vec<Signed<ViewChange>>) -> Message {
        view_changes.sort_by_key(|change| change.replica);
        let plan = NewViewPlan::of(view_changes.iter().map(|change| &**change)).unwrap();
        let pre_prepares = plan.proposals().map(|(sequence, digest)| self.header(view, sequence.0, digest)).collect();
        let replica = self.genesis().primary(View(view));
        let new_view = NewView { view: View(view), view_changes, pre_prepares, replica };
        Message::NewView(self.signer(replica).sign(new_view).into_inner())
    }
}

/// Where a replica that has executed so much in this view says that it stands.
pub fn status(view: u64, executed: u64) -> Message {
    Message::Status(Status {
        view: View(view),
        active: true,
        low_watermark: SequenceNumber(0),
        executed: SequenceNumber(executed),
        oldest_served: SequenceNumber(1),
        prepared: vec![],
        committed: vec![],
        asks: None,
        votes: true,
    })
}

/// A lie at the seam, and the replica that tells it.
pub struct Liar {
    outbound: Outbound,
    pub now: Duration,
}

impl Liar {
    pub fn new(world: &World, strategy: Strategy, own: ReplicaId) -> Self {
        Self::with_seed(world, strategy, own, 7)
    }

    pub fn with_seed(world: &World, strategy: Strategy, own: ReplicaId, seed: u64) -> Self {
        let context = Context { authenticator: world.authenticator.clone(), signer: world.signer(own), seed };
        Self::behind(strategy.outbound(&context))
    }

    pub fn behind(outbound: Outbound) -> Self {
        Self { outbound, now: Duration::ZERO }
    }

    fn pass(&mut self, traffic: Traffic<'_>) -> Vec<Outgoing> {
        (self.outbound)(Now { monotonic: self.now, wall: 0 }, traffic)
    }

    /// What leaves for other replicas when this is about to leave.
    pub fn sends(&mut self, to: ReplicaId, message: &Message) -> Vec<(ReplicaId, Message)> {
        self.pass(Traffic::Leaving { to, message: Box::new(message.clone()) }).into_iter().map(to_replica).collect()
    }

    /// The same, where all of it goes to the one it was for.
    pub fn tells(&mut self, to: ReplicaId, message: &Message) -> Vec<Message> {
        let sent = self.sends(to, message);
        assert!(sent.iter().all(|(receiver, _)| *receiver == to));
        sent.into_iter().map(|(_, message)| message).collect()
    }

    /// What leaves when this comes.
    pub fn hears(&mut self, from: ReplicaId, message: &Message) -> Vec<(ReplicaId, Message)> {
        self.pass(Traffic::Received { from, message }).into_iter().map(to_replica).collect()
    }

    /// What leaves when this is about to leave for a client.
    pub fn answers(&mut self, message: ReplicaMessage) -> Vec<Outgoing> {
        self.pass(Traffic::Answering { message: Box::new(message) })
    }
}

fn to_replica(outgoing: Outgoing) -> (ReplicaId, Message) {
    match outgoing {
        Outgoing::Replica(to, message) => (to, message),
        Outgoing::Client(message) => panic!("{message:?} leaves for a client"),
    }
}
