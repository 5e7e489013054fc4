//! What must hold, and who watches it.

mod certificates;
mod checker;
mod history;
mod invariant;
mod promises;
mod reference;
mod said;
mod views;
mod votes;

pub use checker::Checker;
pub use invariant::{Invariant, Violation};
