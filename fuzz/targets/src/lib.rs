//! What is fuzzed: one file a target, each with a `run` that takes any bytes and panics where a property is broken.
//!
//! `tests/smoke.rs` runs every target over its corpus and over mutations of it, with the ordinary tests; `fuzz/` runs
//! them under libFuzzer. A target reads its bytes with [`input`], so that no input is refused and none is too short.

// A fuzz target says by a panic that a property is broken.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    missing_docs
)]

pub mod allocation;
pub mod cluster;
pub mod input;
pub mod model;

pub mod authenticate;
pub mod certificates;
pub mod config;
pub mod decode;
pub mod frames;
pub mod journal_damage;
pub mod journal_forgery;
pub mod replica;
pub mod signatures;
pub mod snapshots;
pub mod transfer;
pub mod view_changes;

/// A target: its name, which is also its corpus's folder, and what it runs.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 12] = [
    ("authenticate", authenticate::run),
    ("certificates", certificates::run),
    ("config", config::run),
    ("decode", decode::run),
    ("frames", frames::run),
    ("journal_damage", journal_damage::run),
    ("journal_forgery", journal_forgery::run),
    ("replica", replica::run),
    ("signatures", signatures::run),
    ("snapshots", snapshots::run),
    ("transfer", transfer::run),
    ("view_changes", view_changes::run),
];
