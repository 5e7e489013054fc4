//! Every target over its corpus, over mutations of it, and over random bytes, the same ones every time. Real fuzzing goes
//! further (`fuzz/README.md`); this keeps the targets and the properties alive in the ordinary tests.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used)]

use pbft_fuzz_targets as targets;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Targets measure the memory of the whole process.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

#[test]
fn a_message_gets_the_same_verdict_alone_and_in_company() {
    smoke("authenticate", 1500);
}

#[test]
fn a_certificate_is_valid_exactly_if_a_quorum_signed_it() {
    smoke("certificates", 1500);
}

#[test]
fn a_configuration_that_is_accepted_survives_being_written_again() {
    smoke("config", 1500);
}

#[test]
fn a_value_has_one_encoding_and_costs_what_its_bytes_are_worth() {
    smoke("decode", 4000);
}

#[test]
fn frames_are_found_however_the_bytes_are_cut() {
    smoke("frames", 4000);
}

#[test]
fn a_damaged_journal_passes_on_a_prefix_of_what_was_written() {
    smoke("journal_damage", 1000);
}

#[test]
fn a_forged_journal_neither_panics_nor_takes_memory() {
    smoke("journal_forgery", 4000);
}

#[test]
fn a_replica_keeps_its_promises_whatever_happens_to_it() {
    smoke("replica", 200);
}

#[test]
fn single_and_batch_verification_agree() {
    smoke("signatures", 1500);
}

#[test]
fn a_damaged_snapshot_is_never_loaded() {
    smoke("snapshots", 1000);
}

#[test]
fn only_the_certified_state_is_installed_and_lies_only_delay() {
    smoke("transfer", 700);
}

#[test]
fn a_new_view_is_valid_exactly_by_the_rules() {
    smoke("view_changes", 400);
}

#[test]
fn every_target_has_a_test_here_a_corpus_and_a_binary() {
    let smoke = include_str!("smoke.rs");
    for (name, _) in targets::TARGETS {
        assert!(smoke.contains(&format!("smoke(\"{name}\"")), "{name} has no test here");
        assert!(!corpus(name).is_empty(), "{name} has no corpus");
        let binary = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../fuzz_targets/{name}.rs"));
        assert!(binary.exists(), "{name} has no binary");
    }
}

fn smoke(name: &str, iterations: u64) {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let (_, run) = targets::TARGETS.into_iter().find(|(target, _)| *target == name).unwrap();
    let corpus = corpus(name);
    let inputs = corpus.iter().cloned().chain((0..iterations).map(|seed| mutated(&corpus, seed)));
    for input in inputs {
        let shown = Shown(&input);
        run(&input);
        drop(shown);
    }
}

/// Shows the input whose run panics, to be put into the corpus.
struct Shown<'a>(&'a [u8]);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let hex: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
            eprintln!("the input, in hexadecimal (xxd -r -p makes a file of it): {hex}");
        }
    }
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus").join(name);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }
}

fn mutated(corpus: &[Vec<u8>], seed: u64) -> Vec<u8> {
    let mut random = Random(seed);
    if random.below(8) == 0 {
        let length = random.below(400);
        return random.bytes(length);
    }
    let mut bytes = corpus[random.below(corpus.len())].clone();
    for _ in 0..=random.below(4) {
        mutate(&mut bytes, corpus, &mut random);
    }
    bytes
}

fn mutate(bytes: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut Random) {
    let place = random.below(bytes.len());
    match random.below(7) {
        0 if !bytes.is_empty() => bytes[place] ^= 1 << random.below(8),
        1 if !bytes.is_empty() => bytes[place] = [0, 1, 0x7f, 0x80, 0xff, random.next() as u8][random.below(6)],
        2 => bytes.truncate(place),
        3 => {
            let inserted = random.below(12);
            let inserted = random.bytes(inserted);
            bytes.splice(place..place, inserted);
        }
        4 => {
            let end = (place + random.below(40)).min(bytes.len());
            bytes.drain(place..end);
        }
        5 => {
            let end = (place + random.below(40)).min(bytes.len());
            let repeated = bytes[place..end].to_vec();
            bytes.splice(place..place, repeated);
        }
        _ => {
            let other = &corpus[random.below(corpus.len())];
            bytes.truncate(place);
            bytes.extend_from_slice(&other[random.below(other.len())..]);
        }
    }
}
