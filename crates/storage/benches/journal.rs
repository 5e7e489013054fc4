//! The journal: groups of records, each made durable by one fsync in the temporary folder.

#![allow(missing_docs, clippy::unwrap_used, clippy::arithmetic_side_effects)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pbft_crypto::{Digest, SecretKey};
use pbft_storage::{FileDisk, Identity, Journal, SEGMENT_SIZE};
use std::time::{Duration, Instant};

/// When the journal begins anew, in bytes.
const LONG: u64 = 64 << 20;

fn journal(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let identity = Identity { cluster: Digest::of("bench", &[]), owner: SecretKey::from_seed(&[1; 32]).public() };
    let disk = FileDisk::open(folder.path()).unwrap();
    let mut journal = Journal::create(disk, &identity, &[7; 32], SEGMENT_SIZE).unwrap();
    let nothing: [Vec<u8>; 0] = [];
    let mut group = criterion.benchmark_group("journal");
    for (records, bytes) in [(1, 200), (4, 200), (4, 20_000)] {
        let group_of_records = vec![vec![7u8; bytes]; records];
        group.throughput(Throughput::Bytes(records as u64 * bytes as u64));
        group.bench_function(format!("commit of {records} records of {bytes} bytes"), |bencher| {
            bencher.iter_custom(|iterations| {
                let mut time = Duration::ZERO;
                for _ in 0..iterations {
                    if journal.bytes() > LONG {
                        journal.begin_base(&nothing).unwrap();
                        journal.adopt_base().unwrap();
                    }
                    let started = Instant::now();
                    journal.commit(&group_of_records).unwrap();
                    time = time.saturating_add(started.elapsed());
                }
                time
            });
        });
    }
    group.finish();
}

criterion_group!(benches, journal);
criterion_main!(benches);
