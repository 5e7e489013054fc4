use crate::driver::{Command, Driver, Order, Waiting};
use crate::greeter::ClientGreeter;
use crate::joining::Operation;
use crate::{Accepted, ClientConfig, ClientError};
use pbft_message::{
    Blob, ClientId, ClientMessage, Evidence, Genesis, ReplicaId, ReplicaMessage, ReplicaReport, Request, RequestState,
    SequenceNumber, Signed, Timestamp,
};
use pbft_network::{Channels, Class, DialProblem, Directory, Endpoint};
use pbft_protocol::session::{Session, Settings};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout, timeout_at};

/// Commands and frames that may wait for the driver, which never waits itself.
const CHANNEL: usize = 1024;

/// The end of one operation that may have shared its request with others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executed {
    /// The request's timestamp.
    pub timestamp: Timestamp,
    /// Where it was ordered.
    pub sequence: SequenceNumber,
    /// What the service answered.
    pub result: Blob,
}

/// A client of a cluster. Clones are the same client; the connections are closed when the last one is dropped.
///
/// Any number of requests may be under way at once. As many as the cluster allows are in flight, the others wait.
/// Dropping a request's future gives the request up; it may take effect all the same.
#[derive(Clone)]
pub struct Client {
    id: ClientId,
    genesis: Arc<Genesis>,
    timeout: Duration,
    endpoint: Endpoint,
    commands: mpsc::Sender<Command>,
    connected: watch::Receiver<BTreeSet<ReplicaId>>,
    last_query: Arc<AtomicU64>,
}

impl Client {
    /// Opens a socket and starts to connect to all replicas; connections that are lost are made again. It does not wait
    /// for them, and neither does the caller have to: what is requested meanwhile is sent as soon as they are up.
    /// Must be called within a tokio runtime.
    pub fn connect(config: ClientConfig) -> Result<Self, ClientError> {
        config.check()?;
        let replicas = config.replicas();
        let directory = Directory::new(replicas.keys().map(|key| (*key, Class::Replica)));
        let greeter = ClientGreeter { cluster: config.genesis.cluster_id(), replicas: replicas.clone() };
        let (inbound_sender, inbound) = mpsc::channel(CHANNEL);
        let channels = Channels { replicas: inbound_sender.clone(), clients: inbound_sender };
        let endpoint = Endpoint::bind(config.network(), directory, Arc::new(greeter), channels)?;
        let addresses = config.genesis.replicas.iter().zip(&config.addresses);
        let dials = addresses.map(|(entry, address)| endpoint.dial(entry.transport_key, *address)).collect::<Result<_, _>>()?;

        let session = Session::new(config.genesis.clone(), config.signing_key, Settings::default());
        let (commands, commands_receiver) = mpsc::channel(CHANNEL);
        let (connected_sender, connected) = watch::channel(BTreeSet::new());
        let id = session.client();
        let driver = Driver::new(session, endpoint.clone(), dials, replicas, connected_sender);
        tokio::spawn(driver.run(commands_receiver, inbound));
        let (genesis, last_query) = (config.genesis, Arc::default());
        Ok(Self { id, genesis, timeout: config.timeout, endpoint, commands, connected, last_query })
    }

    /// The client's name: its signing key.
    pub const fn id(&self) -> ClientId {
        self.id
    }

    /// The replicas with a connection that is up.
    pub fn connected(&self) -> BTreeSet<ReplicaId> {
        self.connected.borrow().clone()
    }

    /// How the last attempt to connect to a replica failed, of those that are not connected and were tried.
    pub fn dial_problems(&self) -> BTreeMap<ReplicaId, DialProblem> {
        let replicas = self.genesis.replica_ids().zip(&self.genesis.replicas);
        replicas.filter_map(|(replica, entry)| Some((replica, self.endpoint.dial_problem(&entry.transport_key)?))).collect()
    }

    /// Waits until a quorum of replicas is connected. Fails with [`ClientError::NoQuorum`] when the time is over.
    pub async fn wait_for_quorum(&self, time: Duration) -> Result<(), ClientError> {
        let quorum = self.genesis.quorum();
        let mut connected = self.connected.clone();
        match timeout(time, connected.wait_for(|connected| connected.len() >= quorum)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(ClientError::Closed),
            Err(_) => Err(self.no_quorum(None)),
        }
    }

