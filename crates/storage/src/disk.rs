//! The one seam between storage logic and the world: a flat directory of named files.

mod file;
mod memory;

pub use file::{DiskWork, FileDisk, LockError};
pub use memory::{MemoryDisk, Unsynced};

use std::io;

/// A flat directory of named files. What is written is durable after `sync` of the file; what is created, renamed or
/// removed, after `sync_directory`. After an error nothing is known about either: stop using the directory (R15).
pub trait Disk {
    /// The names of all files, in ascending order.
    fn list(&mut self) -> Result<Vec<String>, DiskError>;
    /// A file's length in bytes.
    fn size(&mut self, file: &str) -> Result<u64, DiskError>;
    /// Up to `length` bytes from `offset`: fewer, or none, where the file ends before.
    fn read_at(&mut self, file: &str, offset: u64, length: u64) -> Result<Vec<u8>, DiskError>;
    /// Creates an empty file. It replaces a file of that name.
    fn create(&mut self, file: &str) -> Result<(), DiskError>;
    /// Writes bytes from `offset` on; the file grows where they end beyond it.
    fn write_at(&mut self, file: &str, offset: u64, bytes: &[u8]) -> Result<(), DiskError>;
    /// Makes the file's content durable (fdatasync).
    fn sync(&mut self, file: &str) -> Result<(), DiskError>;
    /// Makes the names durable.
    fn sync_directory(&mut self) -> Result<(), DiskError>;
    /// Gives a file another name, replacing a file of that name, atomically.
    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError>;
    /// Removes a file.
    fn remove(&mut self, file: &str) -> Result<(), DiskError>;
}

/// An operation of the disk failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {file}: {source}")]
pub struct DiskError {
    /// What was tried: "read", "write", ...
    pub operation: &'static str,
    /// The file's name, or "the directory".
    pub file: String,
    /// What the system said.
    pub source: io::Error,
}

impl DiskError {
    pub(crate) fn new(operation: &'static str, file: &str, source: io::Error) -> Self {
        Self { operation, file: file.to_owned(), source }
    }

    /// There is no room: for the disk, or for this user.
    pub fn is_full(&self) -> bool {
        matches!(self.source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
}

/// The name under which the directory itself stands in errors.
const DIRECTORY: &str = "the directory";

impl<D: Disk> Disk for &mut D {
    fn list(&mut self) -> Result<Vec<String>, DiskError> {
        (**self).list()
    }
    fn size(&mut self, file: &str) -> Result<u64, DiskError> {
        (**self).size(file)
    }
    fn read_at(&mut self, file: &str, offset: u64, length: u64) -> Result<Vec<u8>, DiskError> {
        (**self).read_at(file, offset, length)
    }
    fn create(&mut self, file: &str) -> Result<(), DiskError> {
        (**self).create(file)
    }
    fn write_at(&mut self, file: &str, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        (**self).write_at(file, offset, bytes)
    }
    fn sync(&mut self, file: &str) -> Result<(), DiskError> {
        (**self).sync(file)
    }
    fn sync_directory(&mut self) -> Result<(), DiskError> {
        (**self).sync_directory()
    }
    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        (**self).rename(from, to)
    }
    fn remove(&mut self, file: &str) -> Result<(), DiskError> {
        (**self).remove(file)
    }
}
