#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

mod damage;
mod full;
mod torn;

use super::base::{BASE_FRAME, base_groups};
use super::segment::SECTOR;
use super::*;
use crate::{Damage, FileDisk, MemoryDisk, Unsynced};
use pbft_crypto::PublicKey;
use std::collections::BTreeMap;

/// Room for 4 of the groups below.
const SEGMENT: u64 = 9 * SECTOR as u64;
const SECRET: [u8; 32] = [9; 32];

type Records = Vec<Vec<u8>>;

fn identity(owner: u8) -> Identity {
    Identity { cluster: Digest::from_bytes([1; 32]), owner: PublicKey::from_bytes([owner; 32]) }
}

impl<D: Disk> Journal<D> {
    /// Begins anew at once.
    fn rebase(&mut self, live: &[impl AsRef<[u8]>]) -> Result<(), JournalError> {
        self.begin_base(live)?;
        self.adopt_base()
    }
}

fn create<D: Disk>(disk: D) -> Journal<D> {
    Journal::create(disk, &identity(2), &SECRET, SEGMENT).unwrap()
}

fn open<D: Disk>(disk: D) -> Result<(Journal<D>, Records, Option<TornTail>), OpenError> {
    let mut records = Records::new();
    let (journal, torn) = Journal::open(disk, &identity(2), |_, record| records.push(record.to_vec()))?;
    Ok((journal, records, torn))
}

/// Two records that belong to commit number `commit`, neither zero nor equal to those of others: two sectors.
fn group(commit: u8) -> Records {
    vec![vec![commit; 600], vec![commit, 1, 1]]
}

fn groups(commits: std::ops::Range<u8>) -> Records {
    commits.flat_map(group).collect()
}

/// A journal with commits 1..=count; 8 of them take several segments.
fn committed(count: u8) -> Journal<MemoryDisk> {
    let mut journal = create(MemoryDisk::default());
    for commit in 1..=count {
        journal.commit(&group(commit)).unwrap();
    }
    journal
}

