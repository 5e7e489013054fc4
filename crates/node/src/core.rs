use crate::clock::Clock;
use crate::executor::ForExecutor;
use crate::postman::Postman;
use crate::shared::{Shared, Standing};
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use pbft_message::{ClientId, ReplicaId, ReplicaMessage, Request, RequestRefusal, Signed, Verified, VerifiedMessage};
use pbft_network::ConnectionId;
use pbft_protocol::agreement::{Action, Effects, JournalPosition, Replica, Unpersisted};
use pbft_replica::{FromExecutor, Order, order_of};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How much is handed to the replica before its effects are taken: what comes together shares batches and fsyncs.
const BURST: usize = 256;

/// What other threads tell the core.
pub enum ForCore {
    /// From another replica.
    Message { from: ReplicaId, message: Box<VerifiedMessage> },
    /// From a client, on this connection.
    Request { connection: ConnectionId, request: Box<Verified<Signed<Request>>> },
    /// A connection to another replica is up.
    PeerUp(ReplicaId),
}

/// How the journal tells how far it is: a number and a nudge, so that it never waits for the core.
#[derive(Clone)]
pub struct Wake {
    position: Arc<AtomicU64>,
    nudge: Sender<()>,
}

impl Wake {
    pub fn new() -> (Self, Receiver<()>) {
        let (nudge, nudged) = bounded(1);
        (Self { position: Arc::new(AtomicU64::new(crate::journal::NOTHING.0)), nudge }, nudged)
    }

    pub fn durable(&self, position: JournalPosition) {
        self.position.store(position.0, Ordering::Release);
        match self.nudge.try_send(()) {
            Ok(()) | Err(TrySendError::Full(()) | TrySendError::Disconnected(())) => {}
        }
    }

    fn position(&self) -> JournalPosition {
        JournalPosition(self.position.load(Ordering::Acquire))
    }
}

/// The core thread's ends of all channels.
pub struct Core {
    pub replica: Replica,
    pub clock: Clock,
    pub from_replicas: Receiver<ForCore>,
    pub from_clients: Receiver<ForCore>,
    pub from_executor: Receiver<FromExecutor>,
    pub wake: Wake,
    pub nudged: Receiver<()>,
    pub stop: Receiver<()>,
    pub journal: Sender<Unpersisted>,
    pub executor: Sender<ForExecutor>,
    pub questions: Sender<ForExecutor>,
    pub postman: Postman,
    pub shared: Arc<Shared>,
}

impl Core {
    /// Runs until it is told to stop, or another thread is gone.
    pub fn run(mut self) {
        let mut durable = crate::journal::NOTHING;
        loop {
            let position = self.wake.position();
            if position > durable {
                durable = position;
                self.replica.handle_durable(self.clock.now(), position);
            }
            if !self.take_burst() {
                return;
            }
            let now = self.clock.now();
            if self.replica.poll_timeout().is_some_and(|deadline| deadline <= now.monotonic) {
                self.replica.handle_timeout(now);
            }
            loop {
                let effects = self.replica.poll_effects();
                if effects.is_empty() {
                    break;
                }
                if !self.carry_out(effects) {
                    return;
                }
            }
            self.publish();
            if self.wake.position() == durable && !self.wait() {
                return;
            }
        }
    }

    /// Hands in what is there: the executor's word first, replicas before clients.
    fn take_burst(&mut self) -> bool {
        if matches!(self.stop.try_recv(), Ok(()) | Err(crossbeam_channel::TryRecvError::Disconnected)) {
            return false;
        }
        while let Ok(message) = self.from_executor.try_recv() {
            message.tell(&mut self.replica, self.clock.now());
        }
        for message in self.from_replicas.try_iter().take(BURST).collect::<Vec<_>>() {
            self.take(message);
        }
        for message in self.from_clients.try_iter().take(BURST).collect::<Vec<_>>() {
            self.take(message);
        }
        true
    }

