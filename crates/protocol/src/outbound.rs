//! The one seam between a replica and the network, where tests put lies. Honest replicas have nothing there.

use crate::Now;
use pbft_message::{Message, ReplicaId};

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
    /// A message has come from another replica.
    Received {
        /// Who sent it.
        from: ReplicaId,
        /// The message, as on the wire.
        message: &'a Message,
    },
}

/// Decides what leaves instead: any number of messages, to anyone. For [`Traffic::Received`] these leave in addition.
pub type Outbound = Box<dyn FnMut(Now, Traffic<'_>) -> Vec<(ReplicaId, Message)> + Send>;
