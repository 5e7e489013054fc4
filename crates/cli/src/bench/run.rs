use super::floor::SignatureCost;
use super::load::Load;
use super::meter::Readings;
use super::metrics::Metrics;
use super::process::Consumption;
use super::progress::Progress;
use super::report::Report;
use super::target::Target;
use super::workload::Workload;
use crate::failure::Failure;
use pbft_message::{ReplicaId, ReplicaReport};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long signatures are measured.
const SIGNING: Duration = Duration::from_millis(300);
/// The most signatures that a replica verifies together.
const MOST_TOGETHER: usize = 256;
/// How often it is told how far it is.
const PERIOD: Duration = Duration::from_millis(500);

/// How long things take.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// How long the clients ask before it counts.
    pub warmup: Duration,
    /// How long it counts.
    pub duration: Duration,
}

/// What was seen in the time that counts.
pub struct Measured {
    /// What signatures cost, measured before; only where the replicas run on this machine.
    pub signatures: Option<SignatureCost>,
    /// How long it was.
    pub time: Duration,
    /// What the clients saw.
    pub readings: Readings,
    /// What the clients used.
    pub clients: Consumption,
    /// What the replicas used.
    pub replicas: BTreeMap<ReplicaId, Consumption>,
    /// What the replicas counted before and after.
    pub metrics: BTreeMap<ReplicaId, (Metrics, Metrics)>,
    /// Where the replicas stood before.
    pub first: BTreeMap<ReplicaId, ReplicaReport>,
    /// Where they stood after.
    pub last: BTreeMap<ReplicaId, ReplicaReport>,
}

/// A look at what was used so far.
struct Look {
    at: Instant,
    metrics: BTreeMap<ReplicaId, Metrics>,
    clients: Consumption,
    replicas: BTreeMap<ReplicaId, Consumption>,
}

/// Measures a cluster under a load.
pub async fn run(target: &mut Target, workload: &Workload, times: Times, progress: &Progress) -> Result<Report, Failure> {
    let signatures = match target.is_own() {
        true => Some(signatures(target, workload, progress).await?),
        false => None,
    };
    let load = Load::start(&target.clients, target.service, workload)?;
    wait(&load, "warming up", times.warmup, progress).await;
    let first = target.reports().await;
    let before = Look::now(target).await?;
    load.take()?;
    wait(&load, "measuring", times.duration, progress).await;
    let after = Look::now(target).await?;
    let mut readings = load.take()?;
    let last = target.reports().await;
    let late = load.stop().await?;
    if workload.rate.is_some() {
        readings.add_late(&late);
    }
    target.check()?;
    let measured = Measured {
        signatures,
        time: after.at.saturating_duration_since(before.at),
        readings,
        clients: after.clients.since(&before.clients),
        replicas: pairs(&before.replicas, &after.replicas).map(|(id, before, after)| (id, after.since(before))).collect(),
        metrics: pairs(&before.metrics, &after.metrics).map(|(id, before, after)| (id, (before.clone(), after.clone()))).collect(),
        first,
        last,
    };
    Ok(Report::new(target, workload, &measured))
}

/// With as many keys, and in batches as large, as the clients will make them.
async fn signatures(target: &Target, workload: &Workload, progress: &Progress) -> Result<SignatureCost, Failure> {
    progress.tell("measuring what signatures cost here");
    let keys = target.clients.len();
    let together = workload.requests_in_flight(keys).min(MOST_TOGETHER);
    let measure = move || SignatureCost::measure(keys, together, SIGNING);
    tokio::task::spawn_blocking(measure).await.map_err(Failure::io)
}

/// Waits, and tells how fast it goes.
async fn wait(load: &Load, what: &str, time: Duration, progress: &Progress) {
    let started = Instant::now();
    progress.tell(what);
    while let Some(left) = time.checked_sub(started.elapsed()).filter(|left| !left.is_zero()) {
        tokio::time::sleep(left.min(PERIOD)).await;
        let (passed, whole) = (started.elapsed().as_secs_f64(), time.as_secs_f64());
        progress.tell(format!("{what}: {passed:.0} of {whole:.0} s, {:.0} operations/s", load.answered() as f64 / passed));
    }
}

impl Look {
    /// The metrics take a moment to come, so they come first.
    async fn now(target: &Target) -> Result<Self, Failure> {
        let mut asked = Vec::new();
        for (replica, address) in target.metrics() {
            asked.push((replica, tokio::spawn(Metrics::ask(address))));
        }
        let mut metrics = BTreeMap::new();
        for (replica, answer) in asked {
            metrics.extend(answer.await.ok().flatten().map(|found| (replica, found)));
        }
        let own = Consumption::of(std::process::id());
        let clients = own.ok_or_else(|| Failure::io("cannot read /proc: what processes use is known on Linux only"))?;
        Ok(Self { metrics, clients, replicas: target.consumption(), at: Instant::now() })
    }
}

/// What is there before and after.
fn pairs<'a, T>(
    before: &'a BTreeMap<ReplicaId, T>,
    after: &'a BTreeMap<ReplicaId, T>,
) -> impl Iterator<Item = (ReplicaId, &'a T, &'a T)> {
    after.iter().filter_map(|(id, last)| Some((*id, before.get(id)?, last)))
}
