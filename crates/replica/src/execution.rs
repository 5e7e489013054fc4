use pbft_crypto::Digest;
use pbft_message::{
    ClientId, FetchState, Message, ReplicaId, Reply, RequestState, SequenceNumber, StableCertificate, StateReply, Timestamp,
    Verified, View,
};
use pbft_protocol::Now;
use pbft_protocol::agreement::{Action, Replica};
use pbft_protocol::execution::{
    Executor, FrozenState, InstallError, Ordered, OutOfOrder, Poison, Progress, RequestWindow, Transfer,
};
use pbft_protocol::service::Service;
use std::collections::BTreeMap;
use std::time::Duration;

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
    /// A fetched state is installed.
    Installed {
        /// Its number.
        sequence: SequenceNumber,
        /// What it marks as executed.
        windows: BTreeMap<ClientId, RequestWindow>,
    },
    /// A fetched state was of no use.
    TransferFailed,
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
            Self::Installed { sequence, windows } => replica.handle_installed(now, sequence, windows),
            Self::TransferFailed => replica.handle_transfer_failed(now),
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
    /// A stable state that may be saved; one that was just installed must be, because replay cannot reach it.
    Save {
        /// The state.
        state: FrozenState,
        /// Its proof.
        certificate: StableCertificate,
        /// It was fetched.
        installed: bool,
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
}

/// The executor, and the transfer of a state into it (R14).
pub struct Execution<S> {
    executor: Executor<S>,
    others: Vec<ReplicaId>,
    transfer: Option<Transfer>,
}

impl<S: Service> Execution<S> {
    /// Around an executor; `others` may be asked for state.
    pub const fn new(executor: Executor<S>, others: Vec<ReplicaId>) -> Self {
        Self { executor, others, transfer: None }
    }

    /// Does one thing, at this time on the monotonic clock. After an error the replica is over.
    pub fn handle(&mut self, now: Duration, order: Order) -> Result<Vec<ExecutionEffect>, ExecutionError> {
        let mut effects = match order {
            Order::Execute(ordered) => {
                let executed = self.executor.execute(&ordered)?;
                let told = FromExecutor::Executed { sequence: executed.sequence, checkpoint: executed.checkpoint };
                vec![ExecutionEffect::Reply(executed.replies), ExecutionEffect::Tell(told)]
            }
            Order::Stable(certificate) => {
                let sequence = certificate.sequence;
                self.executor.stable(certificate);
                self.save(sequence, false).into_iter().collect()
            }
            Order::Transfer(target) => {
                self.start_transfer(target);
                Vec::new()
            }
            Order::Answer { client, timestamp, view } => {
                vec![ExecutionEffect::Reply(self.executor.answer(client, timestamp, view).into_iter().collect())]
            }
            Order::Fetch { from, question } => {
                vec![ExecutionEffect::Send(from, Message::State(self.executor.serve(&question)))]
            }
            Order::State { from, reply } => self.take_state(now, from, *reply)?,
        };
        effects.extend(self.handle_timeout(now));
        Ok(effects)
    }

    /// The time of [`poll_timeout`](Self::poll_timeout) has come.
    pub fn handle_timeout(&mut self, now: Duration) -> Option<ExecutionEffect> {
        let (peer, question) = self.transfer.as_mut()?.poll(now)?;
        Some(ExecutionEffect::Send(peer, Message::FetchState(question)))
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called next.
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.transfer.as_ref().and_then(Transfer::poll_timeout)
    }

    /// What is known of a request here.
    pub fn request_state(&self, client: ClientId, timestamp: Timestamp) -> RequestState {
        self.executor.request_state(client, timestamp)
    }

    /// The last executed number.
    pub const fn executed(&self) -> SequenceNumber {
        self.executor.executed()
    }

    fn start_transfer(&mut self, target: Verified<StableCertificate>) {
        match &mut self.transfer {
            Some(transfer) => transfer.retarget(target),
            None => self.transfer = Some(Transfer::new(target, self.others.clone(), Some(self.executor.local()))),
        }
    }

    fn save(&self, sequence: SequenceNumber, installed: bool) -> Option<ExecutionEffect> {
        let (state, certificate) = self.executor.frozen(sequence)?;
        Some(ExecutionEffect::Save { state, certificate, installed })
    }

    fn take_state(&mut self, now: Duration, from: ReplicaId, reply: StateReply) -> Result<Vec<ExecutionEffect>, ExecutionError> {
        let Some(transfer) = &mut self.transfer else { return Ok(Vec::new()) };
        match transfer.handle(now, from, reply) {
            Progress::Continue | Progress::Gone { .. } => Ok(Vec::new()),
            Progress::Poisoned { peer, what } => Ok(vec![ExecutionEffect::Poisoned { peer, what }]),
            Progress::Complete(installed) => {
                self.transfer = None;
                let sequence = installed.state().sequence;
                match self.executor.install(*installed) {
                    Ok(()) => {}
                    Err(InstallError::NotNewer { .. }) => {
                        return Ok(vec![ExecutionEffect::Tell(FromExecutor::TransferFailed)]);
                    }
                    Err(error) => return Err(ExecutionError::Install(error)),
                }
                let told = FromExecutor::Installed { sequence, windows: self.executor.windows() };
                Ok(std::iter::once(ExecutionEffect::Tell(told)).chain(self.save(sequence, true)).collect())
            }
        }
    }
}
