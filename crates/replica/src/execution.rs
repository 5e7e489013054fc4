use crate::serving::Serving;
use pbft_crypto::{Digest, PublicKey};
use pbft_message::{
    ClientId, FetchState, Message, ReplicaId, Reply, RequestState, SequenceNumber, StableCertificate, StateReply, Timestamp,
    Verified, View,
};
use pbft_protocol::Now;
use pbft_protocol::agreement::{Action, Replica};
use pbft_protocol::execution::{Executor, FrozenState, InstallError, Ordered, OutOfOrder, Poison, RequestWindow, Transfer};
use pbft_protocol::service::Service;
use pbft_storage::{Disk, DiskError, FetchedChunks};
use std::collections::BTreeMap;
use std::time::Duration;

/// Between two tries to keep on a full disk what is fetched.
const RETRY: Duration = Duration::from_secs(1);

/// What others want of the executor.
#[derive(Debug)]
pub enum Order {
    /// The next batch.
    Execute(Ordered),
    /// A checkpoint is stable.
    Stable(Verified<StableCertificate>),
    /// Fetch the state of this checkpoint (R14).
    Transfer(Verified<StableCertificate>),
    /// Answer an executed request again.
    Answer {
        /// The request's client.
        client: ClientId,
        /// The request's timestamp.
        timestamp: Timestamp,
        /// The view to be named.
        view: View,
    },
    /// A replica asks for state.
    Fetch {
        /// Who asks.
        from: ReplicaId,
        /// For what.
        question: FetchState,
    },
    /// A replica sends state.
    State {
        /// Who sends.
        from: ReplicaId,
        /// What.
        reply: Box<StateReply>,
    },
    /// A snapshot of the state at this number is durable: what was fetched for it may go.
    Saved(SequenceNumber),
}

/// What the executor tells the core.
#[derive(Debug)]
pub enum FromExecutor {
    /// A batch is executed; at a checkpoint with the state's digest.
    Executed {
        /// Its number.
        sequence: SequenceNumber,
        /// The digest for a CHECKPOINT.
        checkpoint: Option<Digest>,
    },
    /// An operator may have changed who is authorised.
    Clients {
        /// With which number.
        sequence: SequenceNumber,
        /// The authorised clients, and what is marked as executed.
        windows: BTreeMap<ClientId, RequestWindow>,
    },
    /// A fetched state is installed.
    Installed {
        /// Its number.
        sequence: SequenceNumber,
        /// What it marks as executed.
        windows: BTreeMap<ClientId, RequestWindow>,
        /// Bytes of chunks that were fetched for it since the start.
        fetched_bytes: u64,
    },
    /// The state at a stable checkpoint is not the certified one.
    Diverged(SequenceNumber),
    /// A fetched state was of no use.
    TransferFailed,
    /// Nobody serves the state that is being fetched.
    TransferStalled,
    /// A snapshot is being written.
    SnapshotStarted(SequenceNumber),
    /// A snapshot is durable.
    Snapshot(SequenceNumber),
}

impl FromExecutor {
    /// Tells the core.
    pub fn tell(self, replica: &mut Replica, now: Now) {
        match self {
            Self::Executed { sequence, checkpoint } => replica.handle_executed(now, sequence, checkpoint),
            Self::Clients { sequence, windows } => replica.handle_clients(now, sequence, windows),
            Self::Installed { sequence, windows, .. } => replica.handle_installed(now, sequence, windows),
            Self::Diverged(sequence) => replica.handle_diverged(now, sequence),
            Self::TransferFailed => replica.handle_transfer_failed(now),
            Self::TransferStalled => replica.handle_transfer_stalled(now),
            Self::SnapshotStarted(sequence) => replica.handle_snapshot_started(now, sequence),
            Self::Snapshot(sequence) => replica.handle_snapshot(now, sequence),
        }
    }
}

