//! Disks and versions.

use super::finding::Finding;
use super::look::{Look, replicas};
use pbft_message::{ReplicaId, ReplicaReport};
use std::collections::BTreeMap;

/// Bytes of room with which a large disk is not about to be full, however small a part of it they are.
const AMPLE_ROOM: u64 = 10 << 30;

pub fn find(look: &Look) -> Vec<Finding> {
    look.reports.values().filter_map(disk).chain(versions(look)).collect()
}

fn disk(report: &ReplicaReport) -> Option<Finding> {
    let id = report.replica;
    if report.disk_full {
        let message = format!("the disk of replica {id} is full: it cannot vote, or save snapshots, until there is room");
        return Some(Finding::critical(
            "DiskFull",
            Some(id.0),
            message,
            "Make room outside of data/; the replica goes on by itself",
        ));
    }
    let (free, size) = report.condition.disk?;
    if free >= (size / 10).min(AMPLE_ROOM) {
        return None;
    }
    let message = format!("the disk of replica {id} has {} MiB left of {} MiB", free >> 20, size >> 20);
    Some(Finding::warning("DiskFills", Some(id.0), message, "Make room before it is full: a replica without room does not vote"))
}

fn versions(look: &Look) -> Option<Finding> {
    let mut versions: BTreeMap<&str, Vec<ReplicaId>> = BTreeMap::new();
    look.reports.values().for_each(|report| versions.entry(&report.version).or_default().push(report.replica));
    if versions.len() < 2 {
        return None;
    }
    let named: Vec<String> =
        versions.iter().map(|(version, ids)| format!("{} run {}", replicas(ids.iter().copied()), version.escape_debug())).collect();
    Some(Finding::warning(
        "VersionsDiffer",
        None,
        named.join(", "),
        "Finish the upgrade: restart the older ones with the new version, one after the other",
    ))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{codes, look};
    use super::*;

    #[test]
    fn a_full_disk_one_that_fills_and_versions_are_found() {
        assert_eq!(find(&look()), []);
        let mut full = look();
        full.reports.get_mut(&ReplicaId(2)).unwrap().disk_full = true;
        assert_eq!(codes(&find(&full)), [("DiskFull", Some(2))]);
        let mut fills = look();
        fills.reports.get_mut(&ReplicaId(2)).unwrap().condition.disk = Some((99, 1_000));
        assert_eq!(codes(&find(&fills)), [("DiskFills", Some(2))]);
        let mut large = look();
        large.reports.get_mut(&ReplicaId(2)).unwrap().condition.disk = Some((AMPLE_ROOM, AMPLE_ROOM * 100));
        assert_eq!(find(&large), []);
        let mut upgrade = look();
        upgrade.reports.get_mut(&ReplicaId(0)).unwrap().version = "0.2.0".to_owned();
        let found = find(&upgrade);
        assert_eq!(codes(&found), [("VersionsDiffer", None)]);
        assert_eq!(found[0].message, "replicas 1, 2 and 3 run 0.1.0, replica 0 run 0.2.0");
    }
}
