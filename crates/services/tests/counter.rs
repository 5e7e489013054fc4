//! The example service keeps its promises.

#[path = "../examples/counter.rs"]
mod counter;

use counter::Counter;
use pbft_crypto::SecretKey;
use pbft_message::{ClientId, SequenceNumber};
use pbft_protocol::service::{Context, Service};

fn execute(counter: &mut Counter, operation: &[u8]) -> Vec<u8> {
    let client = ClientId(SecretKey::from_seed(&[1; 32]).public());
    counter.execute(&Context { client, time: 0, sequence: SequenceNumber(1), max_result_bytes: 1024 }, operation)
}

#[test]
fn the_counter_adds_reads_and_refuses_nonsense() {
    let mut counter = Counter::default();
    assert_eq!(execute(&mut counter, b"add 5"), b"5");
    assert_eq!(execute(&mut counter, b"add 37"), b"42");
    for nonsense in [b"add -1".as_slice(), b"add 18446744073709551615", b"", b"subtract 1", &[0xff]] {
        assert!(execute(&mut counter, nonsense).starts_with(b"error: "));
    }
    assert_eq!(execute(&mut counter, b"read"), b"42");
}

#[test]
fn the_counter_is_restored_from_its_snapshot() {
    let mut counter = Counter::default();
    execute(&mut counter, b"add 42");
    let snapshot = counter.snapshot();
    assert_eq!(counter.changed_chunks(), [0]);
    let mut restored = Counter::default();
    restored.restore(vec![snapshot.chunk(0)]).unwrap();
    assert_eq!(execute(&mut restored, b"add 1"), b"43");
    assert_eq!(restored.restore(vec![vec![1]]).unwrap_err().chunk, 0);
    assert_eq!(execute(&mut restored, b"read"), b"43");
}

#[test]
fn the_example_runs() {
    counter::main();
}
