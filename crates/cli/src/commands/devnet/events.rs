//! What the devnet tells, as values: one line of JSON an event.

use crate::cluster::{Cluster, Standing};
use pbft_message::{ReplicaId, ReplicaReport};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// An event.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The first: all replicas answer.
    Ready {
        /// The folder of all homes.
        home: PathBuf,
        /// The clients' homes.
        clients: Vec<PathBuf>,
        /// The replicas.
        replicas: Vec<Started>,
    },
    /// A replica's process ended without our doing.
    ReplicaExited {
        /// The replica.
        replica: ReplicaId,
        /// How, and its last words.
        reason: String,
    },
    /// Where the replicas stand, every second.
    Status {
        /// All of them.
        replicas: Vec<Line>,
    },
}

/// A replica that was started.
#[derive(Serialize)]
pub struct Started {
    replica: ReplicaId,
    pid: Option<u32>,
    address: String,
    home: PathBuf,
}

/// Where one replica stands. What a replica that does not answer would have said is missing.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// The replica.
    pub replica: ReplicaId,
    /// Whether it answers.
    pub reachable: bool,
    /// What it says.
    #[serde(flatten)]
    pub stands: Option<Stands>,
}

/// What a replica says of itself.
#[derive(Clone, Debug, Serialize)]
pub struct Stands {
    pub pid: u32,
    pub role: &'static str,
    pub view: u64,
    pub active: bool,
    pub executed: u64,
    pub stable_checkpoint: u64,
    pub peers_up: usize,
    pub requests_per_second: u64,
}

/// How many requests each process had executed, and when that was.
#[derive(Default)]
pub struct Rates(BTreeMap<ReplicaId, (u32, u64, Instant)>);

impl Rates {
    /// Requests a second since the last report of the same process.
    fn rate(&mut self, report: &ReplicaReport) -> u64 {
        let now = Instant::now();
        match self.0.insert(report.replica, (report.pid, report.requests_executed, now)) {
            Some((pid, executed, then)) if pid == report.pid => {
                let more = report.requests_executed.saturating_sub(executed);
                (more as f64 / now.duration_since(then).as_secs_f64().max(0.001)).round() as u64
            }
            _ => 0,
        }
    }
}

impl Event {
    /// The first event.
    pub fn ready(cluster: &Cluster) -> Self {
        let started = |replica| Started {
            replica,
            pid: cluster.pid(replica),
            address: cluster.addresses.get(replica.0 as usize).map(ToString::to_string).unwrap_or_default(),
            home: absolute(&cluster.home(replica)),
        };
        Self::Ready {
            home: cluster.network.replicas.first().and_then(|home| home.parent()).map(absolute).unwrap_or_default(),
            clients: cluster.network.clients.iter().map(|home| absolute(home)).collect(),
            replicas: cluster.replicas().map(started).collect(),
        }
    }
}

/// Where all replicas stand.
pub fn status(cluster: &Cluster, standing: &Standing, rates: &mut Rates) -> Vec<Line> {
    let genesis = &cluster.network.genesis;
    let mut stands = |report: &ReplicaReport| Stands {
        pid: report.pid,
        role: if genesis.primary(report.view) == report.replica { "primary" } else { "backup" },
        view: report.view.0,
        active: report.active,
        executed: report.executed.0,
        stable_checkpoint: report.stable_checkpoint.0,
        peers_up: report.peers_up.len(),
        requests_per_second: rates.rate(report),
    };
    let line = |replica| {
        let stands = standing.of(replica).map(&mut stands);
        Line { replica, reachable: stands.is_some(), stands }
    };
    cluster.replicas().map(line).collect()
}

/// Commands that can be pasted into a shell.
pub fn client_commands(cluster: &Cluster) -> Vec<String> {
    let program = std::env::current_exe().map_or_else(|_| "pbft".to_owned(), |path| quoted(&path));
    let home = cluster.network.clients.first().map(|home| quoted(&absolute(home))).unwrap_or_default();
    let command = |verb: &str, rest: &str| format!("{program} {verb} --home {home}{rest}");
    vec![command("put", " colour blue"), command("get", " colour"), command("status", "")]
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// As a shell reads it back.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |char: char| char.is_ascii_alphanumeric() || "/._-+".contains(char);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_survive_the_shell() {
        assert_eq!(quoted(Path::new("/home/ann/net-1")), "/home/ann/net-1");
        assert_eq!(quoted(Path::new("/my net/it's")), r"'/my net/it'\''s'");
    }

    #[test]
    fn events_have_their_documented_shape() {
        let line = Line { replica: ReplicaId(2), reachable: false, stands: None };
        let text = serde_json::to_value(Event::Status { replicas: vec![line] }).unwrap();
        assert_eq!(text, serde_json::json!({ "event": "status", "replicas": [{ "replica": 2, "reachable": false }] }));
        let text = serde_json::to_value(Event::ReplicaExited { replica: ReplicaId(1), reason: "why".to_owned() }).unwrap();
        assert_eq!(text, serde_json::json!({ "event": "replica_exited", "replica": 1, "reason": "why" }));
    }
}
