//! `pbft bench`: how fast a cluster is on this machine, and what an operation costs.

use super::strategies::{liars, parse_liar, strategies};
use crate::bench::{Durability, Grouping, Machine, Plan, Progress, Report, Sweep, Target, Times, Workload, levels, run};
use crate::client_home::parse_time;
use crate::failure::Failure;
use crate::output::FormatOption;
use crate::testnet::Service;
use pbft_byzantine::Lie;
use pbft_message::ReplicaId;
use pbft_node::ExitCode;
use serde::Serialize;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// Measure how fast a cluster is on this machine, and what an operation costs.
///
/// Measure how fast a cluster is on this machine, and what an operation costs: real processes, real signatures, real QUIC,
/// a real disk.
///
/// It starts a cluster of its own, or uses the one that --home belongs to. CPU is counted for each operation, for all
/// clients together, for the primary, and for one backup; what signatures alone would cost here is measured first.
#[derive(Debug, clap::Args)]
#[command(after_help = after_help())]
pub struct Bench {
    /// How many replicas; at least 4.
    #[arg(long, value_name = "N", default_value_t = 4)]
    replicas: u32,
    /// How many clients, each with a key and connections of its own.
    #[arg(long, value_name = "C", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=4096))]
    clients: u32,
    /// How many operations each client has in flight; with --rate, at most.
    #[arg(long, value_name = "N", default_value = "256")]
    in_flight: NonZeroUsize,
    /// The size of a value, or of an operation of the null service, in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 100)]
    payload: usize,
    /// Over how many keys the values go.
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    keys: u64,
    /// How many operations a signed request has. auto: those that are submitted while one is in flight are joined.
    #[arg(long, value_name = "N|auto", default_value = "auto", value_parser = parse_grouping)]
    ops_per_request: Grouping,
    /// What executes the operations: puts into the key-value store, or nothing.
    #[arg(long, value_enum, default_value_t)]
    service: Service,
    /// Where the replicas' homes are: on a disk (in TMPDIR), or in memory, where a sync costs nothing. The replicas sync
    /// alike in both.
    #[arg(long, value_enum, default_value_t)]
    durability: Durability,
    /// Operations a second that are due, whether or not those before are answered. Latencies count from when an operation
    /// was due. Without it, a client asks for the next one when one is answered.
    #[arg(long, value_name = "R", value_parser = parse_rate)]
    rate: Option<f64>,
    /// How long it is measured.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_time)]
    duration: Duration,
    /// How long the clients are at work before that.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_time)]
    warmup: Duration,
    /// A replica that lies, and how, as in 0=equivocate or 3=intermittent:mute. May be given for several.
    #[arg(long, value_name = "ID=STRATEGY", value_parser = parse_liar)]
    byzantine: Vec<(ReplicaId, Lie)>,
    /// Measure the cluster that this client's folder belongs to, instead of one of its own. May be given for several
    /// clients.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["replicas", "clients", "service", "durability", "byzantine"])]
    home: Vec<PathBuf>,
    /// Measure with 1, 2, 4 and so on operations in flight, up to --in-flight.
    #[arg(long, conflicts_with = "rate")]
    sweep: bool,
    /// An SVG file for the curve of latency over throughput.
    #[arg(long, value_name = "FILE", requires = "sweep")]
    plot: Option<PathBuf>,
    /// Measure only what this machine can do at most: signatures, hashes, fsyncs, QUIC.
    #[arg(long, conflicts_with_all = ["home", "sweep", "rate", "byzantine"])]
    floor: bool,
    #[command(flatten)]
    format: FormatOption,
}

/// What came of it.
#[derive(Serialize)]
#[serde(untagged)]
enum Answer {
    One(Box<Report>),
    Many(Sweep),
    Machine(Machine),
}

fn after_help() -> String {
    let examples = "Examples:\n  pbft bench\n  pbft bench --service null --clients 4 --in-flight 256 --ops-per-request 1\n  pbft bench --clients 16 --in-flight 400 --duration 30s -o json\n  pbft bench --rate 5000 --clients 8\n  pbft bench --replicas 7 --byzantine 5=mute --byzantine 6=equivocate\n  pbft bench --sweep --plot curve.svg\n  pbft bench --home net/client-0 --home net/client-1\n  pbft bench --floor\n\nExits 0 if operations were answered, 1 if none were. docs/performance.md says how it measures.";
    format!("{}\n\n{examples}", strategies())
}

fn parse_grouping(text: &str) -> Result<Grouping, String> {
    match text {
        "auto" => Ok(Grouping::Auto),
        count => count.parse().map(Grouping::Fixed).map_err(|_| "it is neither a number from 1 on nor auto".to_owned()),
    }
}

fn parse_rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "it is not a number".to_owned())?;
    if rate.is_finite() && rate > 0.0 { Ok(rate) } else { Err("it must be greater than 0".to_owned()) }
}

