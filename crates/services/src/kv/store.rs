use super::bucket::{Bucket, bucket_of};
use super::draft::{Changes, Draft};
use super::entries::{Entries, Stored};
use super::limits::Limits;
use super::shelves::Shelves;
use super::snapshot::{FrozenStore, Header, chunk_of};
use super::{KvError, KvResult, Operation};
use pbft_message::{ServiceParameters, codec};
use pbft_protocol::service::{Context, RestoreError, Service, Snapshot};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The revision of a store that nothing was ever written to, as in etcd; 0 stands for "absent" in comparisons.
pub(super) const FIRST_REVISION: u64 = 1;

/// The replicated key-value store.
///
/// Its state is cut into as many buckets as the genesis says, which a snapshot shares (copy on write): a checkpoint costs in
/// proportion to the buckets that changed.
#[derive(Debug)]
pub struct KeyValueStore {
    limits: Limits,
    revision: u64,
    /// Every entry, in the order of the keys, for reading. Derived from the buckets, which hold the same entries.
    entries: Entries,
    buckets: Shelves,
    /// The chunks that changed since they were last asked for.
    changed: BTreeSet<u32>,
}

impl KeyValueStore {
    /// An empty store, at revision 1. All its chunks count as changed.
    pub fn new(limits: &ServiceParameters) -> Self {
        Self {
            limits: Limits::new(limits),
            revision: FIRST_REVISION,
            entries: Entries::default(),
            buckets: Shelves::empty(limits.buckets),
            changed: (0..=limits.buckets).collect(),
        }
    }

    /// The revision that the last change left.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Runs one operation. Its encoded result has at most `max_result_bytes` bytes, except for
    /// [`KvResult::Error`], which may have a few more.
    pub fn apply(&mut self, operation: &Operation, max_result_bytes: usize) -> KvResult {
        self.try_apply(operation, max_result_bytes).unwrap_or_else(KvResult::Error)
    }

    fn try_apply(&mut self, operation: &Operation, max_result_bytes: usize) -> Result<KvResult, KvError> {
        self.limits.check(operation)?;
        let draft = Draft::new(&self.entries, &self.limits, self.revision, max_result_bytes);
        let (result, changes, revision) = draft.run(operation)?;
        self.take_over(changes, revision);
        Ok(result)
    }

    fn take_over(&mut self, changes: Changes, revision: u64) {
        if changes.is_empty() {
            return;
        }
        self.revision = revision;
        self.changed.insert(0);
        for (key, entry) in changes {
            let number = bucket_of(&key, self.buckets.count());
            self.changed.insert(chunk_of(number));
            let Some(bucket) = self.buckets.get_mut(number) else { continue };
            match entry {
                Some(entry) => {
                    let entry = Stored::new(&entry);
                    bucket.put(entry.clone());
                    self.entries.put(entry);
                }
                None => {
                    bucket.remove(&key);
                    self.entries.remove(&key);
                }
            }
        }
    }

    fn header(&self) -> Header {
        Header { revision: self.revision, keys: self.entries.len() as u64 }
    }
}

impl Service for KeyValueStore {
    fn execute(&mut self, context: &Context, operation: &[u8]) -> Vec<u8> {
        let result = match Operation::decode(operation) {
            Ok(operation) => self.apply(&operation, context.max_result_bytes),
            Err(_) => KvResult::Error(KvError::Malformed),
        };
        let bytes = result.encode();
        // Only an error can be longer than what is left for it; it had no effect, and no bytes say so too.
        if bytes.len() > context.max_result_bytes { Vec::new() } else { bytes }
    }

    fn is_read(&self, operation: &[u8]) -> bool {
        Operation::decode(operation).is_ok_and(|operation| operation.is_read())
    }

    fn snapshot(&self) -> Arc<dyn Snapshot> {
        Arc::new(FrozenStore { header: self.header(), buckets: self.buckets.clone() })
    }

    fn changed_chunks(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.changed).into_iter().collect()
    }

    fn restore(&mut self, chunks: Vec<Vec<u8>>) -> Result<(), RestoreError> {
        let (header, buckets) = decode_chunks(chunks, self.buckets.count())?;
        let entries: Entries = buckets.iter().flat_map(Bucket::entries).cloned().collect();
        if entries.len() as u64 != header.keys {
            let reason = format!("it counts {} keys, the buckets have {}", header.keys, entries.len());
            return Err(RestoreError { chunk: 0, reason });
        }
        self.revision = header.revision;
        self.entries = entries;
        self.buckets = buckets;
        self.changed.clear();
        Ok(())
    }
}

/// Each chunk is dropped once it is decoded: not all of the state is in memory twice.
fn decode_chunks(chunks: Vec<Vec<u8>>, count: u32) -> Result<(Header, Shelves), RestoreError> {
    let refuse = |chunk: u32, reason: String| RestoreError { chunk, reason };
    if chunks.len() != (count as usize).saturating_add(1) {
        return Err(refuse(0, format!("there are {} chunks; this store has a header and {count} buckets", chunks.len())));
    }
    let mut chunks = chunks.into_iter();
    let header = chunks.next().ok_or_else(|| refuse(0, "it is missing".to_owned()))?;
    let header: Header = codec::decode(&header).map_err(|error| refuse(0, format!("the header has a {error}")))?;
    if header.revision < FIRST_REVISION {
        return Err(refuse(0, format!("the revision is below {FIRST_REVISION}")));
    }
    let buckets = (0..count).zip(chunks).map(|(number, bytes)| {
        let bucket = Bucket::decode(&bytes, (number, count), header.revision);
        bucket.map(Arc::new).map_err(|reason| refuse(chunk_of(number), reason))
    });
    Ok((header, Shelves::of(&buckets.collect::<Result<Vec<_>, _>>()?)))
}
