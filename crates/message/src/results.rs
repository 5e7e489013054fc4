use crate::{Blob, codec};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::Bytes;
use std::fmt;

/// What a request's operations returned, one result for each, in their order.
///
/// One piece of memory, their encoding: a replica keeps very many of them (R8), and its frozen states share them.
#[derive(Clone, PartialEq, Eq)]
pub struct Results(Blob);

impl Results {
    /// These results.
    pub fn new<T: AsRef<[u8]>>(results: &[T]) -> Self {
        Self::of(&results.iter().map(|result| Bytes::new(result.as_ref())).collect::<Vec<_>>())
    }

    fn of(results: &Vec<&Bytes>) -> Self {
        Self(codec::encode(results).into())
    }

    /// Each result.
    pub fn each(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.decoded().into_iter().map(|result| &**result)
    }

    /// Each result, as a part of the same piece of memory.
    pub fn parts(&self) -> Vec<Blob> {
        self.each().map(|result| self.0.part(result)).collect()
    }

    fn decoded(&self) -> Vec<&Bytes> {
        // What was encoded here decodes.
        codec::decode(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for Results {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.parts()).finish()
    }
}

impl Serialize for Results {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.decoded().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Results {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::of(&Vec::deserialize(deserializer)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r20_results_are_encoded_as_the_list_they_are() {
        let list = [&b"one"[..], b"", b"three"];
        let results = Results::new(&list);
        assert!(results.each().eq(list));
        assert_eq!(results.parts(), list.map(Blob::from));
        let bytes = codec::encode(&results);
        assert_eq!(bytes, codec::encode(&list.map(Blob::from).to_vec()));
        assert_eq!(codec::decode::<Results>(&bytes), Ok(results));
    }
}
