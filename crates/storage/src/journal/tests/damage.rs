//! Damage to what was acknowledged: refused with file and offset (R15, R16).

use super::*;
use proptest::prelude::*;

#[test]
fn r15_frames_wiped_at_the_end_of_a_segment_that_another_continues_are_refused() {
    let mut disk = committed(12).into_disk();
    let length = frame::length(&group(1));
    disk.damage(&segment::name(2), |bytes| bytes[segment::HEADER + length..].fill(0));
    let Err(OpenError::Damaged { file, offset, damage }) = open(disk).map(|_| ()) else { panic!("accepted") };
    assert_eq!((file, offset as usize, damage), (segment::name(2), segment::HEADER + length, Damage::Frame));
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
        for length in [0, 100, 600, SEGMENT as usize - 1, SEGMENT as usize + 1] {
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

#[test]
fn another_format_version_is_refused_by_number() {
    for version in [0u32, 1, 3, u32::MAX] {
        let mut disk = committed(1).into_disk();
        disk.damage("journal-00000001.log", |bytes| {
            let mut header = bytes[..164].to_vec();
            header[8..12].copy_from_slice(&version.to_le_bytes());
            crate::fields::seal(&mut header);
            bytes[..168].copy_from_slice(&header);
        });
        match open(disk).map(|_| ()) {
            Err(OpenError::Format { found, supported, .. }) => assert_eq!((found, supported), (version, 2)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn r16_a_journal_of_another_replica_or_cluster_is_refused() {
    let disk = committed(3).into_disk();
    let other_cluster = Identity { cluster: Digest::from_bytes([8; 32]), ..identity(2) };
    for other in [identity(3), other_cluster] {
        match Journal::open(disk.clone(), &other, |_, _| {}) {
            Err(OpenError::Foreign { file, found }) => assert_eq!((file.as_str(), found), ("journal-00000001.log", identity(2))),
            other => panic!("{other:?}"),
        }
    }
}

/// xorshift64*: the same numbers from the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound
    }
}

const KINDS: [&str; 11] = [
    "truncated",
    "flipped",
    "zeroed",
    "junk",
    "frame over frame",
    "frames swapped",
    "segments swapped",
    "another run's",
    "another replica's",
    "empty",
    "longer",
];

fn other_journal(owner: u8, secret: u8) -> MemoryDisk {
    let mut journal = Journal::create(MemoryDisk::default(), &identity(owner), &[secret; 32], SEGMENT).unwrap();
    (101..120).for_each(|commit| journal.commit(&group(commit)).unwrap());
    journal.into_disk()
}

/// Damages one file, or two, at places that the dice choose.
fn damage(disk: &mut MemoryDisk, kind: &str, dice: &mut Dice) {
    let mut files = disk.list().unwrap();
    files.retain(|file| segment::number(file).is_some());
    let file = &files[dice.below(files.len())];
    let other = files[dice.below(files.len())].clone();
    let content = disk.read_at(&other, 0, u64::MAX).unwrap();
    let own = disk.read_at(file, 0, u64::MAX).unwrap();
    let (sector, from) = (dice.below(9) * SECTOR, dice.below(9) * SECTOR);
    disk.damage(file, |bytes| match kind {
        "truncated" => bytes.truncate(dice.below(bytes.len())),
        "flipped" => bytes[dice.below(9 * SECTOR)] ^= 1 << dice.below(8),
        "zeroed" => bytes[sector..sector + SECTOR].fill(0),
        "junk" => bytes[sector..sector + SECTOR].iter_mut().for_each(|byte| *byte = dice.below(256) as u8),
        "frame over frame" => bytes[sector..sector + SECTOR].copy_from_slice(&content[from..from + SECTOR]),
        "frames swapped" => (0..SECTOR).for_each(|at| bytes.swap(sector + at, from + at)),
        "segments swapped" => bytes.clone_from(&content),
        "another run's" if files.len() > 1 => *bytes = other_journal(2, 1).read_at(file, 0, u64::MAX).unwrap_or_default(),
        "another replica's" => *bytes = other_journal(3, 1).read_at(file, 0, u64::MAX).unwrap_or_default(),
        "empty" => bytes.clear(),
        _ => bytes.extend(vec![dice.below(256) as u8; 1 + dice.below(2000)]),
    });
    if kind == "segments swapped" {
        disk.damage(&other, |bytes| *bytes = own);
    }
}

/// Never a panic, never a lost promise, and never silence: either all that was acknowledged is there, or an error says where the
/// damage is. Without a seal the last frame may be taken for a torn one where a whole sector of it is zeros.
#[test]
fn r15_random_damage_is_refused_with_its_place_or_costs_nothing() {
    let mut outcomes = BTreeMap::new();
    for seed in 1..3000u64 {
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mut journal = committed(dice.below(3) as u8 * 7);
        let rebased = dice.below(2) == 0;
        if rebased {
            journal.rebase(&groups(40..42)).unwrap();
        }
        let count = dice.below(10) as u8;
        (50..50 + count).for_each(|commit| journal.commit(&group(commit)).unwrap());
        let sealed = dice.below(3) > 0;
        if sealed {
            journal.seal().unwrap();
        }
        let (last, unsealed) = (journal.file.clone(), !journal.sealed);
        let intact = journal.into_disk();
        let mut expected = Records::new();
        Journal::open(intact.clone(), &identity(2), |_, record| expected.push(record.to_vec())).unwrap();
        let mut disk = intact.clone();
        let kind = KINDS[dice.below(KINDS.len())];
        damage(&mut disk, kind, &mut dice);
        let changed: Vec<String> = disk
            .list()
            .unwrap()
            .into_iter()
            .filter(|file| read(&mut disk.clone(), file) != read(&mut intact.clone(), file))
            .collect();
        let before = disk.clone();
        let outcome = match open(&mut disk) {
            Ok((_, records, torn)) => {
                let zeroed =
                    changed.iter().all(|file| is_zeroed(&read(&mut before.clone(), file), &read(&mut intact.clone(), file)));
                let lost_last = unsealed && zeroed && records == expected[..expected.len().saturating_sub(2)];
                assert!(records == expected || lost_last, "seed {seed}: {kind} loses a promise");
                assert!(zeroed || torn.is_some_and(|torn| torn.file == last), "seed {seed}: {kind} is not told");
                "costs nothing"
            }
            Err(error) => {
                let text = error.to_string();
                assert!(
                    changed.iter().any(|file| text.starts_with(file)) || kind == "another run's",
                    "seed {seed}: {kind} of {changed:?}: {text}"
                );
                assert!(
                    text.contains("offset") || matches!(error, OpenError::Foreign { .. } | OpenError::MissingSegment { .. }),
                    "seed {seed}: {text}"
                );
                assert_eq!(disk, before, "seed {seed}: a refused journal is left alone");
                "refused"
            }
        };
        *outcomes.entry((kind, outcome)).or_insert(0) += 1;
    }
    for kind in KINDS {
        assert!(outcomes.get(&(kind, "refused")).is_some_and(|count| *count > 40), "{outcomes:?}");
    }
    assert!(outcomes.get(&("junk", "costs nothing")).is_some_and(|count| *count > 5), "beyond the end: {outcomes:?}");
}

fn read(disk: &mut MemoryDisk, file: &str) -> Vec<u8> {
    disk.read_at(file, 0, u64::MAX).unwrap()
}

/// Whether nothing but zeros was written over what is intact.
fn is_zeroed(damaged: &[u8], intact: &[u8]) -> bool {
    damaged.len() == intact.len() && damaged.iter().zip(intact).all(|(one, other)| *one == 0 || one == other)
}

proptest! {
    #[test]
    fn recovery_of_arbitrary_bytes_ends_in_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let mut disk = MemoryDisk::default();
        disk.create(&segment::name(1)).unwrap();
        disk.write_at(&segment::name(1), 0, &bytes).unwrap();
        let refused = matches!(open(disk), Err(OpenError::Damaged { damage: Damage::Header, .. }));
        prop_assert!(refused);
    }
}
