//! A frame: a group of records that is written and made durable together. It begins where a sector begins and fills whole
//! sectors, so that writing it rewrites no sector of another one.
//!
//! ```text
//! marker 16 | counter u64 | payload length u32 | records u32 | chain 32 | crc32c of all behind the header u32
//! | crc32c of these 68 bytes u32 | payload | zeros to the end of the sector
//! payload = for each record: length u32, bytes
//! ```
//!
//! On disk all of it is *whitened*: each sector is XORed with a pad that nobody outside knows. So no sector of a frame is all
//! zeros there, as those are on which no frame was written yet, whatever bytes clients put into records.

use super::segment::SECTOR;
use crate::fields::{Fields, seal, unseal};
use pbft_crypto::Digest;

pub const HEADER: usize = 72;
const LENGTH_PREFIX: usize = 4;

/// What makes a journal's frames its own. A segment's header holds it; it is not known outside.
pub type Marker = [u8; 16];

/// The marker and the pad that follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marks {
    marker: Marker,
    pad: Vec<u8>,
}

impl Marks {
    pub fn new(marker: Marker) -> Self {
        let piece = |number: u8| *Digest::of("pbft journal pad", &[&marker, &[number]]).as_bytes();
        let pad = (0..=u8::MAX).flat_map(piece).take(SECTOR).collect();
        Self { marker, pad }
    }

    /// Whitens sectors, or undoes it.
    pub fn whiten(&self, bytes: &mut [u8]) {
        for sector in bytes.chunks_mut(SECTOR) {
            sector.iter_mut().zip(&self.pad).for_each(|(byte, pad)| *byte ^= pad);
        }
    }
}

/// Where the hash chain stands: what the next frame continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The next frame's counter.
    pub counter: u64,
    /// The last frame's chain value.
    pub digest: Digest,
}

impl Chain {
    fn after(&self, payload: &[u8]) -> Self {
        let digest = Digest::of("pbft journal frame", &[self.digest.as_bytes(), payload]);
        Self { counter: self.counter.saturating_add(1), digest }
    }
}

/// The length in bytes of a frame of these records, without what fills its last sector.
fn content_length(records: &[impl AsRef<[u8]>]) -> usize {
    records.iter().fold(HEADER, |sum, record| sum.saturating_add(LENGTH_PREFIX).saturating_add(record.as_ref().len()))
}

fn whole_sectors(length: usize) -> usize {
    length.checked_next_multiple_of(SECTOR).unwrap_or(usize::MAX)
}

/// The length in bytes of a frame of these records.
pub fn length(records: &[impl AsRef<[u8]>]) -> usize {
    whole_sectors(content_length(records))
}

/// The bytes of a frame and the chain after it; `None` if the payload's length does not fit into 32 bits.
pub fn encode(marks: &Marks, chain: &Chain, records: &[impl AsRef<[u8]>]) -> Option<(Vec<u8>, Chain)> {
    let end = content_length(records);
    let payload_length = u32::try_from(end.saturating_sub(HEADER)).ok()?;
    let mut frame = Vec::with_capacity(whole_sectors(end));
    frame.resize(HEADER, 0);
    for record in records {
        let record = record.as_ref();
        frame.extend_from_slice(&u32::try_from(record.len()).ok()?.to_le_bytes());
        frame.extend_from_slice(record);
    }
    let next = chain.after(frame.get(HEADER..)?);
    frame.resize(whole_sectors(end), 0);
    let (header, behind) = frame.split_at_mut_checked(HEADER)?;
    let mut fields = Vec::with_capacity(HEADER);
    fields.extend_from_slice(&marks.marker);
    fields.extend_from_slice(&chain.counter.to_le_bytes());
    fields.extend_from_slice(&payload_length.to_le_bytes());
    fields.extend_from_slice(&u32::try_from(records.len()).ok()?.to_le_bytes());
    fields.extend_from_slice(next.digest.as_bytes());
    fields.extend_from_slice(&crc32c::crc32c(behind).to_le_bytes());
    seal(&mut fields);
    header.copy_from_slice(&fields);
    marks.whiten(&mut frame);
    Some((frame, next))
}

/// The header of a frame, sound in itself.
struct Header {
    counter: u64,
    payload_length: usize,
    records: u32,
    digest: Digest,
    checksum: u32,
}

impl Header {
    fn decode(sector: &[u8], marks: &Marks) -> Option<Self> {
        let mut bytes = sector.get(..HEADER)?.to_vec();
        marks.whiten(&mut bytes);
        let mut fields = Fields(unseal(&bytes)?);
        if fields.array()? != marks.marker {
            return None;
        }
        let (counter, payload_length) = (fields.u64()?, usize::try_from(fields.u32()?).ok()?);
        Some(Self { counter, payload_length, records: fields.u32()?, digest: fields.digest()?, checksum: fields.u32()? })
    }

    /// The frame's length in bytes.
    fn length(&self) -> usize {
        whole_sectors(HEADER.saturating_add(self.payload_length))
    }
}

/// A frame whose checksums are right. Whether it continues the chain is still to be asked.
pub struct Frame {
    header: Header,
    content: Vec<u8>,
}

impl Frame {
    /// The frame at the beginning of the bytes, if there is a valid one.
    pub fn decode(bytes: &[u8], marks: &Marks) -> Option<Self> {
        let header = Header::decode(bytes, marks)?;
        let mut content = bytes.get(..header.length())?.to_vec();
        marks.whiten(&mut content);
        let valid = crc32c::crc32c(content.get(HEADER..)?) == header.checksum;
        valid.then_some(Self { header, content })
    }

    pub fn length(&self) -> usize {
        self.content.len()
    }

    fn payload(&self) -> &[u8] {
        let behind = self.content.get(HEADER..).unwrap_or_default();
        behind.get(..self.header.payload_length).unwrap_or_default()
    }

    /// The chain after this frame, if the frame continues `chain`.
    pub fn continues(&self, chain: &Chain) -> Option<Chain> {
        let next = chain.after(self.payload());
        (self.header.counter == chain.counter && self.header.digest == next.digest).then_some(next)
    }

    /// How many records it holds.
    pub const fn records(&self) -> u32 {
        self.header.records
    }

    /// Passes on the records in order, each with its place in the frame; `None` unless they fill the payload exactly.
    pub fn for_each_record(&self, mut on_record: impl FnMut(usize, &[u8])) -> Option<()> {
        let mut fields = Fields(self.payload());
        for _ in 0..self.header.records {
            let length = fields.u32()?;
            let at = HEADER.saturating_add(self.header.payload_length).saturating_sub(fields.0.len());
            on_record(at, fields.slice(usize::try_from(length).ok()?)?);
        }
        fields.0.is_empty().then_some(())
    }
}

/// Whether these bytes, which begin with no valid frame, are what a write of the frame with this counter left when it was
/// cut short: some of its sectors are still zeros, and nothing else was written.
///
/// Whatever was acknowledged has no such sector, unless one rotted to zeros: see `Journal::seal`.
pub fn is_torn(bytes: &[u8], marks: &Marks, counter: u64) -> bool {
    let mut sectors = bytes.chunks(SECTOR);
    let first = sectors.next().unwrap_or_default();
    // The next frame is begun only once this one is durable.
    if sectors.any(|sector| Header::decode(sector, marks).is_some()) {
        return false;
    }
    if is_zero(first) {
        return true;
    }
    let Some(header) = Header::decode(first, marks).filter(|header| header.counter == counter) else { return false };
    let Some((frame, behind)) = bytes.split_at_checked(header.length()) else { return false };
    frame.chunks(SECTOR).any(is_zero) && is_zero(behind)
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}
