//! The one seam between a replica and the network, where tests put lies. Honest replicas have nothing there.

use crate::Now;
use pbft_message::{Message, ReplicaId, ReplicaMessage};

/// What passes the seam.
#[derive(Debug)]
pub enum Traffic<'a> {
    /// A message is about to leave for another replica.
    Leaving {
        /// Who is to get it.
        to: ReplicaId,
        /// The message.
        message: Box<Message>,
    },
    /// Replies or a refusal are about to leave for the one client that they name.
    Answering {
        /// [`ReplicaMessage::Replies`] or [`ReplicaMessage::Refused`].
        message: Box<ReplicaMessage>,
    },
    /// A message has come from another replica.
    Received {
        /// Who sent it.
        from: ReplicaId,
        /// The message, as on the wire: nobody has verified it.
        message: &'a Message,
    },
}

/// What really leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "it is taken apart where it is made")]
pub enum Outgoing {
    /// A message for another replica. One for the sender itself, or for nobody, is dropped.
    Replica(ReplicaId, Message),
    /// Replies or a refusal for the client that they name: the first reply's.
    Client(ReplicaMessage),
}

impl Traffic<'_> {
    /// What leaves if nobody lies: what was about to.
    pub fn unchanged(self) -> Vec<Outgoing> {
        match self {
            Self::Leaving { to, message } => vec![Outgoing::Replica(to, *message)],
            Self::Answering { message } => vec![Outgoing::Client(*message)],
            Self::Received { .. } => Vec::new(),
        }
    }
}

/// Decides what leaves instead: any number of messages, to anyone. For [`Traffic::Received`] these leave in addition.
pub type Outbound = Box<dyn FnMut(Now, Traffic<'_>) -> Vec<Outgoing> + Send>;
