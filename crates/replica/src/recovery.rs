use pbft_message::{SequenceNumber, Signer, codec};
use pbft_protocol::Now;
use pbft_protocol::agreement::{Config, Record, RecoverError, Replica};
use pbft_protocol::execution::{Executor, InstallError, InstalledState, SavedStateError};
use pbft_protocol::service::Service;
use pbft_storage::{Disk, Identity, Journal, OpenError, SnapshotError, Snapshots, TornTail};

/// Why a replica cannot go on from its disk.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// The journal did not open.
    #[error(transparent)]
    Journal(#[from] OpenError),
    /// A record does not decode.
    #[error("journal record {0} does not decode: the journal was written by another version, or altered")]
    Record(usize),
    /// The journal is not this replica's.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// A snapshot is not usable.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A snapshot is not what it says.
    #[error(transparent)]
    SavedState(#[from] SavedStateError),
    /// A snapshot is not of this service.
    #[error(transparent)]
    Install(#[from] InstallError),
}

/// A replica as its disk has it.
pub struct Recovered<D, S> {
    /// The journal, to be written on.
    pub journal: Journal<D>,
    /// The snapshots beside it.
    pub snapshots: Snapshots<D>,
    /// The executor, at the newest snapshot.
    pub executor: Executor<S>,
    /// The core. It has the executor replay what is committed above the snapshot.
    pub replica: Replica,
    /// What was cut from the journal's end.
    pub torn: Option<TornTail>,
}

/// Journal, newest snapshot, executor and core as they were. `service` is in its own first state. Two handles on the
/// same disk: one for the journal, one for the snapshots.
pub fn recover<D: Disk, S: Service>(
    (journal_disk, snapshot_disk): (D, D),
    identity: &Identity,
    service: S,
    config: Config,
    signer: Signer,
    now: Now,
) -> Result<Recovered<D, S>, RecoveryError> {
    let mut records = Vec::new();
    let (journal, torn) = Journal::open(journal_disk, identity, |bytes| records.push(codec::decode::<Record>(bytes)))?;
    let decoded = records.into_iter().enumerate();
    let records: Vec<Record> =
        decoded.map(|(index, record)| record.map_err(|_| RecoveryError::Record(index))).collect::<Result<_, _>>()?;
    let mut snapshots = Snapshots::open(snapshot_disk, identity)?;
    let genesis = config.authenticator.genesis().clone();
    let executor = match snapshots.load_newest()? {
        Some(snapshot) => {
            let saved = InstalledState::from_saved(&snapshot.header, snapshot.chunks, &config.authenticator)?;
            Executor::restore(genesis, service, saved)?
        }
        None => Executor::new(genesis, service),
    };
    let replica = if records.is_empty() && executor.executed() == SequenceNumber::GENESIS {
        Replica::new(config, signer, now)
    } else {
        Replica::recover(config, signer, now, (executor.executed(), executor.windows()), records)?
    };
    Ok(Recovered { journal, snapshots, executor, replica, torn })
}
