//! Model checking.
#![allow(
    missing_docs,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

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
