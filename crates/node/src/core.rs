use crate::backlog::Backlog;
use crate::clock::Clock;
use crate::cpu::CpuClock;
use crate::executor::ForExecutor;
use crate::meters::Stage;
use crate::postman::Postman;
use crate::refusals::Source;
use crate::shared::{Details, Shared, Standing};
use crossbeam_channel::{Receiver, Sender, TryRecvError, TrySendError, bounded};
use pbft_message::{
    ClientId, ReplicaId, ReplicaMessage, Request, RequestRefusal, SequenceNumber, Signed, Timestamp, Verified, VerifiedMessage,
};
use pbft_network::ConnectionId;
use pbft_protocol::Now;
use pbft_protocol::agreement::{Action, Effects, JournalPosition, Replica, Unpersisted};
use pbft_protocol::execution::Ordered;
use pbft_replica::{FromExecutor, Order, order_of};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Pieces of evidence that wait for room on the disk.
const MOST_EVIDENCE: usize = 64;
/// When a client is to try again, in milliseconds, while the journal waits for room.
const RETRY_AFTER_MS: u64 = 1000;

/// How much is handed to the replica before its effects are taken: what comes together shares batches and fsyncs.
const BURST: usize = 256;
/// How often it is told what costs more to tell.
const DETAILS: Duration = Duration::from_millis(50);
/// How long a primary that is to stop may take to hand over.
pub const HAND_OVER: Duration = Duration::from_secs(2);

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
        (Self { position: Arc::new(AtomicU64::default()), nudge }, nudged)
    }

    pub fn durable(&self, position: JournalPosition) {
        self.position.store(position.0, Ordering::Release);
        self.nudge();
    }

    /// Has the core look again how the journal is doing.
    pub fn nudge(&self) {
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
    pub from_replicas: Arc<Receiver<ForCore>>,
    pub from_clients: Arc<Receiver<ForCore>>,
    pub from_executor: Arc<Receiver<FromExecutor>>,
    pub wake: Wake,
    pub nudged: Receiver<()>,
    pub stop: Receiver<()>,
    pub journal: Sender<Unpersisted>,
    pub backlog: Backlog,
    pub executor: Sender<ForExecutor>,
    pub questions: Sender<ForExecutor>,
    pub postman: Postman,
    pub shared: Arc<Shared>,
    pub moved: Moved,
    pub stopping: Stopping,
}

/// Whether the replica is to stop, and until when it may hand over first, on the monotonic clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stopping(Option<Duration>);

/// The last number that was executed, and when it was, on the monotonic clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moved {
    executed: SequenceNumber,
    at: Duration,
}

impl Core {
    /// Runs until it is told to stop, or another thread is gone.
    pub fn run(mut self) {
        let mut cpu = CpuClock::start();
        loop {
            self.hear_journal();
            if !self.wait_for_journal() || self.is_over() {
                return;
            }
            self.take_burst();
            let now = self.clock.now();
            if self.replica.poll_timeout().is_some_and(|deadline| deadline <= now.monotonic) {
                let expired = self.replica.timers().filter(|(_, deadline)| *deadline <= now.monotonic);
                expired.for_each(|(timer, _)| self.shared.meters.timers_expired.add(timer.name(), 1));
                self.replica.handle_timeout(now);
            }
            loop {
                let effects = self.replica.poll_effects();
                if effects.is_empty() {
                    break;
                }
                self.shared.meters.spend(Stage::Agreement, cpu.lap());
                if !self.carry_out(effects) {
                    return;
                }
                self.shared.meters.spend(Stage::Codec, cpu.lap());
            }
            self.shared.meters.core_turns.inc();
            self.publish(now);
            if self.wake.position() == self.backlog.position() {
                self.wait();
            }
        }
    }

    /// Without room on the disk no vote can be kept, and more records than may wait have no place. Then nothing is taken in and no
    /// timer expires: a full primary sends no heartbeats and no proposals, and the others replace it (R15).
    fn is_held_up(&self) -> bool {
        self.backlog.is_full() || self.shared.journal_full.load(Ordering::Relaxed)
    }

