#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::{FileDisk, MemoryDisk, Unsynced};
use pbft_crypto::{Digest, PublicKey};
use proptest::prelude::*;

fn identity(owner: u8) -> Identity {
    Identity { cluster: Digest::from_bytes([1; 32]), owner: PublicKey::from_bytes([owner; 32]) }
}

fn snapshot(sequence: u64) -> Snapshot {
    let byte = sequence as u8;
    Snapshot { sequence, header: vec![byte; 10], chunks: vec![vec![byte; 700], vec![], vec![byte, 1, 2]] }
}

fn save<D: Disk>(snapshots: &mut Snapshots<D>, snapshot: &Snapshot) -> Result<(), SnapshotError> {
    snapshots.save(snapshot.sequence, &snapshot.header, snapshot.chunks.clone())
}

fn open<D: Disk>(disk: D) -> Snapshots<D> {
    Snapshots::open(disk, &identity(2)).unwrap()
}

fn saved(sequences: &[u64]) -> MemoryDisk {
    let mut disk = MemoryDisk::default();
    let mut snapshots = open(&mut disk);
    sequences.iter().for_each(|sequence| save(&mut snapshots, &snapshot(*sequence)).unwrap());
    disk
}

#[test]
fn snapshots_come_back_newest_first_and_old_ones_go() {
    let mut snapshots = open(saved(&[128, 9, 256]));
    assert_eq!(snapshots.list().unwrap(), [9, 128, 256]);
    assert_eq!(snapshots.load_newest().unwrap(), Some(snapshot(256)));
    assert_eq!(snapshots.load(9).unwrap(), snapshot(9));
    snapshots.keep_newest(1, 128).unwrap();
    assert_eq!(snapshots.list().unwrap(), [128, 256], "what claims to be newer costs nothing");
    save(&mut snapshots, &snapshot(9)).unwrap();
    snapshots.keep_newest(2, 256).unwrap();
    assert_eq!(snapshots.list().unwrap(), [128, 256]);
    assert!(matches!(snapshots.load(9), Err(SnapshotError::Disk(_))));
    assert_eq!(open(MemoryDisk::default()).load_newest().unwrap(), None);
}

#[test]
fn a_real_directory_serves_journal_and_snapshots_through_shared_handles() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FileDisk::open(folder.path()).unwrap();
    let mut snapshots = open(disk.share());
    let mut journal = crate::Journal::create(disk, &identity(2), &[3; 32], 1000).unwrap();
    save(&mut snapshots, &snapshot(5)).unwrap();
    journal.commit(&[b"record"]).unwrap();
    save(&mut snapshots, &Snapshot { chunks: vec![], ..snapshot(5) }).unwrap();
    drop((journal, snapshots));
    let disk = FileDisk::open(folder.path()).unwrap();
    assert_eq!(open(disk.share()).load_newest().unwrap(), Some(Snapshot { chunks: vec![], ..snapshot(5) }));
    let mut records = Vec::new();
    crate::Journal::open(disk, &identity(2), |_, record| records.push(record.to_vec())).unwrap();
    assert_eq!(records, [b"record"]);
}

#[test]
fn r15_a_crash_at_any_operation_of_a_save_leaves_all_or_nothing_of_it() {
    let before = saved(&[7]);
    let mut whole = before.clone();
    save(&mut Snapshots { disk: &mut whole, identity: identity(2) }, &snapshot(8)).unwrap();
    let mut durable = whole.clone();
    durable.crash(|_| false);
    assert_eq!(open(durable).load_newest().unwrap(), Some(snapshot(8)));
    for operation in before.operations()..whole.operations() {
        let mut disk = before.clone();
        disk.fail_at(operation);
        assert!(save(&mut Snapshots { disk: &mut disk, identity: identity(2) }, &snapshot(8)).is_err());
        for kept in [false, true] {
            let mut disk = disk.clone();
            disk.crash(|unsynced| kept || matches!(unsynced, Unsynced::Name { .. }));
            let newest = open(&mut disk).load_newest().unwrap().unwrap();
            assert!(newest == snapshot(7) || newest == snapshot(8));
            assert!(disk.list().unwrap().iter().all(|file| format::sequence(file).is_some()), "leftovers are removed");
            assert_eq!(open(&mut disk).load(7).unwrap(), snapshot(7));
        }
    }
}