/// The core's action as the executor's order, if it is for the executor. `view` is the core's.
pub fn order_of(action: &Action, view: View) -> Option<Order> {
    match action {
        Action::Execute(ordered) => Some(Order::Execute(ordered.clone())),
        Action::Stable(certificate) => Some(Order::Stable(certificate.clone())),
        Action::TransferState(certificate) => Some(Order::Transfer(certificate.clone())),
        Action::Answer(client, timestamp) => Some(Order::Answer { client: *client, timestamp: *timestamp, view }),
        Action::Broadcast(_) | Action::Send(..) | Action::Tell(_) => None,
    }
}

/// What the executor wants done, in order.
#[derive(Debug)]
pub enum ExecutionEffect {
    /// To the clients.
    Reply(Vec<Reply>),
    /// To a replica.
    Send(ReplicaId, Message),
    /// To the core.
    Tell(FromExecutor),
    /// From now on these clients may connect, and nobody else but replicas.
    Authorise(BTreeMap<ClientId, PublicKey>),
    /// A stable state that may be saved; one that was just installed must be, because replay cannot reach it.
    Save {
        /// The state.
        state: FrozenState,
        /// Its proof.
        certificate: StableCertificate,
        /// It was fetched.
        installed: bool,
    },
    /// The own state is not the certified one: to be kept for whoever looks for the cause (R9).
    Diverged {
        /// The own state.
        state: FrozenState,
        /// What it differs from.
        certificate: StableCertificate,
    },
    /// A replica sent false state.
    Poisoned {
        /// The replica.
        peer: ReplicaId,
        /// What was wrong.
        what: Poison,
    },
}

