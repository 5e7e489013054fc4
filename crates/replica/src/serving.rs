use crate::pace::Pace;
use pbft_message::{FetchState, ReplicaId, SequenceNumber, StateReply};
use pbft_protocol::execution::Executor;
use pbft_protocol::service::Service;
use std::collections::BTreeMap;
use std::time::Duration;

/// So long after its last question a replica's state stays servable.
const PATIENCE: Duration = Duration::from_secs(30);

/// Serves states to others (R14): one answer after the other, at a bounded rate. A state that a replica asks for stays
/// servable until it asks for another or falls silent, so that a long transfer need not run after the newest: one more
/// state a replica at most.
#[derive(Debug)]
pub struct Serving {
    pace: Pace,
    /// Questions that wait for their turn, one a replica, with the order in which they came.
    waiting: BTreeMap<ReplicaId, (u64, FetchState)>,
    asked: u64,
    /// The state that each replica last asked for, and when.
    fetching: BTreeMap<ReplicaId, (SequenceNumber, Duration)>,
}

impl Serving {
    pub const fn new(bytes_per_second: u64) -> Self {
        Self { pace: Pace::new(bytes_per_second), waiting: BTreeMap::new(), asked: 0, fetching: BTreeMap::new() }
    }

    /// A question came. A newer one takes the place of one that waits.
    pub fn ask<S: Service>(&mut self, now: Duration, from: ReplicaId, question: FetchState, executor: &mut Executor<S>) {
        self.fetching.insert(from, (question.sequence(), now));
        self.forget_old(now, executor);
        self.asked = self.asked.saturating_add(1);
        self.waiting.insert(from, (self.asked, question));
    }

    /// Lets go of states that nobody asks for any longer.
    pub fn forget_old<S: Service>(&mut self, now: Duration, executor: &mut Executor<S>) {
        self.fetching.retain(|_, (_, at)| now.saturating_sub(*at) < PATIENCE);
        executor.pin(self.fetching.values().map(|(sequence, _)| *sequence).collect());
    }

    /// The next answer, if its time has come.
    pub fn next_answer<S: Service>(&mut self, now: Duration, executor: &mut Executor<S>) -> Option<(ReplicaId, StateReply)> {
        let first = self.waiting.iter().min_by_key(|(_, (asked, _))| *asked).map(|(from, _)| *from)?;
        if self.pace.free_at() > now {
            return None;
        }
        let (_, question) = self.waiting.remove(&first)?;
        let reply = executor.serve(&question);
        self.pace.spend(now, size_of(&reply));
        Some((first, reply))
    }

    /// When the next answer is due.
    pub fn poll_timeout(&self) -> Option<Duration> {
        (!self.waiting.is_empty()).then(|| self.pace.free_at())
    }
}

/// About as many bytes as its encoding has.
fn size_of(reply: &StateReply) -> u64 {
    let bytes = match reply {
        StateReply::Outline { service, clients, .. } => service.len().saturating_add(clients.len()).saturating_mul(32),
        StateReply::Chunks { pieces, .. } => pieces.iter().map(|piece| piece.bytes.len().saturating_add(28)).sum(),
        StateReply::Gone { .. } => 0,
    };
    (bytes as u64).saturating_add(128)
}