/// kill -9 between the rename and its sync: what can be read must not vanish later, least of all once older ones are gone.
#[test]
fn r15_a_snapshot_found_at_a_restart_is_durable() {
    let mut disk = saved(&[7]);
    let mut whole = disk.clone();
    save(&mut Snapshots { disk: &mut whole, identity: identity(2) }, &snapshot(8)).unwrap();
    disk.fail_at(whole.operations() - 1);
    assert!(save(&mut Snapshots { disk: &mut disk, identity: identity(2) }, &snapshot(8)).is_err());
    let mut snapshots = open(&mut disk);
    assert_eq!(snapshots.load_newest().unwrap(), Some(snapshot(8)));
    snapshots.keep_newest(1, 8).unwrap();
    disk.crash(|unsynced| unsynced == Unsynced::Name { file: &format::name(7) });
    assert_eq!(disk.list().unwrap(), [format::name(8)]);
    assert_eq!(open(disk).load_newest().unwrap(), Some(snapshot(8)));
}

#[test]
fn r16_a_snapshot_of_another_replica_is_refused() {
    let mut snapshots = Snapshots::open(saved(&[7]), &identity(3)).unwrap();
    match snapshots.load_newest() {
        Err(SnapshotError::Foreign { file, found }) => assert_eq!((file, found), (format::name(7), identity(2))),
        other => panic!("{other:?}"),
    }
}

#[test]
fn another_format_version_is_refused_by_number() {
    let mut disk = saved(&[7]);
    disk.damage(&format::name(7), |bytes| {
        let mut header = bytes[..format::HEADER - 4].to_vec();
        header[8..12].copy_from_slice(&2u32.to_le_bytes());
        crate::fields::seal(&mut header);
        bytes[..format::HEADER].copy_from_slice(&header);
    });
    assert!(matches!(open(disk).load(7), Err(SnapshotError::Format { found: 2, supported: 1, .. })));
}

#[test]
fn a_snapshot_under_another_name_is_refused() {
    let mut disk = saved(&[7]);
    disk.rename(&format::name(7), &format::name(9)).unwrap();
    assert!(matches!(open(disk).load_newest(), Err(SnapshotError::Damaged { offset: 0, damage: Damage::Name, .. })));
}

#[test]
fn every_flipped_byte_and_every_cut_of_a_snapshot_is_found_where_it_is() {
    let whole = saved(&[7]);
    let content = whole.clone().read_at(&format::name(7), 0, u64::MAX).unwrap();
    let mut begins = vec![(0, Damage::Header)];
    let mut end = format::HEADER;
    for chunk in std::iter::once(&snapshot(7).header).chain(&snapshot(7).chunks) {
        begins.push((end, Damage::Chunk));
        end += format::CHUNK_HEADER + chunk.len();
    }
    begins.push((end, Damage::Digest));
    let expect = |disk: MemoryDisk, at: usize| {
        let Err(SnapshotError::Damaged { file, offset, damage }) = open(disk).load(7) else { panic!("accepted") };
        let expected = begins.iter().rev().find(|(begin, _)| *begin <= at).unwrap();
        assert_eq!((file, (offset as usize, damage)), (format::name(7), *expected));
    };
    for at in 0..content.len() {
        let mut flipped = whole.clone();
        flipped.damage(&format::name(7), |bytes| bytes[at] ^= 0x20);
        expect(flipped, at);
        let mut cut = whole.clone();
        cut.damage(&format::name(7), |bytes| bytes.truncate(at));
        expect(cut, at);
    }
    let mut grown = whole.clone();
    grown.damage(&format::name(7), |bytes| bytes.push(0));
    expect(grown, end);
}

#[test]
fn a_snapshot_that_does_not_fit_leaves_the_others_and_no_rest() {
    let mut disk = saved(&[7]);
    let used = disk.used();
    for room in 0..1100 {
        disk.set_capacity(Some(used + room));
        match save(&mut open(&mut disk), &snapshot(8)) {
            Err(SnapshotError::Full(error)) => assert!(error.is_full()),
            Ok(()) => return assert!(room > 700),
            Err(other) => panic!("{other}"),
        }
        assert_eq!((disk.list().unwrap(), disk.used()), (vec![format::name(7)], used));
    }
    panic!("it never fits");
}

#[test]
fn what_stands_above_a_number_is_removed_and_nothing_else() {
    let mut disk = saved(&[7, 8, 9]);
    open(&mut disk).remove_above(7).unwrap();
    assert_eq!(disk.list().unwrap(), [format::name(7)]);
}

