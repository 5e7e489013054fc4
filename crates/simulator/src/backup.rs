//! Backup and restore, with the disks that a run leaves.

use crate::disk::SharedDisk;
use crate::options::Options;
use crate::plan::Plan;
use crate::run::begin;
use crate::world::World;
use pbft_message::{Checkpoint, SequenceNumber, codec};
use pbft_protocol::agreement::{Alarm, Record, verify_records};
use pbft_replica::{BackupError, Recovered, RestoredInto, newest_stable_state, recover, restore_snapshot, verify_snapshot};
use pbft_services::kv::KeyValueStore;
use pbft_storage::{Disk, Identity, Journal, MemoryDisk, SnapshotError, SnapshotReader, Snapshots, write_snapshot};
use std::collections::BTreeSet;
use std::time::Duration;

const FILE: &str = "backup";

/// Two handles on one disk.
fn handles(disk: MemoryDisk) -> (SharedDisk, SharedDisk) {
    let shared = SharedDisk::of(disk);
    (shared.clone(), shared)
}

/// A run without faults; the disk of replica 3 as it was early on.
fn lived() -> (World, MemoryDisk) {
    let options = Options { lies: vec![], faults: BTreeSet::new(), replicas: Some(4), requests: 200 };
    let plan = Plan::draw(1, &options);
    let mut world = World::new(1, plan, &[0, 1, 2, 3], |_| false, false);
    begin(&mut world);
    while world.processes[3].running.as_ref().is_none_or(|running| running.replica.executed().0 == 0) {
        world.run_until(world.now + Duration::from_millis(1));
    }
    let early = world.processes[3].disk.copy();
    world.heal();
    world.prove_liveness();
    assert_eq!(world.checker.violation(), None);
    (world, early)
}

/// A backup of one replica's data, as a file.
fn backup(world: &World, of: usize) -> (MemoryDisk, SequenceNumber) {
    let process = &world.processes[of];
    let service = KeyValueStore::new(&world.authenticator.genesis().service);
    let (state, certificate) = newest_stable_state(handles(process.disk.copy()), service, &world.authenticator).unwrap();
    let mut disk = MemoryDisk::default();
    let whose = (&process.identity, certificate.sequence.0);
    write_snapshot(&mut disk, FILE, whose, &state.header(&certificate), state.chunks().map(Ok)).unwrap();
    (disk, certificate.sequence)
}

fn open(file: &MemoryDisk) -> Result<SnapshotReader<MemoryDisk>, SnapshotError> {
    SnapshotReader::open(file.clone(), FILE)
}

fn restore(world: &World, file: &MemoryDisk, disk: &SharedDisk, identity: &Identity) -> Result<RestoredInto, BackupError> {
    let (certificate, _) = verify_snapshot(open(file).unwrap(), &world.authenticator).unwrap();
    restore_snapshot((disk.clone(), disk.clone()), identity, open(file).unwrap(), &certificate)
}

fn recovered(world: &World, id: usize, disk: MemoryDisk) -> Recovered<SharedDisk, KeyValueStore> {
    let process = &world.processes[id];
    let service = KeyValueStore::new(&world.authenticator.genesis().service);
    let now = process.now(Duration::ZERO);
    let (journal, snapshots) = handles(disk);
    recover(
        (journal, snapshots.clone(), snapshots),
        &process.identity,
        service,
        process.config.clone(),
        process.signer.clone(),
        now,
        |records| verify_records(&world.authenticator, records),
    )
    .unwrap()
}

fn records(disk: MemoryDisk) -> Vec<Record> {
    let mut records = Vec::new();
    Journal::read(disk, |_, bytes| records.push(codec::decode(bytes).unwrap())).unwrap();
    records
}

#[test]
fn r14_a_backup_of_any_replica_is_its_newest_stable_state_and_verifies_with_the_genesis_alone() {
    let (world, _) = lived();
    for id in 0..4 {
        let (file, sequence) = backup(&world, id);
        let running = world.processes[id].running.as_ref().unwrap();
        assert_eq!(sequence, running.replica.low_watermark());
        let (certificate, state) = verify_snapshot(open(&file).unwrap(), &world.authenticator).unwrap();
        assert_eq!((certificate.sequence, state.digest()), (sequence, certificate.digest));
        assert_eq!(Some(certificate), running.replica.stable_certificate().cloned());
    }
}

