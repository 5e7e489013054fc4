//! Real endpoints on loopback. Tests wait for events, never for time to pass.

mod connections;
mod misbehaviour;
mod refusals;

use crate::{Channels, Class, ConnectionId, Dial, Directory, Endpoint, Greeter, Inbound, Lane, Settings, socket};
use bytes::Bytes;
use pbft_crypto::{PublicKey, SecretKey};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);
const ALPN: &[u8] = b"pbft-test/1";

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

/// Greets with `hello` and accepts exactly `hello`.
struct Password(&'static str);

impl Greeter for Password {
    fn greeting(&self, _peer: &PublicKey, _class: Class) -> Bytes {
        Bytes::from_static(self.0.as_bytes())
    }

    fn accept_greeting(&self, _peer: &PublicKey, _class: Class, hello: &[u8]) -> Result<(), String> {
        if hello == self.0.as_bytes() { Ok(()) } else { Err("another cluster".into()) }
    }
}

fn settings(seed: u8) -> Settings {
    let mut settings = Settings::new(key(seed), vec![ALPN.to_vec()]);
    settings.listen = Some("127.0.0.1:0".parse().unwrap());
    settings
}

/// Keys 1 to 9 are replicas, 10 to 19 clients.
fn directory() -> Directory {
    Directory::new((1..20).map(|seed| (key(seed).public(), if seed < 10 { Class::Replica } else { Class::Client })))
}

struct Party {
    key: PublicKey,
    endpoint: Endpoint,
    directory: Directory,
    replicas: mpsc::Receiver<Inbound>,
    clients: mpsc::Receiver<Inbound>,
}

impl Party {
    fn new(seed: u8) -> Self {
        Self::with(settings(seed))
    }

    fn with(settings: Settings) -> Self {
        Self::greeting(settings, "hello")
    }

    fn greeting(settings: Settings, hello: &'static str) -> Self {
        let (to_replicas, replicas) = mpsc::channel(64);
        let (to_clients, clients) = mpsc::channel(64);
        let (channels, directory) = (Channels { replicas: to_replicas, clients: to_clients }, directory());
        let key = settings.identity.public();
        let endpoint = Endpoint::bind(settings, directory.clone(), Arc::new(Password(hello)), channels).unwrap();
        Self { key, endpoint, directory, replicas, clients }
    }

    fn address(&self) -> SocketAddr {
        self.endpoint.local_address().unwrap()
    }

    fn key(&self) -> PublicKey {
        self.key
    }

    fn dial(&self, peer: &Self) -> Dial {
        self.endpoint.dial(peer.key(), peer.address()).unwrap()
    }

    /// What comes next from a replica.
    async fn next(&mut self) -> Inbound {
        timeout(PATIENCE, self.replicas.recv()).await.expect("nothing arrived").unwrap()
    }

    async fn next_client(&mut self) -> Inbound {
        timeout(PATIENCE, self.clients.recv()).await.expect("nothing arrived").unwrap()
    }

    async fn up(&mut self) -> ConnectionId {
        match self.next().await {
            Inbound::Up { connection, .. } => connection,
            other => panic!("not Up: {other:?}"),
        }
    }

    async fn down(&mut self) -> (ConnectionId, String) {
        match self.next().await {
            Inbound::Down { connection, reason, .. } => (connection, reason),
            other => panic!("not Down: {other:?}"),
        }
    }

    async fn frame(&mut self) -> (Lane, Bytes) {
        match self.next().await {
            Inbound::Frame { lane, bytes, .. } => (lane, bytes),
            other => panic!("not a frame: {other:?}"),
        }
    }

    fn count(&self, reason: &str) -> u64 {
        self.endpoint.counters().into_iter().find(|(name, _)| *name == reason).expect("no such counter").1
    }

    /// Waits until something was counted under this reason.
    async fn counted(&self, reason: &str) -> u64 {
        eventually(|| Some(self.count(reason)).filter(|count| *count > 0)).await
    }
}

/// Polls for what no event announces.
async fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let poll = async {
        loop {
            if let Some(found) = look() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENCE, poll).await.expect("never came true")
}

/// A peer with an allowed key that speaks QUIC by hand.
struct Raw {
    connection: quinn::Connection,
    _endpoint: quinn::Endpoint,
}

impl Raw {
    async fn connect(seed: u8, to: &Party) -> Self {
        let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
        let config = socket::client_config(&settings(seed), &directory(), to.key()).unwrap();
        let connection = endpoint.connect_with(config, to.address(), "x").unwrap().await.unwrap();
        Self { connection, _endpoint: endpoint }
    }

    /// Opens a stream and writes these bytes to it. The stream must be kept: dropping it would end it.
    async fn open(&self, bytes: &[u8]) -> quinn::SendStream {
        let mut stream = self.connection.open_uni().await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream
    }

    /// Opens the votes lane with an acceptable hello.
    async fn greet(&self) -> quinn::SendStream {
        self.open(b"\x01\x05\0\0\0hello").await
    }

    /// The code and reason with which the other side closes.
    async fn closed(&self) -> (u64, String) {
        match timeout(PATIENCE, self.connection.closed()).await.expect("not closed") {
            quinn::ConnectionError::ApplicationClosed(close) => {
                (close.error_code.into_inner(), String::from_utf8_lossy(&close.reason).into_owned())
            }
            other => panic!("not closed by the application: {other:?}"),
        }
    }
}
