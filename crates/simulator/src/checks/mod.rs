//! What must hold, and who watches it.

mod accusations;
mod batches;
mod certificates;
mod checker;
mod domain;
mod floods;
mod history;
mod inspection;
mod invariant;
mod members;
mod pressure;
mod promises;
mod proposals;
mod reference;
mod said;
mod views;
mod votes;
mod witnesses;

pub use checker::{Checker, Written};
pub use invariant::{Invariant, Violation};
pub use promises::Promises;
