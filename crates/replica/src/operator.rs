//! What an operator does to a replica's journal while it does not run (R9, R16).

use crate::recovery::{Read, RecoveryError, read_journal};
use pbft_message::codec;
use pbft_protocol::agreement::{Alarm, Record};
use pbft_storage::{CreateError, Disk, Identity, Journal, JournalError};

/// Why no learner's journal was made.
#[derive(Debug, thiserror::Error)]
pub enum RejoinError {
    /// There is a journal, or none can be made.
    #[error(transparent)]
    Create(#[from] CreateError),
    /// The disk failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// Makes the journal of a replica that lost its own: it says above all that this key never votes again (R16). Not atomic:
/// it counts only once this has returned.
pub fn create_learner<D: Disk>(
    disk: D,
    identity: &Identity,
    secret: &[u8; 32],
    segment_size: u64,
) -> Result<Journal<D>, RejoinError> {
    let mut journal = Journal::create(disk, identity, secret, segment_size)?;
    journal.commit(&[codec::encode(&Record::Learner)])?;
    Ok(journal)
}

/// Why a replica is not repaired.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// The journal is not readable.
    #[error(transparent)]
    Read(#[from] RecoveryError),
    /// It is not halted.
    #[error("nothing to repair: this replica did not stop voting over its state")]
    Healthy,
    /// The operator gave the word before.
    #[error("the repair is under way already: start the replica, and it fetches the certified state")]
    UnderWay,
    /// A certified state does not heal this.
    #[error("a certified state does not heal this: {0}")]
    NotOfItsState(Alarm),
    /// The disk failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// The operator's word that the state of a halted replica is to be replaced by a certified one (R9). Gives what halted it.
pub fn repair<D: Disk>(disk: D, identity: &Identity) -> Result<Alarm, RepairError> {
    let Read { mut journal, records, .. } = read_journal(disk, identity)?;
    let (mut halted, mut is_asked) = (None, false);
    for record in records {
        match record {
            Record::Halted(alarm) => (halted, is_asked) = (Some(alarm), false),
            Record::Repair => is_asked = true,
            Record::Repaired => halted = None,
            _ => {}
        }
    }
    match halted {
        None => Err(RepairError::Healthy),
        Some(alarm) if !alarm.is_repairable() => Err(RepairError::NotOfItsState(alarm)),
        Some(_) if is_asked => Err(RepairError::UnderWay),
        Some(alarm) => {
            journal.commit(&[codec::encode(&Record::Repair)])?;
            Ok(alarm)
        }
    }
}
