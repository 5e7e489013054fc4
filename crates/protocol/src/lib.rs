//! Practical Byzantine Fault Tolerance (Castro & Liskov, 1999), as pure code: no sockets, threads, clocks, files,
//! randomness or async. Time comes in as an argument, deadlines go out through a poll.
//!
//! - [`agreement`]: the replica, which agrees with the others on the order of batches;
//! - [`execution`]: ordered batches to the service, the client table, checkpoints, state transfer;
//! - [`session`]: a client's side;
//! - [`service`]: the one trait that users implement.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

pub mod agreement;
pub mod execution;
mod now;
mod outbound;
pub mod service;
pub mod session;

pub use now::Now;
pub use outbound::{Outbound, Outgoing, Traffic};
