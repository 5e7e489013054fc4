use super::{DIRECTORY, Disk, DiskError};
use crate::fail_point::{fail_point, fault};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const LOCK: &str = "LOCK";

/// A real directory, locked against any other process for as long as this or a handle from `share` lives.
#[derive(Debug)]
pub struct FileDisk {
    directory: Arc<Locked>,
    /// Files stay open from their first use on.
    handles: BTreeMap<String, File>,
    work: DiskWork,
}

/// What a handle has had done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskWork {
    /// Files and directories made durable.
    pub syncs: u64,
    /// Bytes written.
    pub written_bytes: u64,
}

#[derive(Debug)]
struct Locked {
    path: PathBuf,
    handle: File,
    _lock: Option<File>,
    writable: bool,
}

/// Why a directory was not opened.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it open. Two replicas with one key would contradict each other.
    #[error("{directory} is in use by another process: stop that one first, two must never write one journal")]
    Locked {
        /// The directory.
        directory: PathBuf,
    },
    /// The directory or its lock file is missing or not accessible.
    #[error("cannot open and lock {directory}: {source}; it must belong to the user that this runs as")]
    Io {
        /// The directory.
        directory: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl FileDisk {
    /// Opens an existing directory and locks it.
    pub fn open(directory: &Path) -> Result<Self, LockError> {
        let io_error = |source| LockError::Io { directory: directory.to_owned(), source };
        let handle = File::open(directory).map_err(io_error)?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(directory.join(LOCK)).map_err(io_error)?;
        taken(lock.try_lock(), directory)?;
        // For `holder` alone: a full disk must not keep a replica from starting.
        let _ = lock.set_len(0).and_then(|()| (&lock).write_all(std::process::id().to_string().as_bytes()));
        let locked = Locked { path: directory.to_owned(), handle, _lock: Some(lock), writable: true };
        Ok(Self::new(locked))
    }

    /// The process that has a directory open to write; none if no process has. `Locked` if it is not known which.
    pub fn holder(directory: &Path) -> Result<Option<u32>, LockError> {
        let io_error = |source| LockError::Io { directory: directory.to_owned(), source };
        let mut lock = File::open(directory.join(LOCK)).map_err(io_error)?;
        match taken(lock.try_lock_shared(), directory) {
            Ok(()) => return Ok(None),
            Err(LockError::Locked { .. }) => {}
            Err(error) => return Err(error),
        }
        let mut process = String::new();
        lock.read_to_string(&mut process).map_err(io_error)?;
        process.parse().map(Some).map_err(|_| LockError::Locked { directory: directory.to_owned() })
    }

    /// Opens an existing directory to read what is in it; writing fails. Changes nothing, and keeps others from writing
    /// meanwhile.
    pub fn open_to_read(directory: &Path) -> Result<Self, LockError> {
        let io_error = |source| LockError::Io { directory: directory.to_owned(), source };
        let handle = File::open(directory).map_err(io_error)?;
        let lock = match File::open(directory.join(LOCK)) {
            Ok(lock) => Some(lock),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(io_error(error)),
        };
        if let Some(lock) = &lock {
            taken(lock.try_lock_shared(), directory)?;
        }
        let locked = Locked { path: directory.to_owned(), handle, _lock: lock, writable: false };
        Ok(Self::new(locked))
    }

    /// Opens a directory that no replica writes to, such as where a backup is put, or for files in it that never change once
    /// they have their name. Nothing is locked.
    pub fn open_unlocked(directory: &Path) -> Result<Self, LockError> {
        let io_error = |source| LockError::Io { directory: directory.to_owned(), source };
        let handle = File::open(directory).map_err(io_error)?;
        let unlocked = Locked { path: directory.to_owned(), handle, _lock: None, writable: true };
        Ok(Self::new(unlocked))
    }

    /// A second handle on the same locked directory, for another thread that uses other files: one for the journal, one for
    /// the snapshots.
    pub fn share(&self) -> Self {
        Self { directory: Arc::clone(&self.directory), handles: BTreeMap::new(), work: DiskWork::default() }
    }

    /// What was done through this handle.
    pub const fn work(&self) -> DiskWork {
        self.work
    }

    fn new(directory: Locked) -> Self {
        Self { directory: Arc::new(directory), handles: BTreeMap::new(), work: DiskWork::default() }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.directory.path.join(file)
    }

    fn handle(&mut self, file: &str) -> io::Result<&File> {
        if !self.handles.contains_key(file) {
            let handle = OpenOptions::new().read(true).write(self.directory.writable).open(self.path(file))?;
            self.handles.insert(file.to_owned(), handle);
        }
        self.handles.get(file).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn list_names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.directory.path)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name != LOCK && entry.file_type()?.is_file() {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn read_piece(&mut self, file: &str, offset: u64, length: u64) -> io::Result<Vec<u8>> {
        let handle = self.handle(file)?;
        let there = handle.metadata()?.len().saturating_sub(offset);
        let mut bytes = vec![0; usize::try_from(length.min(there)).map_err(io::Error::other)?];
        handle.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }
}

fn taken(lock: Result<(), TryLockError>, directory: &Path) -> Result<(), LockError> {
    let directory = directory.to_owned();
    match lock {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(LockError::Locked { directory }),
        Err(TryLockError::Error(source)) => Err(LockError::Io { directory, source }),
    }
}

impl Disk for FileDisk {
    fn list(&mut self) -> Result<Vec<String>, DiskError> {
        self.list_names().map_err(|source| DiskError::new("list", DIRECTORY, source))
    }

    fn size(&mut self, file: &str) -> Result<u64, DiskError> {
        let size = self.handle(file).and_then(File::metadata).map(|metadata| metadata.len());
        size.map_err(|source| DiskError::new("read the size of", file, source))
    }

    fn read_at(&mut self, file: &str, offset: u64, length: u64) -> Result<Vec<u8>, DiskError> {
        self.read_piece(file, offset, length).map_err(|source| DiskError::new("read", file, source))
    }

    fn create(&mut self, file: &str) -> Result<(), DiskError> {
        let open = || OpenOptions::new().read(true).write(true).create(true).truncate(true).open(self.path(file));
        let created = fault("create", file).and_then(|()| open());
        self.handles.insert(file.to_owned(), created.map_err(|source| DiskError::new("create", file, source))?);
        fail_point("create", file);
        Ok(())
    }

    fn write_at(&mut self, file: &str, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let written = fault("write", file).and_then(|()| self.handle(file)?.write_all_at(bytes, offset));
        written.map_err(|source| DiskError::new("write", file, source))?;
        self.work.written_bytes = self.work.written_bytes.saturating_add(bytes.len() as u64);
        fail_point("write", file);
        Ok(())
    }

    fn sync(&mut self, file: &str) -> Result<(), DiskError> {
        let synced = fault("sync", file).and_then(|()| self.handle(file)?.sync_data());
        synced.map_err(|source| DiskError::new("sync", file, source))?;
        self.work.syncs = self.work.syncs.saturating_add(1);
        fail_point("sync", file);
        Ok(())
    }

    fn sync_directory(&mut self) -> Result<(), DiskError> {
        let synced = fault("sync", "directory").and_then(|()| self.directory.handle.sync_all());
        synced.map_err(|source| DiskError::new("sync", DIRECTORY, source))?;
        self.work.syncs = self.work.syncs.saturating_add(1);
        fail_point("sync", "directory");
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        let renamed = fault("rename", to).and_then(|()| fs::rename(self.path(from), self.path(to)));
        renamed.map_err(|source| DiskError::new("rename", from, source))?;
        fail_point("rename", to);
        self.handles.remove(to);
        if let Some(handle) = self.handles.remove(from) {
            self.handles.insert(to.to_owned(), handle);
        }
        Ok(())
    }

    fn remove(&mut self, file: &str) -> Result<(), DiskError> {
        self.handles.remove(file);
        let removed = fault("remove", file).and_then(|()| fs::remove_file(self.path(file)));
        removed.map_err(|source| DiskError::new("remove", file, source))?;
        fail_point("remove", file);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locked_directory_is_refused_by_name_and_free_again_once_all_handles_are_gone() {
        let folder = tempfile::tempdir().unwrap();
        let disk = FileDisk::open(folder.path()).unwrap();
        let shared = disk.share();
        drop(disk);
        let error = FileDisk::open(folder.path()).unwrap_err();
        assert!(matches!(&error, LockError::Locked { directory } if directory == folder.path()));
        assert!(error.to_string().contains(folder.path().to_str().unwrap()));
        drop(shared);
        FileDisk::open(folder.path()).unwrap();
    }

    #[test]
    fn a_directory_that_is_only_read_is_not_changed_and_one_in_use_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), "content").unwrap();
        let mut disk = FileDisk::open_to_read(folder.path()).unwrap();
        assert_eq!(disk.read_at("a", 0, 99).unwrap(), b"content");
        assert!(disk.write_at("a", 0, b"x").is_err());
        assert!(!folder.path().join(LOCK).exists());

        let owner = FileDisk::open(folder.path()).unwrap();
        assert!(matches!(FileDisk::open_to_read(folder.path()), Err(LockError::Locked { .. })));
        drop(owner);
        let readers = [FileDisk::open_to_read(folder.path()).unwrap(), FileDisk::open_to_read(folder.path()).unwrap()];
        assert!(matches!(FileDisk::open(folder.path()), Err(LockError::Locked { .. })));
        drop(readers);
        FileDisk::open(folder.path()).unwrap();
    }

    #[test]
    fn a_missing_directory_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(FileDisk::open(&folder.path().join("data")), Err(LockError::Io { .. })));
    }

    #[test]
    fn files_keep_what_was_written_and_the_lock_is_not_listed() {
        let folder = tempfile::tempdir().unwrap();
        let mut disk = FileDisk::open(folder.path()).unwrap();
        let size = 5;
        disk.create("a").unwrap();
        disk.write_at("a", size - 2, b"xyz").unwrap();
        disk.sync("a").unwrap();
        disk.create("b").unwrap();
        disk.rename("a", "b").unwrap();
        disk.sync_directory().unwrap();
        assert_eq!(disk.list().unwrap(), ["b"]);
        assert_eq!(disk.size("b").unwrap(), size + 1);
        assert_eq!(disk.read_at("b", size - 3, 100).unwrap(), b"\0xyz");
        assert_eq!(disk.read_at("b", size + 9, 100).unwrap(), b"");
        disk.remove("b").unwrap();
        assert_eq!(disk.read_at("b", 0, 1).unwrap_err().source.kind(), io::ErrorKind::NotFound);
    }
}
