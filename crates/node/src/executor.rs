use crate::clock::Clock;
use crate::core::FromExecutor;
use crate::postman::Postman;
use crate::shared::Shared;
use crate::snapshots::SnapshotWriter;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use pbft_message::{
    ClientId, FetchState, Message, ReplicaId, ReplicaMessage, StableCertificate, StateReply, Timestamp, Verified, View,
};
use pbft_network::ConnectionId;
use pbft_protocol::execution::{Executor, InstallError, Ordered, OutOfOrder, Progress, Transfer};
use pbft_protocol::service::Service;
use std::sync::Arc;
use std::time::Duration;

/// What other threads tell the executor.
pub enum ForExecutor {
    /// The next batch.
    Execute(Ordered),
    /// A checkpoint is stable.
    Stable(Verified<StableCertificate>),
    /// Fetch the state of this checkpoint (R14).
    Transfer(Verified<StableCertificate>),
    /// Answer an executed request again.
    Answer { client: ClientId, timestamp: Timestamp, view: View },
    /// A client asks what became of a request.
    RequestStatus { connection: ConnectionId, query: u64, client: ClientId, timestamp: Timestamp },
    /// A replica asks for state.
    Fetch { from: ReplicaId, question: FetchState },
    /// A replica sends state.
    State { from: ReplicaId, reply: Box<StateReply> },
    /// Pending questions keep it awake no longer than this; the node stops.
    Stop,
}

/// Why the executor cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ExecutorError {
    /// The core handed out batches out of order: a defect of this program.
    #[error(transparent)]
    OutOfOrder(#[from] OutOfOrder),
    /// A certified state could not be installed.
    #[error("cannot install the fetched state: {0}")]
    Install(InstallError),
}

/// The executor's thread: the service, and what goes with it.
pub struct ExecutorThread<S> {
    pub executor: Executor<S>,
    pub others: Vec<ReplicaId>,
    pub transfer: Option<Transfer>,
    pub inbox: Receiver<ForExecutor>,
    /// What may wait, or be lost: questions of clients and replicas, and state.
    pub questions: Receiver<ForExecutor>,
    pub core: Sender<FromExecutor>,
    pub postman: Postman,
    pub snapshots: SnapshotWriter,
    pub shared: Arc<Shared>,
    pub clock: Clock,
}

impl<S: Service> ExecutorThread<S> {
    /// Runs until it is told to stop or the core is gone.
    pub fn run(mut self) -> Result<(), ExecutorError> {
        loop {
            let wait = self.transfer_timeout();
            match self.next(wait) {
                Ok(ForExecutor::Stop) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Ok(message) => self.take(message)?,
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.ask_for_state();
        }
    }

    /// Batches before questions.
    fn next(&self, wait: Duration) -> Result<ForExecutor, RecvTimeoutError> {
        if let Ok(message) = self.inbox.try_recv() {
            return Ok(message);
        }
        crossbeam_channel::select_biased! {
            recv(self.inbox) -> message => message.map_err(|_| RecvTimeoutError::Disconnected),
            recv(self.questions) -> message => message.map_err(|_| RecvTimeoutError::Disconnected),
            default(wait) => Err(RecvTimeoutError::Timeout),
        }
    }

    fn take(&mut self, message: ForExecutor) -> Result<(), ExecutorError> {
        match message {
            ForExecutor::Execute(ordered) => self.execute(&ordered)?,
            ForExecutor::Stable(certificate) => {
                let sequence = certificate.sequence;
                self.executor.stable(certificate);
                self.snapshots.consider(self.executor.frozen(sequence), false);
            }
            ForExecutor::Transfer(target) => self.start_transfer(target),
            ForExecutor::Answer { client, timestamp, view } => {
                self.postman.reply(self.executor.answer(client, timestamp, view).into_iter().collect());
            }
            ForExecutor::RequestStatus { connection, query, client, timestamp } => {
                let state = self.executor.request_state(client, timestamp);
                self.postman.answer(connection, &ReplicaMessage::RequestStatus { query, state });
            }
            ForExecutor::Fetch { from, question } => self.postman.send(from, Message::State(self.executor.serve(&question))),
            ForExecutor::State { from, reply } => self.take_state(from, *reply)?,
            ForExecutor::Stop => {}
        }
        Ok(())
    }

    fn execute(&mut self, ordered: &Ordered) -> Result<(), ExecutorError> {
        let executed = self.executor.execute(ordered)?;
        self.shared.add_executed(executed.replies.len());
        self.postman.reply(executed.replies);
        let _ = self.core.send(FromExecutor::Executed { sequence: executed.sequence, checkpoint: executed.checkpoint });
        Ok(())
    }

    fn start_transfer(&mut self, target: Verified<StableCertificate>) {
        tracing::info!(event = "state_transfer", sequence = target.sequence.0, "fetching the state of a stable checkpoint");
        match &mut self.transfer {
            Some(transfer) => transfer.retarget(target),
            None => self.transfer = Some(Transfer::new(target, self.others.clone(), Some(self.executor.local()))),
        }
    }

    fn ask_for_state(&mut self) {
        let now = self.clock.now().monotonic;
        if let Some((peer, question)) = self.transfer.as_mut().and_then(|transfer| transfer.poll(now)) {
            self.postman.send(peer, Message::FetchState(question));
        }
    }

    fn transfer_timeout(&self) -> Duration {
        let now = self.clock.now().monotonic;
        let deadline = self.transfer.as_ref().and_then(Transfer::poll_timeout);
        deadline.map_or(Duration::from_secs(1), |deadline| deadline.saturating_sub(now).max(Duration::from_millis(1)))
    }

    fn take_state(&mut self, from: ReplicaId, reply: StateReply) -> Result<(), ExecutorError> {
        let now = self.clock.now().monotonic;
        let Some(transfer) = &mut self.transfer else { return Ok(()) };
        match transfer.handle(now, from, reply) {
            Progress::Continue | Progress::Gone { .. } => {}
            Progress::Poisoned { peer, what } => {
                self.shared.refusals.count("poisoned_state", &peer);
                tracing::error!(event = "refused", reason = "poisoned_state", %peer, %what, "a replica sent false state");
            }
            Progress::Complete(installed) => {
                self.transfer = None;
                let sequence = installed.state().sequence;
                match self.executor.install(*installed) {
                    Ok(()) => {}
                    Err(InstallError::NotNewer { .. }) => {
                        let _ = self.core.send(FromExecutor::TransferFailed);
                        return Ok(());
                    }
                    Err(error) => return Err(ExecutorError::Install(error)),
                }
                tracing::info!(event = "state_installed", sequence = sequence.0, "installed the fetched state");
                let _ = self.core.send(FromExecutor::Installed { sequence, windows: self.executor.windows() });
                self.snapshots.consider(self.executor.frozen(sequence), true);
            }
        }
        Ok(())
    }
}
