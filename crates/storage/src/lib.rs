//! What a replica must not forget: the journal and the snapshots, over a flat directory of named files.
//!
//! `Journal` and `Snapshots` are pure logic over the trait `Disk`; only `FileDisk` touches files. `MemoryDisk` remembers
//! what was synced, so that a deterministic simulator can crash it at any operation and tear what was not.
//!
//! What they store are opaque byte records and chunks. All integers on disk are little-endian and of fixed width. Nothing
//! read from disk can panic, nor allocate more than the file's size.

mod damage;
mod disk;
mod fail_point;
mod fetched;
mod fields;
mod identity;
mod journal;
mod snapshots;

pub use damage::Damage;
pub use disk::{Disk, DiskError, DiskWork, FileDisk, LockError, MemoryDisk, Unsynced};
pub use fail_point::fail_point;
pub use fetched::FetchedChunks;
pub use identity::Identity;
pub use journal::{CreateError, Journal, JournalError, OpenError, Place, SEGMENT_SIZE, Summary, TornTail, is_segment};
pub use snapshots::{Snapshot, SnapshotError, SnapshotReader, Snapshots, write_snapshot};
