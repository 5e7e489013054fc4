use crate::{Blob, codec};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::Bytes;
use std::fmt;

/// A list of byte strings: the operations of a request, or their results.
///
/// One piece of memory, its encoding: a replica holds very many of them, as parts of batches and for retries (R8), and its
/// frozen states share them.
#[derive(Clone, PartialEq, Eq)]
pub struct Blobs(Blob);

impl Blobs {
    /// These byte strings.
    pub fn new<T: AsRef<[u8]>>(list: &[T]) -> Self {
        Self::of(&list.iter().map(|one| Bytes::new(one.as_ref())).collect::<Vec<_>>())
    }

    fn of(list: &Vec<&Bytes>) -> Self {
        Self(codec::encode(list).into())
    }

    /// The list whose encoding of so many bytes ends these, which it keeps in memory: nothing is copied.
    pub(crate) fn end_of(bytes: &Blob, size: usize) -> Self {
        let (_, end) = bytes.split_at(bytes.len().saturating_sub(size));
        Self(bytes.part(end))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        codec::ByteStrings::of(&self.0).count()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        codec::ByteStrings::of(&self.0).next().is_none()
    }

    /// Each, in order.
    pub fn each(&self) -> impl Iterator<Item = &[u8]> {
        codec::ByteStrings::of(&self.0)
    }

    /// Each, as a part of the same piece of memory.
    pub fn parts(&self) -> Vec<Blob> {
        self.each().map(|one| self.0.part(one)).collect()
    }
}

impl fmt::Debug for Blobs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.parts()).finish()
    }
}

impl Serialize for Blobs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.len()))?;
        for one in self.each() {
            list.serialize_element(Bytes::new(one))?;
        }
        list.end()
    }
}

impl<'de> Deserialize<'de> for Blobs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::of(&Vec::deserialize(deserializer)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r20_byte_strings_are_encoded_as_the_list_they_are() {
        for list in [&[b"one".as_slice(), b"", b"three"][..], &[], &[b""]] {
            let blobs = Blobs::new(list);
            assert!(blobs.each().eq(list.iter().copied()));
            assert_eq!((blobs.len(), blobs.is_empty()), (list.len(), list.is_empty()));
            let apart: Vec<_> = list.iter().map(|one| Blob::from(*one)).collect();
            assert_eq!(blobs.parts(), apart);
            let bytes = codec::encode(&blobs);
            assert_eq!(bytes, codec::encode(&apart));
            assert_eq!(codec::decode::<Blobs>(&bytes), Ok(blobs));
        }
    }
}
