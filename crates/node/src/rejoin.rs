//! What an operator does to a replica that lost its disk, or whose state differs (R9, R16).

use crate::home::random_secret;
use crate::run::of_recovery;
use crate::{ExitCode, Home, HomeError};
use pbft_replica::{RejoinError, RepairError, create_learner};
use pbft_storage::{FileDisk, LockError, SEGMENT_SIZE, is_segment};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Where a journal is made that does not count yet, in `data/`.
const DRAFT: &str = "rejoin";

/// Why a replica does not come back as a learner, or is not repaired.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// There is a journal.
    #[error(
        "{path} holds a journal: --rejoin is for a replica that lost its own. If it rejoined before, start it without --rejoin; \
         if this one is damaged or was rolled back, move {path} away first"
    )]
    HasJournal {
        /// The data directory.
        path: PathBuf,
    },
    /// The home is not usable.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The data directory is in use or not accessible.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The learner's journal could not be made.
    #[error("cannot make a learner's journal in {path}: {source}")]
    Rejoin {
        /// The data directory.
        path: PathBuf,
        /// Why.
        source: RejoinError,
    },
    /// The learner's journal could not be put into its place.
    #[error("cannot make a learner's journal in {path}: {source}")]
    Io {
        /// The data directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is nothing to repair, or it cannot be.
    #[error("{path}: {source}")]
    Repair {
        /// The data directory.
        path: PathBuf,
        /// Why.
        source: RepairError,
    },
}

impl OperatorError {
    /// The process's exit code for this error.
    pub const fn exit_code(&self) -> ExitCode {
        match self {
            Self::HasJournal { .. } => ExitCode::Configuration,
            Self::Home(error) => error.exit_code(),
            Self::Repair { source, .. } => match source {
                RepairError::Healthy | RepairError::UnderWay | RepairError::NotOfItsState(_) => ExitCode::No,
                RepairError::Read(error) => of_recovery(error),
                RepairError::Journal(_) => ExitCode::Io,
            },
            Self::Lock(_) | Self::Rejoin { .. } | Self::Io { .. } => ExitCode::Io,
        }
    }
}

/// Makes `data/` for a replica that lost it: with a journal that says above all that this key never votes again (R16).
/// Snapshots that are there stay, and are checked when it starts.
pub fn rejoin(home: &Home) -> Result<(), OperatorError> {
    let path = home.data();
    let io_error = |source| OperatorError::Io { path: path.clone(), source };
    fs::create_dir_all(&path).map_err(io_error)?;
    // Locked until the end.
    let _data = FileDisk::open(&path)?;
    if home.check_data().is_ok() {
        return Err(OperatorError::HasJournal { path });
    }
    let draft = path.join(DRAFT);
    if draft.exists() {
        fs::remove_dir_all(&draft).map_err(io_error)?;
    }
    fs::create_dir(&draft).map_err(io_error)?;
    let secret = random_secret().map_err(io_error)?;
    let created = create_learner(FileDisk::open(&draft)?, &home.identity(), &secret, SEGMENT_SIZE);
    drop(created.map_err(|source| OperatorError::Rejoin { path: path.clone(), source })?);
    take_over(&draft, &path).map_err(io_error)
}

/// The one segment gets its place at once: a journal without its first record would vote.
fn take_over(draft: &Path, data: &Path) -> io::Result<()> {
    let files: Vec<_> = fs::read_dir(draft)?.collect::<Result<_, _>>()?;
    let segments = files.iter().map(fs::DirEntry::file_name).filter(|name| is_segment(&name.to_string_lossy()));
    let [segment] = &segments.collect::<Vec<_>>()[..] else {
        return Err(io::Error::other("a new journal is not one segment"));
    };
    fs::rename(draft.join(segment), data.join(segment))?;
    File::open(data)?.sync_all()?;
    fs::remove_dir_all(draft)
}

/// The operator's word that the state of a replica that halted over it is to be replaced by a certified one (R9). Gives what
/// halted it. The replica must not run.
pub fn repair(home: &Home) -> Result<String, OperatorError> {
    home.check_data()?;
    let path = home.data();
    let repaired = pbft_replica::repair(FileDisk::open(&path)?, &home.identity());
    repaired.map(|alarm| alarm.to_string()).map_err(|source| OperatorError::Repair { path, source })
}
