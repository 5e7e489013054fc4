use pbft_message::StableCertificate;
use pbft_protocol::agreement::Record;
use pbft_protocol::execution::FrozenState;
use pbft_storage::{Disk, Snapshot, SnapshotError, Snapshots};
use std::collections::BTreeSet;

/// When a snapshot is due: when the journal has grown by as much as the last snapshot was large, and at least by the
/// configured bytes. So the disk is bounded, and each byte is written about twice.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotPolicy {
    /// The least bytes of journal between two snapshots.
    pub journal_bytes: u64,
}

impl SnapshotPolicy {
    /// Whether to save a stable state now; `last_size` in bytes, 0 for none.
    pub fn is_due(&self, journal_bytes: u64, last_size: u64) -> bool {
        journal_bytes >= self.journal_bytes.max(last_size)
    }
}

/// The newest snapshot that is whole; with the error of the newest of all, if that is damaged. No promise stands in a snapshot:
/// what execution does from the older one on is in the journal, or is fetched from the others as a certified state (R14).
pub fn choose_snapshot<D: Disk>(snapshots: &mut Snapshots<D>) -> Result<(Option<Snapshot>, Option<SnapshotError>), SnapshotError> {
    let mut damaged = None;
    for sequence in snapshots.list()?.into_iter().rev() {
        match snapshots.load(sequence) {
            Ok(snapshot) => return Ok((Some(snapshot), damaged)),
            Err(error @ SnapshotError::Damaged { .. }) => damaged = damaged.or(Some(error)),
            Err(error) => return Err(error),
        }
    }
    Ok((None, damaged))
}

/// Whether the journal executes all numbers after one up to another.
pub fn reaches(records: &[Record], after: u64, through: u64) -> bool {
    let committed: BTreeSet<u64> = records.iter().filter_map(committed_at).collect();
    (after.saturating_add(1)..=through).all(|sequence| committed.contains(&sequence))
}

const fn committed_at(record: &Record) -> Option<u64> {
    match record {
        Record::Committed(certificate) => Some(certificate.sequence.0),
        _ => None,
    }
}

