//! A replica's data directory, looked at from outside.

use crate::failure::Failure;
use pbft_node::ExitCode;
use pbft_storage::{FileDisk, LockError};
use std::path::{Path, PathBuf};

/// The data directory of a home, or the directory itself.
pub fn data_directory(given: &Path) -> PathBuf {
    let inside = given.join("data");
    if inside.is_dir() { inside } else { given.to_owned() }
}

/// The data directory of a replica that does not run, to be read only.
pub fn open_to_read(given: &Path) -> Result<FileDisk, Failure> {
    FileDisk::open_to_read(&data_directory(given)).map_err(|error| match error {
        LockError::Locked { directory } => {
            let message = format!("{} is in use: stop the replica, or give a copy of the directory", directory.display());
            Failure::new(ExitCode::Io, "Locked", message)
        }
        error => Failure::io(error),
    })
}
