//! A snapshot's file:
//!
//! ```text
//! magic 8 | format version u32 | cluster id 32 | owner's public key 32 | sequence u64 | chunks u32 | crc32c u32
//! | header blob as a chunk | chunks | digest over everything 32
//! chunk = length u32, crc32c u32, bytes
//! ```
//!
//! In every format version the magic and the version stand first and the checksum over the rest ends these 92 bytes.

use crate::Identity;
use crate::fields::{Fields, seal, unseal};
use pbft_crypto::Digest;

pub const HEADER: usize = 92;
pub const CHUNK_HEADER: usize = 8;
pub const DIGEST: usize = 32;
pub const FORMAT: u32 = 1;
const MAGIC: &[u8; 8] = b"PBFTSNAP";

/// What the first bytes say.
pub struct Header {
    pub identity: Identity,
    pub sequence: u64,
    pub chunks: u32,
}

/// Why a header was not read.
pub enum Unreadable {
    Damaged,
    Format(u32),
}

impl Header {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&FORMAT.to_le_bytes());
        self.identity.encode(&mut out);
        out.extend_from_slice(&self.sequence.to_le_bytes());
        out.extend_from_slice(&self.chunks.to_le_bytes());
        seal(&mut out);
        out
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        let mut fields = Fields(unseal(bytes).ok_or(Unreadable::Damaged)?);
        if fields.array().as_ref() != Some(MAGIC) {
            return Err(Unreadable::Damaged);
        }
        match fields.u32() {
            Some(FORMAT) => Self::decode_fields(&mut fields).ok_or(Unreadable::Damaged),
            Some(other) => Err(Unreadable::Format(other)),
            None => Err(Unreadable::Damaged),
        }
    }

    fn decode_fields(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self { identity: Identity::decode(fields)?, sequence: fields.u64()?, chunks: fields.u32()? })
    }
}

/// The length and checksum before a chunk; `None` if its length does not fit into 32 bits.
pub fn chunk_header(chunk: &[u8]) -> Option<[u8; CHUNK_HEADER]> {
    let length = u64::from(u32::try_from(chunk.len()).ok()?);
    let checksum = u64::from(crc32c::crc32c(chunk));
    Some((length | checksum << 32).to_le_bytes())
}

/// The length of a chunk, from the bytes before it.
pub fn chunk_length(header: &[u8]) -> Option<u64> {
    Fields(header).u32().map(u64::from)
}

/// The digest over everything, grown chunk by chunk so that no one holds the whole state.
#[derive(Debug)]
pub struct Everything(Digest);

impl Everything {
    pub fn new() -> Self {
        Self(Digest::of("pbft snapshot", &[]))
    }

    pub fn add(&mut self, chunk: &[u8]) {
        self.0 = Digest::of("pbft snapshot chunk", &[self.0.as_bytes(), chunk]);
    }

    pub fn finish(self, header: &Header) -> Digest {
        Digest::of("pbft snapshot end", &[self.0.as_bytes(), &header.encode()])
    }
}

const PREFIX: &str = "snapshot-";
const SUFFIX: &str = ".bin";
const TEMPORARY_SUFFIX: &str = ".tmp";

/// The file of the snapshot at this sequence number.
pub fn name(sequence: u64) -> String {
    format!("{PREFIX}{sequence:020}{SUFFIX}")
}

/// What a file is called until it is complete.
pub fn temporary_name(file: &str) -> String {
    format!("{file}{TEMPORARY_SUFFIX}")
}

/// The sequence number in a snapshot's name; `None` for other files.
pub fn sequence(file: &str) -> Option<u64> {
    let sequence = file.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.parse().ok()?;
    (name(sequence) == file).then_some(sequence)
}

/// Whether the file is a snapshot that never became complete.
pub fn is_temporary(file: &str) -> bool {
    let whole = file.strip_suffix(TEMPORARY_SUFFIX);
    whole.is_some_and(|whole| whole.ends_with(SUFFIX))
}