    /// Has operations ordered and executed, one after the other with no others in between, and returns their results.
    /// Waits as long as the configuration says.
    pub async fn request(&self, operations: Vec<Vec<u8>>) -> Result<Accepted, ClientError> {
        self.request_with_timeout(operations, self.timeout).await
    }

    /// Like [`request`](Self::request), with a time of its own. When it is over, [`ClientError::OutcomeUnknown`] or
    /// [`ClientError::NoQuorum`] names the timestamp to [retry](Self::retry) or to [ask about](Self::request_state).
    pub async fn request_with_timeout(&self, operations: Vec<Vec<u8>>, time: Duration) -> Result<Accepted, ClientError> {
        self.order(Order::New(blobs(operations)), time).await
    }

    /// Has one operation ordered and executed. A lone operation goes at once; those that are submitted while one is under
    /// way share the next request and its signature, as far as they fit, in the order in which they came. So many
    /// callers get many operations a signature, and none of them waits for others to come.
    ///
    /// It runs once at most. [`ClientError::OutcomeUnknown`] names a request that cannot be [retried](Self::retry), since its
    /// other operations are not known here: ask what became of it, or use [`request`](Self::request).
    pub async fn operation(&self, operation: impl Into<Blob>) -> Result<Executed, ClientError> {
        let bytes = operation.into();
        let (submitted, timestamp) = oneshot::channel();
        let (done, result) = oneshot::channel();
        let command = Command::Operation(Operation { bytes: bytes.clone(), submitted, done });
        self.commands.send(command).await.map_err(|_| ClientError::Closed)?;
        if let Some(executed) = self.answer(timestamp, result, self.timeout).await? {
            return Ok(executed);
        }
        let Accepted { timestamp, sequence, results } = self.order(Order::New(vec![bytes]), self.timeout).await?;
        Ok(Executed { timestamp, sequence, result: results.into_iter().next().unwrap_or_default() })
    }

    /// Sends a request of this client once more, with the timestamp it had. It takes effect once at most, however
    /// often it is sent; the operations must be the same as before, or it is refused with `TimestampReused`.
    pub async fn retry(&self, timestamp: Timestamp, operations: Vec<Vec<u8>>) -> Result<Accepted, ClientError> {
        self.order(Order::Again(timestamp, blobs(operations)), self.timeout).await
    }

    /// Sends a request as it is, to all replicas: a replay, or whatever a test wants refused. It may be of any client.
    pub async fn resend_raw(&self, request: Signed<Request>) -> Result<Accepted, ClientError> {
        self.order(Order::Raw(request), self.timeout).await
    }

    /// What became of a request, as soon as weak_quorum replicas say the same. [`RequestState::NotExecuted`] is no
    /// promise: replicas that lag behind say it, and the request may still be executed.
    pub async fn request_state(&self, client: ClientId, timestamp: Timestamp, time: Duration) -> Result<RequestState, ClientError> {
        let deadline = Instant::now().checked_add(time);
        let mut answers = self.ask(|query| ClientMessage::RequestStatus { query, client, timestamp }).await;
        let mut states = Vec::new();
        while let Some((_, message)) = next(&mut answers, deadline).await {
            let ReplicaMessage::RequestStatus { state, .. } = message else { continue };
            states.push(state.clone());
            if states.iter().filter(|other| **other == state).count() >= self.genesis.weak_quorum() {
                return Ok(state);
            }
        }
        if self.commands.is_closed() {
            return Err(ClientError::Closed);
        }
        Err(if self.has_quorum() { ClientError::NoAgreement } else { self.no_quorum(None) })
    }

    /// Each replica's own word on where it stands; `None` for those that did not answer in time.
    pub async fn reports(&self, time: Duration) -> Vec<(ReplicaId, Option<ReplicaReport>)> {
        let take = |message| match message {
            ReplicaMessage::Report { report, .. } => Some(*report),
            _ => None,
        };
        let mut reports = self.gather(|query| ClientMessage::Report { query }, take, time).await;
        self.genesis.replica_ids().map(|replica| (replica, reports.remove(&replica))).collect()
    }

