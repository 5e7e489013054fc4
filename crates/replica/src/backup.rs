//! Backup: the newest stable state out of a replica's data, checked with the genesis alone, and back into another's.

use crate::snapshots::{choose_snapshot, reaches};
use pbft_crypto::Digest;
use pbft_message::{
    Authenticator, Batch, CheckpointState, Proposal, SequenceNumber, StableCertificate, StatePart, Verified, View, codec,
};
use pbft_protocol::agreement::{Alarm, Record};
use pbft_protocol::execution::{
    Executor, FrozenState, InstallError, InstalledState, Ordered, OutOfOrder, SavedCheck, SavedStateError,
};
use pbft_protocol::service::Service;
use pbft_storage::{Disk, Identity, Journal, JournalError, OpenError, SnapshotError, SnapshotReader, Snapshots};
use std::collections::BTreeMap;

/// Why there is no backup, or why it was not restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The journal did not read.
    #[error(transparent)]
    Journal(#[from] OpenError),
    /// A record does not decode.
    #[error("{file}, offset {offset}: the record does not decode; it was written by another version, or altered")]
    Record {
        /// The segment of the journal.
        file: String,
        /// Bytes from its beginning.
        offset: u64,
    },
    /// A snapshot did not read or was not written.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A snapshot is not the state that its certificate names.
    #[error(transparent)]
    SavedState(#[from] SavedStateError),
    /// A snapshot is not of this service.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// The journal's batches do not follow each other.
    #[error(transparent)]
    OutOfOrder(#[from] OutOfOrder),
    /// No checkpoint is stable yet.
    #[error("no checkpoint is stable here yet: there is no certified state to be saved")]
    NothingStable,
    /// The journal could not be written.
    #[error(transparent)]
    Write(#[from] JournalError),
    /// The home has this state, or a later one.
    #[error("this home has the stable checkpoint {here} already, the snapshot is of {offered}: nothing was changed")]
    NotNewer {
        /// The home's.
        here: SequenceNumber,
        /// The snapshot's.
        offered: SequenceNumber,
    },
    /// The replica stopped voting: what it holds is for forensics.
    #[error("this replica stopped voting ({0}): its data are kept as they are, and a snapshot does not mend it")]
    Halted(Alarm),
    /// The replica signed another state.
    #[error("this replica signed another state at {0} than the certified one: it diverged, and a snapshot does not mend it")]
    Diverged(SequenceNumber),
}

/// The newest stable state of a data directory: its newest snapshot, and what its journal executes on top of it, as far as
/// a certificate reaches. Only reads. `service` is in its own first state. Two handles on the same disk.
pub fn newest_stable_state<D: Disk, S: Service>(
    (journal_disk, snapshot_disk): (D, D),
    service: S,
    authenticator: &Authenticator,
) -> Result<(FrozenState, StableCertificate), BackupError> {
    let (identity, records) = read_records(journal_disk)?;
    let genesis = authenticator.genesis().clone();
    let mut executor = match Snapshots::of(snapshot_disk, &identity).load_newest()? {
        Some(snapshot) => {
            let saved = InstalledState::from_saved(&snapshot.header, snapshot.chunks, authenticator)?;
            Executor::restore(genesis, service, saved)?
        }
        None => Executor::new(genesis, service),
    };
    let mut bodies: BTreeMap<Digest, Verified<Batch>> = BTreeMap::new();
    let mut committed: BTreeMap<SequenceNumber, Digest> = BTreeMap::new();
    let mut stable: BTreeMap<SequenceNumber, StableCertificate> = BTreeMap::new();
    for record in records {
        match record {
            Record::Body(body) => {
                if let Proposal::Valid(batch) = authenticator.verify_body(body) {
                    bodies.insert(batch.digest(), batch);
                }
            }
            Record::Committed(certificate) => drop(committed.insert(certificate.sequence, certificate.digest)),
            Record::Stable(certificate) => drop(stable.insert(certificate.sequence, certificate)),
            _ => {}
        }
    }
    while let Some(digest) = committed.get(&executor.executed().next()) {
        let sequence = executor.executed().next();
        let body = bodies.get(digest).cloned();
        if body.is_none() && *digest != pbft_message::NULL_DIGEST {
            break;
        }
        executor.execute(&Ordered { view: View(0), sequence, body })?;
        if let Some(Ok(certificate)) = stable.remove(&sequence).map(|certificate| authenticator.verify_stable(certificate)) {
            executor.stable(certificate);
        }
    }
    let newest = executor.servable().last().copied();
    newest.and_then(|sequence| executor.frozen(sequence)).ok_or(BackupError::NothingStable)
}

fn read_records<D: Disk>(disk: D) -> Result<(Identity, Vec<Record>), BackupError> {
    let mut records = Vec::new();
    let mut undecoded = None;
    let summary = Journal::read(disk, |place, bytes| match codec::decode::<Record>(bytes) {
        Ok(record) => records.push(record),
        Err(_) => drop(undecoded.get_or_insert((place.file.to_owned(), place.offset))),
    })?;
    match undecoded {
        Some((file, offset)) => Err(BackupError::Record { file, offset }),
        None => Ok((summary.identity, records)),
    }
}

/// Checks all of a snapshot, chunk by chunk: that the file is whole, its certificate is of this cluster, and its chunks give
/// the certified state.
pub fn verify_snapshot<D: Disk>(
    snapshot: SnapshotReader<D>,
    authenticator: &Authenticator,
) -> Result<(Verified<StableCertificate>, CheckpointState), BackupError> {
    check_chunks(snapshot, authenticator, |_, _| {})
}

/// The chunks of the service's certified state, out of a snapshot that [`verify_snapshot`] finds in order.
pub fn read_service_state<D: Disk>(
    snapshot: SnapshotReader<D>,
    authenticator: &Authenticator,
) -> Result<Vec<Vec<u8>>, BackupError> {
    let mut chunks = Vec::new();
    check_chunks(snapshot, authenticator, |part, chunk| {
        if part == StatePart::Service {
            chunks.push(chunk);
        }
    })?;
    Ok(chunks)
}

fn check_chunks<D: Disk>(
    mut snapshot: SnapshotReader<D>,
    authenticator: &Authenticator,
    mut each: impl FnMut(StatePart, Vec<u8>),
) -> Result<(Verified<StableCertificate>, CheckpointState), BackupError> {
    if snapshot.identity().cluster != authenticator.genesis().cluster_id() {
        return Err(snapshot.foreign().into());
    }
    let mut check = SavedCheck::begin(snapshot.header(), authenticator)?;
    while let Some(chunk) = snapshot.next_chunk()? {
        each(check.add(&chunk)?, chunk);
    }
    Ok(check.finish()?)
}

/// Where a snapshot was restored to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestoredInto {
    /// A replica with its own journal, which was behind: it goes on voting, and forgets no promise.
    Journal,
    /// A home without a journal: it may come back as a learner only (R16).
    NoJournal,
}

/// Puts a snapshot that [`verify_snapshot`] found in order into a replica's data: `certificate` is what that gave.
///
/// The snapshot is durable before the journal hears of its certificate, as after a state transfer (R14): a crash leaves the
/// replica as it was, or restored. Two handles on the same disk.
pub fn restore_snapshot<D: Disk, F: Disk>(
    (mut journal_disk, snapshot_disk): (D, D),
    identity: &Identity,
    snapshot: SnapshotReader<F>,
    certificate: &Verified<StableCertificate>,
) -> Result<RestoredInto, BackupError> {
    let offered = certificate.sequence;
    let (records, has_journal) = match read_records(&mut journal_disk) {
        Ok((_, records)) => (records, true),
        Err(BackupError::Journal(OpenError::Empty)) => (Vec::new(), false),
        Err(error) => return Err(error),
    };
    let journal = if has_journal { Some(Journal::open(journal_disk, identity, |_, _| {})?.0) } else { None };
    let mut snapshots = Snapshots::open(snapshot_disk, identity)?;
    let readable = choose_snapshot(&mut snapshots)?.0.map_or(0, |snapshot| snapshot.sequence);
    let has_it = reaches(&records, readable, offered.0);
    let mut here = SequenceNumber(readable);
    let mut halted = None;
    for record in records {
        match record {
            Record::Halted(alarm) => halted = Some(alarm),
            Record::Repaired => halted = None,
            Record::Stable(stable) => here = here.max(stable.sequence),
            Record::Checkpoint(own) if own.sequence == offered && own.digest != certificate.digest => {
                return Err(BackupError::Diverged(offered));
            }
            _ => {}
        }
    }
    if let Some(alarm) = halted {
        return Err(BackupError::Halted(alarm));
    }
    if has_it {
        return Err(BackupError::NotNewer { here, offered });
    }
    snapshots.adopt(snapshot)?;
    snapshots.keep_newest(2, offered.0)?;
    let Some(mut journal) = journal else { return Ok(RestoredInto::NoJournal) };
    journal.commit(&[codec::encode(&Record::Stable((**certificate).clone()))])?;
    Ok(RestoredInto::Journal)
}
