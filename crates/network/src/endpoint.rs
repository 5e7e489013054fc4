use crate::budget::Budget;
use crate::counters::Counters;
use crate::dial::{Dialling, Problems};
use crate::fault::Fault;
use crate::table::{Link, Table};
use crate::{Channels, Class, ConnectionId, Dial, DialProblem, Directory, Greeter, Lane, Settings, Usage, connection, socket};
use bytes::Bytes;
use pbft_crypto::PublicKey;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// How long a shutdown waits for the consumer to take each `Down`.
const SHUTDOWN_WAIT: Duration = Duration::from_secs(2);

/// How long the peers' last words are waited for, once the own ones are sent: the port is wanted again.
const FAREWELL: Duration = Duration::from_millis(50);

/// One party's place in the network: one UDP socket, which listens and dials, and perhaps another for clients. Clones are the same endpoint.
///
/// Call [`bind`](Self::bind) within a tokio runtime and, at the end, [`shutdown`](Self::shutdown). All other methods
/// may be called from any thread and never block. Dropping the last clone closes all connections without waiting.
#[derive(Clone)]
pub struct Endpoint {
    shared: Arc<Shared>,
    runtime: Handle,
    _stop: Arc<DropGuard>,
}

/// What the tasks of an endpoint share.
pub(crate) struct Shared {
    pub settings: Settings,
    pub directory: Directory,
    pub greeter: Arc<dyn Greeter>,
    pub channels: Channels,
    pub table: Arc<Table>,
    pub client_budget: Budget,
    pub counters: Counters,
    pub problems: Problems,
    pub quinn: quinn::Endpoint,
    /// The port of clients, if they have one of their own.
    pub for_clients: Option<quinn::Endpoint>,
    pub stop: CancellationToken,
    pub tasks: TaskTracker,
}

/// Where a socket was to be opened, and what such an address must be.
fn place(address: Option<&SocketAddr>) -> String {
    let place = |address| {
        format!(" on {address} (listen, listen_clients: an address of this machine, with a port that this user may open)")
    };
    address.map(place).unwrap_or_default()
}

/// An endpoint could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process, or another endpoint of this one, has the port.
    #[error(
        "UDP address {address} is already in use: stop what listens there, or set another one (listen, listen_clients in config.toml)"
    )]
    AddressInUse {
        /// The address asked for.
        address: SocketAddr,
    },
    /// The system refused the socket.
    #[error("cannot open a UDP socket{}: {source}", place(address.as_ref()))]
    Socket {
        /// The address asked for; `None` if any would do.
        address: Option<SocketAddr>,
        /// What the system said.
        source: io::Error,
    },
    /// The transport key or the TLS settings are unusable.
    #[error("cannot set up TLS with this transport key: {0}")]
    Tls(#[from] rustls::Error),
    /// The system gave no randomness.
    #[error("no randomness from the operating system: {0}")]
    Randomness(#[from] getrandom::Error),
    /// Called outside of a tokio runtime.
    #[error("an endpoint must be bound within a tokio runtime")]
    NoRuntime,
}

/// A frame was not taken for sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// No connection to this peer, or of this id, is up.
    #[error("not connected")]
    NotConnected,
    /// The peer's queue for this lane is full; the frame was dropped and counted.
    #[error("the peer's outbound queue is full")]
    Full,
    /// A frame holds at least one byte.
    #[error("a frame must not be empty")]
    Empty,
}

