use super::{chunks, run, store};
use crate::kv::bucket::bucket_of;
use crate::kv::snapshot::{Header, chunk_of};
use crate::kv::{Entry, KvResult, Operation, RangeEnd, StepResult};
use pbft_message::codec;
use pbft_protocol::service::Service;

fn chunk(key: &str) -> u32 {
    chunk_of(bucket_of(key.as_bytes(), BUCKET_COUNT))
}

/// A bucket's bytes with these entries, as they come.
fn bucket(entries: &[Entry]) -> Vec<u8> {
    let framed = |entry: &Entry| {
        let encoding = codec::encode(entry);
        [(encoding.len() as u64).to_le_bytes().to_vec(), encoding].concat()
    };
    entries.iter().flat_map(framed).collect()
}

fn entry(key: &str) -> Entry {
    let key = key.as_bytes().into();
    Entry { key, value: b"value".as_slice().into(), create_revision: 2, mod_revision: 2, version: 1, lease: 0 }
}

/// Two keys of one bucket, in their order.
fn neighbours() -> (String, String) {
    let bucket = bucket_of(b"0", BUCKET_COUNT);
    let other = (1..).map(|number: u64| number.to_string()).find(|key| bucket_of(key.as_bytes(), BUCKET_COUNT) == bucket);
    ("0".to_owned(), other.unwrap())
}

#[test]
fn a_new_store_names_every_chunk_once() {
    let mut store = store();
    assert_eq!(store.snapshot().chunk_count(), BUCKET_COUNT + 1);
    assert_eq!(store.changed_chunks(), (0..=BUCKET_COUNT).collect::<Vec<_>>());
    assert!(store.changed_chunks().is_empty());
}

#[test]
fn a_change_touches_the_header_and_its_bucket() {
    let mut store = store();
    store.changed_chunks();
    run(&mut store, &Operation::put("a", "1"));
    assert_eq!(store.changed_chunks(), [0, chunk("a")]);
    run(&mut store, &Operation::get("a"));
    assert!(store.changed_chunks().is_empty());
    run(&mut store, &Operation::delete("a"));
    assert_eq!(store.changed_chunks(), [0, chunk("a")]);
}

#[test]
fn chunks_are_the_header_and_sorted_buckets() {
    let mut store = store();
    let (first, second) = neighbours();
    run(&mut store, &Operation::put(&second, "value"));
    run(&mut store, &Operation::delete(&second));
    run(&mut store, &Operation::put(&second, "value"));
    run(&mut store, &Operation::put(&first, "value"));
    let expected = [
        Entry { create_revision: 5, mod_revision: 5, ..entry(&first) },
        Entry { create_revision: 4, mod_revision: 4, ..entry(&second) },
    ];
    let snapshot = store.snapshot();
    assert_eq!(snapshot.chunk(0), codec::encode(&Header { revision: 5, keys: 2 }));
    assert_eq!(snapshot.chunk(chunk(&first)), bucket(&expected));
    assert_eq!(chunks(&*snapshot).iter().filter(|chunk| !chunk.is_empty()).count(), 2, "empty buckets have no bytes");
    assert_eq!(snapshot.chunk(BUCKET_COUNT + 1), []);
    run(&mut store, &Operation::delete(&first));
    assert_eq!(snapshot.chunk(chunk(&first)), bucket(&expected), "a snapshot stays as it was");
}

#[test]
fn an_impossible_state_is_refused_and_leaves_the_store_as_it_was() {
    let (first, second) = neighbours();
    let header = |revision, keys| codec::encode(&Header { revision, keys });
    let state = |revision, keys, bucket: Vec<u8>| {
        let mut state = vec![Vec::new(); BUCKET_COUNT as usize + 1];
        state[0] = header(revision, keys);
        state[chunk("0") as usize] = bucket;
        state
    };
    let (a, b) = (entry(&first), entry(&second));
    let elsewhere = (0..).map(|number: u64| format!("x{number}")).find(|key| chunk(key) != chunk("0")).unwrap();
    let whole = bucket(&[a.clone(), b.clone()]);
    let here = chunk("0");
    let mut lost = state(2, 2, whole.clone());
    lost.pop();
    let mut bad_header = state(2, 2, whole.clone());
    bad_header[0].push(0);
    let mut longer = whole.clone();
    longer.push(0);
    let cases = [
        ("a chunk too few", lost, 0),
        ("no chunks", vec![], 0),
        ("a long header", bad_header, 0),
        ("no revision", state(0, 0, vec![]), 0),
        ("a wrong count", state(2, 1, whole.clone()), 0),
        ("unsorted", state(2, 2, bucket(&[b, a.clone()])), here),
        ("not unique", state(2, 2, bucket(&[a.clone(), a.clone()])), here),
        ("wrong bucket", state(2, 1, bucket(&[entry(&elsewhere)])), here),
        ("truncated", state(2, 2, whole[..whole.len() - 1].to_vec()), here),
        ("bytes left over", state(2, 2, longer), here),
        ("an endless entry", state(2, 2, vec![0xff; 16]), here),
        ("a later revision", state(1, 2, whole.clone()), here),
        ("created after it was changed", state(9, 1, bucket(&[Entry { create_revision: 3, ..a.clone() }])), here),
        ("never created", state(9, 1, bucket(&[Entry { create_revision: 0, ..a.clone() }])), here),
        ("never put", state(9, 1, bucket(&[Entry { version: 0, ..a }])), here),
    ];
    let mut store = store();
    run(&mut store, &Operation::put("kept", "1"));
    let before = chunks(&*store.snapshot());
    for (name, state, at_fault) in cases {
        assert_eq!(store.restore(state).unwrap_err().chunk, at_fault, "{name}");
        assert!(chunks(&*store.snapshot()) == before, "{name}");
    }
    assert_eq!(store.restore(state(2, 2, whole)), Ok(()));
    let all = KvResult::Step(StepResult::Range { revision: 2, entries: vec![entry(&first), entry(&second)], more: false });
    assert_eq!(run(&mut store, &Operation::range("", RangeEnd::Last, 0)), all);
    assert_eq!(store.snapshot().chunk(0), header(2, 2));
}

/// Of the default parameters.
const BUCKET_COUNT: u32 = 1 << 14;
