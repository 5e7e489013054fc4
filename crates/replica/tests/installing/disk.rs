use pbft_storage::{Disk, DiskError, MemoryDisk, Unsynced};
use std::cell::RefCell;
use std::rc::Rc;

/// One disk with several handles.
#[derive(Clone, Debug, Default)]
pub struct SharedDisk(Rc<RefCell<MemoryDisk>>);

impl SharedDisk {
    /// A copy that goes its own way.
    pub fn copy(&self) -> Self {
        Self(Rc::new(RefCell::new(self.0.borrow().clone())))
    }

    pub fn operations(&self) -> u64 {
        self.0.borrow().operations()
    }

    pub fn fail_after(&self, operations: u64) {
        let at = self.operations() + operations;
        self.0.borrow_mut().fail_at(at);
    }

    pub fn crash(&self, keep: impl FnMut(Unsynced<'_>) -> bool) {
        self.0.borrow_mut().crash(keep);
    }

    /// Only so many bytes more fit; any number with `None`.
    pub fn leave_room(&self, bytes: Option<u64>) {
        let mut disk = self.0.borrow_mut();
        let used = disk.used();
        disk.set_capacity(bytes.map(|bytes| used + bytes));
    }

    /// The files of fetched chunks.
    pub fn transfers(&self) -> Vec<String> {
        let files = self.0.borrow_mut().list().unwrap();
        files.into_iter().filter(|file| file.starts_with("transfer-")).collect()
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

    fn create(&mut self, file: &str) -> Result<(), DiskError> {
        self.0.borrow_mut().create(file)
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
