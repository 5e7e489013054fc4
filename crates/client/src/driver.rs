//! The one task that owns the session, and carries its messages and the answers to questions.

use crate::joining::{Done, Joining, Operation, settle};
use crate::{Accepted, ClientError};
use pbft_crypto::PublicKey;
use pbft_message::{Blob, ClientId, ClientMessage, ReplicaId, ReplicaMessage, Request, Signed, Timestamp, codec};
use pbft_network::{ConnectionId, Dial, Endpoint, Inbound, Lane};
use pbft_protocol::session::{RequestError, Session, SubmitError};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::pending;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

/// How much is taken in before what follows from it is sent.
const BURST: usize = 256;

/// From a handle to the driver.
pub(crate) enum Command {
    Order(Waiting),
    Operation(Operation),
    Ask { query: u64, message: ClientMessage, answers: mpsc::Sender<(ReplicaId, ReplicaMessage)> },
    Close(oneshot::Sender<()>),
}

/// A request that is not signed or sent yet.
pub(crate) struct Waiting {
    pub order: Order,
    /// Told the timestamp before anything is sent. If nobody listens any more, nothing is.
    pub submitted: oneshot::Sender<Timestamp>,
    pub done: oneshot::Sender<Result<Accepted, ClientError>>,
}

/// What to send.
pub(crate) enum Order {
    New(Vec<Blob>),
    Again(Timestamp, Vec<Blob>),
    Raw(Signed<Request>),
}

/// Who waits for a request.
enum Waiter {
    Request(oneshot::Sender<Result<Accepted, ClientError>>),
    Operations(Vec<Done>),
}

/// A question to all replicas that somebody waits for.
struct Question {
    message: ClientMessage,
    answered: BTreeSet<ReplicaId>,
    answers: mpsc::Sender<(ReplicaId, ReplicaMessage)>,
}

pub(crate) struct Driver {
    session: Session,
    started: Instant,
    endpoint: Endpoint,
    _dials: Vec<Dial>,
    replicas: BTreeMap<PublicKey, ReplicaId>,
    keys: BTreeMap<ReplicaId, PublicKey>,
    /// The connections that are up.
    connections: BTreeMap<ReplicaId, ConnectionId>,
    connected: watch::Sender<BTreeSet<ReplicaId>>,
    /// Requests that wait for room in the session. Each belongs to a future that somebody holds.
    queued: VecDeque<Waiting>,
    joining: Joining,
    in_flight: BTreeMap<(ClientId, Timestamp), Waiter>,
    questions: BTreeMap<u64, Question>,
}

impl Driver {
    pub fn new(
        session: Session,
        endpoint: Endpoint,
        dials: Vec<Dial>,
        replicas: BTreeMap<PublicKey, ReplicaId>,
        connected: watch::Sender<BTreeSet<ReplicaId>>,
    ) -> Self {
        Self {
            session,
            started: Instant::now(),
            endpoint,
            _dials: dials,
            keys: replicas.iter().map(|(key, replica)| (*replica, *key)).collect(),
            replicas,
            connections: BTreeMap::new(),
            connected,
            queued: VecDeque::new(),
            joining: Joining::default(),
            in_flight: BTreeMap::new(),
            questions: BTreeMap::new(),
        }
    }

    /// Runs until the last handle is gone or one of them closes the client.
    pub async fn run(mut self, mut commands: mpsc::Receiver<Command>, mut inbound: mpsc::Receiver<Inbound>) {
        let (mut ordered, mut arrived) = (Vec::new(), Vec::new());
        let closed = loop {
            self.submit_queued();
            self.submit_joined();
            self.transmit();
            if self.report_completed() {
                continue; // there is room for others
            }
            let timer = self.session.poll_timeout().and_then(|due| self.started.checked_add(due));
            tokio::select! {
                count = commands.recv_many(&mut ordered, BURST) => if count == 0 { break None },
                _ = inbound.recv_many(&mut arrived, BURST), if !inbound.is_closed() => {}
                () = sleep(timer) => self.on_timeout(),
            }
            arrived.drain(..).for_each(|inbound| self.on_inbound(inbound));
            if let Some(closed) = ordered.drain(..).find_map(|command| self.on_command(command)) {
                break Some(closed);
            }
        };
        let endpoint = self.endpoint.clone();
        drop((self, commands, inbound)); // nobody waits for us in vain
        endpoint.shutdown().await;
        if let Some(closed) = closed {
            let _ = closed.send(());
        }
    }

