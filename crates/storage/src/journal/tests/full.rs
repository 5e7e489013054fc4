//! A full disk loses nothing and is survived (R15).

use super::*;

fn is_full(result: Result<(), JournalError>) -> bool {
    match result {
        Ok(()) => false,
        Err(JournalError::Full(error)) => error.is_full(),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn r15_a_commit_that_finds_no_room_for_a_segment_changes_nothing_and_succeeds_once_there_is() {
    for room in 0..=SEGMENT {
        let mut journal = committed(1);
        let used = journal.disk.used();
        journal.disk.set_capacity(Some(used + room));
        let mut commit = 2;
        while !is_full(journal.commit(&group(commit))) {
            commit += 1;
        }
        let fits = if room == SEGMENT { 9 } else { 5 };
        assert_eq!(commit, fits, "until the segments are full");
        assert!(is_full(journal.commit(&group(commit))), "as long as there is no room");
        assert!(journal.disk.list().unwrap().iter().all(|file| segment::number(file).is_some()), "a part of a segment stays");
        assert_eq!(after_crash(journal.disk.clone(), |_| false).unwrap(), (groups(1..commit), None));
        journal.disk.set_capacity(None);
        journal.commit(&group(commit)).unwrap();
        assert_eq!(after_crash(journal.into_disk(), |_| false).unwrap(), (groups(1..commit + 1), None));
    }
}

#[test]
fn r15_a_rebase_that_finds_no_room_keeps_the_old_records_and_succeeds_once_there_is() {
    let mut journal = committed(7);
    let used = journal.disk.used();
    journal.disk.set_capacity(Some(used));
    let large: Records = (1..10).map(|byte| vec![byte; 3000]).collect();
    assert!(is_full(journal.rebase(&large)));
    journal.commit(&group(8)).unwrap();
    assert!(is_full(journal.rebase(&large)));
    assert_eq!(after_crash(journal.disk.clone(), |_| true).unwrap(), (groups(1..9), None));
    journal.disk.set_capacity(None);
    journal.rebase(&large).unwrap();
    assert_eq!(after_crash(journal.into_disk(), |_| false).unwrap(), (large, None));
}

/// A small file system of its own, if this process may mount one.
struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    fn mount(bytes: u64) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={bytes}");
        let mount = std::process::Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path()).output();
        mount.is_ok_and(|output| output.status.success()).then_some(Self(folder))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn r15_a_full_file_system_is_told_from_a_broken_one_and_survived() {
    let Some(folder) = Tmpfs::mount(1 << 20) else {
        eprintln!("SKIPPED: mounting a small file system needs privileges");
        return;
    };
    let path = folder.0.path();
    let identity = identity(2);
    let mut journal = Journal::create(FileDisk::open(path).unwrap(), &identity, &SECRET, 256 << 10).unwrap();
    let mut snapshots = crate::Snapshots::open(journal.disk.share(), &identity).unwrap();
    let filler = path.join("filler");
    // Room for two segments and the lock.
    std::fs::write(&filler, vec![1; 500 << 10]).unwrap();
    let group = vec![vec![7; 20_000]];
    let mut commits = 0;
    while !is_full(journal.commit(&group)) {
        commits += 1;
    }
    assert!((20..40).contains(&commits), "two segments: {commits}");
    let saved = snapshots.save(9, b"", [vec![1; 300_000]]);
    assert!(matches!(saved, Err(crate::SnapshotError::Full(_))), "{saved:?}");
    assert!(is_full(journal.commit(&group)));
    std::fs::remove_file(&filler).unwrap();
    journal.commit(&group).unwrap();
    snapshots.save(9, b"", [vec![1; 100_000]]).unwrap();
    drop((journal, snapshots));
    let mut records = 0;
    Journal::open(FileDisk::open(path).unwrap(), &identity, |_, _| records += 1).unwrap();
    assert_eq!(records, commits + 1);
    let mut snapshots = crate::Snapshots::open(FileDisk::open(path).unwrap(), &identity).unwrap();
    assert_eq!(snapshots.load_newest().unwrap().unwrap().sequence, 9);
}