    /// Until the journal has come further. False when all is over.
    fn wait_for_journal(&mut self) -> bool {
        let mut peers_up = BTreeSet::new();
        let mut evidence = Vec::new();
        while self.is_held_up() {
            let is_full = self.shared.journal_full.load(Ordering::Relaxed);
            // What the others send to a full one is dropped, or it would hold up questions about this replica: they tell it
            // again when it asks (R23). But not evidence, which they send only once (R17).
            let replicas = if is_full { (*self.from_replicas).clone() } else { crossbeam_channel::never() };
            let clients = if is_full { (*self.from_clients).clone() } else { crossbeam_channel::never() };
            crossbeam_channel::select! {
                recv(self.nudged) -> _ => self.hear_journal(),
                recv(self.stop) -> _ => return false,
                recv(replicas) -> message => match message {
                    Ok(ForCore::PeerUp(peer)) => _ = peers_up.insert(peer),
                    Ok(ForCore::Message { from, message }) if is_evidence(&message) && evidence.len() < MOST_EVIDENCE => {
                        evidence.push(ForCore::Message { from, message });
                    }
                    Ok(_) => {}
                    Err(_) => return false,
                },
                recv(clients) -> message => match message {
                    Ok(ForCore::Request { connection, request }) => {
                        self.shared.client_room.give_back(request.size());
                        let refusal = RequestRefusal::Busy { retry_after_ms: RETRY_AFTER_MS };
                        self.refuse(connection, request.client, request.timestamp, refusal);
                    }
                    Ok(_) => {}
                    Err(_) => return false,
                },
            }
        }
        let now = self.clock.now();
        peers_up.into_iter().for_each(|peer| self.replica.handle_peer_up(now, peer));
        evidence.into_iter().for_each(|message| self.take(message));
        true
    }

    /// How far the journal is by now.
    fn hear_journal(&mut self) {
        let position = self.wake.position();
        if self.backlog.durable(position) {
            self.replica.handle_durable(self.clock.now(), position);
        }
    }

    /// Hands in what is there: the executor's word first, replicas before clients.
    fn take_burst(&mut self) {
        while let Ok(message) = self.from_executor.try_recv() {
            message.tell(&mut self.replica, self.clock.now());
        }
        for message in self.from_replicas.try_iter().take(BURST).collect::<Vec<_>>() {
            self.take(message);
        }
        for message in self.from_clients.try_iter().take(BURST).collect::<Vec<_>>() {
            self.take(message);
        }
    }

    /// Told to stop, a primary first hands over, for as long as it may.
    fn is_over(&mut self) -> bool {
        let now = self.clock.now();
        match self.stop.try_recv() {
            Ok(()) => self.begin_to_stop(),
            Err(TryRecvError::Disconnected) => return true,
            Err(TryRecvError::Empty) => {}
        }
        let Some(deadline) = self.stopping.0 else { return false };
        self.replica.hand_over(now) || deadline <= now.monotonic
    }

    fn take(&mut self, message: ForCore) {
        let now = self.clock.now();
        match message {
            ForCore::Message { from, message } => match self.replica.handle_message(now, from, *message) {
                Ok(()) => {}
                Err(rejection) if rejection.is_ordinary() => self.shared.meters.ignored.add(rejection.name(), 1),
                Err(rejection) => self.shared.refusals.count(rejection.name(), Source::Replica(from)),
            },
            ForCore::Request { connection, request } => {
                self.shared.client_room.give_back(request.size());
                let (client, timestamp, view) = (request.client, request.timestamp, self.replica.view().0);
                tracing::debug!(event = "request", %client, request = timestamp.0, view, "a client's request");
                if let Err(refusal) = self.replica.handle_request(now, *request) {
                    self.refuse(connection, client, timestamp, refusal);
                }
            }
            ForCore::PeerUp(peer) => self.replica.handle_peer_up(now, peer),
        }
    }

    fn refuse(&self, connection: ConnectionId, client: ClientId, timestamp: Timestamp, refusal: RequestRefusal) {
        self.shared.refusals.count(refusal.name(), Source::Client(client, timestamp));
        let view = self.replica.view();
        self.postman.answer(connection, &ReplicaMessage::Refused { client, timestamp, view, refusal });
    }

