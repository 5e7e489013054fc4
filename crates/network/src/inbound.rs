use crate::{Class, Lane};
use bytes::Bytes;
use pbft_crypto::PublicKey;
use std::fmt;
use tokio::sync::mpsc;

/// Names one connection for as long as the endpoint lives; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub(crate) u64);

impl fmt::Display for ConnectionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "#{}", self.0)
    }
}

/// What arrives. For each connection: one `Up`, any number of `Frame`, one `Down`, in this order.
///
/// When a newer connection of a replica replaces an older one, the older one's `Down` comes before the newer one's `Up`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inbound {
    /// The peer's hello was accepted.
    Up {
        /// Its transport key.
        peer: PublicKey,
        /// The new connection.
        connection: ConnectionId,
        /// Its hello, as accepted.
        hello: Bytes,
    },
    /// A frame: 1 to [`max_frame`](crate::ClassSettings::max_frame) bytes.
    Frame {
        /// Its sender's transport key.
        peer: PublicKey,
        /// The connection it came on.
        connection: ConnectionId,
        /// The lane it came on.
        lane: Lane,
        /// The bytes, as the peer sent them.
        bytes: Bytes,
    },
    /// The connection is gone.
    Down {
        /// The peer's transport key.
        peer: PublicKey,
        /// The connection that is gone.
        connection: ConnectionId,
        /// Why, for people.
        reason: String,
    },
}

/// Where what arrives goes to: bounded channels, one a class of peer, so that the consumer can put replicas first.
#[derive(Clone, Debug)]
pub struct Channels {
    /// From replicas.
    pub replicas: mpsc::Sender<Inbound>,
    /// From clients.
    pub clients: mpsc::Sender<Inbound>,
}

impl Channels {
    pub(crate) const fn of(&self, class: Class) -> &mpsc::Sender<Inbound> {
        match class {
            Class::Replica => &self.replicas,
            Class::Client => &self.clients,
        }
    }
}

/// The application's first word on every connection, in both directions. Must not block.
pub trait Greeter: Send + Sync + 'static {
    /// The hello for this peer; not empty.
    fn greeting(&self, peer: &PublicKey, class: Class) -> Bytes;

    /// Judges the peer's hello. A refusal closes the connection and its text is told to the peer.
    fn accept_greeting(&self, peer: &PublicKey, class: Class, hello: &[u8]) -> Result<(), String>;
}
