use crate::postman::Postman;
use crate::shared::Shared;
use pbft_crypto::Digest;
use pbft_message::{Genesis, ReplicaId, ReplicaMessage, ReplicaReport};
use pbft_network::{Class, ConnectionId};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Answers what clients ask without ordering it.
pub struct Queries {
    pub replica: ReplicaId,
    pub genesis: Arc<Genesis>,
    pub shared: Arc<Shared>,
    pub postman: Postman,
}

impl Queries {
    /// Where this replica stands.
    pub fn report(&self, connection: ConnectionId, query: u64) {
        let report = Box::new(self.own_report());
        self.postman.answer(connection, &ReplicaMessage::Report { query, report });
    }

    fn own_report(&self) -> ReplicaReport {
        let standing = self.shared.standing().clone();
        let endpoint = self.postman.endpoint();
        let connected = endpoint.connected(Class::Replica);
        let ids = self.genesis.replica_ids().zip(&self.genesis.replicas);
        let peers_up = ids.filter(|(_, entry)| connected.contains(&entry.transport_key)).map(|(id, _)| id).collect();
        let network = endpoint.counters().into_iter().filter(|(_, count)| *count > 0).map(|(name, count)| (name.to_owned(), count));
        let mut refused: Vec<(String, u64)> = self.shared.refusals.snapshot();
        refused.extend(network.filter(|(name, _)| name != "connection_replaced" && name != "unreachable"));
        refused.sort();
        ReplicaReport {
            replica: self.replica,
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            view: standing.view,
            active: standing.active,
            learner: false,
            executed: standing.executed,
            stable_checkpoint: standing.stable_checkpoint,
            state_root: standing.state_root.unwrap_or(Digest::ZERO),
            peers_up,
            view_changes: standing.view_changes,
            requests_executed: self.shared.requests_executed.load(Ordering::Relaxed),
            evidence: self.shared.evidence().len() as u64,
            refused,
        }
    }

    /// The evidence that this replica holds, as much as fits one answer.
    pub fn evidence(&self, connection: ConnectionId, query: u64) {
        let mut room = self.genesis.max_message_bytes();
        let mut evidence = Vec::new();
        for piece in self.shared.evidence().iter() {
            let Some(left) = room.checked_sub(pbft_message::codec::encode(piece).len()) else { continue };
            room = left;
            evidence.push(piece.clone());
        }
        self.postman.answer(connection, &ReplicaMessage::Evidence { query, evidence });
    }
}
