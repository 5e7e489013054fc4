use super::{DIRECTORY, Disk, DiskError};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const LOCK: &str = "LOCK";
/// Zeros are written in pieces of this many bytes.
const PIECE: usize = 1 << 20;

/// A real directory, locked against any other process for as long as this or a handle from `share` lives.
#[derive(Debug)]
pub struct FileDisk {
    directory: Arc<Locked>,
    /// Files stay open from their first use on.
    handles: BTreeMap<String, File>,
}

#[derive(Debug)]
struct Locked {
    path: PathBuf,
    handle: File,
    _lock: File,
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
    #[error("cannot open and lock {directory}: {source}")]
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
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LockError::Locked { directory: directory.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(io_error(source)),
        }
        let locked = Locked { path: directory.to_owned(), handle, _lock: lock };
        Ok(Self { directory: Arc::new(locked), handles: BTreeMap::new() })
    }

    /// A second handle on the same locked directory, for another thread that uses other files: one for the journal, one for
    /// the snapshots.
    pub fn share(&self) -> Self {
        Self { directory: Arc::clone(&self.directory), handles: BTreeMap::new() }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.directory.path.join(file)
    }

    fn handle(&mut self, file: &str) -> io::Result<&File> {
        if !self.handles.contains_key(file) {
            let handle = OpenOptions::new().read(true).write(true).open(self.path(file))?;
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

    fn create_zeros(&mut self, file: &str, size: u64) -> io::Result<()> {
        let mut handle = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(self.path(file))?;
        let zeros = vec![0; PIECE];
        let mut left = size;
        while left > 0 {
            let piece = zeros.get(..usize::try_from(left).unwrap_or(PIECE)).unwrap_or(&zeros);
            handle.write_all(piece)?;
            left = left.saturating_sub(piece.len() as u64);
        }
        self.handles.insert(file.to_owned(), handle);
        Ok(())
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

    fn create(&mut self, file: &str, size: u64) -> Result<(), DiskError> {
        self.create_zeros(file, size).map_err(|source| DiskError::new("create", file, source))
    }

    fn write_at(&mut self, file: &str, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let written = self.handle(file).and_then(|handle| handle.write_all_at(bytes, offset));
        written.map_err(|source| DiskError::new("write", file, source))
    }

    fn sync(&mut self, file: &str) -> Result<(), DiskError> {
        self.handle(file).and_then(File::sync_data).map_err(|source| DiskError::new("sync", file, source))
    }

    fn sync_directory(&mut self) -> Result<(), DiskError> {
        self.directory.handle.sync_all().map_err(|source| DiskError::new("sync", DIRECTORY, source))
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        fs::rename(self.path(from), self.path(to)).map_err(|source| DiskError::new("rename", from, source))?;
        self.handles.remove(to);
        if let Some(handle) = self.handles.remove(from) {
            self.handles.insert(to.to_owned(), handle);
        }
        Ok(())
    }

    fn remove(&mut self, file: &str) -> Result<(), DiskError> {
        self.handles.remove(file);
        fs::remove_file(self.path(file)).map_err(|source| DiskError::new("remove", file, source))
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
    fn a_missing_directory_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(FileDisk::open(&folder.path().join("data")), Err(LockError::Io { .. })));
    }

    #[test]
    fn files_keep_what_was_written_and_the_lock_is_not_listed() {
        let folder = tempfile::tempdir().unwrap();
        let mut disk = FileDisk::open(folder.path()).unwrap();
        let size = PIECE as u64 + 5;
        disk.create("a", size).unwrap();
        disk.write_at("a", size - 2, b"xyz").unwrap();
        disk.sync("a").unwrap();
        disk.create("b", 0).unwrap();
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
