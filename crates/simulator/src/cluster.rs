use crate::plan::Plan;
use pbft_crypto::SecretKey;
use pbft_message::{ClientEntry, ClientId, Genesis, ReplicaEntry, ServiceParameters};
use std::sync::Arc;

/// Keys are numbered by who has them; nobody else does.
pub fn replica_key(id: u32) -> SecretKey {
    key(1, id)
}

pub fn client_key(id: u32) -> SecretKey {
    key(2, id)
}

/// A client or an operator.
pub fn client_entry(id: u32) -> ClientEntry {
    ClientEntry { signing_key: ClientId(client_key(id).public()), transport_key: key(4, id).public() }
}

fn key(kind: u8, id: u32) -> SecretKey {
    let mut seed = [kind; 32];
    seed[..4].copy_from_slice(&id.to_le_bytes());
    SecretKey::from_seed(&seed)
}

pub fn genesis(plan: &Plan) -> Arc<Genesis> {
    let replicas =
        (0..plan.replicas).map(|id| ReplicaEntry { signing_key: replica_key(id).public(), transport_key: key(3, id).public() });
    Arc::new(Genesis {
        name: "simulation".to_owned(),
        test_network: true,
        parameters: plan.parameters.clone(),
        service: ServiceParameters { buckets: 16, ..ServiceParameters::default() },
        replicas: replicas.collect(),
        operators: (plan.clients..plan.clients + plan.operators).map(client_entry).collect(),
        clients: (0..plan.clients).map(client_entry).collect(),
    })
}