impl Endpoint {
    /// Opens the socket and, if `settings.listen` is set, accepts whom the directory names.
    pub fn bind(
        settings: Settings,
        directory: Directory,
        greeter: Arc<dyn Greeter>,
        channels: Channels,
    ) -> Result<Self, BindError> {
        let (Ok(runtime), Some(quinn_runtime)) = (Handle::try_current(), quinn::default_runtime()) else {
            return Err(BindError::NoRuntime);
        };
        // With a port for clients the other one is for replicas.
        let listens = settings.listen.is_some();
        let only = settings.listen_clients.map(|_| Class::Replica);
        let quinn = open(&settings, &directory, settings.listen, only, quinn_runtime.clone())?;
        let for_clients = settings.listen_clients;
        let for_clients =
            for_clients.map(|listen| open(&settings, &directory, Some(listen), Some(Class::Client), quinn_runtime)).transpose()?;

        let stop = CancellationToken::new();
        let client_budget = Budget::new(settings.client_bytes);
        let shared = Arc::new(Shared {
            settings,
            directory,
            greeter,
            channels,
            table: Arc::default(),
            client_budget,
            counters: Counters::default(),
            problems: Problems::default(),
            quinn: quinn.clone(),
            for_clients: for_clients.clone(),
            stop: stop.clone(),
            tasks: TaskTracker::new(),
        });
        for quinn in listens.then_some(quinn).into_iter().chain(for_clients) {
            shared.tasks.spawn(shared.clone().accept(quinn));
        }
        Ok(Self { shared, runtime, _stop: Arc::new(stop.drop_guard()) })
    }

    /// The address of the socket, with the port that the system chose if it was left to it.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.shared.quinn.local_addr()
    }

    /// The address that is for clients alone, if there is one.
    pub fn client_address(&self) -> Option<SocketAddr> {
        self.shared.for_clients.as_ref()?.local_addr().ok()
    }

    /// Keeps a connection to this peer up until the returned [`Dial`] is dropped: connects, and after every loss connects
    /// again, with growing pauses. Of two replicas exactly one dials. The peer must be in the directory. A name in `address`,
    /// `host:port`, is looked up at each attempt.
    pub fn dial(&self, peer: PublicKey, address: impl ToString) -> Result<Dial, BindError> {
        let shared = self.shared.clone();
        let config = socket::client_config(&shared.settings, &shared.directory, peer)?;
        let stop = shared.stop.child_token();
        let dialling = Dialling { shared, config, peer, address: address.to_string(), stop: stop.clone() };
        self.shared.tasks.spawn_on(dialling.keep_up(), &self.runtime);
        Ok(Dial { _stop: stop.drop_guard() })
    }

    /// Queues a frame for all connections of a peer. `Ok` if one of them took it.
    ///
    /// Taken is not delivered: a connection that is lost loses what is queued. `Down` tells of it.
    pub fn send(&self, peer: &PublicKey, lane: Lane, frame: Bytes) -> Result<(), SendError> {
        let mut result = Err(SendError::NotConnected);
        for link in self.shared.table.of_peer(peer) {
            let sent = self.push(&link, lane, frame.clone());
            if result.is_err() {
                result = sent;
            }
        }
        result
    }

    /// Queues a frame for one connection.
    pub fn send_to(&self, connection: ConnectionId, lane: Lane, frame: Bytes) -> Result<(), SendError> {
        let link = self.shared.table.get(connection).ok_or(SendError::NotConnected)?;
        self.push(&link, lane, frame)
    }

    fn push(&self, link: &Link, lane: Lane, frame: Bytes) -> Result<(), SendError> {
        if frame.is_empty() {
            return Err(SendError::Empty);
        }
        if link.queue(lane).push(frame) {
            return Ok(());
        }
        self.shared.counters.outbound_queue_full.add();
        Err(SendError::Full)
    }

    /// Closes a connection whose peer misbehaves, for a reason that the peer is told. A peer that dials may come back.
    pub fn close(&self, connection: ConnectionId, reason: &str) {
        if let Some(link) = self.shared.table.get(connection) {
            link.close(Fault::Closed(reason.to_owned()));
        }
    }

    /// Closes all connections with a peer, for a reason that the peer is told.
    pub fn close_all(&self, peer: &PublicKey, reason: &str) {
        self.shared.table.of_peer(peer).iter().for_each(|link| link.close(Fault::Closed(reason.to_owned())));
    }

    /// The peers of this class with a connection that is up, in the order of their keys.
    pub fn connected(&self, class: Class) -> Vec<PublicKey> {
        self.shared.table.peers(class)
    }

    /// How often what was refused or went wrong, by reason, since the endpoint was bound. Always all reasons.
    pub fn counters(&self) -> Vec<(&'static str, u64)> {
        self.shared.counters.snapshot()
    }

    /// What there is to know of a replica's connection, or with no peer of those of all clients together.
    pub fn usage(&self, peer: Option<PublicKey>) -> Usage {
        self.shared.table.usage(peer)
    }

    /// How the last attempt to connect to a peer failed that is dialled; none if it did not, or if it is connected.
    pub fn dial_problem(&self, peer: &PublicKey) -> Option<DialProblem> {
        self.shared.problems.of(peer).filter(|_| self.shared.table.of_peer(peer).is_empty())
    }

    /// The most bytes that may wait on a lane to a peer of this class.
    pub fn queue_bytes(&self, class: Class) -> usize {
        self.shared.settings.of(class).queue_bytes
    }

    /// Closes all connections, delivers their `Down`, and tells the peers. Takes at most a few seconds, even if nobody
    /// reads the channels any more. The port is free soon after the last clone is dropped.
    pub async fn shutdown(self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        let _ = timeout(SHUTDOWN_WAIT, self.shared.tasks.wait()).await;
        for quinn in std::iter::once(&self.shared.quinn).chain(&self.shared.for_clients) {
            quinn.close(Fault::Stopped.code(), Fault::Stopped.to_string().as_bytes());
            let _ = timeout(FAREWELL, quinn.wait_idle()).await;
        }
    }
}

