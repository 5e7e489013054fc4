use crate::meters::Meters;
use crate::refusals::Refusals;
use crate::room::Room;
use pbft_crypto::Digest;
use pbft_message::{Evidence, ReplicaId, SequenceNumber, Status, View};
use pbft_protocol::agreement::{Alarm, Held, PeerProgress, Progress, RequestDelays, Silence, Timer};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What threads tell each other in passing, for status, metrics and greetings. Nothing of it decides anything in the protocol.
#[derive(Debug)]
pub struct Shared {
    standing: Mutex<Standing>,
    details: Mutex<Option<Details>>,
    evidence: Mutex<Vec<Evidence>>,
    /// What was refused, by reason.
    pub refusals: Refusals,
    /// What was done since the start.
    pub meters: Meters,
    /// Room for requests that wait for the core.
    pub client_room: Room,
    /// Bytes in the journal since it last began anew.
    pub journal_bytes: AtomicU64,
    /// The journal waits for room on the disk, and with it every vote.
    pub journal_full: AtomicBool,
    /// The last snapshot found no room; the next stable state is to be saved.
    pub snapshots_full: AtomicBool,
    /// A state that is being fetched finds no room.
    pub transfer_full: AtomicBool,
    /// When each replica was last heard, in milliseconds on the monotonic clock, from 1 on; 0 for never.
    heard: Vec<AtomicU64>,
}

/// Where the replica stands, as of the core's last turn.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    pub view: View,
    pub active: bool,
    pub silence: Option<Silence>,
    /// What stopped its votes for good.
    pub halted: Option<Alarm>,
    pub executed: SequenceNumber,
    pub stable_checkpoint: SequenceNumber,
    pub state_root: Option<Digest>,
    pub view_changes: u64,
}

/// What costs more to tell, and is told less often.
#[derive(Clone, Debug)]
pub struct Details {
    /// When, on the monotonic clock.
    pub at: Duration,
    /// When something was last executed, on the monotonic clock.
    pub moved_at: Duration,
    /// What a new connection is greeted with.
    pub status: Status,
    pub progress: Progress,
    pub held: Held,
    pub bounds: Held,
    /// The running timers, and when they expire.
    pub timers: Vec<(Timer, Duration)>,
    pub peers: Vec<PeerProgress>,
    /// Bytes of records that wait for the journal.
    pub journal_waiting: usize,
    pub delays: RequestDelays,
}

impl Shared {
    /// For one of so many replicas.
    pub fn new(replicas: usize) -> Self {
        Self {
            standing: Mutex::default(),
            details: Mutex::default(),
            evidence: Mutex::default(),
            refusals: Refusals::default(),
            meters: Meters::default(),
            client_room: Room::default(),
            journal_bytes: AtomicU64::default(),
            journal_full: AtomicBool::default(),
            snapshots_full: AtomicBool::default(),
            transfer_full: AtomicBool::default(),
            heard: (0..replicas).map(|_| AtomicU64::default()).collect(),
        }
    }

    pub fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn details(&self) -> MutexGuard<'_, Option<Details>> {
        self.details.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn evidence(&self) -> MutexGuard<'_, Vec<Evidence>> {
        self.evidence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something waits for room on the disk.
    pub fn is_disk_full(&self) -> bool {
        [&self.journal_full, &self.snapshots_full, &self.transfer_full].into_iter().any(|full| full.load(Ordering::Relaxed))
    }

    /// A replica said something, at this time on the monotonic clock.
    pub fn hear(&self, replica: ReplicaId, now: Duration) {
        if let Some(heard) = self.heard.get(replica.0 as usize) {
            heard.store(millis(now).saturating_add(1), Ordering::Relaxed);
        }
    }

    /// For how long a replica has said nothing; none if it never said anything.
    pub fn silent_for(&self, replica: ReplicaId, now: Duration) -> Option<Duration> {
        let heard = self.heard.get(replica.0 as usize)?.load(Ordering::Relaxed).checked_sub(1)?;
        Some(now.saturating_sub(Duration::from_millis(heard)))
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_is_silent_since_it_was_last_heard() {
        let shared = Shared::new(4);
        let at = Duration::from_millis;
        assert_eq!(shared.silent_for(ReplicaId(1), at(500)), None);
        shared.hear(ReplicaId(1), at(0));
        assert_eq!(shared.silent_for(ReplicaId(1), at(500)), Some(at(500)));
        shared.hear(ReplicaId(1), at(450));
        assert_eq!(shared.silent_for(ReplicaId(1), at(500)), Some(at(50)));
        shared.hear(ReplicaId(9), at(450));
        assert_eq!(shared.silent_for(ReplicaId(9), at(500)), None);
    }
}
