use super::MAX_CHUNK_BYTES;
use super::client_chunk::{ClientTableError, decode_bucket, encode_bucket};
use super::window::{RequestWindow, is_too_old};
use crate::service::Snapshot;
use pbft_crypto::Digest;
use pbft_message::{
    Blobs, ClientEntry, ClientId, ClientRole, Genesis, Outcome, RequestRefusal, RequestState, SequenceNumber, Standing, Timestamp,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The client table is divided into this many chunks.
pub const CLIENT_CHUNKS: u32 = 1024;

/// Even an empty result takes this many bytes of memory, and counts for them.
const RESULT_OVERHEAD: usize = 32;

pub(super) type Requests = BTreeMap<Timestamp, Remembered>;
pub(super) type Bucket = BTreeMap<ClientId, Entry>;

/// What is known of a client.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub standing: Standing,
    pub requests: Arc<Requests>,
}

/// Who is authorised, and the W highest executed timestamps of each client (R8). Replicated state: it knows no view and no
/// replica, and equal histories give equal bytes.
///
/// Copy on write: a frozen table shares all buckets and clients that execution has not touched since.
#[derive(Clone, Debug)]
pub struct ClientTable {
    requests_in_flight: usize,
    max_cached_bytes: usize,
    buckets: Vec<Arc<Bucket>>,
    /// The requests whose results are cached, oldest first: the order of eviction.
    cached: BTreeMap<(SequenceNumber, u32), Cached>,
    cached_bytes: usize,
    /// The buckets changed since they were last asked for.
    changed: BTreeSet<u32>,
}

/// What is remembered of an executed request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// The request's digest.
    pub request: Digest,
    /// Where it was ordered.
    pub sequence: SequenceNumber,
    /// Its place in the batch.
    pub index: u32,
    /// One result for each operation, of which there is at least one; `None` once they were evicted. Not a single one if its
    /// client may only read and asked for more: it had no effect, and never will.
    pub results: Option<Blobs>,
}

/// What execution does with an ordered request (R8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision<'a> {
    /// It runs, if its client may ask for that, and is to be remembered.
    Execute,
    /// It was ordered before: this came of it.
    Remembered(&'a Remembered),
    /// It has no effect and is not remembered.
    Refused(RequestRefusal),
}

#[derive(Clone, Debug)]
struct Cached {
    client: ClientId,
    timestamp: Timestamp,
    bytes: usize,
}

impl Remembered {
    /// The results of a request that its client may not ask for (R8).
    pub(super) fn refused() -> Blobs {
        Blobs::new::<Vec<u8>>(&[])
    }

    /// What came of the request, as far as it is still known.
    pub fn outcome(&self) -> Outcome {
        match &self.results {
            None => Outcome::ExecutedResultGone,
            Some(results) if results.is_empty() => Outcome::Refused(RequestRefusal::ReadOnly),
            Some(results) => Outcome::Executed(results.clone()),
        }
    }

    /// How many bytes its results count for; none if there is nothing to evict.
    fn cached_bytes(&self) -> Option<usize> {
        self.results.as_ref().filter(|results| !results.is_empty()).map(size_of_results)
    }

    fn place(&self) -> (SequenceNumber, u32) {
        (self.sequence, self.index)
    }
}

impl Entry {
    const fn is_authorised(&self) -> bool {
        !matches!(self.standing, Standing::Revoked)
    }
}

impl ClientTable {
    /// The table at genesis: its clients are authorised, none has executed anything.
    pub fn new(genesis: &Genesis) -> Self {
        let mut table = Self::of_buckets(genesis, vec![Bucket::new(); usize::try_from(CLIENT_CHUNKS).unwrap_or(usize::MAX)]);
        for ClientEntry { signing_key, transport_key } in &genesis.clients {
            table.put(*signing_key, Standing::Client { transport_key: *transport_key, role: ClientRole::Write });
        }
        for ClientEntry { signing_key, transport_key } in &genesis.operators {
            table.put(*signing_key, Standing::Operator { transport_key: *transport_key });
        }
        table.changed.clear();
        table
    }

    /// The table that these chunks are.
    pub fn restore(genesis: &Genesis, chunks: &[Vec<u8>]) -> Result<Self, ClientTableError> {
        if u32::try_from(chunks.len()) != Ok(CLIENT_CHUNKS) {
            return Err(ClientTableError::ChunkCount { found: chunks.len() });
        }
        let limit = genesis.parameters.requests_in_flight;
        let buckets: Result<_, _> = (0..).zip(chunks).map(|(chunk, bytes)| decode_bucket(chunk, bytes, limit)).collect();
        Ok(Self::of_buckets(genesis, buckets?))
    }

