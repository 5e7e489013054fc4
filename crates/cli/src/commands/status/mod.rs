//! `pbft status`.

mod document;

use crate::client_home::{ClientOptions, Cluster};
use crate::failure::Failure;
use crate::output::{print_table, print_text};
use comfy_table::{Cell, Color};
use document::{ReplicaStatus, StatusDocument, unstable};
use pbft_message::{ReplicaId, ReplicaReport};
use pbft_node::ExitCode;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Those that are up answer within milliseconds; the others are waited for no longer than this once a quorum is up.
pub const GRACE: Duration = Duration::from_secs(1);

/// The pause between two looks with --wait-stable.
const PAUSE: Duration = Duration::from_millis(100);

/// Show where every replica stands.
///
/// Show where every replica stands, by its own word: its view and role, what it has executed, its stable checkpoint and
/// the root of the state there. Exit code 5 if fewer replicas than a quorum can be reached.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  pbft status --home net/client-0\n  pbft status -o json\n  pbft status --wait-stable --timeout 30s"
)]
pub struct Status {
    /// Wait until all replicas that can be reached, at least a quorum, agree on the state, with nothing executed beyond
    /// the stable checkpoint. Exit code 5 if they do not in time.
    #[arg(long)]
    wait_stable: bool,
    #[command(flatten)]
    options: ClientOptions,
}

/// Where each replica stands; None for those that cannot be reached.
type Reports = Vec<(ReplicaId, Option<ReplicaReport>)>;

impl Status {
    pub fn run(self) -> ExitCode {
        let found = self.options.run(|cluster| self.look(cluster));
        self.options.format.end(found, show)
    }

    async fn look(&self, cluster: Cluster) -> Result<(StatusDocument, ExitCode), Failure> {
        let deadline = Instant::now().checked_add(cluster.timeout);
        // Without a quorum there are reports to show all the same.
        let _ = cluster.client.wait_for_quorum(cluster.timeout).await;
        loop {
            let reports: Reports = cluster.client.reports(GRACE).await;
            let problem = problem(&reports, &cluster, self.wait_stable);
            let is_over = deadline.is_none_or(|deadline| Instant::now() >= deadline);
            if problem.is_none() || !self.wait_stable || is_over {
                let code = if problem.is_some() { ExitCode::Unknown } else { ExitCode::Yes };
                return Ok((StatusDocument::new(&cluster.genesis, &reports, problem), code));
            }
            sleep(PAUSE).await;
        }
    }
}

/// What is missing for a yes: its name, and a sentence.
fn problem(reports: &Reports, cluster: &Cluster, wait_stable: bool) -> Option<(&'static str, String)> {
    let reachable: Vec<&ReplicaReport> = reports.iter().filter_map(|(_, report)| report.as_ref()).collect();
    let quorum = cluster.genesis.quorum();
    if reachable.len() < quorum {
        return Some(("NoQuorum", format!("{} replicas can be reached, {quorum} are needed", reachable.len())));
    }
    if !wait_stable {
        return None;
    }
    unstable(&reachable).map(|reason| ("NotStable", reason))
}

fn show(document: &StatusDocument) {
    let StatusDocument { cluster_id, n, f, quorum, .. } = document;
    print_text(&format!("cluster {cluster_id}: n = {n}, f = {f}, a quorum is {quorum}"));
    let header = ["replica", "role", "view", "executed", "stable", "state root", "peers up", "view changes", "evidence", "refused"];
    print_table(&header, document.replicas.iter().map(row));
    for status in &document.replicas {
        if let Some(alarm) = status.report.as_ref().and_then(|report| report.alarm.as_ref()) {
            print_text(&format!("replica {} stopped voting: {}", status.replica, alarm.escape_debug()));
        }
    }
    if let Some(error) = &document.error {
        eprintln!("pbft: {}", error.message);
    }
}

fn row(status: &ReplicaStatus) -> Vec<Cell> {
    let Some(report) = &status.report else {
        return vec![Cell::new(status.replica), Cell::new("unreachable").fg(Color::Red)];
    };
    let role = match (report.role, report.active) {
        (role, _) if report.disk_full => Cell::new(format!("{role}, disk full")).fg(Color::Red),
        ("halted", _) => Cell::new("halted").fg(Color::Red),
        ("primary", true) => Cell::new("primary").fg(Color::Green),
        (role, true) => Cell::new(role),
        (role, false) => Cell::new(format!("{role}, changing view")).fg(Color::Yellow),
    };
    let evidence = Cell::new(report.evidence);
    let refused: Vec<String> = report.refused.iter().map(|(reason, count)| format!("{}: {count}", reason.escape_debug())).collect();
    vec![
        Cell::new(status.replica),
        role,
        Cell::new(report.view),
        Cell::new(report.executed),
        Cell::new(report.stable_checkpoint),
        Cell::new(report.state_root.short()),
        Cell::new(report.peers_up),
        Cell::new(report.view_changes),
        if report.evidence > 0 { evidence.fg(Color::Red) } else { evidence },
        Cell::new(refused.join(", ")),
    ]
}