/// Writes one snapshot and removes all but the two newest; where there is no room beside two, the older one first. Returns its size
/// in bytes, headers aside.
pub fn save_snapshot<D: Disk>(
    snapshots: &mut Snapshots<D>,
    state: &FrozenState,
    certificate: &StableCertificate,
) -> Result<u64, SnapshotError> {
    let sequence = certificate.sequence.0;
    let save = |snapshots: &mut Snapshots<D>| {
        let mut bytes: u64 = 0;
        let chunks = state.chunks().inspect(|chunk| bytes = bytes.saturating_add(chunk.len() as u64));
        snapshots.save(sequence, &state.header(certificate), chunks).map(|()| bytes)
    };
    let bytes = match save(snapshots) {
        Err(SnapshotError::Full(_)) if snapshots.list()?.iter().filter(|older| **older < sequence).count() > 1 => {
            snapshots.keep_newest(1, sequence.saturating_sub(1))?;
            save(snapshots)?
        }
        saved => saved?,
    };
    snapshots.keep_newest(2, sequence)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pbft_crypto::{Digest, PublicKey};
    use pbft_message::{CheckpointState, CommitCertificate, SequenceNumber, View};
    use pbft_storage::{Identity, MemoryDisk};
    use std::sync::Arc;

    fn saved(sequences: &[u64]) -> MemoryDisk {
        let identity = identity();
        let mut disk = MemoryDisk::default();
        let mut snapshots = Snapshots::open(&mut disk, &identity).unwrap();
        sequences.iter().for_each(|sequence| snapshots.save(*sequence, b"", [vec![1; 9]]).unwrap());
        disk
    }

    fn identity() -> Identity {
        Identity { cluster: Digest::from_bytes([1; 32]), owner: PublicKey::from_bytes([2; 32]) }
    }

    fn rot(disk: &mut MemoryDisk, sequence: u64) {
        disk.damage(&file(sequence), |bytes| bytes[50] ^= 1);
    }

    fn file(sequence: u64) -> String {
        format!("snapshot-{sequence:020}.bin")
    }

    /// The sequence number to go on from, and the file that is told as damaged.
    fn chosen(disk: &MemoryDisk) -> (Option<u64>, Option<String>) {
        let mut snapshots = Snapshots::open(disk.clone(), &identity()).unwrap();
        let (snapshot, damaged) = choose_snapshot(&mut snapshots).unwrap();
        let file = damaged.map(|error| match error {
            SnapshotError::Damaged { file, offset: 0, .. } => file,
            other => panic!("{other}"),
        });
        (snapshot.map(|snapshot| snapshot.sequence), file)
    }

    #[test]
    fn the_newest_snapshot_is_taken_whatever_the_older_ones_look_like() {
        let mut disk = saved(&[8, 16]);
        rot(&mut disk, 8);
        assert_eq!(chosen(&disk), (Some(16), None));
        assert_eq!(chosen(&MemoryDisk::default()), (None, None));
    }

    #[test]
    fn a_damaged_snapshot_is_told_and_an_older_one_or_none_taken_in_its_place() {
        let mut disk = saved(&[8, 16]);
        rot(&mut disk, 16);
        assert_eq!(chosen(&disk), (Some(8), Some(file(16))));
        rot(&mut disk, 8);
        assert_eq!(chosen(&disk), (None, Some(file(16))));
    }

    #[test]
    fn where_three_snapshots_have_no_room_the_older_one_makes_way() {
        let (sequence, time, root) = (SequenceNumber(8), 0, Digest::ZERO);
        let epoch = pbft_message::Epoch(0);
        let state = CheckpointState { sequence, epoch, configuration: root, service_root: root, clients_root: root, time };
        let (large, leaves) = (Arc::new(vec![1_u8; 9000]), Arc::new(vec![Digest::ZERO]));
        let (service, clients, service_leaves, clients_leaves) = (large.clone(), large, leaves.clone(), leaves);
        let state = FrozenState { state, service, service_leaves, clients, clients_leaves };
        let mut disk = saved(&[]);
        let save = |disk: &mut MemoryDisk, sequence: u64| {
            let mut snapshots = Snapshots::open(disk, &identity()).unwrap();
            let certificate = StableCertificate { sequence: SequenceNumber(sequence), digest: Digest::ZERO, checkpoints: vec![] };
            save_snapshot(&mut snapshots, &state, &certificate).map(|_| snapshots.list().unwrap())
        };
        assert_eq!(save(&mut disk, 8).unwrap(), [8]);
        let one = disk.used();
        disk.set_capacity(Some(one * 5 / 2));
        assert_eq!(save(&mut disk, 16).unwrap(), [8, 16]);
        assert_eq!(save(&mut disk, 24).unwrap(), [16, 24]);
        let mut only = saved(&[]);
        only.set_capacity(Some(one * 3 / 2));
        assert_eq!(save(&mut only, 8).unwrap(), [8]);
        assert!(matches!(save(&mut only, 16), Err(SnapshotError::Full(_))), "the last one stays");
        assert_eq!(Snapshots::open(&mut only, &identity()).unwrap().list().unwrap(), [8]);
    }

    #[test]
    fn a_journal_reaches_as_far_as_it_has_no_gap() {
        let record = |sequence| {
            let (digest, commits) = (Digest::ZERO, Vec::new());
            Record::Committed(CommitCertificate { view: View(0), sequence: SequenceNumber(sequence), digest, commits })
        };
        let records: Vec<Record> = [9, 10, 12].into_iter().map(record).collect();
        assert!(reaches(&records, 8, 10) && reaches(&records, 11, 12) && reaches(&[], 16, 16));
        assert!(!reaches(&records, 7, 10) && !reaches(&records, 8, 12) && !reaches(&records, 8, 13));
    }
}
