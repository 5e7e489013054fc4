//! Snapshots of the state at a sequence number, each a file of its own (R9).

mod format;
mod reader;
#[cfg(test)]
mod tests;

pub use reader::SnapshotReader;

use crate::{Damage, Disk, DiskError, Identity};
use format::{Everything, Header};

/// Between two syncs of a snapshot that is being written.
const UNSYNCED_BYTES: usize = 16 << 20;

/// The snapshots of one replica: files `snapshot-<sequence, 20 digits>.bin`.
///
/// A snapshot is whole and durable before it has its name; a crash leaves none or all of it.
#[derive(Clone, Debug)]
pub struct Snapshots<D> {
    disk: D,
    identity: Identity,
}

/// A snapshot as it was saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The sequence number whose execution it holds.
    pub sequence: u64,
    /// The caller's bytes beside the state: its certificate and the like.
    pub header: Vec<u8>,
    /// The state, in chunks.
    pub chunks: Vec<Vec<u8>>,
}

/// Why a snapshot was not saved or loaded.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The snapshot is another replica's or of another cluster.
    #[error("{file} belongs to {found}, not to this replica: use the data directory that was made with this key and genesis")]
    Foreign {
        /// The file.
        file: String,
        /// Whose it is.
        found: Identity,
    },
    /// Another version of the format.
    #[error(
        "{file} has snapshot format {found}, this program reads format {supported}: use the version of the program that wrote it"
    )]
    Format {
        /// The file.
        file: String,
        /// The version in the file.
        found: u32,
        /// The version that this program reads and writes.
        supported: u32,
    },
    /// The file is not what was saved.
    #[error("{file}, offset {offset}: {damage}")]
    Damaged {
        /// The file.
        file: String,
        /// Bytes from its beginning.
        offset: u64,
        /// What is wrong.
        damage: Damage,
    },
    /// The header or a chunk is too long, or there are too many chunks, for 32 bits.
    #[error("the snapshot at {sequence} has a chunk, or a number of chunks, beyond 32 bits: cut the state differently")]
    TooLarge {
        /// The sequence number of the snapshot that was to be saved.
        sequence: u64,
    },
    /// There is no room for it. What was written of it is removed; the others are as they were.
    #[error("the disk is full, no snapshot was saved: {0}")]
    Full(DiskError),
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl<D: Disk> Snapshots<D> {
    /// Opens the snapshots of this replica and removes what an interrupted `save` has left.
    pub fn open(mut disk: D, identity: &Identity) -> Result<Self, SnapshotError> {
        for file in disk.list()?.into_iter().filter(|file| format::is_temporary(file)) {
            disk.remove(&file)?;
        }
        // A process that was killed before its sync leaves names that can be read but are not durable yet.
        disk.sync_directory()?;
        Ok(Self { disk, identity: *identity })
    }

    /// The snapshots of a replica, to be read only: nothing is removed.
    pub const fn of(disk: D, identity: &Identity) -> Self {
        Self { disk, identity: *identity }
    }

    /// Saves a snapshot durably, one chunk in memory at a time. It replaces one at the same sequence number.
    pub fn save(&mut self, sequence: u64, header: &[u8], chunks: impl IntoIterator<Item = Vec<u8>>) -> Result<(), SnapshotError> {
        let chunks = chunks.into_iter().map(Ok);
        write_snapshot(&mut self.disk, &format::name(sequence), (&self.identity, sequence), header, chunks)
    }

    /// Takes over a snapshot of any replica of the same cluster, as this replica's own. It replaces one at the same sequence
    /// number.
    pub fn adopt<F: Disk>(&mut self, mut other: SnapshotReader<F>) -> Result<(), SnapshotError> {
        if other.identity().cluster != self.identity.cluster {
            return Err(other.foreign());
        }
        let (sequence, header) = (other.sequence(), other.header().to_vec());
        let chunks = std::iter::from_fn(|| other.next_chunk().transpose());
        write_snapshot(&mut self.disk, &format::name(sequence), (&self.identity, sequence), &header, chunks)
    }

    /// The sequence numbers of all snapshots, ascending. Their content is not looked at.
    pub fn list(&mut self) -> Result<Vec<u64>, SnapshotError> {
        Ok(self.disk.list()?.iter().filter_map(|file| format::sequence(file)).collect())
    }

    /// The newest snapshot, `None` if there is none. If it is damaged, an older one is the caller's decision.
    pub fn load_newest(&mut self) -> Result<Option<Snapshot>, SnapshotError> {
        let Some(newest) = self.list()?.last().copied() else { return Ok(None) };
        self.load(newest).map(Some)
    }

    /// The snapshot at this sequence number.
    pub fn load(&mut self, sequence: u64) -> Result<Snapshot, SnapshotError> {
        let file = format::name(sequence);
        let mut reader = SnapshotReader::open(&mut self.disk, &file)?;
        if *reader.identity() != self.identity {
            return Err(reader.foreign());
        }
        if reader.sequence() != sequence {
            return Err(SnapshotError::Damaged { file, offset: 0, damage: Damage::Name });
        }
        let chunks = std::iter::from_fn(|| reader.next_chunk().transpose()).collect::<Result<_, _>>()?;
        Ok(Snapshot { sequence, header: reader.into_header(), chunks })
    }

    /// Removes the snapshots above this sequence number: they are damaged, and would be counted among the newest.
    pub fn remove_above(&mut self, sequence: u64) -> Result<(), SnapshotError> {
        for above in self.list()?.into_iter().filter(|above| *above > sequence) {
            self.disk.remove(&format::name(above))?;
        }
        Ok(())
    }

    /// Removes all but the newest `count` snapshots of those up to this sequence number. What claims to be newer was not saved
    /// here, and must not cost the one that was.
    pub fn keep_newest(&mut self, count: usize, up_to: u64) -> Result<(), SnapshotError> {
        for sequence in self.list()?.iter().rev().filter(|sequence| **sequence <= up_to).skip(count) {
            self.disk.remove(&format::name(*sequence))?;
        }
        Ok(())
    }
}

