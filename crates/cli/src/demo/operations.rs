//! What the demo's clients ask: a fixed mix of everything that the store can do.

use pbft_crypto::Digest;
use pbft_services::kv::{Compare, Expected, Operation, RangeEnd, Relation, Step, Target};

/// The n-th request of a client: one to three operations. The same numbers give the same request.
///
/// Half of the keys are the client's own, half are shared by all, so that clients get in each other's way.
pub fn request(client: u64, number: u64) -> Vec<Operation> {
    let count = if number.is_multiple_of(10) { 3 } else { 1 };
    (0..count).map(|part| operation(client, number, part)).collect()
}

fn operation(client: u64, number: u64, part: u64) -> Operation {
    let seed = Digest::of("pbft demo", &[&client.to_le_bytes(), &number.to_le_bytes(), &part.to_le_bytes()]);
    let [kind, first, second, value, ..] = *seed.as_bytes();
    let (one, other) = (key(client, first), key(client, second));
    let value = format!("value {}", value % 4);
    match kind % 16 {
        0..=5 => Operation::put(one, value),
        6..=8 => Operation::get(one),
        9 | 10 => Operation::delete(one),
        11 => Operation::compare_and_swap(one, Expected::Absent, value),
        12 => Operation::compare_and_swap(one, Expected::Value(b"value 1".to_vec().into()), value),
        13 => Operation::range(prefix(client, first), RangeEnd::Prefix, 10),
        _ => transaction(&one, &other, &value),
    }
}

/// If the key exists: overwrite it and read the other; else create it and delete the other.
fn transaction(one: &str, other: &str, value: &str) -> Operation {
    let compare = vec![Compare::new(one, Relation::Greater, Target::Version(0))];
    let success = vec![Step::put(one, value), Step::get(other)];
    let failure = match one == other {
        true => vec![Step::put(one, value)],
        false => vec![Step::put(one, value), Step::delete(other)],
    };
    Operation::Transaction { compare, success, failure }
}

fn prefix(client: u64, random: u8) -> String {
    if random.is_multiple_of(2) { "shared/".to_owned() } else { format!("client-{client}/") }
}

fn key(client: u64, random: u8) -> String {
    format!("{}{:02}", prefix(client, random), random % 32)
}
