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
}

impl Held {
    /// What goes beyond these bounds, in words.
    pub fn beyond(&self, bounds: Self) -> Option<String> {
        let all = [
            ("slots", self.slots, bounds.slots),
            ("bytes of bodies", self.body_bytes, bounds.body_bytes),
            ("wanted bodies", self.wanted_bodies, bounds.wanted_bodies),
            ("requests", self.requests, bounds.requests),
            ("checkpoint messages", self.checkpoints, bounds.checkpoints),
            ("view-changes", self.view_changes, bounds.view_changes),
            ("pieces of evidence", self.evidence, bounds.evidence),
        ];
        let excess = all.into_iter().find(|(_, held, bound)| held > bound);
        excess.map(|(what, held, bound)| format!("{held} {what}, where {bound} is the most"))
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
            requests: limits.pending_requests.saturating_add(genesis.clients.len()),
            checkpoints: checkpoints.saturating_add(1).saturating_mul(replicas),
            view_changes: replicas,
            evidence: replicas.saturating_mul(accuse::MOST_PER_REPLICA),
        }
    }
}
