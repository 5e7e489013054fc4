#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::{MemoryDisk, Unsynced};

fn digest(number: u64) -> Digest {
    Digest::of("chunk", &[&number.to_le_bytes()])
}

fn chunk(number: u64) -> Vec<u8> {
    vec![number as u8; 100 * number as usize]
}

fn opened(disk: MemoryDisk, sequence: u64) -> FetchedChunks<MemoryDisk> {
    let mut fetched = FetchedChunks::new(disk);
    fetched.open(sequence).unwrap();
    fetched
}

fn with_chunks(numbers: std::ops::Range<u64>) -> FetchedChunks<MemoryDisk> {
    let mut fetched = opened(MemoryDisk::default(), 7);
    numbers.for_each(|number| fetched.put(digest(number), &chunk(number)).unwrap());
    fetched
}

#[test]
fn r14_chunks_come_back_after_a_restart_for_a_newer_target() {
    let fetched = with_chunks(0..5);
    let mut again = opened(fetched.disk, 9);
    assert_eq!(again.disk.list().unwrap(), [name(9)]);
    assert_eq!(again.digests().count(), 5);
    for number in 0..5 {
        assert_eq!(again.get(&digest(number)).unwrap(), Some(chunk(number)), "{number}");
    }
    assert_eq!(again.get(&digest(5)).unwrap(), None);
    again.put(digest(5), &chunk(5)).unwrap();
    assert_eq!(opened(again.disk, 9).get(&digest(5)).unwrap(), Some(chunk(5)));
}

#[test]
fn r14_wherever_the_file_is_cut_the_chunks_before_the_cut_are_there() {
    let whole = with_chunks(1..5);
    for length in 0..whole.end {
        let mut disk = whole.disk.clone();
        disk.damage(&name(7), |bytes| bytes.truncate(length as usize));
        let mut cut = opened(disk, 7);
        let there = (1..5).filter(|number| whole.places[&digest(*number)].0 + 100 * number <= length).count();
        assert_eq!(cut.digests().count(), there, "{length}");
        cut.put(digest(9), &chunk(9)).unwrap();
        let mut again = opened(cut.disk, 7);
        assert_eq!((again.digests().count(), again.get(&digest(9)).unwrap()), (there + 1, Some(chunk(9))), "{length}");
    }
}

#[test]
fn r14_a_flipped_bit_costs_one_chunk_or_those_after_it_and_never_more_memory() {
    let whole = with_chunks(1..5);
    for bit in 0..whole.end * 8 {
        let mut disk = whole.disk.clone();
        disk.damage(&name(7), |bytes| bytes[(bit / 8) as usize] ^= 1 << (bit % 8));
        let mut damaged = opened(disk, 7);
        let right = (1..5).filter(|number| damaged.get(&digest(*number)).unwrap() == Some(chunk(*number)));
        let before = (1..5).filter(|number| whole.places[&digest(*number)].0 + 100 * number <= bit / 8);
        assert!(right.count() >= before.count(), "{bit}");
        assert!(damaged.digests().all(|known| whole.places.contains_key(known)), "{bit}");
    }
}

#[test]
fn r14_what_was_synced_survives_a_crash() {
    let mut fetched = opened(MemoryDisk::default(), 7);
    let large = vec![1; (UNSYNCED_BYTES / 2) as usize];
    for number in 0..3 {
        fetched.put(digest(number), &large).unwrap();
    }
    fetched.disk.crash(|unsynced: Unsynced<'_>| matches!(unsynced, Unsynced::Write { .. }));
    let mut again = opened(fetched.disk, 7);
    assert_eq!(again.get(&digest(0)).unwrap().as_ref(), Some(&large));
    assert_eq!(again.get(&digest(1)).unwrap().as_ref(), Some(&large));
}

#[test]
fn r14_chunks_are_forgotten_up_to_their_number() {
    let mut fetched = with_chunks(0..5);
    fetched.forget(6).unwrap();
    assert_eq!(fetched.disk.list().unwrap(), [name(7)]);
    fetched.forget(7).unwrap();
    assert_eq!(fetched.disk.list().unwrap(), Vec::<String>::new());
    fetched.open(8).unwrap();
    assert_eq!((fetched.digests().count(), fetched.get(&digest(1)).unwrap()), (0, None));
}
