//! Serde for fixed arrays of bytes: raw and unprefixed in binary formats, hex in human-readable ones.
//!
//! A little-endian format of fixed width, as ours is, writes a word of 16 bytes as those bytes: so they go by words, which
//! is much faster than one by one.

use serde::de::{Error, SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserializer, Serializer};
use std::fmt;

pub fn serialize<S: Serializer, const N: usize>(bytes: &[u8; N], serializer: S) -> Result<S::Ok, S::Error> {
    if serializer.is_human_readable() {
        return serializer.serialize_str(&hex::encode(bytes));
    }
    let (words, rest) = bytes.as_chunks::<WORD>();
    let mut tuple = serializer.serialize_tuple(elements::<N>())?;
    for word in words {
        tuple.serialize_element(&u128::from_le_bytes(*word))?;
    }
    for byte in rest {
        tuple.serialize_element(byte)?;
    }
    tuple.end()
}

pub fn deserialize<'de, D: Deserializer<'de>, const N: usize>(deserializer: D) -> Result<[u8; N], D::Error> {
    if deserializer.is_human_readable() {
        return deserializer.deserialize_str(FixedVisitor::<N>);
    }
    deserializer.deserialize_tuple(elements::<N>(), FixedVisitor::<N>)
}

/// The bytes of a word.
const WORD: usize = 16;

/// Whole words, then single bytes.
const fn elements<const N: usize>() -> usize {
    (N / WORD).saturating_add(N % WORD)
}

struct FixedVisitor<const N: usize>;

impl<'de, const N: usize> Visitor<'de> for FixedVisitor<N> {
    type Value = [u8; N];

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{N} bytes, as {} hexadecimal digits in text", N.saturating_mul(2))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<[u8; N], A::Error> {
        let mut bytes = [0; N];
        let too_short = || A::Error::invalid_length(0, &self);
        let (words, rest) = bytes.as_chunks_mut::<WORD>();
        for word in words {
            *word = sequence.next_element::<u128>()?.ok_or_else(too_short)?.to_le_bytes();
        }
        for byte in rest {
            *byte = sequence.next_element()?.ok_or_else(too_short)?;
        }
        Ok(bytes)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<[u8; N], E> {
        let mut bytes = [0; N];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| E::invalid_value(serde::de::Unexpected::Str(text), &self))?;
        Ok(bytes)
    }
}
