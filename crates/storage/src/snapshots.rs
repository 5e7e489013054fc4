//! Snapshots of the state at a sequence number, each a file of its own (R9).

mod format;
#[cfg(test)]
mod tests;

use crate::{Damage, Disk, DiskError, Identity};
use format::{Everything, Header, Unreadable};

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
    #[error(
        "{file}, offset {offset}: {damage}. Check the disk; an older snapshot, or one from the other replicas, can take its place"
    )]
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

    /// Saves a snapshot durably, one chunk in memory at a time. It replaces one at the same sequence number.
    pub fn save(&mut self, sequence: u64, header: &[u8], chunks: impl IntoIterator<Item = Vec<u8>>) -> Result<(), SnapshotError> {
        let too_large = || SnapshotError::TooLarge { sequence };
        let file = format::temporary_name(sequence);
        self.disk.create(&file, 0)?;
        let mut end = format::HEADER as u64;
        let mut everything = Everything::new();
        let mut written = 0u32;
        let blob_and_chunks = std::iter::once(header.to_vec()).chain(chunks);
        for chunk in blob_and_chunks {
            let mut bytes = format::chunk_header(&chunk).ok_or_else(too_large)?.to_vec();
            bytes.extend_from_slice(&chunk);
            self.disk.write_at(&file, end, &bytes)?;
            everything.add(&chunk);
            end = end.saturating_add(bytes.len() as u64);
            written = written.checked_add(1).ok_or_else(too_large)?;
        }
        let header = Header { identity: self.identity, sequence, chunks: written.saturating_sub(1) };
        self.disk.write_at(&file, 0, &header.encode())?;
        self.disk.write_at(&file, end, everything.finish(&header).as_bytes())?;
        self.disk.sync(&file)?;
        self.disk.rename(&file, &format::name(sequence))?;
        Ok(self.disk.sync_directory()?)
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
        let header = self.read_header(&file)?;
        if header.sequence != sequence {
            return Err(SnapshotError::Damaged { file, offset: 0, damage: Damage::Name });
        }
        let mut end = format::HEADER as u64;
        let mut everything = Everything::new();
        let blob = self.read_chunk(&file, &mut end, &mut everything)?;
        let mut chunks = Vec::new();
        for _ in 0..header.chunks {
            chunks.push(self.read_chunk(&file, &mut end, &mut everything)?);
        }
        let rest = self.disk.read_at(&file, end, (format::DIGEST as u64).saturating_add(1))?;
        if rest != everything.finish(&header).as_bytes() {
            return Err(SnapshotError::Damaged { file, offset: end, damage: Damage::Digest });
        }
        Ok(Snapshot { sequence, header: blob, chunks })
    }

    /// Removes all but the newest `count` snapshots.
    pub fn keep_newest(&mut self, count: usize) -> Result<(), SnapshotError> {
        for sequence in self.list()?.iter().rev().skip(count) {
            self.disk.remove(&format::name(*sequence))?;
        }
        Ok(())
    }

    fn read_header(&mut self, file: &str) -> Result<Header, SnapshotError> {
        let bytes = self.disk.read_at(file, 0, format::HEADER as u64)?;
        let file = file.to_owned();
        let header = match Header::decode(&bytes) {
            Ok(header) => header,
            Err(Unreadable::Format(found)) => return Err(SnapshotError::Format { file, found, supported: format::FORMAT }),
            Err(Unreadable::Damaged) => return Err(SnapshotError::Damaged { file, offset: 0, damage: Damage::Header }),
        };
        if header.identity != self.identity {
            return Err(SnapshotError::Foreign { file, found: header.identity });
        }
        Ok(header)
    }

    fn read_chunk(&mut self, file: &str, end: &mut u64, everything: &mut Everything) -> Result<Vec<u8>, SnapshotError> {
        let header_length = format::CHUNK_HEADER as u64;
        let header = self.disk.read_at(file, *end, header_length)?;
        let length = format::chunk_length(&header).unwrap_or(0);
        let chunk = self.disk.read_at(file, end.saturating_add(header_length), length)?;
        if format::chunk_header(&chunk).is_none_or(|expected| expected != *header) {
            return Err(SnapshotError::Damaged { file: file.to_owned(), offset: *end, damage: Damage::Chunk });
        }
        *end = end.saturating_add(header_length).saturating_add(length);
        everything.add(&chunk);
        Ok(chunk)
    }
}
