//! `pbft doctor`: what is wrong, and what to do. One file a group of findings, each a pure function of a look.

mod clocks;
mod execution;
mod finding;
#[cfg(test)]
pub mod fixture;
mod hosts;
mod lies;
mod links;
pub mod look;
mod presence;
mod progress;
mod votes;

use crate::client_home::{ClientHome, ClientOptions, Cluster};
use crate::commands::evidence::one_of_each;
use crate::commands::status::GRACE;
use crate::failure::Failure;
use crate::output::print_text;
use finding::{Diagnosis, Finding, Severity};
use look::Look;
use pbft_message::Authenticator;
use pbft_node::ExitCode;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// For so long replicas that do not answer are waited for: longer than one attempt to connect takes.
const CONNECTING: Duration = Duration::from_secs(4);
/// Between two looks, of which both must find what is to be told. A view change takes less.
const PAUSE: Duration = Duration::from_secs(1);

/// Say what is wrong with a cluster, and what to do.
///
/// In plain sentences: which replicas are missing or behind, whether there is a quorum, why nothing is ordered, clocks, versions,
/// disks, proofs of lies, keys and addresses that do not fit.
///
/// It looks twice, a second apart: what passes by itself is no finding. What a replica says of itself is its own word, and
/// may be a lie. Exit code 0 if nothing is wrong, 1 otherwise.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  pbft doctor --home net/client-0\n  pbft doctor -o json | jq -r '.findings[].code'")]
pub struct Doctor {
    #[command(flatten)]
    options: ClientOptions,
}

impl Doctor {
    pub fn run(self) -> ExitCode {
        let addresses = ClientHome::load(&self.options.home).map(|home| home.addresses);
        let found = addresses.and_then(|addresses| self.options.run(|cluster| examine(cluster, addresses)));
        self.options.format.end(found, show)
    }
}

async fn examine(cluster: Cluster, addresses: Vec<String>) -> Result<(Diagnosis, ExitCode), Failure> {
    connect(&cluster).await;
    let first = findings(&look(&cluster, addresses.clone()).await);
    let mut diagnosis = Diagnosis::new(first.clone());
    if !first.is_empty() {
        sleep(PAUSE).await;
        let second = findings(&look(&cluster, addresses).await);
        let lasts = |finding: &Finding| first.iter().any(|before| before.is_same(finding));
        diagnosis = Diagnosis::new(second.into_iter().filter(lasts).collect());
    }
    let code = if diagnosis.severity == Severity::Ok { ExitCode::Yes } else { ExitCode::No };
    Ok((diagnosis, code))
}

/// Until all are connected, or those that are not had their time.
async fn connect(cluster: &Cluster) {
    let deadline = Instant::now().checked_add(CONNECTING.min(cluster.timeout));
    while cluster.client.connected().len() < cluster.genesis.replica_count()
        && deadline.is_some_and(|deadline| Instant::now() < deadline)
    {
        sleep(Duration::from_millis(20)).await;
    }
}

async fn look(cluster: &Cluster, addresses: Vec<String>) -> Look {
    let reports = cluster.client.reports(GRACE).await;
    let authenticator = Authenticator::new(cluster.genesis.clone());
    let pieces = cluster.client.evidence(GRACE).await.into_iter().flat_map(|(_, pieces)| pieces);
    let proven = pieces.filter(|piece| authenticator.verify_evidence(piece.clone()).is_ok());
    Look {
        genesis: cluster.genesis.clone(),
        addresses,
        reports: reports.into_iter().filter_map(|(id, report)| Some((id, report?))).collect(),
        problems: cluster.client.dial_problems(),
        evidence: one_of_each(proven.collect()),
    }
}

fn findings(look: &Look) -> Vec<Finding> {
    let groups = [presence::find, progress::find, lies::find, votes::find, execution::find, links::find, clocks::find, hosts::find];
    groups.iter().flat_map(|find| find(look)).collect()
}

fn show(diagnosis: &Diagnosis) {
    if diagnosis.findings.is_empty() {
        return print_text("all is well: every replica answers, votes and keeps up");
    }
    for Finding { severity, code, message, action, .. } in &diagnosis.findings {
        let severity = if *severity == Severity::Critical { "CRITICAL" } else { "warning" };
        print_text(&format!("{severity} {code}: {message}.\n    {action}."));
    }
}
