//! Measurements with a large state, which print what they measured. They take minutes and gigabytes, so they run when asked:
//!
//! `cargo test --release --package pbft-tests --test large_state -- --ignored --nocapture`
//!
//! `PBFT_STATE_MB` says how large (default 1024).

// A failed step is a failed test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)]
#![allow(clippy::print_stdout, reason = "what was measured is printed")]

mod away;
mod open_load;
mod pauses;

use std::time::Duration;

/// Bytes of one value; each has a key of its own.
const VALUE: usize = 1000;

/// How many keys make the state that was asked for.
fn keys() -> u64 {
    let megabytes = std::env::var("PBFT_STATE_MB").ok().map_or(1024, |text| text.parse().expect("PBFT_STATE_MB is a number"));
    megabytes * 1_000_000 / VALUE as u64
}

fn key(number: u64) -> String {
    format!("key {number}")
}

/// No two alike, so that nothing is stored or sent once for many.
fn value(seed: u64) -> Vec<u8> {
    let mut random = pbft_tests::Random::new(seed);
    (0..VALUE / 8).flat_map(|_| random.draw().to_le_bytes()).collect()
}

/// The value below which so many hundredths lie.
fn percentile(sorted: &[Duration], hundredths: usize) -> Duration {
    sorted.get((sorted.len() * hundredths / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}
