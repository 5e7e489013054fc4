use super::checkpoints::Checkpoints;
use super::client_chunk::ClientTableError;
use super::client_table::{ClientTable, Decision, Remembered, size_of_results};
use super::frozen::FrozenState;
use super::installed::{InstalledState, Part};
use super::membership;
use super::merkle::MerkleTree;
use super::server::Server;
use super::window::RequestWindow;
use crate::service::{Context, RestoreError, Service, Snapshot};
use pbft_crypto::{Digest, PublicKey};
use pbft_message::{
    Batch, Blobs, CheckpointState, ClientId, ClientRole, Domain, Epoch, FetchState, Genesis, Outcome, Reply, Request, RequestState,
    SequenceNumber, Signed, StableCertificate, Standing, StateReply, Timestamp, Verified, View,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The most bytes of results in the replies of one batch. What is beyond stays unsaid: the client asks again and is
/// answered from the client table. Otherwise a batch of small requests with large results would fill the memory.
const MAX_REPLY_BYTES: usize = 64 << 20;

/// So often between two checkpoints the chunks that changed are hashed ahead. Execution pauses for about two of these
/// parts at a checkpoint, instead of for all.
const HASHING_STEPS: u64 = 16;

/// The most chunks that one of these parts hashes: where most chunks change again and again, little is done in vain.
const HASHED_AHEAD: usize = 128;

/// Runs ordered batches, one after the other (R7), and keeps the states that other replicas may ask for.
///
/// In order: [`new`](Self::new) or [`restore`](Self::restore); [`execute`](Self::execute) for every ordered batch;
/// [`stable`](Self::stable) for every stable certificate; at any time [`answer`](Self::answer),
/// [`request_state`](Self::request_state) and [`serve`](Self::serve). When the replica is too far behind,
/// [`install`](Self::install) what a [`Transfer`](super::Transfer) fetched.
pub struct Executor<S> {
    domain: Domain,
    genesis: Arc<Genesis>,
    service: S,
    service_tree: MerkleTree,
    /// The service's chunks that changed lately and are not hashed yet.
    warm: BTreeSet<u32>,
    clients: ClientTable,
    /// Whether an operator's request ran since this was last asked.
    clients_changed: bool,
    clients_tree: MerkleTree,
    executed: SequenceNumber,
    /// The last time that an application may have read (R3).
    time: u64,
    /// The state at the last checkpoint.
    local: FrozenState,
    checkpoints: Checkpoints,
    server: Server,
}

/// What is to be executed at a sequence number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ordered {
    /// The view to be named in the replies.
    pub view: View,
    /// Where the batch stands.
    pub sequence: SequenceNumber,
    /// The batch; none for the null request.
    pub body: Option<Verified<Batch>>,
}

/// What came of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executed {
    /// Where the batch stands.
    pub sequence: SequenceNumber,
    /// A reply to each request, in their order; one with results is left out where they are beyond 64 MiB in a batch.
    pub replies: Vec<Reply>,
    /// The digest for a CHECKPOINT, if one is due here (R9).
    pub checkpoint: Option<Digest>,
}

/// The batch is not the next one. Nothing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("asked to execute number {asked}, but {expected} is next (R7)")]
pub struct OutOfOrder {
    /// The batch's number.
    pub asked: SequenceNumber,
    /// The only number that may be executed.
    pub expected: SequenceNumber,
}

