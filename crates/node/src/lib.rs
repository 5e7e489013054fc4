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

mod admission;
pub mod arguments;
mod backlog;
mod clock;
mod config;
mod core;
mod cpu;
mod executor;
mod exit;
mod greeter;
mod healthcheck;
mod home;
mod http;
mod intake;
mod journal;
mod log;
mod metered;
mod meters;
mod postman;
mod queries;
mod queues;
mod recovery;
mod refusals;
mod rejoin;
mod room;
mod run;
mod runtime;
mod shared;
mod snapshots;
mod stop;
mod threads;

/// The version of this build. One with fail points is not to be taken for another.
pub const VERSION: &str =
    if cfg!(pbft_fail_points) { concat!(env!("CARGO_PKG_VERSION"), "+fail-points") } else { env!("CARGO_PKG_VERSION") };

pub use config::{LimitsConfig, ReplicaConfig, TimingConfig};
pub use exit::ExitCode;
pub use healthcheck::healthcheck;
pub use home::{Home, HomeError, initialise_data, is_development_key, toml_mistake};
pub use http::{HttpError, StatusPage};
pub use log::{LogFormat, start_logging};
pub use rejoin::{OperatorError, rejoin, repair};
pub use run::{RunError, run, run_named_service};
pub use runtime::runtime;
pub use stop::stop_on_signals;