/// Why the executor cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ExecutionError {
    /// The core handed out batches out of order: a defect of this program.
    #[error(transparent)]
    OutOfOrder(#[from] OutOfOrder),
    /// A certified state could not be installed.
    #[error("cannot install the fetched state: {0}")]
    Install(InstallError),
    /// What was fetched could not be kept.
    #[error("cannot keep the state that is being fetched: {0}")]
    Disk(#[from] DiskError),
}

/// The executor, and the transfer of states into it and out of it (R14).
pub struct Execution<S, D> {
    executor: Executor<S>,
    others: Vec<ReplicaId>,
    transfer: Option<Transfer>,
    /// What is to be fetched once the disk may have room again, and when it is tried.
    postponed: Option<(Verified<StableCertificate>, Duration)>,
    /// What was fetched last found no room.
    is_full: bool,
    fetched: FetchedChunks<D>,
    fetched_bytes: u64,
    serving: Serving,
}

impl<S: Service, D: Disk> Execution<S, D> {
    /// Around an executor. `others` may be asked for state, and ask; they get so many bytes a second of it, together.
    /// What is fetched is kept in `fetched` until it is installed.
    pub const fn new(executor: Executor<S>, others: Vec<ReplicaId>, fetched: FetchedChunks<D>, bytes_per_second: u64) -> Self {
        let serving = Serving::new(bytes_per_second);
        Self { executor, others, transfer: None, postponed: None, is_full: false, fetched, fetched_bytes: 0, serving }
    }

    /// Does one thing, at this time on the monotonic clock. After an error the replica is over.
    pub fn handle(&mut self, now: Duration, order: Order) -> Result<Vec<ExecutionEffect>, ExecutionError> {
        let mut effects = match order {
            Order::Execute(ordered) => {
                let executed = self.executor.execute(&ordered)?;
                let told = FromExecutor::Executed { sequence: executed.sequence, checkpoint: executed.checkpoint };
                let diverged = executed.checkpoint.map(|_| self.diverged(executed.sequence));
                let clients = self.executor.clients_changed().then(|| self.clients(executed.sequence));
                // Whoever is answered that a client is authorised, finds it so.
                let effects = [ExecutionEffect::Reply(executed.replies), ExecutionEffect::Tell(told)];
                let effects = clients.into_iter().flatten().chain(effects);
                effects.chain(diverged.into_iter().flatten()).collect()
            }
            Order::Stable(certificate) => {
                let sequence = certificate.sequence;
                self.serving.forget_old(now, &mut self.executor);
                self.executor.stable(certificate);
                let kept = self.save(sequence, false).map_or_else(|| self.diverged(sequence), |save| vec![save]);
                kept.into_iter().chain(self.stalled(true)).collect()
            }
            Order::Transfer(target) => {
                self.start_transfer(now, target)?;
                Vec::new()
            }
            Order::Answer { client, timestamp, view } => {
                vec![ExecutionEffect::Reply(self.executor.answer(client, timestamp, view).into_iter().collect())]
            }
            Order::Fetch { from, question } => {
                self.serving.ask(now, from, question, &mut self.executor);
                Vec::new()
            }
            Order::State { from, reply } => self.take_state(now, from, *reply)?,
            Order::Saved(sequence) => {
                self.fetched.forget(sequence.0)?;
                Vec::new()
            }
        };
        effects.extend(self.handle_timeout(now)?);
        Ok(effects)
    }

    /// What is due at this time: to be called when that of [`poll_timeout`](Self::poll_timeout) has come. After an error the
    /// replica is over.
    pub fn handle_timeout(&mut self, now: Duration) -> Result<Vec<ExecutionEffect>, ExecutionError> {
        let mut effects = Vec::new();
        if let Some((target, _)) = self.postponed.take_if(|(_, due)| *due <= now) {
            self.begin_transfer(now, target)?;
        }
        while let Some((peer, reply)) = self.serving.next_answer(now, &mut self.executor) {
            effects.push(ExecutionEffect::Send(peer, Message::State(reply)));
        }
        let Some(transfer) = &mut self.transfer else { return Ok(effects) };
        let was_served = transfer.is_served();
        while let Some((peer, question)) = transfer.poll(now) {
            effects.push(ExecutionEffect::Send(peer, Message::FetchState(question)));
        }
        effects.extend(self.stalled(was_served));
        Ok(effects)
    }

    /// Nobody serves the state that is being fetched, and that is new, or there is a newer one.
    fn stalled(&self, is_news: bool) -> Option<ExecutionEffect> {
        let stalled = is_news && self.transfer.as_ref().is_some_and(|transfer| !transfer.is_served());
        stalled.then_some(ExecutionEffect::Tell(FromExecutor::TransferStalled))
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called next.
    pub fn poll_timeout(&self) -> Option<Duration> {
        let fetches = self.transfer.as_ref().and_then(Transfer::poll_timeout);
        let postponed = self.postponed.as_ref().map(|(_, due)| *due);
        fetches.into_iter().chain(postponed).chain(self.serving.poll_timeout()).min()
    }

    /// Whether a state is to be fetched and the disk has no room for it: it is tried again and again.
    pub const fn waits_for_room(&self) -> bool {
        self.is_full
    }

    /// What is known of a request here.
    pub fn request_state(&self, client: ClientId, timestamp: Timestamp) -> RequestState {
        self.executor.request_state(client, timestamp)
    }

    /// The last executed number.
    pub const fn executed(&self) -> SequenceNumber {
        self.executor.executed()
    }

    fn clients(&self, sequence: SequenceNumber) -> [ExecutionEffect; 2] {
        let told = FromExecutor::Clients { sequence, windows: self.executor.windows() };
        [ExecutionEffect::Authorise(self.executor.authorised()), ExecutionEffect::Tell(told)]
    }

    /// What is executed of each authorised client.
    pub fn windows(&self) -> BTreeMap<ClientId, RequestWindow> {
        self.executor.windows()
    }

    /// Who is authorised, each with what authenticates its connections.
    pub fn authorised(&self) -> BTreeMap<ClientId, PublicKey> {
        self.executor.authorised()
    }

    fn start_transfer(&mut self, now: Duration, target: Verified<StableCertificate>) -> Result<(), ExecutionError> {
        if let Some(transfer) = &mut self.transfer {
            transfer.retarget(target);
            return Ok(());
        }
        if let Some((older, _)) = &mut self.postponed {
            *older = target;
            return Ok(());
        }
        self.fetched_bytes = 0;
        self.begin_transfer(now, target)
    }

    fn begin_transfer(&mut self, now: Duration, target: Verified<StableCertificate>) -> Result<(), ExecutionError> {
        match self.fetched.open(target.sequence.0) {
            Err(error) if error.is_full() => {
                self.postpone(now, target);
                return Ok(());
            }
            opened => opened?,
        }
        let kept = self.fetched.digests().copied().collect();
        self.transfer = Some(Transfer::new(target, self.others.iter().copied(), self.executor.local(), kept));
        Ok(())
    }

    /// A full disk is no broken one: what is kept by now is not fetched again, the rest once there is room.
    fn postpone(&mut self, now: Duration, target: Verified<StableCertificate>) {
        self.is_full = true;
        self.transfer = None;
        self.postponed = Some((target, now.saturating_add(RETRY)));
    }

    fn save(&self, sequence: SequenceNumber, installed: bool) -> Option<ExecutionEffect> {
        let (state, certificate) = self.executor.frozen(sequence)?;
        Some(ExecutionEffect::Save { state, certificate, installed })
    }

    fn diverged(&self, sequence: SequenceNumber) -> Vec<ExecutionEffect> {
        let Some((state, certificate)) = self.executor.diverged(sequence) else { return Vec::new() };
        let told = ExecutionEffect::Tell(FromExecutor::Diverged(sequence));
        vec![told, ExecutionEffect::Diverged { state, certificate }]
    }

    fn take_state(&mut self, now: Duration, from: ReplicaId, reply: StateReply) -> Result<Vec<ExecutionEffect>, ExecutionError> {
        let Some(transfer) = &mut self.transfer else { return Ok(Vec::new()) };
        let was_served = transfer.is_served();
        let taken = transfer.handle(now, from, reply);
        for (digest, chunk) in &taken.chunks {
            match self.fetched.put(*digest, chunk) {
                Err(error) if error.is_full() => {
                    let target = transfer.target().clone();
                    self.postpone(now, target);
                    return Ok(poisoned(from, taken.poison).into_iter().collect());
                }
                put => put?,
            }
            self.is_full = false;
            self.fetched_bytes = self.fetched_bytes.saturating_add(chunk.len() as u64);
        }
        let mut effects: Vec<_> = poisoned(from, taken.poison).into_iter().collect();
        let complete = transfer.is_complete();
        effects.extend(self.stalled(was_served));
        if complete {
            effects.extend(self.install()?);
        }
        Ok(effects)
    }

    /// Installs the state that was fetched. It is in memory only: a crash before its snapshot is durable comes back to
    /// the state before, and finds the chunks again.
    fn install(&mut self) -> Result<Vec<ExecutionEffect>, ExecutionError> {
        let Some(transfer) = &mut self.transfer else { return Ok(Vec::new()) };
        let Some(installed) = transfer.finish(|digest| self.fetched.get(digest))? else { return Ok(Vec::new()) };
        self.transfer = None;
        self.is_full = false;
        let sequence = installed.state().sequence;
        match self.executor.install(installed) {
            Ok(()) => {}
            Err(InstallError::NotNewer { .. }) => return Ok(vec![ExecutionEffect::Tell(FromExecutor::TransferFailed)]),
            Err(error) => return Err(ExecutionError::Install(error)),
        }
        let told = FromExecutor::Installed { sequence, windows: self.executor.windows(), fetched_bytes: self.fetched_bytes };
        let effects = [ExecutionEffect::Authorise(self.executor.authorised()), ExecutionEffect::Tell(told)];
        Ok(effects.into_iter().chain(self.save(sequence, true)).collect())
    }
}

fn poisoned(peer: ReplicaId, what: Option<Poison>) -> Option<ExecutionEffect> {
    what.map(|what| ExecutionEffect::Poisoned { peer, what })
}
