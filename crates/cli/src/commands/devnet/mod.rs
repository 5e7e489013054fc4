//! `pbft devnet`: a cluster in the foreground.

mod events;
mod lines;

use super::strategies::{liars, parse_liar, strategies};
use crate::cluster::{Cluster, Conduct, Standing, consecutive_ports, free_ports};
use crate::failure::Failure;
use crate::output::{Format, FormatOption, print_json, print_text};
use crate::testnet::Service;
use events::{Event, Rates};
use lines::Lines;
use pbft_byzantine::Lie;
use pbft_client::Client;
use pbft_message::ReplicaId;
use pbft_node::ExitCode;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// How long the replicas may take to start and to find each other.
const START: Duration = Duration::from_secs(20);
/// How often it is told where the replicas stand.
const PERIOD: Duration = Duration::from_secs(1);

/// Run a local cluster in the foreground, to play with.
///
/// Every replica is a process of its own; what it logs is in replica.log in its home. Ctrl-C or SIGTERM ends them all.
#[derive(clap::Args)]
#[command(after_help = after_help())]
pub struct Devnet {
    /// How many replicas; at least 4. Of n replicas (n - 1) / 3 may lie.
    #[arg(long, value_name = "N", default_value_t = 4)]
    replicas: u32,
    /// How many clients get keys and a home.
    #[arg(long, value_name = "C", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    clients: u32,
    /// A replica that lies, and how, as in 0=equivocate or 3=intermittent:mute. May be given for several.
    #[arg(long, value_name = "ID=STRATEGY", value_parser = parse_liar)]
    byzantine: Vec<(ReplicaId, Lie)>,
    /// Where the homes are made; must not exist, or be empty. Without it they are temporary.
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
    /// Replica i uses port P + i of this machine, for UDP and, to tell how it is, for TCP; 0: free ones.
    #[arg(long, value_name = "P", default_value_t = 7100)]
    base_port: u16,
    #[command(flatten)]
    format: FormatOption,
}

fn after_help() -> String {
    let examples = "Examples:\n  pbft devnet\n  pbft devnet --replicas 7 --byzantine 0=equivocate --byzantine 3=mute\n  pbft devnet --home net --base-port 9000 -o json\n\nKill a replica, and start it again with its journal: kill -9 PID; pbft replica --home DIR/replica-N\n\nExits 0 after SIGTERM, 130 after Ctrl-C.";
    format!("{}\n\n{examples}", strategies())
}

impl Devnet {
    pub fn run(self) -> ExitCode {
        let format = self.format.format;
        let temporary = match &self.home {
            Some(_) => None,
            None => match tempfile::Builder::new().prefix("pbft-devnet-").tempdir() {
                Ok(folder) => Some(folder),
                Err(error) => return format.fail(&Failure::io(format!("cannot make a temporary home: {error}"))),
            },
        };
        let home = self.home.clone().or_else(|| Some(temporary.as_ref()?.path().join("network"))).unwrap_or_default();
        match self.run_in(&home) {
            Ok(code) => code,
            Err(failure) => format.fail(&failure),
        }
    }

    fn run_in(&self, home: &Path) -> Result<ExitCode, Failure> {
        let liars = liars(&self.byzantine, self.replicas)?;
        let runtime = tokio::runtime::Runtime::new().map_err(Failure::io)?;
        runtime.block_on(async {
            let on = |kind| signal(kind).map_err(Failure::io);
            let (mut terminate, mut interrupt) = (on(SignalKind::terminate())?, on(SignalKind::interrupt())?);
            // Nothing is made before it is known that the ports can be had.
            let addresses = match self.base_port {
                0 => free_ports(self.replicas)?,
                base => consecutive_ports(base, self.replicas)?,
            };
            let mut cluster = Cluster::make(home, addresses, self.clients, Service::Kv)?;
            let ended = tokio::select! {
                failed = stay(&mut cluster, &liars, self.format.format) => failed,
                _ = terminate.recv() => Ok(ExitCode::Yes),
                _ = interrupt.recv() => Ok(ExitCode::Interrupted),
            };
            cluster.stop_all().await;
            ended
        })
    }
}

/// Starts the replicas and tells what becomes of them. Ends only by a failure to start.
async fn stay(cluster: &mut Cluster, liars: &BTreeMap<ReplicaId, Lie>, format: Format) -> Result<ExitCode, Failure> {
    for replica in cluster.replicas() {
        let conduct = liars.get(&replica).map_or(Conduct::Honest, |lie| Conduct::Lying(*lie));
        cluster.start(replica, conduct)?;
    }
    let client = cluster.client(0)?;
    cluster.wait_until_up(&client, START).await?;
    let others = cluster.replicas().count().saturating_sub(1);
    let all_met = |standing: &Standing| standing.0.values().all(|report| report.peers_up.len() >= others);
    Standing::until(&client, START, all_met).await;
    match format {
        Format::Json => print_json(&Event::ready(cluster)),
        Format::Table => introduce(cluster, liars),
    }
    watch(cluster, &client, Lines::new(cluster.replicas().count(), liars), format).await
}

async fn watch(cluster: &mut Cluster, client: &Client, mut lines: Lines, format: Format) -> Result<ExitCode, Failure> {
    let mut rates = Rates::default();
    let mut pulse = tokio::time::interval(PERIOD);
    loop {
        pulse.tick().await;
        while let Some((replica, reason)) = cluster.take_exited() {
            match format {
                Format::Json => print_json(&Event::ReplicaExited { replica, reason }),
                Format::Table => lines.tell(&format!("replica {replica} {reason}")),
            }
        }
        let standing = Standing::ask(client).await;
        let status = events::status(cluster, &standing, &mut rates);
        match format {
            Format::Json => print_json(&Event::Status { replicas: status }),
            Format::Table => lines.show(&status),
        }
    }
}

fn introduce(cluster: &Cluster, liars: &BTreeMap<ReplicaId, Lie>) {
    let genesis = &cluster.network.genesis;
    let (n, f) = (genesis.replica_count(), genesis.max_faulty());
    print_text(&format!("A cluster of {n} replicas, of which {f} may fail in any way, is ready."));
    if liars.len() > f {
        print_text(&format!("{} of them lie: more than it can bear, so nothing is guaranteed.", liars.len()));
    }
    print_text("\nIn another terminal:");
    for command in events::client_commands(cluster) {
        print_text(&format!("  {command}"));
    }
    print_text("\nCtrl-C ends it.\n");
}