    /// False if the journal or the executor is gone, or takes nothing although it was told to stop: then this replica is over.
    fn carry_out(&mut self, effects: Effects) -> bool {
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
        if rest.is_empty() {
            return true;
        }
        self.backlog.add(&rest);
        crossbeam_channel::select! {
            send(self.journal, rest) -> sent => return sent.is_ok(),
            recv(self.stop) -> told => match told {
                Ok(()) => self.begin_to_stop(),
                Err(_) => return false,
            },
        }
        self.journal.send_timeout(rest, HAND_OVER).is_ok()
    }

    fn begin_to_stop(&mut self) {
        self.stopping = Stopping(Some(self.clock.now().monotonic.saturating_add(HAND_OVER)));
    }

    fn act(&self, action: Action) {
        match action {
            Action::Broadcast(message) => self.postman.broadcast(message),
            Action::Send(to, message) => self.postman.send(to, message),
            Action::Tell(event) => crate::log::tell(&event, &self.shared),
            Action::Execute(_) | Action::Stable(_) | Action::TransferState(_) | Action::Answer(..) => {}
        }
    }

    /// False if the executor is gone.
    fn order(&self, order: Order) -> bool {
        if let Order::Execute(Ordered { body: Some(batch), .. }) = &order {
            let ahead = i128::from(batch.time()).saturating_sub(i128::from(self.clock.now().wall));
            self.shared.meters.proposed_time_ahead.store(i64::try_from(ahead).unwrap_or(i64::MAX), Ordering::Relaxed);
        }
        match order {
            // Lost on a stalled executor: the next one replaces it.
            Order::Stable(_) => !is_gone(&self.executor.try_send(ForExecutor::Do(order))),
            // Dropped when the executor is busy: the client asks again.
            Order::Answer { .. } => !is_gone(&self.questions.try_send(ForExecutor::Do(order))),
            order => self.executor.send(ForExecutor::Do(order)).is_ok(),
        }
    }

    /// Sleeps until something arrives or a timer expires.
    fn wait(&self) {
        let deadline = self.replica.poll_timeout().into_iter().chain(self.stopping.0).min();
        let timeout = deadline.map_or(Duration::from_secs(1), |deadline| deadline.saturating_sub(self.clock.now().monotonic));
        if timeout.is_zero() {
            return;
        }
        let mut select = crossbeam_channel::Select::new();
        select.recv(&*self.from_replicas);
        select.recv(&*self.from_clients);
        select.recv(&*self.from_executor);
        let nudged = select.recv(&self.nudged);
        select.recv(&self.stop);
        if select.ready_timeout(timeout) == Ok(nudged) {
            let _ = self.nudged.try_recv();
        }
    }

    fn publish(&mut self, now: Now) {
        let stable = self.replica.stable_certificate();
        let mut standing = self.shared.standing();
        *standing = Standing {
            view: self.replica.view(),
            active: self.replica.is_active(),
            silence: self.replica.silence(),
            halted: self.replica.halted(),
            executed: self.replica.executed(),
            stable_checkpoint: self.replica.low_watermark(),
            state_root: stable.map(|stable| stable.digest),
            view_changes: self.replica.view_change_count(),
        };
        drop(standing);
        let mut evidence = self.shared.evidence();
        if evidence.len() != self.replica.evidence().len() {
            *evidence = self.replica.evidence().iter().map(|evidence| (**evidence).clone()).collect();
        }
        drop(evidence);
        self.publish_details(now.monotonic);
    }

    fn publish_details(&mut self, now: Duration) {
        let executed = self.replica.executed();
        if executed != self.moved.executed {
            self.moved = Moved { executed, at: now };
        }
        let mut details = self.shared.details();
        if details.as_ref().is_some_and(|before| now.saturating_sub(before.at) < DETAILS) {
            return;
        }
        *details = Some(Details {
            at: now,
            moved_at: self.moved.at,
            status: self.replica.status(),
            progress: self.replica.progress(),
            held: self.replica.held(),
            bounds: self.replica.bounds(),
            timers: self.replica.timers().collect(),
            peers: self.replica.peers().collect(),
            journal_waiting: self.backlog.bytes(),
            delays: *self.replica.delays(),
        });
    }
}

fn is_evidence(message: &VerifiedMessage) -> bool {
    matches!(message, VerifiedMessage::Evidence(_))
}

const fn is_gone(sent: &Result<(), TrySendError<ForExecutor>>) -> bool {
    matches!(sent, Err(TrySendError::Disconnected(_)))
}
