use crate::snapshots::choose_snapshot;
use pbft_message::{Signer, codec};
use pbft_protocol::Now;
use pbft_protocol::agreement::{Config, Record, RecoverError, Replica, VerifiedRecord};
use pbft_protocol::execution::{Executor, InstallError, InstalledState, SavedStateError};
use pbft_protocol::service::Service;
use pbft_storage::{Disk, DiskError, FetchedChunks, Identity, Journal, OpenError, SnapshotError, Snapshots, TornTail};
use std::fmt;
use std::sync::Arc;

/// Why a replica cannot go on from its disk.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// The journal did not open.
    #[error(transparent)]
    Journal(#[from] OpenError),
    /// A record does not decode.
    #[error("{at}: the record does not decode; it was written by another version of the program, or altered")]
    Undecodable {
        /// The record's place.
        at: RecordPlace,
    },
    /// A record's signatures do not verify, or its batch is invalid.
    #[error("{at}: {source}; the journal was written under another genesis, or altered")]
    Unverified {
        /// The record's place.
        at: RecordPlace,
        /// What is wrong with it.
        source: RecoverError,
    },
    /// A snapshot is not usable.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// What was fetched of a state is not accessible.
    #[error(transparent)]
    Fetched(#[from] DiskError),
    /// A snapshot is not what it says.
    #[error(
        "snapshot-{sequence:020}.bin: {source}; it was made under another genesis, or altered. Move it away: the replica then goes on \
         from an older state, or from what the others have"
    )]
    SavedState {
        /// The snapshot's sequence number.
        sequence: u64,
        /// What is wrong with it.
        source: SavedStateError,
    },
    /// A snapshot is not of this service.
    #[error("snapshot-{sequence:020}.bin: {source}; it is of another service")]
    Install {
        /// The snapshot's sequence number.
        sequence: u64,
        /// What is wrong with it.
        source: InstallError,
    },
}

/// Where a record of the journal stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordPlace {
    /// The segment.
    pub file: Arc<str>,
    /// Bytes from its beginning.
    pub offset: u64,
}

impl fmt::Display for RecordPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, offset {}", self.file, self.offset)
    }
}

/// A replica as its disk has it.
pub struct Recovered<D, S> {
    /// The journal, to be written on.
    pub journal: Journal<D>,
    /// The snapshots beside it.
    pub snapshots: Snapshots<D>,
    /// What was fetched of a state that was not installed before the end.
    pub fetched: FetchedChunks<D>,
    /// The executor, at the newest snapshot.
    pub executor: Executor<S>,
    /// The core. It has the executor replay what is committed above the snapshot.
    pub replica: Replica,
    /// What was cut from the journal's end.
    pub torn: Option<TornTail>,
    /// The newest snapshot is damaged; execution goes on from before it, by the journal or by a state of the others.
    pub damaged: Option<SnapshotError>,
}

/// Journal, newest snapshot, executor and core as they were. In the place of a damaged snapshot an older one is taken, or none.
/// `service` is in its own first state. Three handles on the
/// same disk: for the journal, for the snapshots, and for what is fetched. `verify` checks the records again, most of the work
/// where the journal is long.
pub fn recover<D: Disk, S: Service>(
    (journal_disk, snapshot_disk, fetched_disk): (D, D, D),
    identity: &Identity,
    service: S,
    config: Config,
    signer: Signer,
    now: Now,
    verify: impl FnOnce(Vec<Record>) -> Result<Vec<VerifiedRecord>, RecoverError>,
) -> Result<Recovered<D, S>, RecoveryError> {
    let Read { journal, records, places, torn } = read_journal(journal_disk, identity)?;
    let mut snapshots = Snapshots::open(snapshot_disk, identity)?;
    let genesis = config.authenticator.genesis().clone();
    let (snapshot, damaged) = choose_snapshot(&mut snapshots)?;
    let executor = match snapshot {
        Some(snapshot) => {
            let sequence = snapshot.sequence;
            let saved = InstalledState::from_saved(&snapshot.header, snapshot.chunks, &config.authenticator);
            let saved = saved.map_err(|source| RecoveryError::SavedState { sequence, source })?;
            let executor =
                Executor::restore(genesis, service, saved).map_err(|source| RecoveryError::Install { sequence, source })?;
            snapshots.remove_above(sequence)?;
            executor
        }
        None => Executor::new(genesis, service),
    };
    let mut fetched = FetchedChunks::new(fetched_disk);
    fetched.forget(executor.executed().0)?;
    let records = verify(records).map_err(|error| place_of(&places, error))?;
    // An empty journal may be an old copy too: nobody votes before the others have been asked (R16).
    let replica = Replica::recover(config, signer, now, (executor.executed(), executor.windows()), records);
    Ok(Recovered { journal, snapshots, fetched, executor, replica, torn, damaged })
}

/// An open journal and what it holds.
pub struct Read<D> {
    pub journal: Journal<D>,
    pub records: Vec<Record>,
    /// Where each record stands.
    places: Vec<RecordPlace>,
    torn: Option<TornTail>,
}

/// Opens a journal and decodes what it holds.
pub fn read_journal<D: Disk>(disk: D, identity: &Identity) -> Result<Read<D>, RecoveryError> {
    let (mut records, mut places, mut undecodable) = (Vec::new(), Vec::<RecordPlace>::new(), None);
    let (journal, torn) = Journal::open(disk, identity, |place, bytes| {
        let file = match places.last() {
            Some(last) if *last.file == *place.file => last.file.clone(),
            _ => place.file.into(),
        };
        let at = RecordPlace { file, offset: place.offset };
        match codec::decode::<Record>(bytes) {
            Ok(record) => records.push(record),
            Err(_) => _ = undecodable.get_or_insert_with(|| at.clone()),
        }
        places.push(at);
    })?;
    match undecodable {
        Some(at) => Err(RecoveryError::Undecodable { at }),
        None => Ok(Read { journal, records, places, torn }),
    }
}

fn place_of(places: &[RecordPlace], source: RecoverError) -> RecoveryError {
    let at = places.get(source.index()).cloned();
    RecoveryError::Unverified { at: at.unwrap_or_else(|| RecordPlace { file: "the journal".into(), offset: 0 }), source }
}
