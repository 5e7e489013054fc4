//! The key-value store, with etcd's data model.
//!
//! The store has one revision. It starts at 1, and grows by one with every operation that changes something; all
//! changes of a transaction share one revision. An operation that changes nothing (a read, the deletion of an absent
//! key, a compare-and-swap that does not match, whatever is refused) does not grow it.
//!
//! - [`Operation`] and [`KvResult`]: what clients send and get back, in the canonical encoding.
//! - [`KeyValueStore`]: the replicated service.
//! - [`Model`]: the same semantics in the simplest form, to check answers against.
//!
//! An operation is run in three steps: `limits` refuses what is too large by itself; `draft` works out the result
//! and the changes without touching the store; `store` takes over the changes. So what is refused has no effect.

mod bucket;
mod draft;
mod entries;
mod limits;
mod model;
mod operation;
mod result;
mod shelves;
mod snapshot;
mod store;
#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests;

pub use limits::MAX_TRANSACTION_STEPS;
pub use model::Model;
pub use operation::{Compare, Expected, Operation, RangeEnd, Relation, Step, Target};
pub use result::{Entry, KvError, KvResult, StepResult};
pub use store::KeyValueStore;
