//! One replica, wired: the pure core, the executor, the journal and the network, each on a thread of its own.
//!
//! ```text
//! QUIC -> Intake (decode, verify, batched) -> Core (one thread) -> Journal (one thread, group fsync) -> QUIC
//!                                               | committed              | durable
//!                                               v                        v
//!                                            Executor (one thread)      Core
//! ```
//!
//! [`run`] is all there is: a [`Home`], a service, and nothing or an [`Outbound`](pbft_protocol::Outbound) between
//! the replica and the network.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

mod clock;
mod config;
mod core;
mod executor;
mod exit;
mod greeter;
mod home;
mod intake;
mod journal;
mod log;
mod postman;
mod queries;
mod refusals;
mod room;
mod run;
mod shared;
mod snapshots;
mod stop;

pub use config::{LimitsConfig, ReplicaConfig, TimingConfig};
pub use exit::ExitCode;
pub use home::{Home, HomeError, initialise_data, is_development_key};
pub use log::{LogFormat, start_logging};
pub use run::{RunError, run, run_named_service};
pub use stop::stop_on_signals;