/// Why a state was not installed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InstallError {
    /// The state is not newer; nothing happened.
    #[error("the state is of number {offered}, but {executed} is executed here already")]
    NotNewer {
        /// The state's number.
        offered: SequenceNumber,
        /// The last executed number.
        executed: SequenceNumber,
    },
    /// The state belongs to another configuration; nothing happened.
    #[error("the state is of another configuration than this cluster's")]
    OtherConfiguration,
    /// The client table does not read; nothing happened.
    #[error(transparent)]
    Clients(#[from] ClientTableError),
    /// The service refused its chunks and may be left half restored: stop, this executor must not go on.
    #[error(transparent)]
    Service(#[from] RestoreError),
    /// The service does not give back what it took: stop, this executor must not go on.
    #[error("the service was restored from {expected} chunks and now has {found}: it is not the service that wrote them")]
    NotRestored {
        /// How many chunks it was given.
        expected: usize,
        /// How many it has.
        found: u32,
    },
}

impl<S: Service> Executor<S> {
    /// Starts at the genesis state. The service is in its own first state.
    pub fn new(genesis: Arc<Genesis>, mut service: S) -> Self {
        let domain = Domain { cluster: genesis.cluster_id(), epoch: Epoch(0) };
        let clients = ClientTable::new(&genesis);
        let (service_snapshot, clients_snapshot) = (service.snapshot(), clients.snapshot());
        // The trees are of all chunks: what changed before no longer matters.
        service.changed_chunks();
        let mut service_tree = MerkleTree::of_snapshot(&*service_snapshot);
        let mut clients_tree = MerkleTree::of_snapshot(&*clients_snapshot);
        let state = CheckpointState {
            sequence: SequenceNumber::GENESIS,
            epoch: domain.epoch,
            configuration: domain.cluster,
            service_root: service_tree.root(),
            clients_root: clients_tree.root(),
            time: 0,
        };
        let local = frozen(state, service_snapshot, &service_tree, clients_snapshot, &clients_tree);
        let checkpoints = Checkpoints::new(&genesis.parameters);
        let server = Server::new(&genesis);
        let executed = SequenceNumber::GENESIS;
        Self {
            domain,
            genesis,
            service,
            service_tree,
            warm: BTreeSet::new(),
            clients,
            clients_changed: false,
            clients_tree,
            executed,
            time: 0,
            local,
            checkpoints,
            server,
        }
    }

    /// Starts from a saved snapshot.
    pub fn restore(genesis: Arc<Genesis>, service: S, saved: InstalledState) -> Result<Self, InstallError> {
        let mut executor = Self::new(genesis, service);
        executor.install(saved)?;
        Ok(executor)
    }

    /// Runs the next batch. Any other number is refused without effect (R7).
    pub fn execute(&mut self, ordered: &Ordered) -> Result<Executed, OutOfOrder> {
        let expected = self.executed.next();
        if ordered.sequence != expected || expected == self.executed {
            return Err(OutOfOrder { asked: ordered.sequence, expected });
        }
        let replies = ordered.body.as_ref().map(|batch| self.execute_batch(ordered, batch)).unwrap_or_default();
        self.executed = ordered.sequence;
        let interval = self.genesis.parameters.checkpoint_interval;
        let is_due = |interval: u64| ordered.sequence.0.checked_rem(interval) == Some(0);
        let checkpoint = is_due(interval).then(|| self.freeze());
        if checkpoint.is_none() && is_due(interval.div_ceil(HASHING_STEPS)) {
            self.hash_ahead();
        }
        Ok(Executed { sequence: ordered.sequence, replies, checkpoint })
    }

    fn execute_batch(&mut self, ordered: &Ordered, batch: &Batch) -> Vec<Reply> {
        self.time = batch.time().max(self.time.saturating_add(1));
        let mut room = MAX_REPLY_BYTES;
        let mut replies = Vec::with_capacity(batch.requests().len());
        for (index, request) in (0..).zip(batch.requests()) {
            let reply = self.execute_request(ordered, index, request);
            if let Outcome::Executed(results) = &reply.outcome {
                let Some(left) = room.checked_sub(size_of_results(results)) else { continue };
                room = left;
            }
            replies.push(reply);
        }
        replies
    }

    fn execute_request(&mut self, ordered: &Ordered, index: u32, request: &Signed<Request>) -> Reply {
        let digest = request.digest(&self.domain);
        let (sequence, outcome) = match self.clients.decide(request.client, request.timestamp, &digest) {
            Decision::Remembered(remembered) => (remembered.sequence, remembered.outcome()),
            Decision::Refused(refusal) => (ordered.sequence, Outcome::Refused(refusal)),
            Decision::Execute => {
                let results = if self.may_run(request) { self.run(ordered.sequence, request) } else { Remembered::refused() };
                let executed = Remembered { request: digest, sequence: ordered.sequence, index, results: Some(results) };
                let outcome = executed.outcome();
                self.clients.remember(request.client, request.timestamp, executed);
                (ordered.sequence, outcome)
            }
        };
        let Request { client, timestamp, .. } = **request;
        Reply { epoch: self.domain.epoch, view: ordered.view, client, timestamp, request: digest, sequence, outcome }
    }

    /// Whether the client's role allows all operations of a request (R8).
    fn may_run(&self, request: &Request) -> bool {
        let reads = matches!(self.clients.standing(request.client), Some(Standing::Client { role: ClientRole::Read, .. }));
        !reads || request.operations.each().all(|operation| self.service.is_read(operation))
    }

    /// The operations' results; together they keep to the service's limit. An operator's are about clients.
    fn run(&mut self, sequence: SequenceNumber, request: &Request) -> Blobs {
        let is_operator = matches!(self.clients.standing(request.client), Some(Standing::Operator { .. }));
        self.clients_changed |= is_operator;
        let mut room = self.genesis.service.max_result_bytes;
        let mut results = Vec::with_capacity(request.operations.len());
        for operation in request.operations.each() {
            let mut result = if is_operator {
                membership::run(&mut self.clients, &self.genesis, operation, room).encode()
            } else {
                let context = Context { client: request.client, time: self.time, sequence, max_result_bytes: room };
                self.service.execute(&context, operation)
            };
            // A service that breaks its word does so everywhere alike: cutting keeps the replicas equal.
            result.truncate(room);
            room = room.saturating_sub(result.len());
            results.push(result);
        }
        Blobs::new(&results)
    }

    /// Hashes the chunks that have not changed for a while, so that the checkpoint finds less to do.
    fn hash_ahead(&mut self) {
        let changed = self.service.changed_chunks().into_iter().collect();
        let cooled: Vec<u32> = self.warm.difference(&changed).take(HASHED_AHEAD).copied().collect();
        if !cooled.is_empty() {
            self.service_tree.update(&*self.service.snapshot(), &cooled);
            self.warm.retain(|chunk| cooled.binary_search(chunk).is_err());
        }
        self.warm.extend(changed);
    }

    /// Freezes the state as the newest checkpoint's and returns its digest. Costs in proportion to what changed.
    fn freeze(&mut self) -> Digest {
        let (service, clients) = (self.service.snapshot(), self.clients.snapshot());
        let mut changed = std::mem::take(&mut self.warm);
        changed.extend(self.service.changed_chunks());
        self.service_tree.update(&*service, &changed.into_iter().collect::<Vec<_>>());
        self.clients_tree.update(&*clients, &self.clients.changed_chunks());
        let state = CheckpointState {
            sequence: self.executed,
            epoch: self.domain.epoch,
            configuration: self.domain.cluster,
            service_root: self.service_tree.root(),
            clients_root: self.clients_tree.root(),
            time: self.time,
        };
        let digest = state.digest();
        self.local = frozen(state, service, &self.service_tree, clients, &self.clients_tree);
        self.checkpoints.insert(self.local.clone());
        digest
    }

    /// A checkpoint became stable, executed here or not yet. The two newest stable states stay servable (R9).
    pub fn stable(&mut self, certificate: Verified<StableCertificate>) {
        self.checkpoints.stable(certificate.into_inner());
    }

    /// Installs a fetched state: service, client table, time and number at once (R14). Never goes back.
    ///
    /// After an error that says so, the executor must not go on.
    pub fn install(&mut self, installed: InstalledState) -> Result<(), InstallError> {
        let InstalledState { certificate, state, service, clients } = installed;
        if state.sequence <= self.executed {
            return Err(InstallError::NotNewer { offered: state.sequence, executed: self.executed });
        }
        if (state.configuration, state.epoch) != (self.domain.cluster, self.domain.epoch) {
            return Err(InstallError::OtherConfiguration);
        }
        let table = ClientTable::restore(&self.genesis, &clients.chunks)?;
        let Part { chunks, leaves } = service;
        self.service.restore(chunks)?;
        let snapshot = self.service.snapshot();
        if usize::try_from(snapshot.chunk_count()) != Ok(leaves.len()) {
            return Err(InstallError::NotRestored { expected: leaves.len(), found: snapshot.chunk_count() });
        }
        // The leaves were checked against the certificate, so nothing is hashed again.
        self.service_tree = MerkleTree::new(leaves);
        self.warm.clear();
        self.clients_tree = MerkleTree::new(clients.leaves);
        self.clients = table;
        (self.executed, self.time) = (state.sequence, state.time);
        self.local = frozen(state, snapshot, &self.service_tree, self.clients.snapshot(), &self.clients_tree);
        self.checkpoints.insert(self.local.clone());
        self.stable(certificate);
        Ok(())
    }

    /// The last executed number.
    pub const fn executed(&self) -> SequenceNumber {
        self.executed
    }

    /// The executed timestamps of every authorised client, for agreement's mirror of R8.
    pub fn windows(&self) -> BTreeMap<ClientId, RequestWindow> {
        self.clients.windows()
    }

    /// Whether other clients may be authorised than when this was last asked.
    pub const fn clients_changed(&mut self) -> bool {
        std::mem::replace(&mut self.clients_changed, false)
    }

    /// Who is authorised, each with what authenticates its connections.
    pub fn authorised(&self) -> BTreeMap<ClientId, PublicKey> {
        self.clients.entries().filter_map(|(client, entry)| Some((*client, entry.standing.transport_key()?))).collect()
    }

    /// The reply to a request that was executed, from the client table [paper, R2].
    pub fn answer(&self, client: ClientId, timestamp: Timestamp, view: View) -> Option<Reply> {
        let remembered = self.clients.remembered(client, timestamp)?;
        Some(Reply {
            epoch: self.domain.epoch,
            view,
            client,
            timestamp,
            request: remembered.request,
            sequence: remembered.sequence,
            outcome: remembered.outcome(),
        })
    }

    /// What is known of a request here.
    pub fn request_state(&self, client: ClientId, timestamp: Timestamp) -> RequestState {
        self.clients.request_state(client, timestamp)
    }

    /// Of the states that can be served, these stay servable when newer ones are stable, until others are pinned.
    pub fn pin(&mut self, pinned: BTreeSet<SequenceNumber>) {
        self.checkpoints.pin(pinned);
    }

    /// The numbers of the stable states that can be served, ascending; at most two, and those that are pinned.
    pub fn servable(&self) -> Vec<SequenceNumber> {
        self.checkpoints.servable().map(|(frozen, _)| frozen.state.sequence).collect()
    }

    /// A stable state with its certificate, to be saved.
    pub fn frozen(&self, sequence: SequenceNumber) -> Option<(FrozenState, StableCertificate)> {
        self.checkpoints.get(sequence).map(|(frozen, certificate)| (frozen.clone(), certificate.clone()))
    }

    /// The state at this number with the certificate that it differs from, for forensics (R9).
    pub fn diverged(&self, sequence: SequenceNumber) -> Option<(FrozenState, StableCertificate)> {
        self.checkpoints.diverged(sequence).map(|(frozen, certificate)| (frozen.clone(), certificate.clone()))
    }

    /// The state at the last checkpoint here, stable or not: what a [`Transfer`](super::Transfer) need not fetch.
    pub fn local(&self) -> FrozenState {
        self.local.clone()
    }

    /// Answers a question in state transfer (R14), in any state.
    pub fn serve(&mut self, question: &FetchState) -> StateReply {
        let sequence = question.sequence();
        match self.checkpoints.get(sequence) {
            Some((frozen, _)) => self.server.answer(frozen, question),
            None => {
                let newest = self.checkpoints.servable().next_back().map(|(frozen, _)| frozen.state.sequence);
                StateReply::Gone { sequence, newest: newest.unwrap_or(SequenceNumber::GENESIS) }
            }
        }
    }
}

fn frozen(
    state: CheckpointState,
    service: Arc<dyn Snapshot>,
    service_tree: &MerkleTree,
    clients: Arc<dyn Snapshot>,
    clients_tree: &MerkleTree,
) -> FrozenState {
    FrozenState {
        state,
        service,
        service_leaves: Arc::new(service_tree.leaves().to_vec()),
        clients,
        clients_leaves: Arc::new(clients_tree.leaves().to_vec()),
    }
}