    fn of_buckets(genesis: &Genesis, buckets: Vec<Bucket>) -> Self {
        let mut cached = BTreeMap::new();
        let mut cached_bytes: usize = 0;
        let clients = buckets.iter().flatten();
        for (client, timestamp, remembered) in
            clients.flat_map(|(client, entry)| entry.requests.iter().map(move |(timestamp, entry)| (*client, *timestamp, entry)))
        {
            if let Some(bytes) = remembered.cached_bytes() {
                cached_bytes = cached_bytes.saturating_add(bytes);
                cached.insert(remembered.place(), Cached { client, timestamp, bytes });
            }
        }
        // One bucket may hold all results, and must fit one chunk.
        let most = usize::try_from(MAX_CHUNK_BYTES / 2).unwrap_or(usize::MAX);
        Self {
            requests_in_flight: genesis.parameters.requests_in_flight,
            max_cached_bytes: genesis.parameters.max_cached_result_bytes.min(most),
            buckets: buckets.into_iter().map(Arc::new).collect(),
            cached,
            cached_bytes,
            changed: BTreeSet::new(),
        }
    }

    /// What execution does with this request.
    pub fn decide(&self, client: ClientId, timestamp: Timestamp, request: &Digest) -> Decision<'_> {
        let Some(requests) = self.requests(client) else { return Decision::Refused(RequestRefusal::UnknownClient) };
        match requests.get(&timestamp) {
            Some(remembered) if remembered.request == *request => Decision::Remembered(remembered),
            Some(_) => Decision::Refused(RequestRefusal::TimestampReused),
            None if self.is_too_old(requests, timestamp) => Decision::Refused(RequestRefusal::TooOld),
            None => Decision::Execute,
        }
    }

    /// Remembers an executed request, and evicts the oldest results beyond the byte cap. For what
    /// [`decide`](Self::decide) said is to execute; no effect for an unknown client.
    pub fn remember(&mut self, client: ClientId, timestamp: Timestamp, executed: Remembered) {
        let limit = self.requests_in_flight;
        let Some(requests) = self.requests_mut(client) else { return };
        let (place, bytes) = (executed.place(), executed.cached_bytes());
        requests.insert(timestamp, executed);
        let forgotten = if requests.len() > limit { requests.pop_first() } else { None };
        if let Some(bytes) = bytes {
            self.cached_bytes = self.cached_bytes.saturating_add(bytes);
            self.cached.insert(place, Cached { client, timestamp, bytes });
        }
        if let Some((_, forgotten)) = forgotten
            && let Some(cached) = self.cached.remove(&forgotten.place())
        {
            self.cached_bytes = self.cached_bytes.saturating_sub(cached.bytes);
        }
        while self.cached_bytes > self.max_cached_bytes {
            let Some((_, oldest)) = self.cached.pop_first() else { break };
            self.evict(&oldest);
        }
    }

    fn evict(&mut self, oldest: &Cached) {
        self.cached_bytes = self.cached_bytes.saturating_sub(oldest.bytes);
        if let Some(remembered) = self.requests_mut(oldest.client).and_then(|requests| requests.get_mut(&oldest.timestamp)) {
            remembered.results = None;
        }
    }

    /// What is remembered of a request.
    pub fn remembered(&self, client: ClientId, timestamp: Timestamp) -> Option<&Remembered> {
        self.requests(client)?.get(&timestamp)
    }

    /// What is known of a request.
    pub fn request_state(&self, client: ClientId, timestamp: Timestamp) -> RequestState {
        let Some(requests) = self.requests(client) else { return RequestState::UnknownClient };
        match requests.get(&timestamp) {
            Some(remembered) => {
                RequestState::Executed { sequence: remembered.sequence, request: remembered.request, outcome: remembered.outcome() }
            }
            None if self.is_too_old(requests, timestamp) => RequestState::TooOld,
            None => RequestState::NotExecuted,
        }
    }

    /// The executed timestamps of every authorised client.
    pub fn windows(&self) -> BTreeMap<ClientId, RequestWindow> {
        let window = |requests: &Requests| {
            let mut window = RequestWindow::new(self.requests_in_flight);
            requests.keys().for_each(|timestamp| window.insert(*timestamp));
            window
        };
        self.entries()
            .filter(|(_, entry)| entry.is_authorised())
            .map(|(client, entry)| (*client, window(&entry.requests)))
            .collect()
    }

    /// The table as it is now, frozen.
    pub fn snapshot(&self) -> Arc<dyn Snapshot> {
        Arc::new(FrozenTable(self.buckets.clone()))
    }

    /// The chunks that changed since the last call; after [`new`](Self::new) or [`restore`](Self::restore), none have.
    pub fn changed_chunks(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.changed).into_iter().collect()
    }

    fn is_too_old(&self, requests: &Requests, timestamp: Timestamp) -> bool {
        let lowest = requests.first_key_value().map(|(lowest, _)| *lowest);
        is_too_old(timestamp, requests.len(), lowest, self.requests_in_flight)
    }

    /// What is known of a key.
    pub(super) fn standing(&self, client: ClientId) -> Option<Standing> {
        self.entry(client).map(|entry| entry.standing)
    }

    /// All keys, bucket by bucket.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&ClientId, &Entry)> {
        self.buckets.iter().flat_map(|bucket| bucket.iter())
    }

    /// The keys that come after this one, or all.
    pub(super) fn entries_after(&self, after: Option<ClientId>) -> impl Iterator<Item = (&ClientId, &Entry)> {
        let first = after.and_then(position).unwrap_or(0);
        let is_after = move |client: &ClientId| after.is_none_or(|after| position(*client) > position(after) || *client > after);
        self.buckets.iter().skip(first).flat_map(|bucket| bucket.iter()).filter(move |(client, _)| is_after(client))
    }

    /// A key gets a standing, and has executed nothing.
    pub(super) fn put(&mut self, client: ClientId, standing: Standing) {
        if let Some(bucket) = position(client).and_then(|position| self.buckets.get_mut(position)) {
            Arc::make_mut(bucket).insert(client, Entry { standing, requests: Arc::default() });
            self.changed.insert(bucket_of(client));
        }
    }

    /// A key that is in the table gets another standing.
    pub(super) fn set_standing(&mut self, client: ClientId, standing: Standing) {
        let bucket = position(client).and_then(|position| self.buckets.get_mut(position));
        if let Some(entry) = bucket.and_then(|bucket| Arc::make_mut(bucket).get_mut(&client)) {
            entry.standing = standing;
            self.changed.insert(bucket_of(client));
        }
    }

    /// A client is no more: what it executed need not be remembered, since nothing of it ever runs again.
    pub(super) fn revoke(&mut self, client: ClientId) {
        let places: Vec<_> = self.requests(client).into_iter().flatten().map(|(_, remembered)| remembered.place()).collect();
        for cached in places.into_iter().filter_map(|place| self.cached.remove(&place)).collect::<Vec<_>>() {
            self.cached_bytes = self.cached_bytes.saturating_sub(cached.bytes);
        }
        self.put(client, Standing::Revoked);
    }

    fn entry(&self, client: ClientId) -> Option<&Entry> {
        self.buckets.get(position(client)?)?.get(&client)
    }

    fn requests(&self, client: ClientId) -> Option<&Requests> {
        self.entry(client).filter(|entry| entry.is_authorised()).map(|entry| &*entry.requests)
    }

    /// A client's requests for changing: copies what a frozen table shares.
    fn requests_mut(&mut self, client: ClientId) -> Option<&mut Requests> {
        self.requests(client)?;
        let bucket = self.buckets.get_mut(position(client)?)?;
        self.changed.insert(bucket_of(client));
        Arc::make_mut(bucket).get_mut(&client).map(|entry| Arc::make_mut(&mut entry.requests))
    }
}

/// What results count for in the bounds on their bytes.
pub(super) fn size_of_results(results: &Blobs) -> usize {
    results.each().fold(0, |sum: usize, result| sum.saturating_add(result.len()).saturating_add(RESULT_OVERHEAD))
}

/// A client's bucket: its key's first two bytes, which are as good as random.
pub(super) fn bucket_of(client: ClientId) -> u32 {
    let [first, second, ..] = *client.0.as_bytes();
    u32::from(u16::from_le_bytes([first, second])) % CLIENT_CHUNKS
}

fn position(client: ClientId) -> Option<usize> {
    usize::try_from(bucket_of(client)).ok()
}

struct FrozenTable(Vec<Arc<Bucket>>);

impl Snapshot for FrozenTable {
    fn chunk_count(&self) -> u32 {
        CLIENT_CHUNKS
    }

    fn chunk(&self, index: u32) -> Vec<u8> {
        let bucket = usize::try_from(index).ok().and_then(|index| self.0.get(index));
        bucket.map(|bucket| encode_bucket(bucket)).unwrap_or_default()
    }
}
