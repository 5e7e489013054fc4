//! What `pbft status` tells programs.

use pbft_crypto::Digest;
use pbft_message::{Genesis, ReplicaId, ReplicaReport};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// `pbft status -o json`.
#[derive(Debug, Serialize)]
pub struct StatusDocument {
    pub ok: bool,
    pub cluster_id: Digest,
    pub n: usize,
    pub f: usize,
    pub quorum: usize,
    pub replicas: Vec<ReplicaStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<StatusError>,
}

/// Why the answer is not yes.
#[derive(Debug, Serialize)]
pub struct StatusError {
    pub code: &'static str,
    pub message: String,
}

/// One replica. Of one that cannot be reached nothing else is told.
#[derive(Debug, Serialize)]
pub struct ReplicaStatus {
    pub replica: u32,
    pub reachable: bool,
    #[serde(flatten)]
    pub report: Option<Report>,
}

/// A replica's own word.
#[derive(Debug, Serialize)]
pub struct Report {
    pub pid: u32,
    pub version: String,
    /// primary, backup, learner, or halted.
    pub role: &'static str,
    /// Why it stopped voting for good.
    pub alarm: Option<String>,
    pub view: u64,
    pub active: bool,
    pub executed: u64,
    pub stable_checkpoint: u64,
    /// The root at the stable checkpoint.
    #[serde(serialize_with = "hexadecimal")]
    pub state_root: Digest,
    /// How many other replicas it is connected to.
    pub peers_up: usize,
    pub view_changes: u64,
    pub requests_executed: u64,
    pub evidence: u64,
    pub disk_full: bool,
    pub refused: BTreeMap<String, u64>,
}

fn hexadecimal<S: Serializer>(digest: &Digest, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(digest)
}

impl StatusDocument {
    /// The document of what the replicas reported, and of what is missing for a yes.
    pub fn new(genesis: &Genesis, reports: &[(ReplicaId, Option<ReplicaReport>)], problem: Option<(&'static str, String)>) -> Self {
        let replica = |(id, report): &(ReplicaId, Option<ReplicaReport>)| ReplicaStatus {
            replica: id.0,
            reachable: report.is_some(),
            report: report.as_ref().map(|report| Report::new(*id, report, genesis)),
        };
        Self {
            ok: problem.is_none(),
            cluster_id: genesis.cluster_id(),
            n: genesis.replica_count(),
            f: genesis.max_faulty(),
            quorum: genesis.quorum(),
            replicas: reports.iter().map(replica).collect(),
            error: problem.map(|(code, message)| StatusError { code, message }),
        }
    }
}

impl Report {
    fn new(id: ReplicaId, report: &ReplicaReport, genesis: &Genesis) -> Self {
        let role = match report.learner {
            true => "learner",
            false if report.alarm.is_some() => "halted",
            false if genesis.primary(report.view) == id => "primary",
            false => "backup",
        };
        Self {
            pid: report.pid,
            version: report.version.clone(),
            role,
            alarm: report.alarm.clone(),
            view: report.view.0,
            active: report.active,
            executed: report.executed.0,
            stable_checkpoint: report.stable_checkpoint.0,
            state_root: report.state_root,
            peers_up: report.peers_up.len(),
            view_changes: report.view_changes,
            requests_executed: report.requests_executed,
            evidence: report.evidence,
            disk_full: report.disk_full,
            refused: report.refused.iter().cloned().collect(),
        }
    }
}

/// Why these replicas do not agree on a state with nothing beyond it; None if they do.
pub fn unstable(reports: &[&ReplicaReport]) -> Option<String> {
    let first = reports.first()?;
    if let Some(busy) = reports.iter().find(|report| report.executed != report.stable_checkpoint) {
        let (executed, stable) = (busy.executed, busy.stable_checkpoint);
        return Some(format!("replica {} has executed {executed}, its stable checkpoint is {stable}", busy.replica));
    }
    let place = |report: &ReplicaReport| (report.stable_checkpoint, report.state_root);
    let other = reports.iter().find(|report| place(report) != place(first))?;
    let (one, two) = (first.replica, other.replica);
    let different = if first.stable_checkpoint == other.stable_checkpoint { "state roots" } else { "stable checkpoints" };
    Some(format!("replicas {one} and {two} have different {different}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::fixture::look;
    use pbft_message::SequenceNumber;

    fn report(replica: u32, executed: u64, stable: u64, root: u8) -> ReplicaReport {
        ReplicaReport {
            executed: SequenceNumber(executed),
            stable_checkpoint: SequenceNumber(stable),
            state_root: Digest::from_bytes([root; 32]),
            ..look().reports.remove(&ReplicaId(replica)).unwrap()
        }
    }

    fn why(reports: &[ReplicaReport]) -> Option<String> {
        unstable(&reports.iter().collect::<Vec<_>>())
    }

    #[test]
    fn stable_is_the_same_root_at_the_same_number_and_nothing_beyond() {
        assert_eq!(why(&[report(0, 64, 64, 7), report(1, 64, 64, 7)]), None);
        assert!(why(&[report(0, 64, 64, 7), report(1, 65, 64, 7)]).unwrap().contains("replica 1 has executed 65"));
        assert!(why(&[report(0, 64, 64, 7), report(1, 64, 64, 8)]).unwrap().contains("state roots"));
        assert!(why(&[report(0, 64, 64, 7), report(1, 128, 128, 8)]).unwrap().contains("stable checkpoints"));
    }

    #[test]
    fn a_replica_in_the_document_has_the_fields_of_the_issue() {
        let status = ReplicaStatus { replica: 2, reachable: false, report: None };
        assert_eq!(serde_json::to_value(&status).unwrap(), serde_json::json!({ "replica": 2, "reachable": false }));
        let text = serde_json::to_value(Report {
            role: "backup",
            alarm: None,
            pid: 1,
            version: "0.1.0".to_owned(),
            view: 0,
            active: true,
            executed: 64,
            stable_checkpoint: 64,
            state_root: Digest::from_bytes([7; 32]),
            peers_up: 3,
            view_changes: 0,
            requests_executed: 9,
            evidence: 0,
            disk_full: false,
            refused: BTreeMap::from([("TooOld".to_owned(), 2)]),
        });
        let text = text.unwrap();
        assert_eq!(text["state_root"], "07".repeat(32));
        assert_eq!(text["refused"], serde_json::json!({ "TooOld": 2 }));
        assert_eq!((&text["peers_up"], &text["role"]), (&3.into(), &"backup".into()));
    }
}
