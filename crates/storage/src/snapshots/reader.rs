use super::SnapshotError;
use super::format::{self, Everything, Header, Unreadable};
use crate::{Damage, Disk, Identity};

/// A snapshot that is read chunk by chunk, in whatever file and whoever's it is.
#[derive(Debug)]
pub struct SnapshotReader<D> {
    disk: D,
    file: String,
    identity: Identity,
    sequence: u64,
    chunks: u32,
    left: u32,
    end: u64,
    /// None once the file was read to its end.
    everything: Option<Everything>,
    header: Vec<u8>,
}

impl<D: Disk> SnapshotReader<D> {
    /// Opens the file and reads its header.
    pub fn open(mut disk: D, file: &str) -> Result<Self, SnapshotError> {
        let Header { identity, sequence, chunks } = read_header(&mut disk, file)?;
        let everything = Some(Everything::new());
        let end = format::HEADER as u64;
        let file = file.to_owned();
        let mut reader = Self { disk, file, identity, sequence, chunks, left: chunks, end, everything, header: Vec::new() };
        reader.header = reader.read_chunk()?;
        Ok(reader)
    }

    /// The replica and the cluster that it is of.
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The sequence number whose execution it holds.
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The bytes beside the state: its certificate and the like.
    pub fn header(&self) -> &[u8] {
        &self.header
    }

    /// The same, when the reader is of no more use.
    pub fn into_header(self) -> Vec<u8> {
        self.header
    }

    /// The next chunk. `None` after the last, and then the file was what was written.
    pub fn next_chunk(&mut self) -> Result<Option<Vec<u8>>, SnapshotError> {
        if let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            return self.read_chunk().map(Some);
        }
        let Some(everything) = self.everything.take() else { return Ok(None) };
        let header = Header { identity: self.identity, sequence: self.sequence, chunks: self.chunks };
        let rest = self.disk.read_at(&self.file, self.end, (format::DIGEST as u64).saturating_add(1))?;
        if rest != everything.finish(&header).as_bytes() {
            return Err(self.damaged(Damage::Digest));
        }
        Ok(None)
    }

    /// That it is not the caller's.
    pub fn foreign(&self) -> SnapshotError {
        SnapshotError::Foreign { file: self.file.clone(), found: self.identity }
    }

    fn read_chunk(&mut self) -> Result<Vec<u8>, SnapshotError> {
        let header_length = format::CHUNK_HEADER as u64;
        let header = self.disk.read_at(&self.file, self.end, header_length)?;
        let length = format::chunk_length(&header).unwrap_or(0);
        let chunk = self.disk.read_at(&self.file, self.end.saturating_add(header_length), length)?;
        if format::chunk_header(&chunk).is_none_or(|expected| expected != *header) {
            return Err(self.damaged(Damage::Chunk));
        }
        self.end = self.end.saturating_add(header_length).saturating_add(length);
        if let Some(everything) = &mut self.everything {
            everything.add(&chunk);
        }
        Ok(chunk)
    }

    fn damaged(&self, damage: Damage) -> SnapshotError {
        SnapshotError::Damaged { file: self.file.clone(), offset: self.end, damage }
    }
}

fn read_header<D: Disk>(disk: &mut D, file: &str) -> Result<Header, SnapshotError> {
    let bytes = disk.read_at(file, 0, format::HEADER as u64)?;
    let file = file.to_owned();
    Header::decode(&bytes).map_err(|unreadable| match unreadable {
        Unreadable::Format(found) => SnapshotError::Format { file, found, supported: format::FORMAT },
        Unreadable::Damaged => SnapshotError::Damaged { file, offset: 0, damage: Damage::Header },
    })
}
