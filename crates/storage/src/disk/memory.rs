use super::{DIRECTORY, Disk, DiskError};
use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// Unsynced writes are torn in units of this many bytes, each written whole or not at all.
const SECTOR: u64 = 512;

/// A directory in memory that remembers what was synced: for tests and the simulator. A clone is a disk of its own.
///
/// Each operation that changes or syncs something is counted, and one of them can be made to fail. `crash` then decides,
/// piece by piece, what of the unsynced survives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryDisk {
    files: BTreeMap<u64, MemoryFile>,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    unsynced_names: Vec<NameChange>,
    created: u64,
    operations: u64,
    fail_at: Option<u64>,
    capacity: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct MemoryFile {
    content: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<(u64, Vec<u8>)>,
    /// Of a sync that failed: it can be read, and no later sync makes it durable, as where a system takes such pages for clean.
    stranded: Vec<(u64, Vec<u8>)>,
}

impl MemoryFile {
    fn strand(&mut self) {
        self.stranded.append(&mut self.unsynced);
    }

    /// What is written over is gone for good.
    fn sync(&mut self) {
        for (offset, bytes) in std::mem::take(&mut self.unsynced) {
            overwrite(&mut self.durable, offset, &bytes);
            let end = offset.saturating_add(bytes.len() as u64);
            let stranded = std::mem::take(&mut self.stranded);
            self.stranded = stranded.iter().flat_map(|lost| outside(lost, offset, end)).collect();
        }
    }
}

/// The directory's entry `added` comes to stand for a file, or the entry `gone` goes; a rename does both.
#[derive(Clone, Debug, PartialEq, Eq)]
struct NameChange {
    gone: Option<String>,
    added: Option<(String, u64)>,
}

/// Something that was not synced before a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsynced<'a> {
    /// A file was created, renamed to, or removed.
    Name {
        /// The file's name.
        file: &'a str,
    },
    /// A part of one write, within one sector.
    Write {
        /// The file's name.
        file: &'a str,
        /// Where the part begins in the file.
        offset: u64,
        /// Its bytes.
        bytes: &'a [u8],
    },
}

impl MemoryDisk {
    /// How many operations changed or synced something so far.
    pub fn operations(&self) -> u64 {
        self.operations
    }

    /// Makes one operation fail: the one before which `operations()` is this number. As with a real disk, it may or may not
    /// have taken effect: what it did is unsynced, and `crash` decides.
    pub fn fail_at(&mut self, operation: u64) {
        self.fail_at = Some(operation);
    }

    /// So many bytes fit, of all files together; any number with `None`. What does not fit is not written.
    pub fn set_capacity(&mut self, bytes: Option<u64>) {
        self.capacity = bytes;
    }

    /// Bytes in all files.
    pub fn used(&self) -> u64 {
        let files = self.names.values().filter_map(|id| self.files.get(id));
        files.fold(0, |sum, file| sum.saturating_add(file.content.len() as u64))
    }

