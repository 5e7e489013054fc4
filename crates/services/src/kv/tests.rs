//! The store's behaviour, and that it agrees with the model.

mod agreement;
mod behaviour;
mod chunks;

use super::{KeyValueStore, KvResult, Operation};
use pbft_crypto::SecretKey;
use pbft_message::{ClientId, SequenceNumber, ServiceParameters};
use pbft_protocol::service::{Context, Service, Snapshot};

fn context(max_result_bytes: usize) -> Context {
    let client = ClientId(SecretKey::from_seed(&[1; 32]).public());
    Context { client, time: 1, sequence: SequenceNumber(1), max_result_bytes }
}

fn store() -> KeyValueStore {
    KeyValueStore::new(&ServiceParameters::default())
}

/// Runs an operation as a replica does: by its bytes.
fn run(store: &mut KeyValueStore, operation: &Operation) -> KvResult {
    let result = store.execute(&context(4 << 20), &operation.encode());
    KvResult::decode(&result).unwrap()
}

fn chunks(snapshot: &dyn Snapshot) -> Vec<Vec<u8>> {
    (0..snapshot.chunk_count()).map(|index| snapshot.chunk(index)).collect()
}