#[test]
fn what_an_interrupted_writing_of_any_such_file_left_is_removed() {
    let mut disk = saved(&[7]);
    for file in ["snapshot-00000000000000000008.bin.tmp", "diverged-00000000000000000008.bin.tmp"] {
        disk.create(file).unwrap();
    }
    open(&mut disk);
    assert_eq!(disk.list().unwrap(), [format::name(7)]);
}

/// No panic and no silence: what is loaded is what was saved, or the error names the file.
#[test]
fn random_damage_to_snapshots_is_refused_by_file_or_costs_nothing() {
    let mut number = 1u64;
    let mut below = |bound: usize| {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (number >> 33) as usize % bound
    };
    let mut refused = 0;
    for round in 0..2000 {
        let mut disk = saved(&[7, 8]);
        let contents = [7, 8].map(|sequence| disk.read_at(&format::name(sequence), 0, u64::MAX).unwrap());
        let (place, from) = (below(800), below(800));
        disk.damage(&format::name(8), |bytes| match round % 5 {
            0 => bytes[place..(place + 512).min(800)].fill(0),
            1 => bytes[place..].rotate_left(1 + from % 7),
            2 => bytes[place..place + 9].copy_from_slice(&contents[1][from..from + 9]),
            3 => bytes[place..].copy_from_slice(&contents[0][place..]),
            _ => bytes.extend(vec![0; 1 + place]),
        });
        let unchanged = disk.read_at(&format::name(8), 0, u64::MAX).unwrap() == contents[1];
        match open(&mut disk).load(8) {
            Ok(loaded) => assert!(unchanged && loaded == snapshot(8), "round {round}"),
            Err(error) => {
                refused += 1;
                assert!(error.to_string().starts_with(&format!("{}, offset ", format::name(8))), "{error}");
            }
        }
        assert_eq!(open(disk).load(7).unwrap(), snapshot(7));
    }
    assert!(refused > 1000);
}

proptest! {
    #[test]
    fn any_snapshot_comes_back(sequence: u64, header: Vec<u8>, chunks: Vec<Vec<u8>>) {
        let snapshot = Snapshot { sequence, header, chunks };
        let mut snapshots = open(MemoryDisk::default());
        save(&mut snapshots, &snapshot).unwrap();
        prop_assert_eq!(snapshots.load_newest().unwrap(), Some(snapshot));
    }

    #[test]
    fn arbitrary_bytes_are_refused_without_a_panic(bytes: Vec<u8>, behind_header: bool) {
        let mut disk = saved(&[7]);
        let skipped = if behind_header { format::HEADER } else { 0 };
        disk.damage(&format::name(7), |content| { content.truncate(skipped); content.extend_from_slice(&bytes); });
        let refused = matches!(open(disk).load(7), Err(SnapshotError::Damaged { .. }));
        prop_assert!(refused);
    }
}

#[test]
fn a_snapshot_of_another_replica_is_taken_over_whole_or_not_at_all() {
    let theirs = saved(&[7]);
    let file = format::name(7);
    let mut disk = MemoryDisk::default();
    let mut own = Snapshots::open(&mut disk, &identity(3)).unwrap();
    own.adopt(SnapshotReader::open(theirs.clone(), &file).unwrap()).unwrap();
    assert_eq!(own.load(7).unwrap(), snapshot(7));

    let length = theirs.clone().size(&file).unwrap();
    for at in 0..length {
        let mut damaged = theirs.clone();
        damaged.damage(&file, |bytes| bytes[at as usize] ^= 1);
        let mut disk = MemoryDisk::default();
        let mut own = Snapshots::open(&mut disk, &identity(3)).unwrap();
        let adopted = SnapshotReader::open(damaged, &file).and_then(|reader| own.adopt(reader));
        assert!(matches!(adopted, Err(SnapshotError::Damaged { .. } | SnapshotError::Format { .. })), "byte {at}: {adopted:?}");
        assert_eq!(own.list().unwrap(), [0; 0], "byte {at}");
    }

    let other_cluster = Identity { cluster: Digest::from_bytes([9; 32]), ..identity(3) };
    let mut disk = MemoryDisk::default();
    let mut own = Snapshots::open(&mut disk, &other_cluster).unwrap();
    let refused = own.adopt(SnapshotReader::open(theirs, &file).unwrap());
    assert!(matches!(refused, Err(SnapshotError::Foreign { found, .. }) if found == identity(2)));
}
