use crate::refusals::Refusals;
use crate::room::Room;
use pbft_crypto::Digest;
use pbft_message::{Evidence, SequenceNumber, Status, View};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What threads tell each other in passing, for status and greetings. Nothing of it decides anything in the protocol.
#[derive(Debug, Default)]
pub struct Shared {
    standing: Mutex<Standing>,
    evidence: Mutex<Vec<Evidence>>,
    /// What was refused, by reason.
    pub refusals: Refusals,
    /// Room for requests that wait for the core.
    pub client_room: Room,
    /// Requests executed since the start.
    pub requests_executed: AtomicU64,
    /// Bytes in the journal since it last began anew.
    pub journal_bytes: AtomicU64,
}

/// Where the replica stands.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    pub view: View,
    pub active: bool,
    pub executed: SequenceNumber,
    pub stable_checkpoint: SequenceNumber,
    pub state_root: Option<Digest>,
    pub view_changes: u64,
    pub status: Option<Status>,
}

impl Shared {
    pub fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn evidence(&self) -> MutexGuard<'_, Vec<Evidence>> {
        self.evidence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn add_executed(&self, count: usize) {
        self.requests_executed.fetch_add(count as u64, Ordering::Relaxed);
    }
}
