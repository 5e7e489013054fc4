use crate::clock::Clock;
use crate::postman::Postman;
use crate::shared::Shared;
use crate::snapshots::SnapshotWriter;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use pbft_message::{ClientId, ReplicaMessage, Timestamp};
use pbft_network::ConnectionId;
use pbft_protocol::service::Service;
use pbft_replica::{Execution, ExecutionEffect, ExecutionError, FromExecutor, Order};
use std::sync::Arc;
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
    pub execution: Execution<S>,
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
    pub fn run(mut self) -> Result<(), ExecutionError> {
        loop {
            match self.next() {
                Ok(ForExecutor::Stop) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Ok(ForExecutor::Do(order)) => self.carry_out(order)?,
                Ok(ForExecutor::RequestStatus { connection, query, client, timestamp }) => {
                    let state = self.execution.request_state(client, timestamp);
                    self.postman.answer(connection, &ReplicaMessage::RequestStatus { query, state });
                }
                Err(RecvTimeoutError::Timeout) => {
                    let effect = self.execution.handle_timeout(self.clock.now().monotonic);
                    effect.into_iter().for_each(|effect| self.effect(effect));
                }
            }
        }
    }

    /// Batches before questions.
    fn next(&self) -> Result<ForExecutor, RecvTimeoutError> {
        if let Ok(message) = self.inbox.try_recv() {
            return Ok(message);
        }
        let wait = self.wait();
        crossbeam_channel::select_biased! {
            recv(self.inbox) -> message => message.map_err(|_| RecvTimeoutError::Disconnected),
            recv(self.questions) -> message => message.map_err(|_| RecvTimeoutError::Disconnected),
            default(wait) => Err(RecvTimeoutError::Timeout),
        }
    }

    fn wait(&self) -> Duration {
        let now = self.clock.now().monotonic;
        let deadline = self.execution.poll_timeout();
        deadline.map_or(Duration::from_secs(1), |deadline| deadline.saturating_sub(now).max(Duration::from_millis(1)))
    }

    fn carry_out(&mut self, order: Order) -> Result<(), ExecutionError> {
        if let Order::Transfer(target) = &order {
            tracing::info!(event = "state_transfer", sequence = target.sequence.0, "fetching the state of a stable checkpoint");
        }
        let effects = self.execution.handle(self.clock.now().monotonic, order)?;
        effects.into_iter().for_each(|effect| self.effect(effect));
        Ok(())
    }

    fn effect(&self, effect: ExecutionEffect) {
        match effect {
            ExecutionEffect::Reply(replies) => {
                self.shared.add_executed(replies.len());
                self.postman.reply(replies);
            }
            ExecutionEffect::Send(to, message) => self.postman.send(to, message),
            ExecutionEffect::Tell(told) => {
                if let FromExecutor::Installed { sequence, .. } = &told {
                    tracing::info!(event = "state_installed", sequence = sequence.0, "installed the fetched state");
                }
                let _ = self.core.send(told);
            }
            ExecutionEffect::Save { state, certificate, installed } => self.snapshots.consider((state, certificate), installed),
            ExecutionEffect::Poisoned { peer, what } => {
                self.shared.refusals.count("poisoned_state", &peer);
                tracing::error!(event = "refused", reason = "poisoned_state", %peer, %what, "a replica sent false state");
            }
        }
    }
}
