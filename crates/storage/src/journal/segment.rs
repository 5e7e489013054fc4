//! A segment: a file of fixed size, filled with zeros before its first frame. Its first sector is its header.
//!
//! ```text
//! magic 8 | format version u32 | flags u32 | base frames u32 | number u64 | size u64 | ordinary size u64 | counter u64 | chain 32
//! | cluster id 32 | owner's public key 32 | marker 16 | crc32c u32 | zeros to the end of the sector
//! ```
//!
//! In every format version the magic and the version stand first and the checksum over the rest ends the first 168 bytes.
//! A segment gets its name only after its header, and its base if it has one, are durable; later its header is written once more,
//! when it is to stand alone. It is one sector: a torn header cannot occur.

use super::frame::{Chain, Marker};
use crate::Identity;
use crate::fields::{Fields, seal, unseal};

/// What a disk writes whole or not at all, in bytes. Frames begin at multiples of it.
pub const SECTOR: usize = 512;
pub const HEADER: usize = SECTOR;
const FIELDS: usize = 168;
/// 1 had frames at any byte and could take some damage for a torn tail.
pub const FORMAT: u32 = 2;
const MAGIC: &[u8; 8] = b"PBFTJRNL";
const STANDS_ALONE: u32 = 1;

/// What the first bytes of a segment say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// If the segment needs no earlier one: how many of its first frames are its base, written before it got its name.
    pub base_frames: Option<u32>,
    /// Counted from 1; the file's name follows from it.
    pub number: u64,
    /// The file's length in bytes.
    pub size: u64,
    /// The length in bytes of segments whose content does not need more.
    pub ordinary_size: u64,
    /// What its first frame continues.
    pub chain: Chain,
    pub identity: Identity,
    pub marker: Marker,
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
        let flags = if self.base_frames.is_some() { STANDS_ALONE } else { 0 };
        out.extend_from_slice(&flags.to_le_bytes());
        out.extend_from_slice(&self.base_frames.unwrap_or(0).to_le_bytes());
        for field in [self.number, self.size, self.ordinary_size, self.chain.counter] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        out.extend_from_slice(self.chain.digest.as_bytes());
        self.identity.encode(&mut out);
        out.extend_from_slice(&self.marker);
        seal(&mut out);
        out.resize(HEADER, 0);
        out
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        let (fields, behind) = bytes.split_at_checked(FIELDS).ok_or(Unreadable::Damaged)?;
        let mut start = Fields(fields);
        if start.array().as_ref() != Some(MAGIC) {
            return Err(Unreadable::Damaged);
        }
        // Another version is named before its checksum is looked at: that may be made in another way.
        match start.u32() {
            Some(FORMAT) if behind.iter().any(|byte| *byte != 0) => Err(Unreadable::Damaged),
            Some(FORMAT) => {
                unseal(fields).ok_or(Unreadable::Damaged)?;
                Self::decode_fields(&mut start).ok_or(Unreadable::Damaged)
            }
            Some(other) => Err(Unreadable::Format(other)),
            None => Err(Unreadable::Damaged),
        }
    }

    fn decode_fields(fields: &mut Fields<'_>) -> Option<Self> {
        let (flags, base_frames) = (fields.u32()?, fields.u32()?);
        Some(Self {
            base_frames: (flags == STANDS_ALONE).then_some(base_frames),
            number: fields.u64()?,
            size: fields.u64()?,
            ordinary_size: fields.u64()?,
            chain: Chain { counter: fields.u64()?, digest: fields.digest()? },
            identity: Identity::decode(fields)?,
            marker: fields.array()?,
        })
    }
}

const PREFIX: &str = "journal-";
const SUFFIX: &str = ".log";
const TEMPORARY_SUFFIX: &str = ".tmp";

/// The file of the segment with this number.
pub fn name(number: u64) -> String {
    format!("{PREFIX}{number:08}{SUFFIX}")
}

/// What the file is called until it is complete.
pub fn temporary_name(number: u64) -> String {
    format!("{PREFIX}{number:08}{TEMPORARY_SUFFIX}")
}

/// The number in a segment's name; `None` for other files.
pub fn number(file: &str) -> Option<u64> {
    let number = file.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.parse().ok()?;
    (name(number) == file).then_some(number)
}

/// Whether a file's name is that of a complete segment of a journal.
pub fn is_segment(file: &str) -> bool {
    number(file).is_some()
}

/// Whether the file is a segment that never became complete.
pub fn is_temporary(file: &str) -> bool {
    file.starts_with(PREFIX) && file.ends_with(TEMPORARY_SUFFIX)
}
