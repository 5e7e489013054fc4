//! Model checking of the real core with stateright: everything that may happen to a few replicas, within bounds, and
//! not only what a seed draws. Nothing but tests; no program contains it.
//!
//! **Modelled.** Four replicas; those that do not lie run [`Replica`](pbft_protocol::agreement::Replica) itself behind
//! real signatures and real verification. A step hands one of them one message, lets its timers expire, makes its next
//! records durable, crashes it or recovers it. What may wait for what is decided by the core's own effects (R15).
//! - *Network*: whatever left once may reach anyone, at any time, any number of times, or never. So loss, reordering,
//!   duplication, replay and sending again are all there, and the network needs no place in a state.
//! - *Liars*: not a program but a vocabulary ([`Lies`]): both values, votes for both, view-changes with and without each
//!   certificate that can be put together from what was heard, new-views from each quorum, honest or null over what
//!   prepared. They hear every message at once. A test may narrow the vocabulary after its prefix.
//! - *Disk*: of a replica that may crash, groups of records become durable step by step; a crash finds any prefix of
//!   those that wait on disk, so a vote is lost, or durable and never sent. Where no crash is to come, records are durable
//!   at once.
//! - *Time*: a replica's clock stands still until its timers expire, and then jumps by one time-out.
//!
//! **Bounds.** One number (two in one test), two values, views 0 to 2, one crash, one or two expiries a replica. Most
//! tests start from a scripted prefix and go a stated number of steps from there; one visits every state there is. Each
//! asserts how many states it examined: a change of that number is a question to be answered, not a number to be
//! adjusted. The checker remembers 64-bit fingerprints: two states could share one, though at these sizes hardly do.
//!
//! **Left out.** Heartbeats, statuses, relayed requests, fetches and the timers that only repeat or pad: they bring what
//! this network brings anyway, and would make the states endless. In their place anyone who asks for a body may get it,
//! and a replica that recovers answers one status, so that durable votes that never left do leave. Checkpoints, state
//! transfer and journals that begin anew: no checkpoint is reached in two numbers. Symmetry is not used: replicas differ
//! by the views they are primary of. Suspicion and evidence travel only where a test says so. Liveness: only
//! safety is checked, and that what makes it interesting is reachable.
//!
//! **Negative controls** (`tests/controls.rs`): a driver that sends before it persists, a crash that loses votes, and more
//! than f liars must each break the property named there.
//!
//! Equal single-replica states are held once, and the core runs once for each such state and happening: this is what
//! makes hundreds of thousands of states a matter of seconds. Deeper, by minutes:
//! `cargo test --release -p pbft-model --test deep -- --ignored --nocapture --test-threads 1`

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod adversary;
mod check;
mod model;
mod node;
pub mod properties;
mod scenario;
mod script;
mod table;
mod world;

pub use check::Outcome;
pub use model::{PbftModel, Step};
pub use node::Happening;
pub use scenario::{Driver, Lies, Scenario};
