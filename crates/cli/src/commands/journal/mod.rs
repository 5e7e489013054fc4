//! `pbft journal`: what a replica has promised, read from its disk.

mod dump;
mod record;
mod verify;

use crate::failure::Failure;
use pbft_message::codec;
use pbft_node::ExitCode;
use pbft_protocol::agreement::Record;
use pbft_storage::{FileDisk, Journal, LockError, OpenError, Place, Summary};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Read the journal of a stopped replica: is it whole, what did it promise.
///
/// Read the journal of a stopped replica. Nothing is changed.
#[derive(clap::Args)]
pub struct JournalCommand {
    #[command(subcommand)]
    command: JournalSubcommand,
}

#[derive(clap::Subcommand)]
enum JournalSubcommand {
    /// Check that the journal is whole, and say what it holds.
    ///
    /// Exit code 0 if the replica can go on from it, 1 if something that it promised is damaged or missing: then it says where.
    /// Signatures are checked when the replica starts, not here.
    #[command(after_help = "Examples:\n  pbft journal verify net/replica-0\n  pbft journal verify net/replica-0/data -o json")]
    Verify(verify::Verify),
    /// Print the records, oldest first: one JSON object a line, with the segment's file and the offset in it.
    ///
    /// What is before a damaged place is printed; the damage is told on standard error, with exit code 1.
    #[command(
        after_help = "Examples:\n  pbft journal dump net/replica-0\n  pbft journal dump net/replica-0 | jq 'select(.kind == \"commit\")'"
    )]
    Dump(dump::Dump),
}

impl JournalCommand {
    pub fn run(self) -> ExitCode {
        match self.command {
            JournalSubcommand::Verify(command) => command.run(),
            JournalSubcommand::Dump(command) => command.run(),
        }
    }
}

/// Where a journal is not what was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Damage {
    file: String,
    /// Null if the whole file is missing.
    offset: Option<u64>,
    reason: String,
}

/// The directory of the journal: a replica's folder, or its `data`.
fn data(directory: &Path) -> PathBuf {
    let inside = directory.join("data");
    if inside.is_dir() { inside } else { directory.to_owned() }
}

/// Reads a journal and passes on each record with its place. Gives what it holds, or where it is damaged.
fn read(directory: &Path, mut on_record: impl FnMut(Place<'_>, &Record)) -> Result<Result<Summary, Damage>, Failure> {
    let data = data(directory);
    let disk = FileDisk::open_to_read(&data).map_err(|error| match error {
        LockError::Locked { directory } => {
            Failure::new(ExitCode::Io, "Locked", format!("{} is in use: stop its replica first", directory.display()))
        }
        error => Failure::io(error),
    })?;
    let mut alien = None;
    let read = Journal::read(disk, |place, bytes| match codec::decode::<Record>(bytes) {
        Ok(record) if alien.is_none() => on_record(place, &record),
        Ok(_) => {}
        Err(error) => {
            let (file, offset) = (place.file, place.offset);
            let reason = format!("{file}, offset {offset}: the record is of another version of the program, or altered: {error}");
            alien.get_or_insert(Damage { file: file.to_owned(), offset: Some(offset), reason });
        }
    });
    if let Some(damage) = alien {
        return Ok(Err(damage));
    }
    let damaged =
        |file: &String, offset, error: &OpenError| Ok(Err(Damage { file: file.clone(), offset, reason: error.to_string() }));
    match read {
        Ok(summary) => Ok(Ok(summary)),
        Err(error) => match &error {
            OpenError::Damaged { file, offset, .. } | OpenError::BrokenChain { file, offset } => {
                damaged(file, Some(*offset), &error)
            }
            OpenError::MissingSegment { file } | OpenError::Foreign { file, .. } => damaged(file, None, &error),
            OpenError::Empty => Err(Failure::configuration(format!("{}: {error}", data.display()))),
            OpenError::Format { .. } => Err(Failure::new(ExitCode::Configuration, "Format", error)),
            OpenError::Disk(_) => Err(Failure::io(error)),
        },
    }
}