/// Opens a socket and, if it listens, accepts there whom the directory names, of one class only if that is given.
fn open(
    settings: &Settings,
    directory: &Directory,
    address: Option<SocketAddr>,
    only: Option<Class>,
    runtime: Arc<dyn quinn::Runtime>,
) -> Result<quinn::Endpoint, BindError> {
    let refused = |source: io::Error| match address {
        Some(address) if source.kind() == io::ErrorKind::AddrInUse => BindError::AddressInUse { address },
        address => BindError::Socket { address, source },
    };
    let server = address.map(|_| socket::server_config(settings, directory, only)).transpose()?;
    let config = socket::endpoint_config(settings)?;
    let socket = socket::bind(address).map_err(refused)?;
    quinn::Endpoint::new(config, server, socket, runtime).map_err(refused)
}

impl Shared {
    pub const fn budget(&self, class: Class) -> &Budget {
        match class {
            Class::Replica => &Budget::NONE,
            Class::Client => &self.client_budget,
        }
    }

    async fn accept(self: Arc<Self>, quinn: quinn::Endpoint) {
        let handshakes = Arc::new(Semaphore::new(self.settings.max_handshakes));
        loop {
            let incoming = tokio::select! {
                () = self.stop.cancelled() => return,
                incoming = quinn.accept() => incoming,
            };
            let Some(incoming) = incoming else { return };
            if !incoming.remote_address_validated() {
                let _ = incoming.retry(); // cannot fail for an address that is not validated
                continue;
            }
            let Ok(permit) = handshakes.clone().try_acquire_owned() else {
                self.counters.too_many_connections.add();
                incoming.refuse();
                continue;
            };
            self.tasks.spawn(self.clone().receive(incoming, permit));
        }
    }

    /// One incoming connection: the handshake, then its life.
    async fn receive(self: Arc<Self>, incoming: quinn::Incoming, permit: OwnedSemaphorePermit) {
        let address = incoming.remote_address();
        let connected = tokio::select! {
            () = self.stop.cancelled() => return,
            connected = timeout(self.settings.hello_timeout, incoming.into_future()) => connected,
        };
        drop(permit);
        match connected {
            Ok(Ok(connection)) => {
                connection::run(&self, connection, &self.stop).await;
            }
            Ok(Err(error)) => {
                let reason = error.to_string();
                tracing::debug!(event = "handshake_refused", %address, error = %reason.escape_debug(), "handshake refused");
                self.counters.add_refusal(&error);
            }
            Err(_) => self.counters.handshake_failed.add(),
        }
    }
}