fn after_crash(mut disk: MemoryDisk, keep: impl FnMut(Unsynced<'_>) -> bool) -> Result<(Records, Option<TornTail>), OpenError> {
    disk.crash(keep);
    open(disk).map(|(_, records, torn)| (records, torn))
}

/// Keeps all names, and so many sectors that were written.
fn prefix(mut sectors: usize) -> impl FnMut(Unsynced<'_>) -> bool {
    move |unsynced| match unsynced {
        Unsynced::Name { .. } => true,
        Unsynced::Write { .. } if sectors == 0 => false,
        Unsynced::Write { .. } => {
            sectors -= 1;
            true
        }
    }
}

/// Lets so many operations of the disk succeed, then one fail: a commit writes and syncs, in a new segment after 4 others,
/// or 7 if the segment was not prepared.
fn fail_after(journal: &mut Journal<MemoryDisk>, operations: u64) {
    let disk = journal.disk_mut();
    disk.fail_at(disk.operations() + operations);
}

/// Runs `act` with each of its disk operations failing in turn and passes what is left to `check`; returns how many there were.
fn fail_each<T>(
    before: &Journal<MemoryDisk>,
    act: impl Fn(&mut Journal<MemoryDisk>) -> T,
    mut check: impl FnMut(T, MemoryDisk),
) -> u64 {
    let mut whole = before.clone();
    let first = whole.disk_mut().operations();
    act(&mut whole);
    let last = whole.disk_mut().operations();
    for operation in first..last {
        let mut journal = before.clone();
        journal.disk_mut().fail_at(operation);
        let outcome = act(&mut journal);
        check(outcome, journal.into_disk());
    }
    last - first
}

#[test]
fn r15_what_was_committed_over_many_segments_comes_back_in_order_after_a_crash() {
    let mut disk = committed(20).into_disk();
    assert!(disk.list().unwrap().len() > 3);
    disk.crash(|_| false);
    let (mut journal, records, torn) = open(disk).unwrap();
    assert_eq!((records, torn), (groups(1..21), None));
    for commit in 21..30 {
        journal.commit(&group(commit)).unwrap();
    }
    assert_eq!(after_crash(journal.into_disk(), |_| false).unwrap(), (groups(1..30), None));
}

#[test]
fn a_real_directory_holds_the_same_bytes_as_memory() {
    let folder = tempfile::tempdir().unwrap();
    let mut real = create(FileDisk::open(folder.path()).unwrap());
    let mut memory = create(MemoryDisk::default());
    for commit in 1..10 {
        real.commit(&group(commit)).unwrap();
        memory.commit(&group(commit)).unwrap();
    }
    real.rebase(&groups(3..7)).unwrap();
    memory.rebase(&groups(3..7)).unwrap();
    real.commit(&group(11)).unwrap();
    memory.commit(&group(11)).unwrap();
    let (real, memory) = (&mut real.into_disk(), &mut memory.into_disk());
    assert_eq!(real.list().unwrap(), memory.list().unwrap());
    for file in real.list().unwrap() {
        assert_eq!(real.read_at(&file, 0, u64::MAX).unwrap(), memory.read_at(&file, 0, u64::MAX).unwrap());
    }
    let mut expected = groups(3..7);
    expected.extend(group(11));
    assert_eq!(open(real).unwrap().1, expected);
}

#[test]
fn a_frame_larger_than_a_segment_gets_a_segment_of_its_own_size() {
    let mut journal = committed(1);
    journal.commit(&[vec![7; 5000]]).unwrap();
    journal.commit(&group(2)).unwrap();
    let mut disk = journal.into_disk();
    assert_eq!(disk.size("journal-00000002.log").unwrap(), (segment::HEADER + frame::length(&[vec![7; 5000]])) as u64);
    assert_eq!(disk.size("journal-00000003.log").unwrap(), SEGMENT);
    let mut expected = group(1);
    expected.push(vec![7; 5000]);
    expected.extend(group(2));
    assert_eq!(after_crash(disk, |_| false).unwrap(), (expected, None));
}

#[test]
fn bytes_counts_what_was_written_since_the_base_and_survives_a_restart() {
    let mut journal = committed(8);
    let one = frame::length(&group(1)) as u64;
    assert_eq!(journal.bytes(), 8 * one);
    journal.rebase(&groups(1..9)).unwrap();
    assert_eq!(journal.bytes(), 0);
    (0..5).for_each(|commit| journal.commit(&group(commit)).unwrap());
    assert_eq!(open(journal.into_disk()).unwrap().0.bytes(), 5 * one);
}

#[test]
fn no_records_write_nothing() {
    let mut journal = committed(1);
    let before = journal.clone();
    journal.commit(&Records::new()).unwrap();
    assert_eq!(journal, before);
}

#[test]
fn r16_a_journal_is_created_once_and_an_empty_directory_is_refused() {
    assert!(matches!(open(MemoryDisk::default()), Err(OpenError::Empty)));
    let disk = committed(1).into_disk();
    let again = Journal::create(disk, &identity(2), &SECRET, SEGMENT);
    assert!(matches!(again, Err(CreateError::Exists { file }) if file == "journal-00000001.log"));
}

#[test]
fn r16_an_interrupted_create_leaves_an_empty_directory_or_an_empty_journal() {
    for operation in 0..7 {
        for kept in [0, 1, usize::MAX] {
            let mut disk = MemoryDisk::default();
            disk.fail_at(operation);
            assert!(matches!(Journal::create(&mut disk, &identity(2), &SECRET, SEGMENT), Err(CreateError::Disk(_))));
            disk.crash(prefix(kept));
            match open(&mut disk) {
                Ok((_, records, torn)) => assert_eq!((records, torn), (Records::new(), None)),
                Err(error) => {
                    assert!(matches!(error, OpenError::Empty), "{error}");
                    create(disk).commit(&group(1)).unwrap();
                }
            }
        }
    }
}

#[test]
fn reading_tells_each_record_with_its_place_and_changes_nothing() {
    let mut journal = committed(12);
    journal.rebase(&groups(1..9)).unwrap();
    (9..20).for_each(|commit| journal.commit(&group(commit)).unwrap());
    fail_after(&mut journal, 1);
    assert!(journal.commit(&[vec![8; 900]]).is_err());
    let (file, offset, first, newest) = (journal.file.clone(), journal.end, journal.oldest, journal.segment.number);
    let marks = journal.marks.clone();
    let mut disk = journal.into_disk();
    disk.crash(prefix(1));
    let before = disk.clone();
    let mut records = Records::new();
    let mut content = BTreeMap::new();
    let summary = Journal::read(&mut disk, |place, record| {
        let bytes = content.entry(place.file.to_owned()).or_insert_with(|| {
            let mut bytes = before.clone().read_at(place.file, 0, u64::MAX).unwrap();
            marks.whiten(&mut bytes);
            bytes
        });
        let at = place.offset as usize;
        assert_eq!(bytes[at..at + record.len()], *record);
        records.push(record.to_vec());
    });
    let summary = summary.unwrap();
    assert_eq!((summary.identity, records), (identity(2), groups(1..20)));
    assert_eq!((summary.segments, summary.frames, summary.records), (newest - first + 1, 12, 38));
    assert_eq!(summary.bytes, (11 * frame::length(&group(1)) + frame::length(&groups(1..9))) as u64);
    assert_eq!(summary.torn, Some(TornTail { file, offset, bytes: SECTOR as u64 }));
    assert_eq!(disk, before);
}

#[test]
fn a_seal_is_an_empty_frame_and_is_written_only_where_the_last_one_holds_something() {
    let mut journal = committed(0);
    let seal = |journal: &mut Journal<MemoryDisk>| {
        let before = journal.end;
        journal.seal().unwrap();
        journal.end - before
    };
    assert_eq!(seal(&mut journal), 0, "nothing is promised yet");
    journal.commit(&group(1)).unwrap();
    assert_eq!((seal(&mut journal), seal(&mut journal)), (SECTOR as u64, 0));
    let (mut journal, records, _) = open(journal.into_disk()).unwrap();
    assert_eq!((records, seal(&mut journal)), (group(1), 0));
    journal.commit(&group(2)).unwrap();
    let (mut journal, _, _) = open(journal.into_disk()).unwrap();
    assert_eq!(seal(&mut journal), SECTOR as u64);
    journal.rebase(&groups(1..3)).unwrap();
    assert_eq!(seal(&mut journal), 0, "a base is never torn");
    assert_eq!(after_crash(journal.into_disk(), |_| false).unwrap(), (groups(1..3), None));
}

#[test]
fn the_next_segment_is_prepared_while_the_second_half_of_this_one_fills() {
    let size = 8 << 20;
    let mut journal = Journal::create(MemoryDisk::default(), &identity(2), &SECRET, size).unwrap();
    let mut most = 0;
    while journal.segment.number < 3 {
        let before = journal.disk.used();
        journal.commit(&[vec![1; 300_000]]).unwrap();
        most = most.max(journal.disk.used() - before);
        assert!(journal.end > size / 2 || journal.prepared == 0);
    }
    assert_eq!(most, PIECE as u64, "no commit writes more zeros than this");
}

#[test]
fn r15_after_a_failed_write_or_sync_nothing_is_tried_again() {
    let operations = fail_each(
        &committed(1),
        |journal| {
            let failed = journal.commit(&group(2));
            (failed.is_err()).then(|| {
                let operations = journal.disk.operations();
                assert!(matches!(failed, Err(JournalError::Disk(_))));
                assert!(matches!(journal.commit(&group(5)), Err(JournalError::Poisoned)));
                assert!(matches!(journal.rebase(&group(5)), Err(JournalError::Poisoned)));
                assert_eq!(journal.disk.operations(), operations, "the disk is left alone");
            })
        },
        |failed, _| assert!(failed.is_some()),
    );
    assert_eq!(operations, 5, "write and sync, and for the next segment create, zeros, sync");
}

#[test]
fn r15_a_crash_at_any_operation_of_a_commit_loses_nothing_that_was_acknowledged() {
    let mut rotations = 0;
    for before in 1..9 {
        let operations = fail_each(
            &committed(before),
            |journal| journal.commit(&group(before + 1)),
            |outcome, disk| {
                assert!(outcome.is_err());
                for kept in [0, 1, 2, usize::MAX] {
                    let (records, _) = after_crash(disk.clone(), prefix(kept)).unwrap();
                    assert!(records == groups(1..before + 1) || records == groups(1..before + 2));
                }
            },
        );
        rotations += u64::from(operations == 6);
    }
    assert!(rotations >= 2);
}

/// Keeps or loses each name by a bit of `survivors`, and loses all writes.
fn some_names(survivors: u32) -> impl FnMut(Unsynced<'_>) -> bool {
    let mut asked = 0;
    move |unsynced| {
        if matches!(unsynced, Unsynced::Write { .. }) {
            return false;
        }
        asked += 1;
        survivors >> (asked - 1) & 1 == 1
    }
}

/// kill -9 leaves in the page cache what is not durable yet; what was read back at the restart must not vanish later.
#[test]
fn r15_what_open_has_passed_on_is_durable_even_if_the_process_died_before_its_sync() {
    let check = |disk: MemoryDisk| {
        let (mut journal, records, _) = open(disk).unwrap();
        for survivors in 0..32 {
            let again = after_crash(journal.disk.clone(), some_names(survivors)).unwrap();
            assert_eq!(again, (records.clone(), None));
        }
        journal.commit(&group(50)).unwrap();
        let again = after_crash(journal.into_disk(), |_| false).unwrap();
        assert_eq!(again, ([records, group(50)].concat(), None));
    };
    for before in 1..9 {
        fail_each(&committed(before), |journal| journal.commit(&group(before + 1)), |_, disk| check(disk));
    }
    fail_each(&committed(8), |journal| journal.rebase(&groups(4..7)), |_, disk| check(disk));
}

#[test]
fn a_rebase_replaces_all_records_and_removes_the_older_segments() {
    let mut journal = committed(12);
    journal.rebase(&groups(5..8)).unwrap();
    let number = journal.segment.number;
    assert_eq!(journal.disk_mut().list().unwrap(), [segment::name(number)]);
    journal.commit(&group(20)).unwrap();
    (0..3).for_each(|_| journal.rebase(&[groups(5..8), group(20)].concat()).unwrap());
    journal.commit(&group(21)).unwrap();
    let expected = [groups(5..8), group(20), group(21)].concat();
    assert_eq!(after_crash(journal.into_disk(), |_| false).unwrap(), (expected, None));
}

#[test]
fn a_rebase_onto_nothing_and_one_of_several_frames_come_back() {
    let mut journal = committed(5);
    journal.rebase(&Records::new()).unwrap();
    assert_eq!(after_crash(journal.disk.clone(), |_| false).unwrap(), (Records::new(), None));
    let large: Records = (1..8).map(|byte| vec![byte; BASE_FRAME / 3]).chain([vec![9; BASE_FRAME + 1]]).collect();
    assert_eq!(base_groups(&large).iter().map(|group| group.len()).collect::<Vec<_>>(), [2, 2, 2, 1, 1]);
    journal.rebase(&large).unwrap();
    journal.commit(&group(1)).unwrap();
    let expected = [large, group(1)].concat();
    assert!(after_crash(journal.into_disk(), |_| false).unwrap() == (expected, None));
}

#[test]
fn r15_a_crash_at_any_operation_of_a_rebase_leaves_the_old_records_or_the_new_base() {
    let (old, new) = (groups(1..9), groups(4..7));
    let both = [old.clone(), new.clone()].concat();
    let mut found = [false; 3];
    let operations = fail_each(
        &committed(8),
        |journal| journal.rebase(&groups(4..7)),
        |outcome, disk| {
            assert!(outcome.is_err());
            for kept in [0, 1, 2, 3, 4, 5, usize::MAX] {
                let mut crashed = disk.clone();
                crashed.crash(prefix(kept));
                let (mut journal, records, torn) = open(crashed).unwrap();
                let which = [&old, &both, &new].iter().position(|expected| **expected == records);
                found[which.unwrap_or_else(|| panic!("{records:?}"))] = true;
                assert_eq!(torn, None);
                let files = journal.disk_mut().list().unwrap();
                assert_eq!(files, (journal.oldest..=journal.segment.number).map(segment::name).collect::<Vec<_>>());
                journal.rebase(&new).unwrap();
                journal.commit(&group(9)).unwrap();
                assert_eq!(after_crash(journal.into_disk(), |_| false).unwrap().0, [new.clone(), group(9)].concat());
            }
        },
    );
    assert!(operations >= 9, "base, header, sync, rename, sync, header, sync, and a removal for each old segment");
    assert_eq!(found, [true; 3]);
}

#[test]
fn what_is_written_between_a_base_and_its_adoption_is_kept_however_much_it_is() {
    let mut journal = committed(7);
    journal.begin_base(&groups(5..8)).unwrap();
    let since: Vec<u8> = (20..40).collect();
    since.iter().for_each(|commit| journal.commit(&group(*commit)).unwrap());
    let later = groups(20..40);
    let all = [groups(1..8), groups(5..8), later.clone()].concat();
    assert_eq!(after_crash(journal.disk.clone(), |_| false).unwrap(), (all, None));
    let (oldest, newest) = (journal.pending.clone().unwrap().header.number, journal.segment.number);
    assert!(newest > oldest + 3);
    journal.adopt_base().unwrap();
    journal.adopt_base().unwrap();
    let mut segments = journal.disk.list().unwrap();
    segments.retain(|file| segment::number(file).is_some());
    assert_eq!(segments, (oldest..=newest).map(segment::name).collect::<Vec<_>>());
    assert_eq!(journal.bytes(), 20 * frame::length(&group(20)) as u64);
    let (mut again, records, _) = open(journal.into_disk()).unwrap();
    assert_eq!((records, again.bytes()), ([groups(5..8), later.clone()].concat(), 20 * frame::length(&group(20)) as u64));
    again.commit(&group(40)).unwrap();
    assert_eq!(after_crash(again.into_disk(), |_| false).unwrap().0, [groups(5..8), later, group(40)].concat());
}

#[test]
fn a_base_that_is_not_adopted_gives_way_to_the_next_and_to_a_restart() {
    let mut journal = committed(7);
    journal.begin_base(&groups(5..8)).unwrap();
    journal.commit(&group(8)).unwrap();
    journal.begin_base(&groups(6..9)).unwrap();
    journal.commit(&group(9)).unwrap();
    let (mut again, _, _) = open(journal.disk.clone()).unwrap();
    let before = again.disk.list().unwrap();
    again.adopt_base().unwrap();
    assert_eq!(again.disk.list().unwrap(), before, "whoever restarts does not know which snapshot it was for");
    journal.adopt_base().unwrap();
    assert_eq!(after_crash(journal.into_disk(), |_| false).unwrap().0, groups(6..10));
}

#[test]
fn r15_any_subset_of_the_removals_of_a_rebase_may_survive_a_crash() {
    let mut journal = committed(12);
    journal.rebase(&groups(4..7)).unwrap();
    for survivors in 0..32u32 {
        assert_eq!(after_crash(journal.disk.clone(), some_names(survivors)).unwrap(), (groups(4..7), None));
    }
}

#[test]
fn r15_what_a_failed_sync_left_is_written_again_before_it_counts() {
    let mut journal = committed(2);
    let after_write = journal.disk.operations() + 1;
    journal.disk.fail_at(after_write);
    assert!(matches!(journal.commit(&group(3)), Err(JournalError::Disk(_))));
    // The process ends; the system still has what the disk does not.
    let (journal, records, torn) = open(journal.into_disk()).unwrap();
    assert_eq!((records, torn), (groups(1..4), None));
    assert_eq!(after_crash(journal.into_disk(), |_| false).unwrap(), (groups(1..4), None));
}

#[test]
fn r16_a_journal_without_a_cluster_is_bound_to_one_once() {
    let unbound = Identity { cluster: Digest::ZERO, ..identity(2) };
    let journal = Journal::create(MemoryDisk::default(), &unbound, &SECRET, SEGMENT).unwrap();
    let mut disk = journal.into_disk();
    assert!(matches!(open(disk.clone()), Err(OpenError::Foreign { .. })));
    let other = Identity { cluster: Digest::from_bytes([7; 32]), ..identity(2) };
    for owner in [identity(3), identity(2), other] {
        Journal::bind(&mut disk, &owner).unwrap();
    }
    disk.crash(|_| false);
    let (mut journal, records, _) = open(disk).unwrap();
    assert_eq!(records, Records::new());
    journal.commit(&group(1)).unwrap();
    assert_eq!(open(journal.into_disk()).unwrap().1, groups(1..2));
}

#[test]
fn r16_a_crash_while_a_journal_is_bound_leaves_it_bound_or_not() {
    let unbound = Identity { cluster: Digest::ZERO, ..identity(2) };
    let made = Journal::create(MemoryDisk::default(), &unbound, &SECRET, SEGMENT).unwrap().into_disk();
    let mut whole = made.clone();
    Journal::bind(&mut whole, &identity(2)).unwrap();
    for operation in made.operations()..whole.operations() {
        let mut disk = made.clone();
        disk.fail_at(operation);
        assert!(Journal::bind(&mut disk, &identity(2)).is_err());
        disk.crash(|_| operation % 2 == 0);
        Journal::bind(&mut disk, &identity(2)).unwrap();
        assert_eq!(open(disk).unwrap().1, Records::new(), "operation {operation}");
    }
}
