//! Chunks of a state that is being fetched, kept so that a restart need not fetch them again (R14).

#[cfg(test)]
mod tests;

use crate::fields::{Fields, seal, unseal};
use crate::{Disk, DiskError};
use pbft_crypto::Digest;
use std::collections::BTreeMap;

const PREFIX: &str = "transfer-";
const SUFFIX: &str = ".bin";
/// Before each chunk: its digest, its length as u64, the crc32c of both.
const ENTRY_HEADER: u64 = 44;
/// Between two syncs.
const UNSYNCED_BYTES: u64 = 16 << 20;

/// The chunks of one transfer, in a file `transfer-<sequence, 20 digits>.bin`.
///
/// Chunks are opaque here, each under the digest that its owner checks when it comes back: what was torn or has rotted is
/// found then, and fetched again. The file is to be forgotten once a snapshot of the state is durable.
#[derive(Clone, Debug)]
pub struct FetchedChunks<D> {
    disk: D,
    file: String,
    /// Where each chunk begins, and its length.
    places: BTreeMap<Digest, (u64, u64)>,
    end: u64,
    unsynced: u64,
}

impl<D: Disk> FetchedChunks<D> {
    /// Nothing is read or written before [`open`](Self::open).
    pub const fn new(disk: D) -> Self {
        Self { disk, file: String::new(), places: BTreeMap::new(), end: 0, unsynced: 0 }
    }

    /// Begins to keep chunks of the state at this number, with what an earlier transfer has left.
    pub fn open(&mut self, sequence: u64) -> Result<(), DiskError> {
        self.file = name(sequence);
        (self.places, self.end, self.unsynced) = (BTreeMap::new(), 0, 0);
        let mut left = self.disk.list()?.into_iter().filter(|file| sequence_of(file).is_some()).rev();
        match left.next() {
            Some(newest) if newest == self.file => {}
            Some(newest) => self.disk.rename(&newest, &self.file)?,
            None => self.disk.create(&self.file)?,
        }
        for older in left {
            self.disk.remove(&older)?;
        }
        self.disk.sync_directory()?;
        self.find_places()
    }

    /// The first entry that is damaged, or ends beyond the file, ends what counts.
    fn find_places(&mut self) -> Result<(), DiskError> {
        let size = self.disk.size(&self.file)?;
        loop {
            let header = self.disk.read_at(&self.file, self.end, ENTRY_HEADER)?;
            let Some((digest, length)) = entry(&header) else { return Ok(()) };
            let start = self.end.saturating_add(ENTRY_HEADER);
            let end = start.saturating_add(length);
            if end > size {
                return Ok(());
            }
            self.places.insert(digest, (start, length));
            self.end = end;
        }
    }

    /// The digests of the chunks that are kept.
    pub fn digests(&self) -> impl Iterator<Item = &Digest> {
        self.places.keys()
    }

    /// Keeps a chunk; one of the same digest is replaced. After an error [`open`](Self::open) it again, if the disk was full:
    /// what was kept before is there.
    pub fn put(&mut self, digest: Digest, chunk: &[u8]) -> Result<(), DiskError> {
        let length = chunk.len() as u64;
        let mut entry = [digest.as_bytes().as_slice(), &length.to_le_bytes()].concat();
        seal(&mut entry);
        entry.extend_from_slice(chunk);
        self.disk.write_at(&self.file, self.end, &entry)?;
        self.places.insert(digest, (self.end.saturating_add(ENTRY_HEADER), length));
        self.end = self.end.saturating_add(entry.len() as u64);
        self.unsynced = self.unsynced.saturating_add(entry.len() as u64);
        if self.unsynced >= UNSYNCED_BYTES {
            self.disk.sync(&self.file)?;
            self.unsynced = 0;
        }
        Ok(())
    }

    /// A chunk as it is on the disk, whole or not.
    pub fn get(&mut self, digest: &Digest) -> Result<Option<Vec<u8>>, DiskError> {
        let Some((start, length)) = self.places.get(digest).copied() else { return Ok(None) };
        self.disk.read_at(&self.file, start, length).map(Some)
    }

    /// Removes what was fetched for the state at this number or below: a snapshot has it. Where a full disk has no room even
    /// for that, it is left to the next time: nothing rests on it.
    pub fn forget(&mut self, sequence: u64) -> Result<(), DiskError> {
        let files = self.disk.list()?.into_iter().filter(|file| sequence_of(file).is_some_and(|target| target <= sequence));
        for file in files {
            match self.disk.remove(&file) {
                Err(error) if error.is_full() => return Ok(()),
                removed => removed?,
            }
        }
        Ok(())
    }
}

fn entry(header: &[u8]) -> Option<(Digest, u64)> {
    let mut fields = Fields(unseal(header)?);
    Some((fields.digest()?, fields.u64()?))
}

fn name(sequence: u64) -> String {
    format!("{PREFIX}{sequence:020}{SUFFIX}")
}

fn sequence_of(file: &str) -> Option<u64> {
    let sequence = file.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.parse().ok()?;
    (name(sequence) == file).then_some(sequence)
}
