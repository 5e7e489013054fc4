#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::{Damage, FileDisk, MemoryDisk, Unsynced};
use pbft_crypto::PublicKey;
use proptest::prelude::*;

const SEGMENT: u64 = 700;
const SECRET: [u8; 32] = [9; 32];

type Records = Vec<Vec<u8>>;

fn identity(owner: u8) -> Identity {
    Identity { cluster: Digest::from_bytes([1; 32]), owner: PublicKey::from_bytes([owner; 32]) }
}

fn create<D: Disk>(disk: D) -> Journal<D> {
    Journal::create(disk, &identity(2), &SECRET, SEGMENT).unwrap()
}

fn open<D: Disk>(disk: D) -> Result<(Journal<D>, Records, Option<TornTail>), OpenError> {
    let mut records = Records::new();
    let (journal, torn) = Journal::open(disk, &identity(2), |record| records.push(record.to_vec()))?;
    Ok((journal, records, torn))
}

/// Two records that belong to commit number `commit`, neither zero nor equal to those of others.
fn group(commit: u8) -> Records {
    vec![vec![commit; 30], vec![commit, 1, 1]]
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

fn after_crash(mut disk: MemoryDisk, keep: impl FnMut(Unsynced<'_>) -> usize) -> Result<(Records, Option<TornTail>), OpenError> {
    disk.crash(keep);
    open(disk).map(|(_, records, torn)| (records, torn))
}

/// Keeps all names, and the leading bytes of the writes until so many are kept.
fn prefix(mut bytes: usize) -> impl FnMut(Unsynced<'_>) -> usize {
    move |unsynced| match unsynced {
        Unsynced::Name { .. } => 1,
        Unsynced::Write { bytes: part, .. } => {
            let kept = bytes.min(part.len());
            bytes -= kept;
            kept
        }
    }
}

/// Lets so many operations of the disk succeed, then one fail: a commit writes and syncs, in a new segment after 5 others.
fn fail_after(journal: &mut Journal<MemoryDisk>, operations: u64) {
    let disk = journal.disk_mut();
    disk.fail_at(disk.operations() + operations);
}

/// Runs `act` with each of its disk operations failing in turn and passes what is left to `check`; returns how many there were.
fn fail_each<T>(before: &Journal<MemoryDisk>, act: impl Fn(&mut Journal<MemoryDisk>) -> T, check: impl Fn(T, MemoryDisk)) -> u64 {
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
    disk.crash(|_| 0);
    let (mut journal, records, torn) = open(disk).unwrap();
    assert_eq!((records, torn), (groups(1..21), None));
    for commit in 21..30 {
        journal.commit(&group(commit)).unwrap();
    }
    assert_eq!(after_crash(journal.into_disk(), |_| 0).unwrap(), (groups(1..30), None));
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
    assert_eq!(disk.size("journal-00000002.log").unwrap(), (segment::HEADER + frame::HEADER + 4 + 5000) as u64);
    assert_eq!(disk.size("journal-00000003.log").unwrap(), SEGMENT);
    let mut expected = group(1);
    expected.push(vec![7; 5000]);
    expected.extend(group(2));
    assert_eq!(after_crash(disk, |_| 0).unwrap(), (expected, None));
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
    for operation in 0..5 {
        for kept in [0, 100, usize::MAX] {
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
fn r16_a_journal_of_another_replica_or_cluster_is_refused() {
    let disk = committed(3).into_disk();
    let other_cluster = Identity { cluster: Digest::from_bytes([8; 32]), ..identity(2) };
    for other in [identity(3), other_cluster] {
        match Journal::open(disk.clone(), &other, |_| {}) {
            Err(OpenError::Foreign { file, found }) => assert_eq!((file.as_str(), found), ("journal-00000001.log", identity(2))),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn another_format_version_is_refused_by_number() {
    for version in [0u32, 2, u32::MAX] {
        let mut disk = committed(1).into_disk();
        disk.damage("journal-00000001.log", |bytes| {
            let mut header = bytes[..segment::HEADER - 4].to_vec();
            header[8..12].copy_from_slice(&version.to_le_bytes());
            crate::fields::seal(&mut header);
            bytes[..segment::HEADER].copy_from_slice(&header);
        });
        match open(disk).map(|_| ()) {
            Err(OpenError::Format { found, supported, .. }) => assert_eq!((found, supported), (version, 1)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn r15_a_torn_tail_is_cut_at_every_byte_and_what_was_acknowledged_survives() {
    let mut journal = committed(2);
    let (file, offset) = (journal.file.clone(), journal.end);
    let written = frame::encode(&journal.segment.marker, &journal.chain, &group(3)).unwrap().0;
    let length = written.len();
    fail_after(&mut journal, 1);
    assert!(matches!(journal.commit(&group(3)), Err(JournalError::Disk(_))));
    for kept in 0..=length {
        let mut disk = journal.clone().into_disk();
        disk.crash(prefix(kept));
        let (mut reopened, records, torn) = open(disk).unwrap();
        if kept == length {
            assert_eq!((records, torn), (groups(1..4), None));
            continue;
        }
        assert_eq!(records, groups(1..3));
        let bytes = written[..kept].iter().rposition(|byte| *byte != 0).map(|last| last as u64 + 1);
        assert_eq!(torn, bytes.map(|bytes| TornTail { file: file.clone(), offset, bytes }));
        assert_eq!(after_crash(reopened.disk.clone(), |_| 0).unwrap(), (groups(1..3), None), "the cut is durable");
        reopened.commit(&group(4)).unwrap();
        let expected = [groups(1..3), group(4)].concat();
        assert_eq!(after_crash(reopened.into_disk(), |_| 0).unwrap(), (expected, None));
    }
}

#[test]
fn r15_a_tail_of_which_only_later_sectors_reached_the_disk_is_cut() {
    let mut journal = create(MemoryDisk::default());
    journal.commit(&group(1)).unwrap();
    fail_after(&mut journal, 6);
    assert!(journal.commit(&[vec![5; 3000]]).is_err());
    let mut number = 0;
    let keep_odd = |unsynced: Unsynced<'_>| {
        number += 1;
        if matches!(unsynced, Unsynced::Write { .. }) && number % 2 == 0 { 0 } else { usize::MAX }
    };
    let (records, torn) = after_crash(journal.into_disk(), keep_odd).unwrap();
    assert_eq!(records, group(1));
    assert_eq!(torn.unwrap().file, "journal-00000002.log");
}

#[test]
fn r15_after_a_failed_write_or_sync_nothing_is_tried_again() {
    let operations = fail_each(
        &committed(3),
        |journal| {
            let failed = journal.commit(&group(4));
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
    assert_eq!(operations, 2);
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
                for kept in [0, 1, 100, 300, usize::MAX] {
                    let (records, _) = after_crash(disk.clone(), prefix(kept)).unwrap();
                    assert!(records == groups(1..before + 1) || records == groups(1..before + 2));
                }
                assert_eq!(after_crash(disk, |_| 0).unwrap().0, groups(1..before + 1));
            },
        );
        rotations += u64::from(operations > 2);
    }
    assert!(rotations >= 2);
}

/// Keeps or loses each name by a bit of `survivors`, and loses all writes.
fn some_names(survivors: u32) -> impl FnMut(Unsynced<'_>) -> usize {
    let mut asked = 0;
    move |unsynced| {
        if matches!(unsynced, Unsynced::Write { .. }) {
            return 0;
        }
        asked += 1;
        usize::from(survivors >> (asked - 1) & 1 == 1)
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
        let again = after_crash(journal.into_disk(), |_| 0).unwrap();
        assert_eq!(again, ([records, group(50)].concat(), None));
    };
    for before in 1..9 {
        fail_each(&committed(before), |journal| journal.commit(&group(before + 1)), |_, disk| check(disk));
    }
    fail_each(&committed(8), |journal| journal.rebase(&groups(4..7)), |_, disk| check(disk));
}

#[test]
fn r15_frames_wiped_at_the_end_of_a_segment_that_another_continues_are_refused() {
    let mut disk = committed(12).into_disk();
    let length = frame::length(&group(1));
    disk.damage(&segment::name(2), |bytes| bytes[segment::HEADER + length..].fill(0));
    let Err(OpenError::Damaged { file, offset, damage }) = open(disk).map(|_| ()) else { panic!("accepted") };
    assert_eq!((file, offset as usize, damage), (segment::name(2), segment::HEADER + length, Damage::Frame));
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
    assert_eq!(after_crash(journal.into_disk(), |_| 0).unwrap(), (expected, None));
}

#[test]
fn a_rebase_onto_nothing_and_one_of_several_frames_come_back() {
    let mut journal = committed(5);
    journal.rebase(&Records::new()).unwrap();
    assert_eq!(after_crash(journal.disk.clone(), |_| 0).unwrap(), (Records::new(), None));
    let large: Records = (1..8).map(|byte| vec![byte; BASE_FRAME / 3]).chain([vec![9; BASE_FRAME + 1]]).collect();
    assert_eq!(base_groups(&large).iter().map(|group| group.len()).collect::<Vec<_>>(), [2, 2, 2, 1, 1]);
    journal.rebase(&large).unwrap();
    journal.commit(&group(1)).unwrap();
    let expected = [large, group(1)].concat();
    assert!(after_crash(journal.into_disk(), |_| 0).unwrap() == (expected, None));
}

#[test]
fn r15_a_crash_at_any_operation_of_a_rebase_leaves_the_old_records_or_the_new_base() {
    let (old, new) = (groups(1..9), groups(4..7));
    let operations = fail_each(
        &committed(8),
        |journal| journal.rebase(&groups(4..7)),
        |outcome, disk| {
            assert!(outcome.is_err());
            for kept in [0, 1, 100, 200, 400, usize::MAX] {
                let mut crashed = disk.clone();
                crashed.crash(prefix(kept));
                let (mut journal, records, torn) = open(crashed).unwrap();
                assert!(records == old || records == new, "{records:?}");
                assert_eq!(torn, None);
                let files = journal.disk_mut().list().unwrap();
                assert_eq!(files, (journal.oldest..=journal.segment.number).map(segment::name).collect::<Vec<_>>());
                journal.rebase(&new).unwrap();
                journal.commit(&group(9)).unwrap();
                assert_eq!(after_crash(journal.into_disk(), |_| 0).unwrap().0, [new.clone(), group(9)].concat());
            }
        },
    );
    assert!(operations >= 8, "create, base, header, sync, rename, sync, and a removal for each old segment");
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
fn r15_a_missing_segment_is_refused_by_name() {
    let journal = committed(12);
    let newest = journal.segment.number;
    for missing in 1..newest {
        let mut disk = journal.disk.clone();
        disk.remove(&segment::name(missing)).unwrap();
        let error = open(disk).map(|_| ()).unwrap_err();
        assert!(matches!(&error, OpenError::MissingSegment { file } if *file == segment::name(missing)), "{error}");
    }
}

#[test]
fn r15_a_segment_cut_or_grown_is_refused_with_file_and_offset() {
    let journal = committed(12);
    for number in 1..=journal.segment.number {
        for length in [0, 100, 500, SEGMENT as usize - 1, SEGMENT as usize + 1] {
            let mut disk = journal.disk.clone();
            disk.damage(&segment::name(number), |bytes| bytes.resize(length, 0));
            let Err(OpenError::Damaged { file, offset, damage }) = open(disk).map(|_| ()) else { panic!("accepted") };
            let expected =
                if length < segment::HEADER { Damage::Header } else { Damage::Size { found: length as u64, expected: SEGMENT } };
            let at = if length < segment::HEADER { 0 } else { SEGMENT.min(length as u64) };
            assert_eq!((file, offset, damage), (segment::name(number), at, expected));
        }
    }
}

#[test]
fn r15_a_segment_of_another_run_of_the_same_replica_breaks_the_chain() {
    let mut disk = committed(12).into_disk();
    let mut other = create(MemoryDisk::default());
    (1..13).for_each(|commit| other.commit(&group(commit + 100)).unwrap());
    let foreign = other.disk.read_at(&segment::name(2), 0, u64::MAX).unwrap();
    disk.damage(&segment::name(2), |bytes| *bytes = foreign);
    let error = open(disk).map(|_| ()).unwrap_err();
    assert!(matches!(&error, OpenError::BrokenChain { file, offset: 0 } if *file == segment::name(2)), "{error}");
}

#[test]
fn r15_a_frame_moved_or_repeated_breaks_the_chain() {
    let mut disk = create(MemoryDisk::default());
    (1..3).for_each(|commit| disk.commit(&group(commit)).unwrap());
    let length = frame::length(&group(1));
    let mut disk = disk.into_disk();
    disk.damage("journal-00000001.log", |bytes| {
        bytes.copy_within(segment::HEADER..segment::HEADER + length, segment::HEADER + length)
    });
    let Err(OpenError::BrokenChain { offset, .. }) = open(disk).map(|_| ()) else { panic!("accepted") };
    assert_eq!(offset as usize, segment::HEADER + length);
}

/// A base was synced before it got its name: even its last frame is never a torn tail.
#[test]
fn r15_damage_to_the_last_frame_of_a_base_is_refused() {
    let mut journal = committed(4);
    journal.rebase(&group(4)).unwrap();
    let (file, end) = (journal.file.clone(), journal.end);
    for at in segment::HEADER as u64..end {
        let mut disk = journal.disk.clone();
        disk.damage(&file, |bytes| bytes[at as usize] ^= 1);
        let Err(OpenError::Damaged { offset, damage: Damage::Frame, .. }) = open(disk).map(|_| ()) else { panic!("accepted") };
        assert_eq!(offset, segment::HEADER as u64);
    }
}

/// A client may put any bytes into a request. A frame copied from a journal with another secret does not pass for one of ours.
#[test]
fn r15_a_torn_frame_that_carries_a_forged_frame_is_still_a_torn_tail() {
    let torn_around = |marker: &frame::Marker| {
        let (forged, _) = frame::encode(marker, &Chain { counter: 9, digest: Digest::ZERO }, &group(1)).unwrap();
        let mut journal = committed(1);
        fail_after(&mut journal, 6);
        assert!(journal.commit(&[vec![5; 300], forged]).is_err());
        after_crash(journal.into_disk(), |unsynced| match unsynced {
            Unsynced::Write { offset, .. } if offset < 512 => 0,
            _ => usize::MAX,
        })
    };
    let (records, torn) = torn_around(&[7; 16]).unwrap();
    assert_eq!(records, group(1));
    assert_eq!(torn.unwrap().offset, segment::HEADER as u64);
    let own = committed(1).segment.marker;
    assert!(matches!(torn_around(&own), Err(OpenError::Damaged { damage: Damage::Frame, .. })));
}

/// Where the frames of a segment begin, and where the last one ends.
fn frame_ends(bytes: &[u8], marker: &frame::Marker) -> Vec<usize> {
    let mut ends = vec![segment::HEADER];
    while let Some(frame) = frame::Frame::decode(&bytes[ends[ends.len() - 1]..], marker) {
        ends.push(ends[ends.len() - 1] + frame.length());
    }
    ends
}

proptest! {
    #[test]
    fn r15_a_flipped_byte_before_the_last_frame_is_refused_with_file_and_offset(at in 0usize..10_000, flip in 1u8..=255) {
        let mut journal = committed(12);
        let newest = journal.segment.number;
        let marker = journal.segment.marker;
        let mut places = Vec::new();
        for number in 1..=newest {
            let bytes = journal.disk_mut().read_at(&segment::name(number), 0, u64::MAX).unwrap();
            let ends = frame_ends(&bytes, &marker);
            // All but the newest segment are complete to their end; in the newest the last frame could be a torn one.
            let acknowledged = if number < newest { bytes.len() } else { ends[ends.len() - 2] };
            places.extend((0..acknowledged).map(|at| (number, at, ends.clone())));
        }
        let (number, at, ends) = places[at % places.len()].clone();
        let mut disk = journal.into_disk();
        disk.damage(&segment::name(number), |bytes| bytes[at] ^= flip);
        let unchanged = disk.clone();
        let Err(OpenError::Damaged { file, offset, damage }) = open(&mut disk).map(|_| ()) else { panic!("accepted") };
        let begin = ends.iter().copied().filter(|end| *end <= at).max().unwrap_or(0);
        let expected = if at < segment::HEADER { Damage::Header } else { Damage::Frame };
        prop_assert_eq!((file, offset as usize, damage), (segment::name(number), begin, expected));
        prop_assert_eq!(disk, unchanged);
    }

    /// A run of damaged frames up to the very end cannot be told from a torn tail: all before it survives. All else is refused.
    #[test]
    fn r15_an_overwritten_part_is_refused_unless_it_reaches_the_end_of_the_journal(
        segment in 0u64..10, at in 0usize..SEGMENT as usize, junk in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        let mut journal = committed(12);
        let newest = journal.segment.number;
        let (number, marker) = (1 + segment % newest, journal.segment.marker);
        let file = segment::name(number);
        let intact = journal.disk_mut().read_at(&file, 0, u64::MAX).unwrap();
        let ends = frame_ends(&intact, &marker);
        let mut disk = journal.into_disk();
        let end = intact.len().min(at + junk.len());
        disk.damage(&file, |bytes| bytes[at..end].copy_from_slice(&junk[..end - at]));
        let damaged = disk.read_at(&file, 0, u64::MAX).unwrap();
        let changed = |from: usize, to: usize| intact[from..to] != damaged[from..to];
        let hit: Vec<bool> = ends.windows(2).map(|frame| changed(frame[0], frame[1])).collect();
        let whole = hit.iter().take_while(|hit| !**hit).count();
        let reaches_end = number == newest && hit[whole..].iter().all(|hit| *hit) && !changed(0, segment::HEADER);
        match open(&mut disk) {
            Ok((_, records, torn)) => {
                prop_assert!(reaches_end || intact == damaged);
                let expected = 13 - (hit.len() - whole) as u8;
                prop_assert_eq!(records, if number == newest { groups(1..expected) } else { groups(1..13) });
                prop_assert_eq!(torn.is_some(), intact != damaged);
            }
            Err(OpenError::Damaged { file: named, offset, .. }) => {
                prop_assert!(!reaches_end);
                let begin = if changed(0, segment::HEADER) { 0 } else { ends[whole] };
                prop_assert_eq!((named, offset as usize), (file, begin));
            }
            Err(other) => prop_assert!(false, "{}", other),
        }
    }

    #[test]
    fn recovery_of_arbitrary_bytes_ends_in_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let mut disk = MemoryDisk::default();
        disk.create(&segment::name(1), 0).unwrap();
        disk.write_at(&segment::name(1), 0, &bytes).unwrap();
        let refused = matches!(open(disk), Err(OpenError::Damaged { damage: Damage::Header, .. }));
        prop_assert!(refused);
    }

    #[test]
    fn recovery_of_arbitrary_bytes_behind_a_valid_header_never_panics(bytes in proptest::collection::vec(any::<u8>(), 1..SEGMENT as usize - 200), marked: bool) {
        let journal = create(MemoryDisk::default());
        let marker = journal.segment.marker;
        let mut disk = journal.into_disk();
        disk.damage(&segment::name(1), |content| {
            content[segment::HEADER..segment::HEADER + bytes.len()].copy_from_slice(&bytes);
            if marked {
                content[segment::HEADER..segment::HEADER + 16].copy_from_slice(&marker);
            }
        });
        let (_, records, _) = open(disk).unwrap();
        prop_assert!(records.is_empty());
    }
}
