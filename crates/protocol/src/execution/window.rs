use pbft_message::Timestamp;
use std::collections::BTreeSet;

/// Which timestamps of one client were ordered: the rule of R8 without results. Agreement keeps one per client, as a
/// cheap mirror of the [`ClientTable`](super::ClientTable).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestWindow {
    limit: usize,
    timestamps: BTreeSet<Timestamp>,
}

/// What a [`RequestWindow`] says to a timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Not ordered yet.
    New,
    /// Ordered, whatever the request was.
    Ordered,
    /// Not above the lowest of a full set.
    TooOld,
}

impl RequestWindow {
    /// Remembers the `limit` highest timestamps: W, `requests_in_flight` in the genesis.
    pub const fn new(limit: usize) -> Self {
        Self { limit, timestamps: BTreeSet::new() }
    }

    /// Whether a request with this timestamp would run.
    pub fn admits(&self, timestamp: Timestamp) -> Admission {
        if self.timestamps.contains(&timestamp) {
            return Admission::Ordered;
        }
        if is_too_old(timestamp, self.timestamps.len(), self.timestamps.first().copied(), self.limit) {
            return Admission::TooOld;
        }
        Admission::New
    }

    /// Remembers an ordered timestamp and forgets the lowest of more than the limit. No effect unless it is new.
    pub fn insert(&mut self, timestamp: Timestamp) {
        if self.admits(timestamp) != Admission::New {
            return;
        }
        self.timestamps.insert(timestamp);
        if self.timestamps.len() > self.limit {
            self.timestamps.pop_first();
        }
    }
}

/// R8: not above the lowest of a full set.
pub(super) fn is_too_old(timestamp: Timestamp, count: usize, lowest: Option<Timestamp>, limit: usize) -> bool {
    count >= limit && lowest.is_some_and(|lowest| timestamp <= lowest)
}