    fn take(&mut self, message: ForCore) {
        let now = self.clock.now();
        match message {
            ForCore::Message { from, message } => {
                if let Err(rejection) = self.replica.handle_message(now, from, *message)
                    && !rejection.is_ordinary()
                {
                    self.shared.refusals.count(rejection.name(), &from);
                }
            }
            ForCore::Request { connection, request } => {
                self.shared.client_room.give_back(request.size());
                let (client, timestamp) = (request.client, request.timestamp);
                if let Err(refusal) = self.replica.handle_request(now, *request) {
                    self.refuse(connection, client, timestamp, refusal);
                }
            }
            ForCore::PeerUp(peer) => self.replica.handle_peer_up(now, peer),
        }
    }

    fn refuse(&self, connection: ConnectionId, client: ClientId, timestamp: pbft_message::Timestamp, refusal: RequestRefusal) {
        self.shared.refusals.count(refusal.name(), &client);
        let view = self.replica.view();
        self.postman.answer(connection, &ReplicaMessage::Refused { client, timestamp, view, refusal });
    }

    /// False if the journal or the executor is gone: then this replica is over.
    fn carry_out(&self, effects: Effects) -> bool {
        let (at_once, rest) = effects.split();
        for action in at_once {
            let handed_on = match order_of(&action, self.replica.view()) {
                Some(order) => self.order(order),
                None => {
                    self.act(action);
                    true
                }
            };
            if !handed_on {
                return false;
            }
        }
        rest.is_empty() || self.journal.send(rest).is_ok()
    }

    fn act(&self, action: Action) {
        match action {
            Action::Broadcast(message) => self.postman.broadcast(message),
            Action::Send(to, message) => self.postman.send(to, message),
            Action::Tell(event) => crate::log::tell(&event),
            Action::Execute(_) | Action::Stable(_) | Action::TransferState(_) | Action::Answer(..) => {}
        }
    }

    /// False if the executor is gone.
    fn order(&self, order: Order) -> bool {
        match order {
            // Lost on a stalled executor: the next one replaces it.
            Order::Stable(_) => !is_gone(&self.executor.try_send(ForExecutor::Do(order))),
            // Dropped when the executor is busy: the client asks again.
            Order::Answer { .. } => !is_gone(&self.questions.try_send(ForExecutor::Do(order))),
            order => self.executor.send(ForExecutor::Do(order)).is_ok(),
        }
    }

    /// Sleeps until something arrives or a timer expires. False when all is over.
    fn wait(&self) -> bool {
        let timeout = self
            .replica
            .poll_timeout()
            .map_or(Duration::from_secs(1), |deadline| deadline.saturating_sub(self.clock.now().monotonic));
        if timeout.is_zero() {
            return true;
        }
        let mut select = crossbeam_channel::Select::new();
        select.recv(&self.from_replicas);
        select.recv(&self.from_clients);
        select.recv(&self.from_executor);
        let nudged = select.recv(&self.nudged);
        let stop = select.recv(&self.stop);
        match select.ready_timeout(timeout) {
            Ok(index) if index == nudged => {
                let _ = self.nudged.try_recv();
                true
            }
            Ok(index) if index == stop => false,
            _ => true,
        }
    }

    fn publish(&self) {
        let stable = self.replica.stable_certificate();
        let mut standing = self.shared.standing();
        *standing = Standing {
            view: self.replica.view(),
            active: self.replica.is_active(),
            executed: self.replica.executed(),
            stable_checkpoint: self.replica.low_watermark(),
            state_root: stable.map(|stable| stable.digest),
            view_changes: self.replica.view_change_count(),
            status: Some(self.replica.status()),
        };
        drop(standing);
        let mut evidence = self.shared.evidence();
        if evidence.len() != self.replica.evidence().len() {
            *evidence = self.replica.evidence().iter().map(|evidence| (**evidence).clone()).collect();
        }
    }
}

const fn is_gone(sent: &Result<(), TrySendError<ForExecutor>>) -> bool {
    matches!(sent, Err(TrySendError::Disconnected(_)))
}
