use pbft_storage::{Disk, DiskError, MemoryDisk, Unsynced};
use std::cell::RefCell;
use std::rc::Rc;

/// One process's disk, of which its journal and its snapshots have a handle each.
#[derive(Clone, Debug, Default)]
pub struct SharedDisk(Rc<RefCell<MemoryDisk>>);

impl SharedDisk {
    /// A copy that goes its own way.
    pub fn copy(&self) -> MemoryDisk {
        let mut copy = self.0.borrow().clone();
        // All of it survives, and nothing of it is going to fail.
        copy.crash(|_| usize::MAX);
        copy
    }

    /// Makes the operation fail that comes after so many others.
    pub fn fail_after(&self, operations: u64) {
        let mut disk = self.0.borrow_mut();
        let at = disk.operations() + operations;
        disk.fail_at(at);
    }

    /// The process ends; `keep` says what of the unsynced survives.
    pub fn crash(&self, keep: impl FnMut(Unsynced<'_>) -> usize) {
        self.0.borrow_mut().crash(keep);
    }
}

impl Disk for SharedDisk {
    fn list(&mut self) -> Result<Vec<String>, DiskError> {
        self.0.borrow_mut().list()
    }

    fn size(&mut self, file: &str) -> Result<u64, DiskError> {
        self.0.borrow_mut().size(file)
    }

    fn read_at(&mut self, file: &str, offset: u64, length: u64) -> Result<Vec<u8>, DiskError> {
        self.0.borrow_mut().read_at(file, offset, length)
    }

    fn create(&mut self, file: &str, size: u64) -> Result<(), DiskError> {
        self.0.borrow_mut().create(file, size)
    }

    fn write_at(&mut self, file: &str, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.0.borrow_mut().write_at(file, offset, bytes)
    }

    fn sync(&mut self, file: &str) -> Result<(), DiskError> {
        self.0.borrow_mut().sync(file)
    }

    fn sync_directory(&mut self) -> Result<(), DiskError> {
        self.0.borrow_mut().sync_directory()
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        self.0.borrow_mut().rename(from, to)
    }

    fn remove(&mut self, file: &str) -> Result<(), DiskError> {
        self.0.borrow_mut().remove(file)
    }
}