    /// The evidence that each replica holds, of those that answered in time. It is not checked:
    /// [`Authenticator::verify_evidence`](pbft_message::Authenticator::verify_evidence) does that.
    pub async fn evidence(&self, time: Duration) -> Vec<(ReplicaId, Vec<Evidence>)> {
        let take = |message| match message {
            ReplicaMessage::Evidence { evidence, .. } => Some(evidence),
            _ => None,
        };
        self.gather(|query| ClientMessage::Evidence { query }, take, time).await.into_iter().collect()
    }

    /// Closes the connections and tells the replicas. What is under way ends with an error, in every clone.
    pub async fn close(self) {
        let (closed, done) = oneshot::channel();
        if self.commands.send(Command::Close(closed)).await.is_ok() {
            let _ = done.await;
        }
    }

    async fn order(&self, order: Order, time: Duration) -> Result<Accepted, ClientError> {
        let (submitted, timestamp) = oneshot::channel();
        let (done, result) = oneshot::channel();
        let command = Command::Order(Waiting { order, submitted, done });
        self.commands.send(command).await.map_err(|_| ClientError::Closed)?;
        self.answer(timestamp, result, time).await
    }

    /// Waits for the end of something submitted, of which the driver tells the timestamp before it sends it.
    async fn answer<T>(
        &self,
        mut timestamp: oneshot::Receiver<Timestamp>,
        result: oneshot::Receiver<Result<T, ClientError>>,
        time: Duration,
    ) -> Result<T, ClientError> {
        let ended = timeout(time, result).await;
        if let Ok(Ok(result)) = ended {
            return result;
        }
        // Once closed, either the timestamp is there or the request will never be sent.
        timestamp.close();
        match timestamp.try_recv() {
            Ok(timestamp) if self.has_quorum() => Err(ClientError::OutcomeUnknown { timestamp }),
            Ok(timestamp) => Err(self.no_quorum(Some(timestamp))),
            Err(_) if ended.is_ok() => Err(ClientError::Closed),
            Err(_) if self.has_quorum() => Err(ClientError::NotSent),
            Err(_) => Err(self.no_quorum(None)),
        }
    }

    /// Asks all replicas. The answers come one a replica at most; the channel ends when all have answered.
    async fn ask(&self, message: impl FnOnce(u64) -> ClientMessage) -> mpsc::Receiver<(ReplicaId, ReplicaMessage)> {
        let query = self.last_query.fetch_add(1, Ordering::Relaxed);
        let (sender, answers) = mpsc::channel(self.genesis.replica_count().max(1));
        // A closed client gives no answers: the channel ends at once.
        let _ = self.commands.send(Command::Ask { query, message: message(query), answers: sender }).await;
        answers
    }

    async fn gather<T>(
        &self,
        question: impl FnOnce(u64) -> ClientMessage,
        take: impl Fn(ReplicaMessage) -> Option<T>,
        time: Duration,
    ) -> BTreeMap<ReplicaId, T> {
        let deadline = Instant::now().checked_add(time);
        let mut answers = self.ask(question).await;
        let mut taken = BTreeMap::new();
        while let Some((replica, message)) = next(&mut answers, deadline).await {
            taken.extend(take(message).map(|answer| (replica, answer)));
        }
        taken
    }

    fn has_quorum(&self) -> bool {
        self.connected.borrow().len() >= self.genesis.quorum()
    }

    fn no_quorum(&self, timestamp: Option<Timestamp>) -> ClientError {
        let refusals = self.endpoint.counters().into_iter().find(|(name, _)| *name == "refused_by_peer");
        ClientError::NoQuorum {
            timestamp,
            connected: self.connected.borrow().len(),
            quorum: self.genesis.quorum(),
            refused: refusals.map_or(0, |(_, count)| count),
        }
    }
}

fn blobs(operations: Vec<Vec<u8>>) -> Vec<Blob> {
    operations.into_iter().map(Blob::from).collect()
}

/// The next answer; `None` when there are no more, or the time is over.
async fn next<T>(answers: &mut mpsc::Receiver<T>, deadline: Option<Instant>) -> Option<T> {
    match deadline {
        Some(deadline) => timeout_at(deadline, answers.recv()).await.ok().flatten(),
        None => answers.recv().await,
    }
}
