//! Networks of real replicas for tests: processes, sockets and disks, without root.
//!
//! - [`Network`]: the files and processes of a cluster; kills, pauses and restarts replicas.
//! - [`Links`]: a UDP proxy for each link between two replicas, which loses, delays, duplicates and cuts.
//! - [`Load`]: clients that write and read without end, and the [`History`] of what they were answered.
//! - [`Stranger`]: speaks QUIC by hand, to send what no honest party sends.
//!
//! Everything waits for a condition with [`eventually`], and never for time to pass.

// A failed step of a test is a failed test: it ends with the reason.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod agreement;
mod binaries;
mod history;
mod http;
mod links;
mod load;
mod network;
mod plan;
mod ports;
mod random;
mod replica;
mod stranger;

pub use agreement::{Agreement, eventually, eventually_within};
pub use binaries::{pbft, pbftd, pbftd_with_fail_points};
pub use history::{Answer, History};
pub use http::{Page, Samples, page};
pub use links::{Fault, Links};
pub use load::Load;
pub use network::{Keys, Network, write_toml};
pub use plan::Plan;
pub use ports::free_port;
pub use random::Random;
pub use stranger::{Frames, Stranger, frame};

use std::time::Duration;

/// Longer than anything here takes, unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(90);
