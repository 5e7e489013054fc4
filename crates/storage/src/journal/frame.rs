//! A frame: a group of records that is written and made durable together.
//!
//! ```text
//! marker 16 | counter u64 | payload length u32 | records u32 | chain 32 | crc32c of header and payload u32 | payload
//! payload = for each record: length u32, bytes
//! ```

use crate::fields::Fields;
use pbft_crypto::Digest;

pub const HEADER: usize = 68;
const CHECKED: usize = 64;
const LENGTH_PREFIX: usize = 4;

/// Begins every frame of one journal and is not known outside: no bytes that a client has put into a record pass for a frame.
pub type Marker = [u8; 16];

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

/// The length in bytes of a frame of these records.
pub fn length(records: &[impl AsRef<[u8]>]) -> usize {
    records.iter().fold(HEADER, |sum, record| sum.saturating_add(LENGTH_PREFIX).saturating_add(record.as_ref().len()))
}

/// The bytes of a frame and the chain after it; `None` if the payload's length does not fit into 32 bits.
pub fn encode(marker: &Marker, chain: &Chain, records: &[impl AsRef<[u8]>]) -> Option<(Vec<u8>, Chain)> {
    let length = length(records);
    let payload_length = u32::try_from(length.saturating_sub(HEADER)).ok()?;
    let mut frame = Vec::with_capacity(length);
    frame.resize(HEADER, 0);
    for record in records {
        let record = record.as_ref();
        frame.extend_from_slice(&u32::try_from(record.len()).ok()?.to_le_bytes());
        frame.extend_from_slice(record);
    }
    let (header, payload) = frame.split_at_mut_checked(HEADER)?;
    let next = chain.after(payload);
    let mut fields = Vec::with_capacity(HEADER);
    fields.extend_from_slice(marker);
    fields.extend_from_slice(&chain.counter.to_le_bytes());
    fields.extend_from_slice(&payload_length.to_le_bytes());
    fields.extend_from_slice(&u32::try_from(records.len()).ok()?.to_le_bytes());
    fields.extend_from_slice(next.digest.as_bytes());
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&fields), payload);
    fields.extend_from_slice(&checksum.to_le_bytes());
    header.copy_from_slice(&fields);
    Some((frame, next))
}

/// A frame whose checksum is right. Whether it continues the chain is still to be asked.
pub struct Frame<'a> {
    counter: u64,
    records: u32,
    digest: Digest,
    payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The frame at the beginning of the bytes, if there is a valid one.
    pub fn decode(bytes: &'a [u8], marker: &Marker) -> Option<Self> {
        let mut fields = Fields(bytes);
        let checked = fields.0.get(..CHECKED)?;
        if fields.array()? != *marker {
            return None;
        }
        let counter = fields.u64()?;
        let payload_length = fields.u32()?;
        let (records, digest, checksum) = (fields.u32()?, fields.digest()?, fields.u32()?);
        let payload = fields.slice(usize::try_from(payload_length).ok()?)?;
        let valid = crc32c::crc32c_append(crc32c::crc32c(checked), payload) == checksum;
        valid.then_some(Self { counter, records, digest, payload })
    }

    pub fn length(&self) -> usize {
        HEADER.saturating_add(self.payload.len())
    }

    /// The chain after this frame, if the frame continues `chain`.
    pub fn continues(&self, chain: &Chain) -> Option<Chain> {
        let next = chain.after(self.payload);
        (self.counter == chain.counter && self.digest == next.digest).then_some(next)
    }

    /// Passes on the records in order; `None` unless they fill the payload exactly.
    pub fn for_each_record(&self, mut on_record: impl FnMut(&'a [u8])) -> Option<()> {
        let mut fields = Fields(self.payload);
        for _ in 0..self.records {
            let length = fields.u32()?;
            on_record(fields.slice(usize::try_from(length).ok()?)?);
        }
        fields.0.is_empty().then_some(())
    }
}

/// Whether there is a valid frame in the bytes, wherever it begins.
pub fn contains_frame(bytes: &[u8], marker: &Marker) -> bool {
    let mut places = bytes.windows(marker.len()).enumerate().filter(|(_, window)| window == marker);
    places.any(|(at, _)| bytes.get(at..).is_some_and(|rest| Frame::decode(rest, marker).is_some()))
}
