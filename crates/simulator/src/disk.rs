use crate::options::Fault;
use crate::random::Random;
use pbft_storage::{Disk, DiskError, MemoryDisk, Unsynced};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

const SECTOR: usize = 512;
/// So many writes are remembered.
const RECENT: usize = 4;

/// One process's disk, of which its journal and its snapshots have a handle each.
#[derive(Clone, Debug, Default)]
pub struct SharedDisk(Rc<RefCell<MemoryDisk>>, Rc<RefCell<VecDeque<Write>>>);

/// A frame that was written into the journal.
#[derive(Clone, Debug)]
struct Write {
    file: String,
    offset: usize,
    bytes: Vec<u8>,
}

impl Write {
    fn overlaps(&self, file: &str, offset: usize, length: usize) -> bool {
        self.file == file && self.offset < offset + length && offset < self.offset + self.bytes.len()
    }
}

impl SharedDisk {
    /// A handle on this disk.
    #[cfg(test)]
    pub fn of(disk: MemoryDisk) -> Self {
        Self(Rc::new(RefCell::new(disk)), Rc::default())
    }

    /// A copy that goes its own way.
    pub fn copy(&self) -> MemoryDisk {
        let mut copy = self.0.borrow().clone();
        // All of it survives, and nothing of it is going to fail.
        copy.crash(|_| true);
        copy
    }

    /// Another disk takes its place.
    pub fn replace(&self, other: MemoryDisk) {
        *self.0.borrow_mut() = other;
    }

    /// Makes the operation fail that comes after so many others.
    pub fn fail_after(&self, operations: u64) {
        let mut disk = self.0.borrow_mut();
        let at = disk.operations() + operations;
        disk.fail_at(at);
    }

    /// No operation is to fail any more.
    pub fn work_again(&self) {
        self.fail_after(u64::MAX / 2);
    }

    /// So many operations there were.
    pub fn operations(&self) -> u64 {
        self.0.borrow().operations()
    }

    /// Only so many bytes more fit; any number with `None`.
    pub fn leave_room(&self, bytes: Option<u64>) {
        let mut disk = self.0.borrow_mut();
        let used = disk.used();
        disk.set_capacity(bytes.map(|bytes| used + bytes));
    }

    /// What is on it is garbled, or was never written, while the process is down. Says in words what was done.
    pub fn damage(&self, fault: Fault, random: &mut Random) -> Option<String> {
        match fault {
            Fault::MisdirectedWrite | Fault::LostWrite => {
                let recent = self.1.borrow();
                let Write { file, offset, bytes } = recent.get(random.below(recent.len() as u64) as usize)?;
                let mut words = format!("{} bytes at {offset} of {file} were never written", bytes.len());
                self.overwrite(file, *offset, &vec![0; bytes.len()]);
                if fault == Fault::MisdirectedWrite {
                    let (other, at) = self.somewhere(random)?;
                    self.overwrite(&other, at, bytes);
                    words.push_str(&format!(", but at {at} of {other}"));
                }
                Some(words)
            }
            _ => {
                let (file, at) = self.somewhere(random)?;
                match random.below(3) {
                    0 => {
                        let at = at + random.below(SECTOR as u64) as usize;
                        self.0
                            .borrow_mut()
                            .damage(&file, |content| content.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 4));
                        Some(format!("a bit flips at {at} of {file}"))
                    }
                    1 => {
                        self.overwrite(&file, at, &[0; SECTOR]);
                        Some(format!("the sector at {at} of {file} turns to zeros"))
                    }
                    _ => {
                        let junk: Vec<u8> = (0..SECTOR).map(|_| random.next() as u8).collect();
                        self.overwrite(&file, at, &junk);
                        Some(format!("the sector at {at} of {file} turns to junk"))
                    }
                }
            }
        }
    }

    /// A sector of some file.
    fn somewhere(&self, random: &mut Random) -> Option<(String, usize)> {
        let mut disk = self.0.borrow_mut();
        let files = disk.list().ok()?;
        let file = files.get(random.below(files.len() as u64) as usize)?.clone();
        let sectors = disk.size(&file).ok()?.div_ceil(SECTOR as u64);
        Some((file, random.below(sectors) as usize * SECTOR))
    }

    /// Changes what is there; no file grows.
    fn overwrite(&self, file: &str, offset: usize, bytes: &[u8]) {
        let change = |content: &mut Vec<u8>| {
            content.iter_mut().skip(offset).zip(bytes).for_each(|(byte, new)| *byte = *new);
        };
        self.0.borrow_mut().damage(file, change);
    }

    /// The process ends; `keep` says what of the unsynced survives.
    pub fn crash(&self, keep: impl FnMut(Unsynced<'_>) -> bool) {
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

    fn create(&mut self, file: &str) -> Result<(), DiskError> {
        self.0.borrow_mut().create(file)
    }

    fn write_at(&mut self, file: &str, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        // Nothing is left of earlier writes to the same place. The zeros over a torn tail are none that may be lost: later
        // frames stand where they went.
        let mut recent = self.1.borrow_mut();
        recent.retain(|earlier| !earlier.overlaps(file, offset as usize, bytes.len()));
        if file.ends_with(".log") && bytes.iter().any(|byte| *byte != 0) {
            recent.truncate(RECENT - 1);
            recent.push_front(Write { file: file.to_owned(), offset: offset as usize, bytes: bytes.to_vec() });
        }
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
