//! A cluster in order, to be spoilt.

use super::finding::Finding;
use super::look::Look;
use pbft_crypto::{Digest, SecretKey};
use pbft_message::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Four replicas in view 0, with nothing wrong.
pub fn look() -> Look {
    let key = |number: u8| SecretKey::from_seed(&[number; 32]).public();
    let genesis = Genesis {
        name: "test".to_owned(),
        test_network: true,
        parameters: Parameters::default(),
        service: ServiceParameters::default(),
        replicas: (1..5)
            .map(|number| ReplicaEntry { signing_key: key(number), transport_key: key(number.saturating_add(10)) })
            .collect(),
        operators: Vec::new(),
        clients: Vec::new(),
    };
    let reports = genesis.replica_ids().map(|id| (id, report(id, &genesis))).collect();
    let addresses = (0..4).map(|id| format!("127.0.0.1:710{id}")).collect();
    Look { genesis: Arc::new(genesis), addresses, reports, problems: BTreeMap::new(), evidence: Vec::new() }
}

fn report(replica: ReplicaId, genesis: &Genesis) -> ReplicaReport {
    let others = || genesis.replica_ids().filter(|other| *other != replica);
    let peer = |replica| PeerReport { replica, up: true, problem: None, silent: Some(10), suspects: false };
    ReplicaReport {
        replica,
        pid: 1,
        version: "0.1.0".to_owned(),
        view: View(0),
        active: true,
        learner: false,
        alarm: None,
        executed: SequenceNumber(64),
        stable_checkpoint: SequenceNumber(64),
        state_root: Digest::from_bytes([7; 32]),
        peers_up: others().collect(),
        view_changes: 0,
        requests_executed: 0,
        evidence: 0,
        disk_full: false,
        refused: Vec::new(),
        condition: Condition {
            clock: 1_000_000_000,
            clock_drift: 5_000_000,
            timeout: 500,
            high_watermark: SequenceNumber(320),
            disk: Some((500, 1_000)),
            peers: others().map(peer).collect(),
            ..Condition::default()
        },
    }
}

/// Without these replicas, of which the others know.
pub fn without(missing: &[u32]) -> Look {
    let mut look = look();
    let is_missing = |id: &ReplicaId| missing.contains(&id.0);
    look.reports.retain(|id, _| !is_missing(id));
    for report in look.reports.values_mut() {
        report.peers_up.retain(|id| !is_missing(id));
        report.condition.peers.iter_mut().filter(|peer| is_missing(&peer.replica)).for_each(|peer| {
            (peer.up, peer.silent) = (false, Some(10_000));
        });
    }
    look
}

/// With a replica that is not ready for this reason.
pub fn unready(replica: u32, name: &str) -> Look {
    let mut look = look();
    let condition = look.reports.get_mut(&ReplicaId(replica)).map(|report| &mut report.condition);
    if let Some(condition) = condition {
        condition.unready = Some((name.to_owned(), format!("{name}: in words")));
    }
    look
}

pub fn codes(findings: &[Finding]) -> Vec<(&'static str, Option<u32>)> {
    findings.iter().map(|finding| (finding.code, finding.replica)).collect()
}