#[test]
fn a_backup_with_any_byte_changed_cut_or_added_is_refused() {
    let (world, _) = lived();
    let (file, _) = backup(&world, 0);
    let length = file.clone().size(FILE).unwrap() as usize;
    let refused = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut damaged = file.clone();
        damaged.damage(FILE, |bytes| change(bytes));
        match open(&damaged).map_err(BackupError::from).and_then(|reader| verify_snapshot(reader, &world.authenticator)) {
            Ok(_) => panic!("accepted"),
            Err(error) => error.to_string(),
        }
    };
    for at in (0..length).step_by(97).chain([length - 1]) {
        let text = refused(&|bytes: &mut Vec<u8>| bytes[at] ^= 1);
        assert!(text.contains("offset") || text.contains("format"), "byte {at}: {text}");
        let text = refused(&|bytes: &mut Vec<u8>| bytes.truncate(at));
        assert!(text.contains("offset"), "cut at {at}: {text}");
    }
    assert!(refused(&|bytes: &mut Vec<u8>| bytes.push(0)).contains("offset"));
}

#[test]
fn r14_a_restored_replica_goes_on_from_the_backup_and_a_crash_leaves_the_old_or_the_new_one() {
    let (world, early) = lived();
    let (file, sequence) = backup(&world, 0);
    let identity = world.processes[3].identity;
    let mut fresh = MemoryDisk::default();
    Journal::create(&mut fresh, &identity, &[3; 32], world.plan.segment_bytes).unwrap();
    for before in [fresh, early] {
        let promises = records(before.clone());
        let old = recovered(&world, 3, before.clone());
        assert!(old.replica.low_watermark() < sequence);
        let whole = SharedDisk::of(before.clone());
        assert_eq!(restore(&world, &file, &whole, &identity).unwrap(), RestoredInto::Journal);
        let new = recovered(&world, 3, whole.copy());
        assert_eq!((new.executor.executed(), new.replica.low_watermark()), (sequence, sequence));
        let again = restore(&world, &file, &whole, &identity);
        assert!(matches!(again, Err(BackupError::NotNewer { here, offered }) if here == offered));

        // All operations but most of those that write the chunks, of which there are many.
        let operations = whole.copy().operations() - before.operations();
        for fails_after in (0..8).chain([operations / 2]).chain(operations.saturating_sub(12)..operations) {
            let disk = SharedDisk::of(before.clone());
            disk.fail_after(fails_after);
            let failed = restore(&world, &file, &disk, &identity).is_err();
            disk.crash(|_| false);
            assert!(records(disk.copy()).starts_with(&promises), "no promise is forgotten");
            let new = recovered(&world, 3, disk.copy());
            assert!(new.replica.view() >= old.replica.view());
            let executed = new.executor.executed();
            assert!(executed == sequence || (failed && executed == old.executor.executed()));
        }
    }
}

#[test]
fn r16_without_a_journal_the_snapshot_is_put_there_and_nothing_that_could_vote() {
    let (world, _) = lived();
    let (file, sequence) = backup(&world, 0);
    let identity = world.processes[3].identity;
    let disk = SharedDisk::default();
    assert_eq!(restore(&world, &file, &disk, &identity).unwrap(), RestoredInto::NoJournal);
    assert_eq!(Snapshots::open(disk.clone(), &identity).unwrap().list().unwrap(), [sequence.0]);
    assert!(Journal::read(disk, |_, _| {}).is_err());
}

#[test]
fn what_was_halted_or_diverged_or_is_foreign_is_left_as_it_is() {
    let (world, _) = lived();
    let (file, sequence) = backup(&world, 0);
    let process = &world.processes[3];
    let with = |record: Record| {
        let mut disk = MemoryDisk::default();
        let mut journal = Journal::create(&mut disk, &process.identity, &[3; 32], world.plan.segment_bytes).unwrap();
        journal.commit(&[codec::encode(&record)]).unwrap();
        drop(journal);
        let shared = SharedDisk::of(disk);
        let error = restore(&world, &file, &shared, &process.identity).unwrap_err();
        assert_eq!(records(shared.copy()), [record]);
        assert_eq!(Snapshots::open(shared, &process.identity).unwrap().list().unwrap(), [0; 0]);
        error
    };
    let halted = with(Record::Halted(Alarm::Diverged(SequenceNumber(1))));
    assert!(matches!(halted, BackupError::Halted(_)));
    let own = Checkpoint { sequence, digest: pbft_crypto::Digest::of("another", &[]), replica: process.id };
    let diverged = with(Record::Checkpoint(process.signer.sign(own).into_inner()));
    assert!(matches!(diverged, BackupError::Diverged(at) if at == sequence));

    let foreign = Identity { cluster: pbft_crypto::Digest::of("another", &[]), ..process.identity };
    let refused = restore(&world, &file, &SharedDisk::default(), &foreign).unwrap_err();
    assert!(matches!(refused, BackupError::Snapshot(SnapshotError::Foreign { .. })));
}
