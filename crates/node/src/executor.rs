use crate::clock::Clock;
use crate::cpu::CpuClock;
use crate::metered::HashingBegan;
use crate::meters::Stage;
use crate::postman::Postman;
use crate::refusals::Source;
use crate::shared::Shared;
use crate::snapshots::SnapshotWriter;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use pbft_message::{ClientId, ReplicaMessage, StableCertificate, Timestamp};
use pbft_network::ConnectionId;
use pbft_protocol::execution::{FrozenState, Ordered};
use pbft_protocol::service::Service;
use pbft_replica::{Execution, ExecutionEffect, ExecutionError, FromExecutor, Order, keep_for_forensics};
use pbft_storage::{FileDisk, Identity, fail_point};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What other threads tell the executor.
pub enum ForExecutor {
    /// Something to do.
    Do(Order),
    /// A client asks what became of a request.
    RequestStatus { connection: ConnectionId, query: u64, client: ClientId, timestamp: Timestamp },
    /// Pending questions keep it awake no longer than this; the node stops.
    Stop,
}

/// The executor's thread: the service, and what goes with it.
pub struct ExecutorThread<S> {
    pub execution: Execution<S, FileDisk>,
    pub inbox: Arc<Receiver<ForExecutor>>,
    /// What may wait, or be lost: questions of clients and replicas, and state.
    pub questions: Arc<Receiver<ForExecutor>>,
    pub core: Sender<FromExecutor>,
    pub postman: Postman,
    pub snapshots: SnapshotWriter,
    /// For a state that differs from the certified one.
    pub forensics: FileDisk,
    /// Whose state it is.
    pub owner: Identity,
    pub shared: Arc<Shared>,
    pub clock: Clock,
    pub hashing: HashingBegan,
}

impl<S: Service> ExecutorThread<S> {
    /// Runs until it is told to stop or the core is gone.
    pub fn run(mut self) -> Result<(), ExecutionError> {
        let mut cpu = CpuClock::start();
        self.postman.authorise(self.execution.authorised());
        loop {
            match self.next() {
                Ok(ForExecutor::Stop) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Ok(ForExecutor::Do(order)) => self.carry_out(order, &mut cpu)?,
                Ok(ForExecutor::RequestStatus { connection, query, client, timestamp }) => {
                    let state = self.execution.request_state(client, timestamp);
                    self.postman.answer(connection, &ReplicaMessage::RequestStatus { query, state });
                }
                Err(RecvTimeoutError::Timeout) => {
                    let effects = self.execution.handle_timeout(self.clock.now().monotonic)?;
                    effects.into_iter().for_each(|effect| self.effect(effect));
                }
            }
            self.tell_of_room();
        }
    }

    fn tell_of_room(&self) {
        let waits = self.execution.waits_for_room();
        match (self.shared.transfer_full.swap(waits, Ordering::Relaxed), waits) {
            (false, true) => tracing::error!(
                event = "disk_full",
                "the disk is full: the state that is being fetched waits for room; free some, and it goes on"
            ),
            (true, false) => tracing::info!(event = "disk_has_room", "there is room again for the state that is being fetched"),
            _ => {}
        }
    }

    /// Batches before questions.
    fn next(&self) -> Result<ForExecutor, RecvTimeoutError> {
        if let Ok(message) = self.inbox.try_recv() {
            return Ok(message);
        }
        let wait = self.wait();
        crossbeam_channel::select_biased! {
            recv(&*self.inbox) -> message => message.map_err(|_| RecvTimeoutError::Disconnected),
            recv(&*self.questions) -> message => message.map_err(|_| RecvTimeoutError::Disconnected),
            default(wait) => Err(RecvTimeoutError::Timeout),
        }
    }

    fn wait(&self) -> Duration {
        let now = self.clock.now().monotonic;
        let deadline = self.execution.poll_timeout();
        deadline.map_or(Duration::from_secs(1), |deadline| deadline.saturating_sub(now).max(Duration::from_millis(1)))
    }

    fn carry_out(&mut self, order: Order, cpu: &mut CpuClock) -> Result<(), ExecutionError> {
        let now = self.clock.now().monotonic;
        if let Order::Transfer(target) = &order {
            self.shared.meters.transfers.inc();
            tracing::info!(event = "state_transfer", sequence = target.sequence.0, "fetching the state of a stable checkpoint");
        }
        let executes = self.count(&order);
        let effects = self.execution.handle(now, order)?;
        if executes {
            self.shared.meters.executions.observe(self.clock.now().monotonic.saturating_sub(now).as_secs_f64());
        }
        if let Some(began) = self.hashing.take() {
            self.shared.meters.spend(Stage::Execute, cpu.lap_until(began));
            self.shared.meters.spend(Stage::Hash, cpu.lap());
        } else {
            self.shared.meters.spend(Stage::Execute, cpu.lap());
        }
        effects.into_iter().for_each(|effect| self.effect(effect));
        self.shared.meters.spend(Stage::Codec, cpu.lap());
        Ok(())
    }

    /// Whether it is a batch; counts what is in it.
    fn count(&self, order: &Order) -> bool {
        let Order::Execute(Ordered { view, sequence, body }) = order else { return false };
        let meters = &self.shared.meters;
        let Some(batch) = body else {
            meters.null_requests_executed.inc();
            return true;
        };
        meters.batches_executed.inc();
        meters.requests_executed.inc_by(batch.requests().len() as u64);
        let operations = batch.requests().iter().map(|request| request.operations.len() as u64);
        meters.operations_executed.inc_by(operations.sum());
        for request in batch.requests() {
            let (client, number, sequence) = (request.client, request.timestamp.0, sequence.0);
            tracing::debug!(event = "request_executed", %client, request = number, sequence, view = view.0, "executing a request");
        }
        true
    }

    /// No promise rests on it: a disk that does not take it is told, and no more.
    fn keep(&mut self, state: &FrozenState, certificate: &StableCertificate) {
        match keep_for_forensics(&mut self.forensics, &self.owner, state, certificate) {
            Ok(Some(file)) => {
                tracing::error!(event = "diverged", file, "kept the state that differs from the certified one in data/")
            }
            Ok(None) => tracing::warn!(event = "diverged", "an earlier state is kept in data/ already: this one is not"),
            Err(error) => tracing::error!(event = "diverged", %error, "cannot keep the state that differs from the certified one"),
        }
    }

    fn effect(&mut self, effect: ExecutionEffect) {
        match effect {
            ExecutionEffect::Reply(replies) => self.postman.reply(replies),
            ExecutionEffect::Authorise(clients) => self.postman.authorise(clients),
            ExecutionEffect::Send(to, message) => self.postman.send(to, message),
            ExecutionEffect::Tell(told) => {
                if let FromExecutor::Installed { sequence, fetched_bytes, .. } = &told {
                    fail_point("install", "state");
                    self.shared.meters.installed.inc();
                    self.shared.meters.fetched_bytes.inc_by(*fetched_bytes);
                    tracing::info!(event = "state_installed", sequence = sequence.0, fetched_bytes, "installed the fetched state");
                }
                let _ = self.core.send(told);
            }
            ExecutionEffect::Save { state, certificate, installed } => self.snapshots.consider((state, certificate), installed),
            ExecutionEffect::Diverged { state, certificate } => self.keep(&state, &certificate),
            ExecutionEffect::Poisoned { peer, what } => {
                self.shared.refusals.count("poisoned_state", Source::Replica(peer));
                tracing::error!(event = "refused", reason = "poisoned_state", %peer, %what, "a replica sent false state");
            }
        }
    }
}
