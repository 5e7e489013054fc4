//! `pbft snapshot`: backup and restore.

mod load;
mod restore;
mod save;
mod verify;

use crate::failure::Failure;
use pbft_node::ExitCode;
use pbft_replica::BackupError;
use pbft_storage::{FileDisk, SnapshotReader};
use std::path::Path;

/// Back up a replica's state, verify a backup, restore it.
///
/// Back up a replica's state to one file, verify such a file, and restore it.
#[derive(clap::Args)]
pub struct SnapshotCommand {
    #[command(subcommand)]
    command: SnapshotSubcommand,
}

#[derive(clap::Subcommand)]
enum SnapshotSubcommand {
    /// Write the newest stable state of a replica, with its certificate, to one file.
    ///
    /// Only reads the replica's data, and may be used while it runs.
    #[command(after_help = "Example:\n  pbft snapshot save net/replica-0 backup.snapshot")]
    Save(save::Save),
    /// Verify a snapshot offline, with the genesis alone.
    ///
    /// Exit code 0 if the file is whole and holds the state that a quorum certified, 1 if not.
    #[command(after_help = "Example:\n  pbft snapshot verify backup.snapshot --genesis net/genesis.toml")]
    Verify(verify::Verify),
    /// Put a snapshot into the data of a replica that does not run.
    ///
    /// With its own journal it goes on voting from the snapshot. A home without a journal may come back as a learner only:
    /// a replica must not vote when it does not know what it has signed.
    #[command(after_help = "Example:\n  pbft snapshot restore backup.snapshot --home net/replica-3")]
    Restore(restore::Restore),
    /// Put the keys and values of a lost cluster's snapshot into another cluster.
    ///
    /// For when more than f replicas are gone for good. The snapshot is verified with the lost cluster's genesis. Each key is put
    /// by this client, unless it is there already: nothing is replaced, and after an error the command may be repeated. Revisions are new.
    #[command(after_help = "Example:\n  pbft snapshot load backup.snapshot --genesis lost/genesis.toml --home net/client-0")]
    Load(load::Load),
}

impl SnapshotCommand {
    pub fn run(self) -> ExitCode {
        match self.command {
            SnapshotSubcommand::Save(command) => command.run(),
            SnapshotSubcommand::Verify(command) => command.run(),
            SnapshotSubcommand::Restore(command) => command.run(),
            SnapshotSubcommand::Load(command) => command.run(),
        }
    }
}

/// The folder of a snapshot's file, and its name there.
fn folder_and_name(path: &Path) -> Result<(FileDisk, &str), Failure> {
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| Failure::io(format!("{} names no file", path.display())))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok((FileDisk::open_unlocked(folder).map_err(Failure::io)?, name))
}

fn open(path: &Path) -> Result<SnapshotReader<FileDisk>, Failure> {
    let (folder, name) = folder_and_name(path)?;
    SnapshotReader::open(folder, name).map_err(|error| failure(error.into()))
}

/// Disks and locks fail with 6; all else is an answer: this is not what it should be.
fn failure(error: BackupError) -> Failure {
    use pbft_storage::{JournalError, OpenError, SnapshotError};
    let (exit, code) = match &error {
        BackupError::Snapshot(SnapshotError::Disk(_) | SnapshotError::Full(_))
        | BackupError::Journal(OpenError::Disk(_))
        | BackupError::Write(JournalError::Disk(_)) => (ExitCode::Io, "Io"),
        BackupError::Snapshot(SnapshotError::Foreign { file, found }) => {
            let message =
                format!("{file} is of {found}: not of this genesis's cluster, or of another replica than the data around it");
            return Failure::new(ExitCode::Configuration, "Foreign", message);
        }
        BackupError::Journal(OpenError::Foreign { .. }) => (ExitCode::Configuration, "Foreign"),
        BackupError::Journal(OpenError::Empty) => (ExitCode::Configuration, "Empty"),
        BackupError::NothingStable => (ExitCode::No, "NothingStable"),
        BackupError::NotNewer { .. } => (ExitCode::No, "NotNewer"),
        BackupError::Halted(_) | BackupError::Diverged(_) => (ExitCode::No, "Halted"),
        _ => (ExitCode::No, "Invalid"),
    };
    Failure::new(exit, code, error)
}
