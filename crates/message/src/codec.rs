//! The canonical encoding (R20), and the only place that knows bincode.
//!
//! Little-endian fixed-width integers, lists with a 64-bit length, no maps, no floats. bincode 2.0.1 is no longer
//! maintained (RUSTSEC-2025-0141); the version is pinned, the types it is asked to decode are ours, and what it
//! accepts is encoded again and compared, so that a value has exactly one encoding.

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use bincode::enc::write::Writer;
use bincode::error::EncodeError;
use serde::{Deserialize, Serialize};

/// No encoded value is larger than this many bytes.
pub const MAX_ENCODED_BYTES: usize = 64 << 20;

const SMALL: usize = 64 << 10;
const MEDIUM: usize = 2 << 20;

const CONFIGURATION: Configuration<LittleEndian, Fixint, Limit<MAX_ENCODED_BYTES>> =
    bincode::config::standard().with_little_endian().with_fixed_int_encoding().with_limit::<MAX_ENCODED_BYTES>();

/// Why bytes are not the canonical encoding of a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end early, claim a length beyond the end or the limit, or hold an impossible value.
    #[error("malformed encoding: {0}")]
    Malformed(String),
    /// Bytes are left over, or another encoding of the same value is the canonical one.
    #[error("not the canonical encoding")]
    NotCanonical,
}

/// The canonical encoding of a value.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    // Writing into memory fails only for types that have no encoding at all (a sequence of unknown length);
    // none of ours is one, and such a type would fail its first test.
    bincode::serde::encode_to_vec(value, CONFIGURATION).unwrap_or_default()
}

/// The length in bytes of a value's canonical encoding.
pub fn encoded_size<T: Serialize>(value: &T) -> usize {
    let mut size = 0;
    // As for `encode`: no type of ours fails.
    let _ = bincode::serde::encode_into_writer(value, &mut Size(&mut size), CONFIGURATION);
    size
}

/// Decodes a value, which may borrow from the bytes, refusing every encoding but the canonical one.
pub fn decode<'a, T: Serialize + Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, DecodeError> {
    // bincode makes room for a text on the word of its length, as far as the limit allows: so short inputs get low ones.
    let (value, consumed): (T, usize) = match bytes.len() {
        length if length <= SMALL => bincode::serde::borrow_decode_from_slice(bytes, CONFIGURATION.with_limit::<SMALL>()),
        length if length <= MEDIUM => bincode::serde::borrow_decode_from_slice(bytes, CONFIGURATION.with_limit::<MEDIUM>()),
        _ => bincode::serde::borrow_decode_from_slice(bytes, CONFIGURATION),
    }
    .map_err(malformed)?;
    if consumed != bytes.len() {
        return Err(DecodeError::NotCanonical);
    }
    let mut comparison = Comparison { expected: bytes };
    bincode::serde::encode_into_writer(&value, &mut comparison, CONFIGURATION).map_err(|_| DecodeError::NotCanonical)?;
    if !comparison.expected.is_empty() {
        return Err(DecodeError::NotCanonical);
    }
    Ok(value)
}

/// The byte strings of an encoded list of them, in order, without a copy. Of bytes that are none it gives those before the
/// fault.
pub(crate) struct ByteStrings<'a> {
    rest: &'a [u8],
}

impl<'a> ByteStrings<'a> {
    pub fn of(list: &'a [u8]) -> Self {
        Self { rest: length(list).map_or(&[], |(_, rest)| rest) }
    }
}

impl<'a> Iterator for ByteStrings<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = length(self.rest)?;
        let (next, rest) = rest.split_at_checked(length)?;
        self.rest = rest;
        Some(next)
    }
}

/// A length, and what comes after it.
fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    Some((usize::try_from(u64::from_le_bytes(*length)).ok()?, rest))
}

fn malformed(error: bincode::error::DecodeError) -> DecodeError {
    DecodeError::Malformed(error.to_string())
}

/// A writer that counts.
struct Size<'a>(&'a mut usize);

impl Writer for &mut Size<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        *self.0 = self.0.saturating_add(bytes.len());
        Ok(())
    }
}

/// A writer that compares what is written with what was received, without a copy.
struct Comparison<'a> {
    expected: &'a [u8],
}

impl Writer for &mut Comparison<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.expected = self.expected.strip_prefix(bytes).ok_or(EncodeError::Other("not canonical"))?;
        Ok(())
    }
}