    /// The power goes. `keep` is asked for every unsynced thing, in the order of the operations, names first, and tells whether
    /// it survives: `|_| false` loses all.
    pub fn crash(&mut self, mut keep: impl FnMut(Unsynced<'_>) -> bool) {
        for change in std::mem::take(&mut self.unsynced_names) {
            let file = change.added.as_ref().map(|(name, _)| name).or(change.gone.as_ref());
            if keep(Unsynced::Name { file: file.map_or("", String::as_str) }) {
                change.apply(&mut self.durable_names);
            }
        }
        self.names = self.durable_names.clone();
        self.forget_unnamed_files();
        for (name, id) in &self.names {
            let Some(file) = self.files.get_mut(id) else { continue };
            file.strand();
            for (offset, bytes) in std::mem::take(&mut file.stranded) {
                for (offset, part) in sectors(offset, &bytes) {
                    if keep(Unsynced::Write { file: name, offset, bytes: part }) {
                        overwrite(&mut file.durable, offset, part);
                    }
                }
            }
            file.content = file.durable.clone();
        }
        self.fail_at = None;
    }

    /// Changes a file behind its owner's back, durably: rot, a cut, a forgery. Nothing happens if it does not exist.
    pub fn damage(&mut self, file: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let Some(file) = self.names.get(file).and_then(|id| self.files.get_mut(id)) else { return };
        change(&mut file.content);
        file.durable = file.content.clone();
        file.unsynced.clear();
        file.stranded.clear();
    }

    fn file(&self, operation: &'static str, name: &str) -> Result<&MemoryFile, DiskError> {
        let file = self.names.get(name).and_then(|id| self.files.get(id));
        file.ok_or_else(|| DiskError::new(operation, name, io::ErrorKind::NotFound.into()))
    }

    fn file_mut(&mut self, operation: &'static str, name: &str) -> Result<&mut MemoryFile, DiskError> {
        let file = self.names.get(name).and_then(|id| self.files.get_mut(id));
        file.ok_or_else(|| DiskError::new(operation, name, io::ErrorKind::NotFound.into()))
    }

    fn change_name(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.unsynced_names.push(change);
    }

    /// Counts an operation; fails if it is the one that was chosen to.
    fn count(&mut self, operation: &'static str, file: &str) -> Result<(), DiskError> {
        let fails = self.fail_at == Some(self.operations);
        self.operations = self.operations.saturating_add(1);
        if fails {
            return Err(DiskError::new(operation, file, io::Error::other("injected failure")));
        }
        Ok(())
    }

    fn forget_unnamed_files(&mut self) {
        let pending = self.unsynced_names.iter().filter_map(|change| change.added.as_ref().map(|(_, id)| id));
        let named: BTreeSet<u64> = self.names.values().chain(self.durable_names.values()).chain(pending).copied().collect();
        self.files.retain(|id, _| named.contains(id));
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, u64>) {
        if let Some(name) = &self.gone {
            names.remove(name);
        }
        if let Some((name, id)) = &self.added {
            names.insert(name.clone(), *id);
        }
    }
}

/// The parts of a write, cut at the boundaries of sectors.
fn sectors(mut offset: u64, mut bytes: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    std::iter::from_fn(move || {
        let room = SECTOR.saturating_sub(offset.checked_rem(SECTOR)?) as usize;
        let (part, rest) = bytes.split_at(room.min(bytes.len()));
        let start = offset;
        offset = offset.saturating_add(part.len() as u64);
        bytes = rest;
        (!part.is_empty()).then_some((start, part))
    })
}

/// What of a write is before `start`, and what from `end` on.
fn outside((offset, bytes): &(u64, Vec<u8>), start: u64, end: u64) -> impl Iterator<Item = (u64, Vec<u8>)> {
    let at = |place: u64| bytes.split_at(place.saturating_sub(*offset).min(bytes.len() as u64) as usize);
    let ((before, _), (_, after)) = (at(start), at(end));
    let parts = [(*offset, before.to_vec()), (end.max(*offset), after.to_vec())];
    parts.into_iter().filter(|(_, part)| !part.is_empty())
}

fn overwrite(content: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let start = offset as usize;
    let end = start.saturating_add(bytes.len());
    if content.len() < end && !bytes.is_empty() {
        content.resize(end, 0);
    }
    if let Some(place) = content.get_mut(start..end) {
        place.copy_from_slice(bytes);
    }
}

impl Disk for MemoryDisk {
    fn list(&mut self) -> Result<Vec<String>, DiskError> {
        Ok(self.names.keys().cloned().collect())
    }

    fn size(&mut self, file: &str) -> Result<u64, DiskError> {
        Ok(self.file("read the size of", file)?.content.len() as u64)
    }

    fn read_at(&mut self, file: &str, offset: u64, length: u64) -> Result<Vec<u8>, DiskError> {
        let content = &self.file("read", file)?.content;
        let rest = content.get(offset as usize..).unwrap_or_default();
        Ok(rest.get(..length as usize).unwrap_or(rest).to_vec())
    }

    fn create(&mut self, file: &str) -> Result<(), DiskError> {
        if self.capacity.is_some_and(|capacity| self.used() >= capacity) {
            return Err(DiskError::new("create", file, io::ErrorKind::StorageFull.into()));
        }
        let id = self.created;
        self.created = self.created.saturating_add(1);
        self.files.insert(id, MemoryFile::default());
        self.change_name(NameChange { gone: None, added: Some((file.to_owned(), id)) });
        self.count("create", file)
    }

    fn write_at(&mut self, file: &str, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let there = self.file("write", file)?.content.len() as u64;
        let growth = offset.saturating_add(bytes.len() as u64).saturating_sub(there);
        if growth > 0 && self.capacity.is_some_and(|capacity| self.used().saturating_add(growth) > capacity) {
            return Err(DiskError::new("write", file, io::ErrorKind::StorageFull.into()));
        }
        let written = self.file_mut("write", file)?;
        overwrite(&mut written.content, offset, bytes);
        written.unsynced.push((offset, bytes.to_vec()));
        self.count("write", file)
    }

    fn sync(&mut self, file: &str) -> Result<(), DiskError> {
        if let Err(error) = self.count("sync", file) {
            self.file_mut("sync", file)?.strand();
            return Err(error);
        }
        self.file_mut("sync", file)?.sync();
        Ok(())
    }

    fn sync_directory(&mut self) -> Result<(), DiskError> {
        self.count("sync", DIRECTORY)?;
        self.durable_names = self.names.clone();
        self.unsynced_names.clear();
        self.forget_unnamed_files();
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        let not_found = || DiskError::new("rename", from, io::ErrorKind::NotFound.into());
        let id = *self.names.get(from).ok_or_else(not_found)?;
        self.change_name(NameChange { gone: Some(from.to_owned()), added: Some((to.to_owned(), id)) });
        self.count("rename", from)
    }

