//! The codec, on a batch of a hundred requests of 200 bytes.

#![allow(missing_docs)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pbft_crypto::{Digest, SecretKey};
use pbft_message::{Blobs, ClientId, Domain, Epoch, Request, Signed, Timestamp, codec, sign_request};

const REQUESTS: u64 = 100;

fn requests() -> Vec<Signed<Request>> {
    let key = SecretKey::from_seed(&[1; 32]);
    let domain = Domain { cluster: Digest::of("bench", &[]), epoch: Epoch(0) };
    let request = |number| {
        let operations = Blobs::new(&[[7; 200]]);
        sign_request(Request { client: ClientId(key.public()), timestamp: Timestamp(number), operations }, &domain, &key)
    };
    (1..=REQUESTS).map(request).collect()
}

fn codec_of_a_batch(criterion: &mut Criterion) {
    let requests = requests();
    let bytes = codec::encode(&requests);
    let mut group = criterion.benchmark_group("codec");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("encode", |bencher| bencher.iter(|| codec::encode(&requests)));
    group.bench_function("decode", |bencher| bencher.iter(|| codec::decode::<Vec<Signed<Request>>>(&bytes)));
    group.finish();
}

criterion_group!(benches, codec_of_a_batch);
criterion_main!(benches);
