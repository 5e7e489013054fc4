//! One replica without threads, sockets or clocks: recovery, the journal's groups, execution with state transfer, and
//! snapshots, each as steps. The daemon runs them on threads; the simulator runs the very same, one by one.
//!
//! ```text
//! message -> Throttle -> Authenticator -> Replica -> Unpersisted -> JournalWriter -> actions, position -> Replica
//!                                            | Order                                                      ^
//!                                            v                                                            |
//!                                         Execution -> ExecutionEffect (replies, questions, FromExecutor) +
//!                                            | Save
//!                                            v
//!                                         SnapshotPolicy, save_snapshot
//! ```

mod execution;
mod journal;
mod recovery;
mod snapshots;
mod throttle;

pub use execution::{Execution, ExecutionEffect, ExecutionError, FromExecutor, Order, order_of};
pub use journal::JournalWriter;
pub use recovery::{Recovered, RecoveryError, recover};
pub use snapshots::{SnapshotPolicy, save_snapshot};
pub use throttle::Throttle;