    /// Returns whom to tell that all is closed, when that is asked for.
    fn on_command(&mut self, command: Command) -> Option<oneshot::Sender<()>> {
        match command {
            Command::Order(waiting) => self.queued.push_back(waiting),
            Command::Operation(operation) => self.joining.push(operation),
            Command::Ask { query, message, answers } => self.on_question(query, message, answers),
            Command::Close(closed) => return Some(closed),
        }
        None
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn submit_queued(&mut self) {
        if !self.queued.is_empty() && !self.session.has_room() {
            self.abandon_unwanted();
        }
        while self.session.has_room()
            && let Some(waiting) = self.queued.pop_front()
        {
            self.submit(waiting);
        }
    }

    fn submit(&mut self, Waiting { order, submitted, done }: Waiting) {
        if done.is_closed() {
            return;
        }
        let (client, timestamp) = match self.give_to_session(order) {
            Ok(id) => id,
            Err(error) => {
                let _ = done.send(Err(error.into()));
                return;
            }
        };
        if submitted.send(timestamp).is_err() {
            self.session.abandon(client, timestamp); // it was not transmitted yet
            return;
        }
        self.in_flight.insert((client, timestamp), Waiter::Request(done));
    }

    /// Joins the operations that wait into requests, as many as may go now.
    fn submit_joined(&mut self) {
        while self.session.has_room()
            && let Some(operations) = self.joining.next_request(self.session.in_flight() > 0, self.session.parameters())
        {
            self.submit_operations(operations);
        }
    }

    /// The timestamp is told before the request is made: whoever has given up by then is left out.
    fn submit_operations(&mut self, operations: Vec<Operation>) {
        let wall = wall_micros();
        let Some(timestamp) = self.session.next_timestamp(wall) else {
            let told = |Operation { done, .. }| drop(done.send(Err(ClientError::NoTimestampLeft)));
            return operations.into_iter().for_each(told);
        };
        let (mut bytes, mut waiting) = (Vec::new(), Vec::new());
        for operation in operations {
            if !operation.done.is_closed() && operation.submitted.send(timestamp).is_ok() {
                bytes.push(operation.bytes);
                waiting.push(operation.done);
            }
        }
        if bytes.is_empty() {
            return;
        }
        match self.session.submit(self.now(), wall, bytes) {
            Ok(timestamp) => _ = self.in_flight.insert((self.session.client(), timestamp), Waiter::Operations(waiting)),
            Err(SubmitError::Refused(refusal)) => settle(waiting, Err(RequestError::Refused(refusal))),
            // Neither can be: there was room, and a timestamp.
            Err(_) => drop(waiting),
        }
    }

    fn give_to_session(&mut self, order: Order) -> Result<(ClientId, Timestamp), SubmitError> {
        let now = self.now();
        let request = match order {
            Order::New(operations) => {
                let timestamp = self.session.submit(now, wall_micros(), operations)?;
                return Ok((self.session.client(), timestamp));
            }
            Order::Again(timestamp, operations) => self.session.sign(timestamp, operations)?,
            Order::Raw(request) => request,
        };
        let id = (request.client, request.timestamp);
        self.abandon_unwanted(); // a request that timed out just now may be sent again
        self.session.resubmit(now, request)?;
        Ok(id)
    }

    fn transmit(&mut self) {
        while let Some((replica, message)) = self.session.poll_transmit() {
            self.send(replica, &message);
        }
    }

    /// What cannot be sent now is sent when the replica is connected, or by the session's next attempt.
    fn send(&self, replica: ReplicaId, message: &ClientMessage) {
        let Some(key) = self.keys.get(&replica) else { return };
        if let Err(error) = self.endpoint.send(key, Lane::Votes, codec::encode(message).into()) {
            tracing::debug!(%replica, %error, "message not sent");
        }
    }

    /// Whether there was anything to report.
    fn report_completed(&mut self) -> bool {
        let mut any = false;
        while let Some(completed) = self.session.poll_completed() {
            any = true;
            match self.in_flight.remove(&(completed.client, completed.timestamp)) {
                Some(Waiter::Request(done)) => drop(done.send(completed.result.map_err(ClientError::from))),
                Some(Waiter::Operations(operations)) => settle(operations, completed.result),
                None => {}
            }
        }
        any
    }

    fn on_timeout(&mut self) {
        self.abandon_unwanted();
        self.session.handle_timeout(self.now());
    }

    /// Gives up the requests whose futures were dropped.
    fn abandon_unwanted(&mut self) {
        let session = &mut self.session;
        self.in_flight.retain(|(client, timestamp), waiter| {
            let is_wanted = waiter.is_wanted();
            if !is_wanted {
                session.abandon(*client, *timestamp);
            }
            is_wanted
        });
    }

    fn on_question(&mut self, query: u64, message: ClientMessage, answers: mpsc::Sender<(ReplicaId, ReplicaMessage)>) {
        self.questions.retain(|_, question| !question.answers.is_closed());
        for replica in self.connections.keys() {
            self.send(*replica, &message);
        }
        self.questions.insert(query, Question { message, answered: BTreeSet::new(), answers });
    }

    fn on_inbound(&mut self, inbound: Inbound) {
        match inbound {
            Inbound::Up { peer, connection, .. } => {
                let Some(replica) = self.replicas.get(&peer).copied() else { return };
                self.on_up(replica, connection);
            }
            Inbound::Down { peer, connection, reason } => {
                let Some(replica) = self.replicas.get(&peer).copied() else { return };
                tracing::debug!(%replica, reason, "connection down");
                if self.connections.get(&replica) == Some(&connection) {
                    self.connections.remove(&replica);
                    self.tell_connected();
                }
            }
            Inbound::Frame { peer, connection, bytes, .. } => {
                let Some(replica) = self.replicas.get(&peer).copied() else { return };
                match codec::decode(&bytes) {
                    Ok(message) => self.on_message(replica, message),
                    Err(error) => self.endpoint.close(connection, &error.to_string()),
                }
            }
        }
    }

    fn on_up(&mut self, replica: ReplicaId, connection: ConnectionId) {
        self.connections.insert(replica, connection);
        self.tell_connected();
        self.session.handle_connected(replica);
        for question in self.questions.values().filter(|question| !question.answered.contains(&replica)) {
            self.send(replica, &question.message);
        }
    }

    fn tell_connected(&self) {
        self.connected.send_replace(self.connections.keys().copied().collect());
    }

    fn on_message(&mut self, replica: ReplicaId, message: ReplicaMessage) {
        match &message {
            ReplicaMessage::Replies(_) | ReplicaMessage::Refused { .. } => {
                self.session.handle_message(self.now(), replica, message);
            }
            ReplicaMessage::RequestStatus { query, .. }
            | ReplicaMessage::Report { query, .. }
            | ReplicaMessage::Evidence { query, .. } => self.on_answer(*query, replica, message),
        }
    }

    /// A replica's first answer to a question counts.
    fn on_answer(&mut self, query: u64, replica: ReplicaId, message: ReplicaMessage) {
        let Some(question) = self.questions.get_mut(&query) else { return };
        if !question.answered.insert(replica) {
            return;
        }
        let _ = question.answers.try_send((replica, message)); // has room for one of each replica
        if question.answered.len() >= self.keys.len() {
            self.questions.remove(&query);
        }
    }
}

impl Waiter {
    fn is_wanted(&self) -> bool {
        match self {
            Self::Request(done) => !done.is_closed(),
            Self::Operations(operations) => operations.iter().any(|done| !done.is_closed()),
        }
    }
}

async fn sleep(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => pending().await,
    }
}

/// The wall clock in microseconds since 1970.
fn wall_micros() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
