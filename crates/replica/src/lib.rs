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

mod audit;
mod backup;
mod execution;
mod forensics;
mod journal;
mod operator;
mod pace;
mod recovery;
mod serving;
mod snapshots;
mod throttle;

pub use audit::Audit;
pub use backup::{BackupError, RestoredInto, newest_stable_state, read_service_state, restore_snapshot, verify_snapshot};
pub use execution::{Execution, ExecutionEffect, ExecutionError, FromExecutor, Order, order_of};
pub use forensics::keep_for_forensics;
pub use journal::{GROUP_BYTES, JournalWriter};
pub use operator::{RejoinError, RepairError, create_learner, repair};
pub use recovery::{RecordPlace, Recovered, RecoveryError, recover};
pub use snapshots::{SnapshotPolicy, save_snapshot};
pub use throttle::Throttle;
