//! Signatures: signing, and verifying one by one and in batches of one and of four keys.

#![allow(missing_docs, clippy::unwrap_used)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pbft_crypto::{Digest, SecretKey, SignedDigest, verify, verify_all};

/// So many signatures, of so many keys in turn.
fn claims(count: u64, keys: u64) -> Vec<SignedDigest> {
    let keys: Vec<SecretKey> = (0..keys).map(|number| SecretKey::from_seed(&[u8::try_from(number).unwrap(); 32])).collect();
    let sign = |(number, key): (u64, &SecretKey)| {
        let digest = Digest::of("bench", &[&number.to_le_bytes()]);
        SignedDigest { key: key.public(), digest, signature: key.sign(&digest) }
    };
    (0..count).zip(keys.iter().cycle()).map(sign).collect()
}

fn signatures(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("signatures");
    let key = SecretKey::from_seed(&[1; 32]);
    let [one] = claims(1, 1).try_into().unwrap();
    group.bench_function("sign", |bencher| bencher.iter(|| key.sign(&one.digest)));
    group.bench_function("verify/1", |bencher| bencher.iter(|| verify(&one)));
    for (count, keys) in [(32, 4), (256, 4), (256, 256)] {
        let claims = claims(count, keys);
        group.throughput(Throughput::Elements(count));
        group.bench_function(format!("verify/{count} of {keys} keys"), |bencher| bencher.iter(|| verify_all(&claims)));
    }
    group.finish();
}

criterion_group!(benches, signatures);
criterion_main!(benches);
