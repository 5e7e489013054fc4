use pbft_message::{Evidence, Genesis, ReplicaId, ReplicaReport};
use pbft_network::DialProblem;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A replica that says nothing for so long counts as away, in milliseconds.
const AWAY: u64 = 3_000;

/// What there is to judge by: each replica's own word, and what this client saw itself.
#[derive(Clone, Debug)]
pub struct Look {
    pub genesis: Arc<Genesis>,
    /// Where this client reaches each replica, in the order of their numbers.
    pub addresses: Vec<String>,
    /// Of those that answered.
    pub reports: BTreeMap<ReplicaId, ReplicaReport>,
    /// Why this client could not connect.
    pub problems: BTreeMap<ReplicaId, DialProblem>,
    /// Proofs that hold, one of each lie.
    pub evidence: Vec<Evidence>,
}

impl Look {
    pub fn address(&self, replica: ReplicaId) -> &str {
        self.addresses.get(replica.0 as usize).map_or("", String::as_str)
    }

    /// The replicas that gave no report.
    pub fn missing(&self) -> impl Iterator<Item = ReplicaId> {
        self.genesis.replica_ids().filter(|id| !self.reports.contains_key(id))
    }

    /// The replicas that vote, by their own word.
    pub fn voters(&self) -> BTreeSet<ReplicaId> {
        self.reports.iter().filter(|(_, report)| votes(report)).map(|(id, _)| *id).collect()
    }

    /// Those that will vote as soon as a quorum has told them what they signed.
    pub fn recovering(&self) -> BTreeSet<ReplicaId> {
        self.reports.iter().filter(|(_, report)| silence(report) == "recovering").map(|(id, _)| *id).collect()
    }

    /// Those that gave this client no report, and of which it does not follow that they do not vote: others hear them, or they
    /// want to hear nothing of this client.
    pub fn unjudged(&self) -> BTreeSet<ReplicaId> {
        self.missing().filter(|id| !self.heard_by(*id).is_empty() || self.problems.get(id).is_some_and(is_ours)).collect()
    }

    /// The replicas that hear this one.
    pub fn heard_by(&self, replica: ReplicaId) -> Vec<ReplicaId> {
        let hears_it = |report: &&ReplicaReport| {
            report.condition.peers.iter().any(|peer| peer.replica == replica && peer.silent.is_some_and(|silent| silent < AWAY))
        };
        self.reports.values().filter(hears_it).map(|report| report.replica).collect()
    }

    /// Those that lied, provably.
    pub fn liars(&self) -> BTreeSet<ReplicaId> {
        self.evidence.iter().map(|evidence| evidence.accused().0).collect()
    }

    /// A learner, or halted for good: nothing brings its votes back.
    pub fn votes_no_more(&self, replica: ReplicaId) -> bool {
        self.reports.get(&replica).is_some_and(|report| matches!(silence(report), "learner" | "halted"))
    }

    /// Why a replica is not to be counted on, in brackets behind its name; nothing if it is.
    pub fn flaw(&self, replica: ReplicaId) -> &'static str {
        match self.reports.get(&replica) {
            None => " (does not answer)",
            Some(report) if silence(report) == "learner" => " (a learner)",
            Some(report) if silence(report) == "halted" => " (stopped voting)",
            Some(report) if reason(report) == "disk_full" => " (its disk is full)",
            Some(report) if !votes(report) => " (does not vote now)",
            Some(_) if self.liars().contains(&replica) => " (a liar)",
            Some(_) => "",
        }
    }
}

/// Whether what keeps this client from a replica may be this client's own fault.
const fn is_ours(problem: &DialProblem) -> bool {
    matches!(
        problem,
        DialProblem::WrongKey | DialProblem::Hello | DialProblem::Refused | DialProblem::Version | DialProblem::Unresolved
    )
}

/// The name of the reason why a replica is not ready; empty if it is.
pub fn reason(report: &ReplicaReport) -> &str {
    report.condition.unready.as_ref().map_or("", |(name, _)| name)
}

/// Why a replica is not ready, in its own words, which may be anything.
pub fn words(report: &ReplicaReport) -> String {
    report.condition.unready.as_ref().map(|(_, words)| words.escape_debug().to_string()).unwrap_or_default()
}

fn votes(report: &ReplicaReport) -> bool {
    report.condition.silence.is_none() && !["starting", "disk_full", "still"].contains(&reason(report))
}

/// Why a replica follows without voting; empty if it votes.
pub fn silence(report: &ReplicaReport) -> &str {
    report.condition.silence.as_deref().unwrap_or_default()
}

/// "replica 1", "replicas 1 and 3", "replicas 0, 1 and 3".
pub fn replicas(ids: impl IntoIterator<Item = ReplicaId>) -> String {
    let names: Vec<String> = ids.into_iter().map(|id| id.to_string()).collect();
    match names.split_last() {
        None => "no replica".to_owned(),
        Some((last, [])) => format!("replica {last}"),
        Some((last, others)) => format!("replicas {} and {last}", others.join(", ")),
    }
}

/// A time for people.
pub fn seconds(milliseconds: u64) -> String {
    format!("{}.{} s", milliseconds / 1000, milliseconds % 1000 / 100)
}
