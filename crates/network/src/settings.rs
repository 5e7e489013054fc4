use crate::Class;
use pbft_crypto::SecretKey;
use std::net::SocketAddr;
use std::time::Duration;

/// Frames below this size count against no budget on their way in.
pub(crate) const SMALL_FRAME: usize = 16 << 10;

/// How an [`Endpoint`](crate::Endpoint) behaves. [`Settings::new`] fills in the defaults.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who we are: the transport key, not a signing key.
    pub identity: SecretKey,
    /// The application protocols spoken, the best first; each carries a wire version. Peers that speak none of them are refused.
    pub alpn: Vec<Vec<u8>>,
    /// Where to listen (UDP). `None`: dial only, from a port that the system chooses, and accept nothing.
    pub listen: Option<SocketAddr>,
    /// Where clients, and nobody else, are accepted (UDP). `None`: on the port that all share.
    pub listen_clients: Option<SocketAddr>,
    /// Limits for connections with replicas.
    pub replicas: ClassSettings,
    /// Limits for connections with clients.
    pub clients: ClassSettings,
    /// Most simultaneous connections of one client key (16).
    pub max_connections_per_client: usize,
    /// Most simultaneous connections of all clients together (4,096).
    pub max_client_connections: usize,
    /// Most bytes of frames half received from all clients together, and most bytes queued for all of them (256 MiB each).
    /// Frames below 16 KiB do not count on their way in: the connections bound them.
    pub client_bytes: usize,
    /// Most handshakes under way at once, of strangers and friends alike (1,024). Beyond it they are refused.
    pub max_handshakes: usize,
    /// How long a handshake, and then the peer's hello, may take (3 s each).
    pub hello_timeout: Duration,
    /// The pause before the first attempt to connect again (50 ms); doubles up to `reconnect_max`.
    pub reconnect_min: Duration,
    /// The longest pause between attempts to connect (2 s).
    pub reconnect_max: Duration,
}

/// Limits for each connection with a class of peers.
#[derive(Clone, Debug)]
pub struct ClassSettings {
    /// Longest frame accepted, in bytes.
    pub max_frame: u32,
    /// Most bytes received and not yet read, and most bytes sent and not yet acknowledged.
    pub window: u32,
    /// Most bytes that wait to be sent, for each lane.
    pub queue_bytes: usize,
    /// Most frames that wait to be sent, for each lane.
    pub queue_frames: usize,
}

impl ClassSettings {
    /// Most bytes that one connection can hold: windows, frames half received, frames being handed over, queues.
    fn memory_bound(&self) -> u64 {
        let frames = u64::from(self.max_frame).saturating_mul(6);
        let queued = (self.queue_bytes as u64).saturating_mul(3);
        self.windows().saturating_add(frames).saturating_add(queued)
    }

    fn windows(&self) -> u64 {
        u64::from(self.window).saturating_mul(2)
    }
}

impl Settings {
    /// Settings for a party that only dials; set `listen` to accept connections too.
    pub fn new(identity: SecretKey, alpn: Vec<Vec<u8>>) -> Self {
        Self {
            identity,
            alpn,
            listen: None,
            listen_clients: None,
            replicas: ClassSettings { max_frame: 8 << 20, window: 24 << 20, queue_bytes: 32 << 20, queue_frames: 65_536 },
            clients: ClassSettings { max_frame: 4 << 20, window: 256 << 10, queue_bytes: 4 << 20, queue_frames: 4_096 },
            max_connections_per_client: 16,
            max_client_connections: 4_096,
            client_bytes: 256 << 20,
            max_handshakes: 1_024,
            hello_timeout: Duration::from_secs(3),
            reconnect_min: Duration::from_millis(50),
            reconnect_max: Duration::from_secs(2),
        }
    }

    /// Most bytes that all connections together can hold, with so many replicas at the other end.
    pub fn memory_bound(&self, replicas: u64) -> u64 {
        let small_frames = (SMALL_FRAME as u64).saturating_mul(6);
        let client = self.clients.windows().saturating_add(small_frames);
        let clients = client.saturating_mul(self.max_client_connections as u64);
        let shared = (self.client_bytes as u64).saturating_mul(2);
        self.replicas.memory_bound().saturating_mul(replicas).saturating_add(clients).saturating_add(shared)
    }

    pub(crate) const fn of(&self, class: Class) -> &ClassSettings {
        match class {
            Class::Replica => &self.replicas,
            Class::Client => &self.clients,
        }
    }
}
