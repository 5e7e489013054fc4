//! How much a replica holds, against its bounds (R19).

use super::*;

/// How much a replica holds of what others can make it hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Sequence numbers with a pre-prepare or votes.
    pub slots: usize,
    /// Bytes of batch bodies.
    pub body_bytes: usize,
    /// Bodies that it asks for.
    pub wanted_bodies: usize,
    /// Requests that wait to be ordered.
    pub requests: usize,
    /// Checkpoint messages.
    pub checkpoints: usize,
    /// View-changes of others and its own.
    pub view_changes: usize,
    /// Pieces of evidence.
    pub evidence: usize,
    /// Signed things without a place in the log.
    pub overheard: usize,
}

impl Held {
    /// Each with its name.
    pub const fn named(&self) -> [(&'static str, usize); 8] {
        [
            ("slots", self.slots),
            ("body_bytes", self.body_bytes),
            ("wanted_bodies", self.wanted_bodies),
            ("requests", self.requests),
            ("checkpoints", self.checkpoints),
            ("view_changes", self.view_changes),
            ("evidence", self.evidence),
            ("overheard", self.overheard),
        ]
    }

    /// What goes beyond these bounds, in words.
    pub fn beyond(&self, bounds: Self) -> Option<String> {
        let mut all = self.named().into_iter().zip(bounds.named());
        let excess = all.find(|((_, held), (_, bound))| held > bound);
        excess.map(|((what, held), (_, bound))| format!("{held} {what}, where {bound} is the most"))
    }
}

impl Replica {
    /// How much it holds.
    pub fn held(&self) -> Held {
        Held {
            slots: self.log.slots().count(),
            body_bytes: self.bodies.bytes(),
            wanted_bodies: self.bodies.wanted.len(),
            requests: self.requests.count(),
            checkpoints: self.checkpoints.count(),
            view_changes: self.view_changes.received.len(),
            evidence: self.evidence.len(),
            overheard: self.overheard.count(),
        }
    }

    /// The most that it may hold, as its configuration has it.
    pub fn bounds(&self) -> Held {
        let (genesis, limits) = (self.genesis(), &self.config.limits);
        let replicas = genesis.replica_count();
        let window = usize::try_from(genesis.parameters.log_window).unwrap_or(usize::MAX);
        let checkpoints = genesis.parameters.log_window.checked_div(genesis.parameters.checkpoint_interval).unwrap_or(0);
        let checkpoints = usize::try_from(checkpoints).unwrap_or(usize::MAX);
        Held {
            slots: window,
            body_bytes: limits.body_bytes.saturating_add(genesis.parameters.max_batch_bytes),
            // Of the log, of what is committed and served, and of what view-changes and new-views name.
            wanted_bodies: window.saturating_mul(replicas.saturating_add(6)),
            // The primary keeps a place for each client.
            requests: limits.pending_requests.saturating_add(self.requests.clients()),
            checkpoints: checkpoints.saturating_add(1).saturating_mul(replicas),
            view_changes: replicas,
            evidence: replicas.saturating_mul(accuse::MOST_PER_REPLICA),
            overheard: replicas.saturating_mul(overheard::MOST_PER_REPLICA),
        }
    }
}
