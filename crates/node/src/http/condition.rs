//! What a replica tells clients that ask for its report, beyond where it stands.

use super::Instruments;
use crate::shared::Details;
use pbft_message::{Condition, PeerReport};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

impl Instruments {
    /// How this replica is, and what it waits for.
    pub fn condition(&self) -> Condition {
        let details = self.shared.details().clone();
        let now = self.clock.now().monotonic;
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let disk = super::process::disk_room(&self.data).map(|room| (room.free_bytes, room.size_bytes));
        let mut condition = Condition {
            unready: self.unready().map(|reason| (reason.name().to_owned(), reason.to_string())),
            silence: self.shared.standing().silence.map(|silence| silence.name().to_owned()),
            clock: micros(wall),
            clock_drift: micros(self.clock_drift),
            disk,
            peers: self.peer_reports(details.as_ref()),
            ..Condition::default()
        };
        let Some(details) = details else { return condition };
        let progress = details.progress;
        condition.high_watermark = progress.high_watermark;
        let commits = details.delays.committed;
        condition.commits = (commits.count(), micros(commits.sum()));
        condition.committed = progress.committed;
        condition.executed_elsewhere = progress.executed_elsewhere;
        condition.transferring = progress.transferring;
        condition.awaited = progress.awaited;
        condition.suspicion = progress.suspicion.map(|reason| reason.to_string());
        condition.owed = progress.watched_since.map_or(0, |since| millis(now.saturating_sub(since)));
        condition.timeout = millis(progress.timeout);
        let left = |deadline: Duration| millis(deadline.saturating_sub(now));
        condition.timers = details.timers.iter().map(|(timer, deadline)| (timer.name().to_owned(), left(*deadline))).collect();
        condition
    }

    fn peer_reports(&self, details: Option<&Details>) -> Vec<PeerReport> {
        let suspects = |id| details.is_some_and(|details| details.peers.iter().any(|peer| peer.replica == id && peer.suspects));
        let problem = |key| self.running.get().and_then(|running| running.endpoint.dial_problem(&key));
        let report = |(replica, key)| PeerReport {
            replica,
            up: self.usage(Some(key)).up > 0,
            problem: problem(key).map(|problem| problem.name().to_owned()),
            silent: self.silent_for(replica).map(millis),
            suspects: suspects(replica),
        };
        self.peers().map(report).collect()
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
