//! A deterministic simulator: the daemon's own replica, journal, execution, service and client session, in a world whose
//! time, network, disks, crashes and lies one seed decides. See docs/testing.md.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a simulator may panic: it is a test"
)]
#![allow(clippy::cast_possible_truncation)]

mod audit;
#[cfg(test)]
mod backup;
mod campaign;
mod checks;
mod client;
mod cluster;
mod damage;
mod disk;
mod drill;
mod lapse;
mod network;
mod options;
mod plan;
mod process;
mod random;
mod replicas;
mod rest;
mod run;
mod spread;
mod trace;
mod trouble;
mod twins;
mod world;

pub use campaign::{Extent, Summary, run_all};
pub use checks::{Invariant, Violation};
pub use options::{Fault, Options, UnknownFault};
pub use run::{Outcome, run};
pub use twins::{Round, TwinsScenario, run_twins, scenario_count};
