//! The one task that owns the session, and carries its messages and the answers to questions.

use crate::{Accepted, ClientError};
use pbft_crypto::PublicKey;
use pbft_message::{Blob, ClientId, ClientMessage, ReplicaId, ReplicaMessage, Request, Signed, Timestamp, codec};
use pbft_network::{ConnectionId, Dial, Endpoint, Inbound, Lane};
use pbft_protocol::session::{Session, SubmitError};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::pending;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

/// From a handle to the driver.
pub(crate) enum Command {
    Order(Waiting),
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
    in_flight: BTreeMap<(ClientId, Timestamp), oneshot::Sender<Result<Accepted, ClientError>>>,
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
            in_flight: BTreeMap::new(),
            questions: BTreeMap::new(),
        }
    }

    /// Runs until the last handle is gone or one of them closes the client.
    pub async fn run(mut self, mut commands: mpsc::Receiver<Command>, mut inbound: mpsc::Receiver<Inbound>) {
        let closed = loop {
            self.submit_queued();
            self.transmit();
            self.report_completed();
            let timer = self.session.poll_timeout().and_then(|due| self.started.checked_add(due));
            tokio::select! {
                command = commands.recv() => match command {
                    Some(Command::Order(waiting)) => self.queued.push_back(waiting),
                    Some(Command::Ask { query, message, answers }) => self.on_question(query, message, answers),
                    Some(Command::Close(closed)) => break Some(closed),
                    None => break None,
                },
                Some(inbound) = inbound.recv() => self.on_inbound(inbound),
                () = sleep(timer) => self.on_timeout(),
            }
        };
        let endpoint = self.endpoint.clone();
        drop((self, commands, inbound)); // nobody waits for us in vain
        endpoint.shutdown().await;
        if let Some(closed) = closed {
            let _ = closed.send(());
        }
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
        self.in_flight.insert((client, timestamp), done);
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

    fn report_completed(&mut self) {
        while let Some(completed) = self.session.poll_completed() {
            if let Some(done) = self.in_flight.remove(&(completed.client, completed.timestamp)) {
                let _ = done.send(completed.result.map_err(ClientError::from));
            }
        }
    }

    fn on_timeout(&mut self) {
        self.abandon_unwanted();
        self.session.handle_timeout(self.now());
    }

    /// Gives up the requests whose futures were dropped.
    fn abandon_unwanted(&mut self) {
        let session = &mut self.session;
        self.in_flight.retain(|(client, timestamp), done| {
            if done.is_closed() {
                session.abandon(*client, *timestamp);
            }
            !done.is_closed()
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
