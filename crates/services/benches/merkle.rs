//! What a checkpoint costs: the Merkle root after a thousand puts into a hundred thousand keys.

#![allow(missing_docs)]
#![allow(clippy::disallowed_types, reason = "a benchmark measures time")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pbft_message::ServiceParameters;
use pbft_protocol::execution::{MerkleTree, chunk_digest};
use pbft_protocol::service::Service;
use pbft_services::kv::{KeyValueStore, Operation};
use std::time::{Duration, Instant};

const KEYS: u64 = 100_000;
const CHANGES: u64 = 1_000;

fn put(store: &mut KeyValueStore, number: u64) {
    // A stride that shares no factor with the number of keys reaches all of them.
    let key = format!("key-{:08}", number.wrapping_mul(7_919) % KEYS);
    store.apply(&Operation::put(key, number.to_le_bytes()), 1 << 20);
}

/// The root over the frozen state.
fn checkpoint(store: &mut KeyValueStore, tree: &mut MerkleTree) {
    let snapshot = store.snapshot();
    for chunk in store.changed_chunks() {
        tree.set(chunk, chunk_digest(&snapshot.chunk(chunk)));
    }
    std::hint::black_box(tree.root());
}

fn merkle(criterion: &mut Criterion) {
    let mut store = KeyValueStore::new(&ServiceParameters::default());
    let mut numbers = 0..;
    numbers.by_ref().take(KEYS as usize).for_each(|number| put(&mut store, number));
    let snapshot = store.snapshot();
    let mut tree = MerkleTree::new((0..snapshot.chunk_count()).map(|chunk| chunk_digest(&snapshot.chunk(chunk))).collect());
    store.changed_chunks();
    drop(snapshot);
    let mut group = criterion.benchmark_group("merkle");
    group.throughput(Throughput::Elements(CHANGES));
    group.bench_function("1,000 changes of 100,000 keys", |bencher| {
        bencher.iter_custom(|iterations| {
            let mut time = Duration::ZERO;
            for _ in 0..iterations {
                numbers.by_ref().take(CHANGES as usize).for_each(|number| put(&mut store, number));
                let started = Instant::now();
                checkpoint(&mut store, &mut tree);
                time = time.saturating_add(started.elapsed());
            }
            time
        });
    });
    group.finish();
}

criterion_group!(benches, merkle);
criterion_main!(benches);
