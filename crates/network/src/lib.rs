//! Moves frames between parties that are known by their transport keys, over QUIC. It knows nothing of the protocol.
//!
//! [`Endpoint::bind`] opens the one UDP socket. [`Endpoint::dial`] keeps a connection to a peer up; the [`Directory`]
//! says who else may connect, and anyone it does not name is refused in the TLS handshake. A connection is *up* once
//! each side has sent a hello that the other's [`Greeter`] accepted. From then on frames arrive as [`Inbound`] on the
//! caller's bounded channels and leave by [`Endpoint::send`], which never blocks.
//!
//! ```text
//! Endpoint ── accept / dial ──> connection ──> one reader a lane ──> Inbound channel of the peer's class
//!     └── send ──> LaneQueue (bounded) ──> one writer a lane ──> QUIC stream, one a lane and direction
//! ```
//!
//! - A reader that finds the channel full waits, and QUIC's flow control slows that peer down.
//! - A writer whose peer does not read waits, and its queue fills; every other connection has writers and queues of its own.
//! - A peer that breaks the rules loses its connection, and a [counter](Endpoint::counters) says why.

mod budget;
mod connection;
mod counters;
mod dial;
mod directory;
mod endpoint;
mod fault;
mod frame;
mod inbound;
mod lane;
mod queue;
mod settings;
mod socket;
mod table;
#[cfg(test)]
mod tests;
mod tls;
mod usage;

pub use dial::{Dial, DialProblem};
pub use directory::{Class, Directory};
pub use endpoint::{BindError, Endpoint, SendError};
pub use frame::{Assembler, FrameError, coalesce};
pub use inbound::{Channels, ConnectionId, Greeter, Inbound};
pub use lane::Lane;
pub use settings::{ClassSettings, Settings};
pub use usage::{Traffic, Usage};
