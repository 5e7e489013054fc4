//! What `pbft bench` does: clients keep a cluster busy, and it is told what an operation costs.
//!
//! - `target`: the cluster, started for this or there already, and its clients; `folder`: where the replicas' homes are.
//! - `workload`, `operations`: what the clients ask for. `load`: all of them at work, `lane` by `lane`; `pace` makes
//!   operations due at a rate.
//! - `meter`: what the clients see; `process` and `metrics`: what processes use and count.
//! - `floor`: the least that signatures alone cost; `machine`, `quic`: all that this machine can do at most.
//! - `run`: the course of a measurement. `report`, `show`: its figures; `sweep`, `plot`: those of many levels of load.

mod floor;
mod folder;
mod lane;
mod load;
mod machine;
mod meter;
mod metrics;
mod operations;
mod pace;
mod plot;
mod process;
mod progress;
mod quic;
mod report;
mod run;
mod show;
mod sweep;
mod target;
mod workload;

pub use folder::Durability;
pub use machine::Machine;
pub use progress::Progress;
pub use report::Report;
pub use run::{Times, run};
pub use sweep::{Sweep, levels};
pub use target::{Plan, Target};
pub use workload::{Grouping, Workload};