impl Bench {
    pub fn run(self) -> ExitCode {
        if cfg!(debug_assertions) {
            eprintln!("pbft: this program was built without optimisation: its figures say nothing");
        }
        let progress = Progress::new();
        let measured = self.measure(&progress);
        progress.end();
        let with_code = |answer: Answer| {
            let code = answer.exit_code();
            (answer, code)
        };
        self.format.format.end(measured.map(with_code), Answer::show)
    }

    fn measure(&self, progress: &Progress) -> Result<Answer, Failure> {
        let folder = self.durability.folder()?;
        let runtime = tokio::runtime::Runtime::new().map_err(Failure::io)?;
        runtime.block_on(async {
            let on = |kind| signal(kind).map_err(Failure::io);
            let (mut terminate, mut interrupt) = (on(SignalKind::terminate())?, on(SignalKind::interrupt())?);
            let folder = folder.path().join("network");
            // Dropped when interrupted, and with it the replicas' processes.
            tokio::select! {
                answer = self.answer(folder, progress) => answer,
                _ = terminate.recv() => Err(interrupted()),
                _ = interrupt.recv() => Err(interrupted()),
            }
        })
    }

    async fn answer(&self, folder: PathBuf, progress: &Progress) -> Result<Answer, Failure> {
        if self.floor {
            std::fs::create_dir(&folder).map_err(Failure::io)?;
            return Machine::measure(&folder, progress).await.map(Answer::Machine);
        }
        let liars = liars(&self.byzantine, self.replicas)?;
        let (replicas, clients, service, durability) = (self.replicas, self.clients, self.service, self.durability);
        let plan = Plan { replicas, clients, service, durability, liars };
        let mut target = match self.home.as_slice() {
            [] => {
                progress.tell("starting the replicas");
                Target::start(&folder, &plan).await?
            }
            homes => {
                progress.tell("connecting");
                Target::connect(homes).await?
            }
        };
        let levels = if self.sweep { levels(self.in_flight.get()) } else { vec![self.in_flight.get()] };
        let times = Times { warmup: self.warmup, duration: self.duration };
        let mut reports = Vec::new();
        for in_flight in levels {
            reports.push(run(&mut target, &self.workload(in_flight), times, progress).await?);
        }
        if self.home.is_empty() {
            progress.tell("ending the replicas");
        }
        target.stop().await;
        if !self.sweep
            && let Some(report) = reports.pop()
        {
            return Ok(Answer::One(Box::new(report)));
        }
        let mut sweep = Sweep::new(reports);
        if let Some(file) = &self.plot {
            sweep.plot(file)?;
        }
        Ok(Answer::Many(sweep))
    }

    fn workload(&self, in_flight: usize) -> Workload {
        Workload { in_flight, grouping: self.ops_per_request, payload: self.payload, keys: self.keys, rate: self.rate }
    }
}

impl Answer {
    fn exit_code(&self) -> ExitCode {
        let answered = match self {
            Self::One(report) => report.ok,
            Self::Many(sweep) => sweep.ok,
            Self::Machine(_) => true,
        };
        if answered { ExitCode::Yes } else { ExitCode::No }
    }

    fn show(&self) {
        match self {
            Self::One(report) => report.show(),
            Self::Many(sweep) => sweep.show(),
            Self::Machine(machine) => machine.show(),
        }
    }
}

fn interrupted() -> Failure {
    Failure::new(ExitCode::Interrupted, "Interrupted", "interrupted: the replicas are ended, their homes removed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        bench: Bench,
    }

    fn parsed(line: &str) -> Result<Bench, String> {
        let line = Line::try_parse_from(format!("pbft {line}").split_whitespace());
        line.map(|line| line.bench).map_err(|error| error.to_string())
    }

    #[test]
    fn operations_per_request_are_a_number_or_joined() {
        assert_eq!(parsed("").unwrap().ops_per_request, Grouping::Auto);
        let fixed = NonZeroUsize::new(64).map(Grouping::Fixed);
        assert_eq!(Some(parsed("--ops-per-request 64").unwrap().ops_per_request), fixed);
        for wrong in ["0", "-1", "many"] {
            assert!(parsed(&format!("--ops-per-request={wrong}")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_excludes_each_other_is_refused() {
        for wrong in ["--plot x.svg", "--sweep --rate 5", "--rate 0", "--rate inf", "--home a --clients 2", "--floor --sweep"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
        let line = parsed("--home a --home b --sweep --plot x.svg --rate 9");
        assert!(line.is_err());
        assert_eq!(parsed("--home a --home b --rate 1e4").unwrap().home.len(), 2);
        assert_eq!(parsed("--byzantine 5=mute --byzantine 6=intermittent:equivocate --replicas 7").unwrap().byzantine.len(), 2);
    }
}
