//! A fetched state is installed as a whole or not at all, whenever the process dies (R14): recovery finds the state
//! before it or the new one, and always comes to the new one.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used, clippy::panic)]

mod disk;
mod node;
mod serving;
mod source;

use disk::SharedDisk;
use node::{Died, Node};
use pbft_message::codec;
use pbft_protocol::agreement::Record;
use pbft_replica::{BackupError, RestoredInto, restore_snapshot, save_snapshot};
use pbft_storage::{Disk, Journal, SnapshotReader, Snapshots};
use source::{BEFORE, Source, TARGET, newcomer};

/// What of the unsynced survives.
#[derive(Clone, Copy, Debug)]
enum Crash {
    Nothing,
    All,
    /// Every second name and sector.
    Parts,
}

impl Crash {
    const ALL: [Self; 3] = [Self::Nothing, Self::All, Self::Parts];

    fn strike(self, disk: &SharedDisk) {
        let mut number = 0;
        disk.crash(|_| {
            number += 1;
            match self {
                Self::Nothing => false,
                Self::All => true,
                Self::Parts => number % 2 == 1,
            }
        });
    }
}

/// A disk on which a replica has executed a little, and then was away.
fn away(source: &Source) -> SharedDisk {
    let disk = source::new_disk();
    let mut node = Node::start(source, &disk);
    node.execute_before(source).unwrap();
    assert_eq!(node.executed(), BEFORE);
    disk
}

#[test]
fn r14_a_crash_at_any_operation_leaves_the_old_state_or_the_new_one_and_the_new_one_is_reached() {
    let source = &mut Source::new();
    let before = away(source);
    let whole = before.copy();
    let begun = whole.operations();
    Node::start(source, &whole).catch_up(source).unwrap();
    let operations = whole.operations() - begun;
    assert!(operations > 20, "journal, chunks, snapshot and the new journal: {operations}");
    let (mut old, mut new) = (0, 0);
    for crash in Crash::ALL {
        for operation in 0..operations {
            let disk = before.copy();
            disk.fail_after(operation);
            assert_eq!(Node::try_start(source, &disk).and_then(|mut node| node.catch_up(source)), Err(Died), "{operation}");
            crash.strike(&disk);
            let mut again = Node::start(source, &disk);
            match again.executed() {
                BEFORE => old += 1,
                TARGET => new += 1,
                other => panic!("{crash:?} at {operation}: neither state, but {other}"),
            }
            assert_eq!(again.state_digest(), source.digest_at(again.executed()), "{crash:?} at {operation}");
            again.catch_up(source).unwrap();
            assert_eq!((again.executed(), again.state_digest()), (TARGET, source.digest_at(TARGET)));
            assert_eq!(disk.transfers(), Vec::<String>::new(), "{crash:?} at {operation}: what was fetched is removed");
        }
    }
    assert!(old > 20 && new > 5, "{old} {new}");
}

#[test]
fn r14_a_replica_that_dies_before_its_snapshot_is_saved_fetches_no_chunk_again() {
    let source = &mut Source::new();
    let disk = away(source);
    let mut node = Node::start(source, &disk);
    node.dies_before_saving = true;
    assert_eq!(node.catch_up(source), Err(Died));
    assert!(node.chunks_fetched > 0);
    Crash::All.strike(&disk);
    let mut again = Node::start(source, &disk);
    assert_eq!((again.executed(), disk.transfers().len()), (BEFORE, 1));
    again.catch_up(source).unwrap();
    assert_eq!((again.executed(), again.chunks_fetched), (TARGET, 0));
}

#[test]
fn r14_what_was_fetched_before_a_break_is_not_fetched_again() {
    let source = &mut Source::new();
    let disk = away(source);
    let mut node = Node::start(source, &disk);
    node.dies_after_chunks = Some(7);
    assert_eq!(node.catch_up(source), Err(Died));
    let before = node.chunks_fetched;
    Crash::All.strike(&disk);
    let mut again = Node::start(source, &disk);
    again.catch_up(source).unwrap();
    let whole = Node::start(source, &away(source)).chunks_to_fetch(source);
    assert_eq!(before + again.chunks_fetched, whole);
    assert!(before >= 3 && again.chunks_fetched > 0, "{before} of {whole}");
}

#[test]
fn r14_a_transfer_waits_on_a_full_disk_and_goes_on_where_it_was_once_there_is_room() {
    let source = &mut Source::new();
    let whole = Node::start(source, &away(source)).chunks_to_fetch(source);
    let mut rooms = 0;
    for room in [0, 1, 300, 1000, 2000] {
        let disk = away(source);
        let mut node = Node::start(source, &disk);
        disk.leave_room(Some(room));
        node.full_disk = Some(disk.clone());
        node.catch_up(source).unwrap();
        assert_eq!((node.executed(), node.state_digest()), (TARGET, source.digest_at(TARGET)), "{room}");
        rooms += u32::from(node.waits >= 5);
        // What came while there was no room is fetched again, what was kept is not.
        assert!(node.chunks_fetched >= whole, "{room}");
        assert_eq!(disk.transfers(), Vec::<String>::new());
    }
    assert!(rooms >= 3, "the disk was full in {rooms} of the cases");
}

#[test]
fn r08_a_fetched_state_brings_its_clients_to_agreement_and_connections_also_after_a_restart() {
    let source = &mut Source::new();
    let disk = away(source);
    let mut node = Node::start(source, &disk);
    assert!(!node.clients().contains(&newcomer()));
    node.catch_up(source).unwrap();
    for node in [node, Node::start(source, &disk)] {
        assert!(node.clients().contains(&newcomer()));
        assert_eq!(node.authorised, source.executor.authorised());
        assert!(node.authorised.contains_key(&newcomer()));
    }
}

#[test]
fn r14_a_backup_goes_into_a_home_that_knows_the_certificate_and_lacks_the_state() {
    let source = &mut Source::new();
    let (state, certificate) = source.executor.frozen(TARGET).unwrap();
    let (mut backup, disk) = (SharedDisk::default(), source::new_disk());
    let mut snapshots = Snapshots::open(backup.clone(), &source::identity()).unwrap();
    save_snapshot(&mut snapshots, &state, &certificate).unwrap();
    let file = backup.list().unwrap().remove(0);
    let (mut journal, _) = Journal::open(disk.clone(), &source::identity(), |_, _| {}).unwrap();
    journal.commit(&[codec::encode(&Record::Stable((*source.stable).clone()))]).unwrap();

    let restore = || {
        let snapshot = SnapshotReader::open(backup.clone(), &file).unwrap();
        restore_snapshot((disk.clone(), disk.clone()), &source::identity(), snapshot, &source.stable)
    };
    assert_eq!(restore().unwrap(), RestoredInto::Journal);
    assert_eq!(Node::start(source, &disk).executed(), TARGET);
    assert!(matches!(restore(), Err(BackupError::NotNewer { here: TARGET, offered: TARGET })));
}
