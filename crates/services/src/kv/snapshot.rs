use super::bucket::Bucket;
use super::shelves::Shelves;
use pbft_message::codec;
use pbft_protocol::service::Snapshot;
use serde::{Deserialize, Serialize};

/// The chunk of a bucket: the header comes before them.
pub(super) fn chunk_of(bucket: u32) -> u32 {
    bucket.saturating_add(1)
}

/// The first chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    /// The store's revision.
    pub(super) revision: u64,
    /// How many keys there are.
    pub(super) keys: u64,
}

/// The store as it was: its header, and the buckets it shares with the store until the store changes them.
pub(super) struct FrozenStore {
    pub(super) header: Header,
    pub(super) buckets: Shelves,
}

impl Snapshot for FrozenStore {
    fn chunk_count(&self) -> u32 {
        self.buckets.count().saturating_add(1)
    }

    fn chunk(&self, index: u32) -> Vec<u8> {
        match index.checked_sub(1) {
            None => codec::encode(&self.header),
            Some(bucket) => self.buckets.get(bucket).map(Bucket::encode).unwrap_or_default(),
        }
    }
}
