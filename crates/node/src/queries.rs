use crate::http::Instruments;
use crate::postman::Postman;
use crate::shared::Shared;
use pbft_crypto::Digest;
use pbft_message::{Genesis, ReplicaId, ReplicaMessage, ReplicaReport};
use pbft_network::{Class, ConnectionId};
use pbft_protocol::agreement::Silence;
use std::sync::Arc;

/// Answers what clients ask without ordering it.
pub struct Queries {
    pub replica: ReplicaId,
    pub genesis: Arc<Genesis>,
    pub shared: Arc<Shared>,
    pub instruments: Arc<Instruments>,
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
        let network = endpoint.counters().into_iter().filter(|(_, count)| *count > 0);
        let network = network.filter(|(name, _)| !matches!(*name, "connection_replaced" | "unreachable"));
        let refused = self.shared.refusals.by_reason().into_iter().chain(network);
        let mut refused: Vec<(String, u64)> = refused.map(|(name, count)| (name.to_owned(), count)).collect();
        refused.sort();
        ReplicaReport {
            replica: self.replica,
            pid: std::process::id(),
            version: crate::VERSION.to_owned(),
            view: standing.view,
            active: standing.active,
            learner: standing.silence == Some(Silence::Learner),
            alarm: standing.halted.map(|alarm| match standing.silence {
                Some(Silence::Repairing(_)) => format!("under repair: {alarm}"),
                _ => alarm.to_string(),
            }),
            executed: standing.executed,
            stable_checkpoint: standing.stable_checkpoint,
            state_root: standing.state_root.unwrap_or(Digest::ZERO),
            peers_up,
            view_changes: standing.view_changes,
            requests_executed: self.shared.meters.requests_executed.get(),
            evidence: self.shared.evidence().len() as u64,
            disk_full: self.shared.is_disk_full(),
            refused,
            condition: self.instruments.condition(),
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