    fn remove(&mut self, file: &str) -> Result<(), DiskError> {
        self.file("remove", file)?;
        self.change_name(NameChange { gone: Some(file.to_owned()), added: None });
        self.count("remove", file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk_with(file: &str, content: &[u8]) -> MemoryDisk {
        let mut disk = MemoryDisk::default();
        disk.create(file).unwrap();
        disk.write_at(file, 0, content).unwrap();
        disk.sync(file).unwrap();
        disk.sync_directory().unwrap();
        disk
    }

    #[test]
    fn a_crash_loses_what_was_not_synced() {
        let mut disk = disk_with("a", b"old");
        disk.write_at("a", 0, b"newer").unwrap();
        disk.create("b").unwrap();
        disk.sync("b").unwrap();
        disk.rename("a", "c").unwrap();
        assert_eq!(disk.read_at("c", 0, 9).unwrap(), b"newer");
        disk.crash(|_| false);
        assert_eq!(disk.list().unwrap(), ["a"]);
        assert_eq!(disk.read_at("a", 0, 9).unwrap(), b"old");
    }

    #[test]
    fn a_crash_keeps_the_chosen_sectors_and_names() {
        let mut disk = disk_with("a", &[0; 1024]);
        disk.write_at("a", 510, &[1; 600]).unwrap();
        disk.rename("a", "b").unwrap();
        disk.create("c").unwrap();
        let mut asked = Vec::new();
        disk.crash(|unsynced| match unsynced {
            Unsynced::Name { file } => file == "b",
            Unsynced::Write { offset, bytes, .. } => {
                asked.push((offset, bytes.len()));
                offset != 512
            }
        });
        assert_eq!(asked, [(510, 2), (512, 512), (1024, 86)]);
        assert_eq!(disk.list().unwrap(), ["b"]);
        let content = disk.read_at("b", 0, 2000).unwrap();
        assert_eq!(content.len(), 1110);
        let ones: Vec<usize> = (0..1110).filter(|at| content[*at] == 1).collect();
        assert_eq!(ones, [&[510, 511][..], &(1024..1110).collect::<Vec<_>>()].concat());
    }

    #[test]
    fn what_a_failed_sync_left_does_not_come_over_what_was_written_since() {
        for survives in [false, true] {
            let mut disk = disk_with("a", &[0; 6]);
            disk.write_at("a", 1, &[1; 4]).unwrap();
            disk.fail_at(disk.operations());
            assert!(disk.sync("a").is_err());
            for (offset, bytes) in [(2, [2; 2].as_slice()), (0, &[3]), (5, &[3])] {
                disk.write_at("a", offset, bytes).unwrap();
            }
            disk.sync("a").unwrap();
            assert_eq!(disk.read_at("a", 0, 9).unwrap(), [3, 1, 2, 2, 1, 3]);
            disk.crash(|_| survives);
            let left = u8::from(survives);
            assert_eq!(disk.read_at("a", 0, 9).unwrap(), [3, left, 2, 2, left, 3]);
        }
    }

    #[test]
    fn what_does_not_fit_is_not_written_and_what_is_there_can_be_overwritten() {
        let mut disk = disk_with("a", b"old");
        disk.set_capacity(Some(4));
        let error = disk.write_at("a", 3, b"er").unwrap_err();
        assert!(error.is_full() && error.to_string().contains("write a"));
        disk.write_at("a", 1, b"xyz").unwrap();
        assert!(disk.create("b").unwrap_err().is_full());
        assert_eq!((disk.read_at("a", 0, 9).unwrap(), disk.used()), (b"oxyz".to_vec(), 4));
        disk.remove("a").unwrap();
        disk.sync_directory().unwrap();
        disk.create("b").unwrap();
        assert!(disk.write_at("b", 0, b"12345").unwrap_err().is_full());
        disk.write_at("b", 0, b"1234").unwrap();
    }

    #[test]
    fn the_chosen_operation_fails_once_and_is_left_unsynced() {
        let mut disk = disk_with("a", b"old");
        disk.fail_at(disk.operations() + 1);
        disk.write_at("a", 0, b"new").unwrap();
        assert!(disk.sync("a").is_err());
        let mut lost = disk.clone();
        lost.crash(|_| false);
        assert_eq!(lost.read_at("a", 0, 9).unwrap(), b"old");
        disk.crash(|_| true);
        assert_eq!(disk.read_at("a", 0, 9).unwrap(), b"new");
    }

    #[test]
    fn what_a_sync_failed_on_is_durable_only_after_it_is_written_again() {
        let mut disk = disk_with("a", b"old");
        disk.write_at("a", 0, b"new").unwrap();
        disk.fail_at(disk.operations());
        assert!(disk.sync("a").is_err());
        disk.sync("a").unwrap();
        assert_eq!(disk.read_at("a", 0, 9).unwrap(), b"new");
        let mut lost = disk.clone();
        lost.crash(|_| false);
        assert_eq!(lost.read_at("a", 0, 9).unwrap(), b"old");
        disk.write_at("a", 0, b"new").unwrap();
        disk.sync("a").unwrap();
        disk.crash(|_| false);
        assert_eq!(disk.read_at("a", 0, 9).unwrap(), b"new");
    }
}
