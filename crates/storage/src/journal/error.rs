use crate::{Damage, DiskError, Identity};

/// Why no journal was created.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// A journal is there. It is never replaced: what it promised binds its owner (R16).
    #[error("{file} exists: a journal is created once, together with its key, and never again (R16)")]
    Exists {
        /// A segment that was found.
        file: String,
    },
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// Why nothing was, or can be, made durable.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk failed. What it holds is unknown now: end the process; a restart finds out (R15).
    #[error("the journal failed: {0}; the process must end, a restart recovers what is durable (R15)")]
    Disk(#[from] DiskError),
    /// There is no room for the next segment. Nothing has changed: what was to be written may be tried again.
    #[error("the disk is full, the journal waits for room: {0}")]
    Full(DiskError),
    /// The disk failed before. Nothing is tried again.
    #[error("the journal failed before and takes nothing more; the process must end (R15)")]
    Poisoned,
    /// The records of one commit do not fit into a frame. Nothing was written.
    #[error("{bytes} bytes are more than one frame of the journal holds; commit fewer records at once")]
    TooLarge {
        /// Bytes of the frame that was asked for.
        bytes: usize,
    },
}

impl JournalError {
    /// Of an error that touched only a file which does not count yet.
    pub(super) fn of_temporary(error: DiskError) -> Self {
        if error.is_full() { Self::Full(error) } else { Self::Disk(error) }
    }
}

/// Why a journal was not opened. Nothing was changed on the disk (`Disk` aside).
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no journal at all.
    #[error(
        "the data directory is empty: it holds no journal. A key without its journal must not vote (R16); is this the right directory?"
    )]
    Empty,
    /// The journal is another replica's or of another cluster.
    #[error("{file} belongs to {found}, not to this replica: use the data directory that was made with this key and genesis")]
    Foreign {
        /// The segment.
        file: String,
        /// Whose it is.
        found: Identity,
    },
    /// Another version of the format.
    #[error(
        "{file} has journal format {found}, this program reads format {supported}: use the version of the program that wrote it"
    )]
    Format {
        /// The segment.
        file: String,
        /// The version in the file.
        found: u32,
        /// The version that this program reads and writes.
        supported: u32,
    },
    /// A segment that the others need is not there.
    #[error("{file} is missing: what it promised is lost. {ADVICE}")]
    MissingSegment {
        /// The name it would have.
        file: String,
    },
    /// A valid frame or segment that does not continue what is before it.
    #[error("{file}, offset {offset}: does not continue the chain of what is before it. {ADVICE}")]
    BrokenChain {
        /// The segment.
        file: String,
        /// Bytes from its beginning.
        offset: u64,
    },
    /// Something that was acknowledged as durable is damaged.
    #[error("{file}, offset {offset}: {damage}. {ADVICE}")]
    Damaged {
        /// The segment.
        file: String,
        /// Bytes from its beginning.
        offset: u64,
        /// What is wrong.
        damage: Damage,
    },
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

const ADVICE: &str = "Keep the directory as it is for examination, check the disk, and restore no older copy: \
    a replica that forgot its promises must not vote again under its key (R16)";