/// Writes a snapshot under a name of the caller's choice, durably, one chunk in memory at a time. `whose` and of which
/// sequence number it is, stands in it. A file of that name is replaced at once or, at any error, not at all.
pub fn write_snapshot<D: Disk>(
    disk: &mut D,
    file: &str,
    whose: (&Identity, u64),
    header: &[u8],
    chunks: impl IntoIterator<Item = Result<Vec<u8>, SnapshotError>>,
) -> Result<(), SnapshotError> {
    let temporary = format::temporary_name(file);
    match fill(disk, &temporary, whose, header, chunks) {
        Err(SnapshotError::Disk(error)) if error.is_full() => {
            if disk.list()?.contains(&temporary) {
                disk.remove(&temporary)?;
            }
            return Err(SnapshotError::Full(error));
        }
        filled => filled?,
    }
    disk.rename(&temporary, file)?;
    Ok(disk.sync_directory()?)
}

fn fill<D: Disk>(
    disk: &mut D,
    file: &str,
    (identity, sequence): (&Identity, u64),
    header: &[u8],
    chunks: impl IntoIterator<Item = Result<Vec<u8>, SnapshotError>>,
) -> Result<(), SnapshotError> {
    let too_large = || SnapshotError::TooLarge { sequence };
    disk.create(file)?;
    let mut end = format::HEADER as u64;
    let mut everything = Everything::new();
    let mut written = 0u32;
    let mut unsynced = 0_usize;
    let blob_and_chunks = std::iter::once(Ok(header.to_vec())).chain(chunks);
    for chunk in blob_and_chunks {
        let chunk = chunk?;
        let mut bytes = format::chunk_header(&chunk).ok_or_else(too_large)?.to_vec();
        bytes.extend_from_slice(&chunk);
        disk.write_at(file, end, &bytes)?;
        everything.add(&chunk);
        end = end.saturating_add(bytes.len() as u64);
        unsynced = unsynced.saturating_add(bytes.len());
        // One sync of it all would hold up the journal's.
        if unsynced >= UNSYNCED_BYTES {
            disk.sync(file)?;
            unsynced = 0;
        }
        written = written.checked_add(1).ok_or_else(too_large)?;
    }
    let header = Header { identity: *identity, sequence, chunks: written.saturating_sub(1) };
    disk.write_at(file, 0, &header.encode())?;
    disk.write_at(file, end, everything.finish(&header).as_bytes())?;
    Ok(disk.sync(file)?)
}
