use super::floor::{SignatureCost, cores};
use super::folder::Durability;
use super::process::Consumption;
use super::run::Measured;
use super::target::Target;
use super::workload::{Grouping, Workload};
use hdrhistogram::Histogram;
use pbft_message::{ReplicaId, ReplicaReport};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::time::Duration;

/// What was measured. What could not be is null.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub ok: bool,
    pub replicas: usize,
    pub clients: usize,
    pub in_flight: usize,
    #[serde(serialize_with = "grouping")]
    pub ops_per_request: Grouping,
    pub payload_bytes: usize,
    pub keys: u64,
    pub service: &'static str,
    /// Where the replicas' homes are, if it is known.
    pub durability: Option<Durability>,
    /// Operations a second that were due, if there was a rate.
    pub rate: Option<f64>,
    pub duration_s: f64,
    /// Operations that were answered.
    pub operations: u64,
    pub throughput_ops_per_s: f64,
    pub latency_ms: Option<Latency>,
    pub cpu_us_per_op: CpuPerOperation,
    /// By stage; what is in none of the others is the network's.
    pub stage_us_per_op: BTreeMap<String, StageCost>,
    /// How many operations a request had on average.
    pub mean_ops_per_request: Option<f64>,
    /// How many requests a sequence number ordered on average.
    pub requests_per_batch: Option<f64>,
    /// What signatures alone would allow, and what the throughput is of that.
    pub floor: Option<Floor>,
    pub floor_fraction: Option<f64>,
    /// Of one replica on average, as all that follows with `per_op`.
    pub fsyncs_per_op: Option<f64>,
    pub journal_bytes_per_op: Option<f64>,
    /// All that it wrote to files: the journal, the room that is claimed for it ahead, snapshots, its log.
    pub written_bytes_per_op: Option<f64>,
    pub sent_bytes_per_op: Option<f64>,
    /// Of the replica that has the most.
    pub rss_mb: Option<f64>,
    pub view: Option<u64>,
    pub view_changes: u64,
    /// Operations that were due and had no answer at the end; only where there was a rate.
    pub unanswered: Option<u64>,
    /// Operations that failed.
    pub errors: u64,
    pub errors_by_name: BTreeMap<&'static str, u64>,
    pub by_replica: Vec<OfReplica>,
}

/// In milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latency {
    pub mean: f64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

/// Microseconds of CPU for each operation that was answered.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct CpuPerOperation {
    /// All clients.
    pub client: Option<f64>,
    pub primary: Option<f64>,
    /// One honest backup, on average.
    pub backup: Option<f64>,
    /// All clients and all replicas.
    pub total: Option<f64>,
}

/// Microseconds of CPU for each operation.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct StageCost {
    pub primary: Option<f64>,
    /// One honest backup, on average.
    pub backup: Option<f64>,
}

/// What signatures cost at least.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Floor {
    pub cores: usize,
    #[serde(flatten)]
    pub signatures: SignatureCost,
    /// If clients and replicas did nothing but sign and verify requests.
    pub ops_per_s: f64,
}

/// What one replica used.
#[derive(Clone, Debug, Serialize)]
pub struct OfReplica {
    pub replica: ReplicaId,
    /// primary or backup, and how it lies if it does.
    pub role: String,
    pub cpu_us_per_op: Option<f64>,
    pub rss_mb: f64,
    /// Microseconds of CPU for each operation, by the names of threads.
    pub threads_us_per_op: BTreeMap<String, Option<f64>>,
}

/// Who is what, and what figures are divided by.
struct Share<'a> {
    measured: &'a Measured,
    operations: f64,
    primary: Option<ReplicaId>,
    honest_backups: Vec<ReplicaId>,
}

impl Report {
    pub fn new(target: &Target, workload: &Workload, measured: &Measured) -> Self {
        let readings = &measured.readings;
        let share = Share::new(target, measured);
        let throughput = readings.operations as f64 / measured.time.as_secs_f64();
        let requests = measured.progress(|report| report.requests_executed);
        let batches = measured.progress(|report| report.executed.0);
        let mean_ops_per_request = match workload.grouping {
            Grouping::Fixed(count) => Some(count.get() as f64),
            Grouping::Auto => requests.and_then(|requests| ratio(share.operations, requests)),
        };
        let floor = measured.signatures.zip(mean_ops_per_request).map(|(signatures, operations)| {
            let ops_per_s = signatures.floor(cores(), target.genesis.replica_count(), operations);
            Floor { cores: cores(), signatures: signatures.rounded(), ops_per_s: rounded(ops_per_s) }
        });
        let written = measured.replicas.values().map(|used| used.written_bytes as f64);
        let by_replica = measured.replicas.iter().map(|(id, used)| share.of_replica(*id, used, target));
        Self {
            ok: readings.operations > 0,
            replicas: target.genesis.replica_count(),
            clients: target.clients.len(),
            in_flight: workload.in_flight,
            ops_per_request: workload.grouping,
            payload_bytes: workload.payload,
            keys: workload.keys,
            service: target.service.name(),
            durability: target.durability,
            rate: workload.rate,
            duration_s: rounded(measured.time.as_secs_f64()),
            operations: readings.operations,
            throughput_ops_per_s: rounded(throughput),
            latency_ms: Latency::of(&readings.latency),
            cpu_us_per_op: share.cpu(),
            stage_us_per_op: share.stages(),
            mean_ops_per_request: mean_ops_per_request.map(rounded),
            requests_per_batch: requests.zip(batches).and_then(|(requests, batches)| ratio(requests, batches)),
            floor,
            floor_fraction: floor.and_then(|floor| ratio(throughput, floor.ops_per_s)),
            fsyncs_per_op: share.of_one(share.growth("pbft_journal_syncs_total")),
            journal_bytes_per_op: share.of_one(share.growth("pbft_journal_written_bytes_total")),
            written_bytes_per_op: share.of_one(written),
            sent_bytes_per_op: share.of_one(share.growth("pbft_network_sent_bytes_total")),
            rss_mb: measured.replicas.values().map(|used| used.resident_bytes).max().map(megabytes),
            view: measured.newest().map(|report| report.view.0),
            view_changes: measured.progress(|report| report.view_changes).map_or(0, |count| count as u64),
            unanswered: workload.rate.map(|_| readings.unanswered),
            errors: readings.error_count(),
            errors_by_name: readings.errors.clone(),
            by_replica: by_replica.collect(),
        }
    }
}

impl Latency {
    fn of(latency: &Histogram<u64>) -> Option<Self> {
        let millis = |micros: u64| rounded(micros as f64 / 1e3);
        let at = |quantile| millis(latency.value_at_quantile(quantile));
        (!latency.is_empty()).then(|| Self {
            mean: rounded(latency.mean() / 1e3),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: millis(latency.max()),
        })
    }
}

impl Measured {
    /// The report of the replica that has executed the most.
    fn newest(&self) -> Option<&ReplicaReport> {
        self.last.values().max_by_key(|report| report.executed)
    }

    /// How far the replica that has executed the most came in a number.
    fn progress(&self, number: impl Fn(&ReplicaReport) -> u64) -> Option<f64> {
        let last = self.newest()?;
        Some(number(last).saturating_sub(number(self.first.get(&last.replica)?)) as f64)
    }
}

impl<'a> Share<'a> {
    fn new(target: &Target, measured: &'a Measured) -> Self {
        let primary = measured.newest().map(|report| target.genesis.primary(report.view));
        let is_backup = |id: &ReplicaId| Some(*id) != primary && !target.liars.contains_key(id);
        let honest_backups = measured.replicas.keys().copied().filter(is_backup).collect();
        Self { measured, operations: measured.readings.operations as f64, primary, honest_backups }
    }

    fn cpu(&self) -> CpuPerOperation {
        let replicas: Duration = self.measured.replicas.values().map(|used| used.cpu).sum();
        let StageCost { primary, backup } = self.by_role(|id| Some(self.measured.replicas.get(&id)?.cpu.as_secs_f64()));
        CpuPerOperation {
            client: self.micros(self.measured.clients.cpu),
            primary,
            backup,
            total: self.micros(replicas.saturating_add(self.measured.clients.cpu)),
        }
    }

    /// What of a replica's CPU seconds is in no stage goes to the network: QUIC, and what surrounds it.
    fn stages(&self) -> BTreeMap<String, StageCost> {
        let stages_of = |id: ReplicaId| -> BTreeMap<String, f64> {
            let metrics = self.measured.metrics.get(&id);
            let mut stages =
                metrics.map(|(before, after)| after.growth_by_label(before, "pbft_stage_cpu_seconds_total")).unwrap_or_default();
            let known: f64 = stages.values().sum();
            if let Some(used) = self.measured.replicas.get(&id).filter(|_| !stages.is_empty()) {
                stages.insert("quic".to_owned(), (used.cpu.as_secs_f64() - known).max(0.0));
            }
            stages
        };
        let by_replica: BTreeMap<ReplicaId, _> = self.measured.replicas.keys().map(|id| (*id, stages_of(*id))).collect();
        let cost = |stage: &String| self.by_role(|id| by_replica.get(&id)?.get(stage).copied());
        by_replica.values().flat_map(BTreeMap::keys).map(|stage| (stage.clone(), cost(stage))).collect()
    }

    /// CPU seconds of replicas, as microseconds for each operation.
    fn by_role(&self, seconds: impl Fn(ReplicaId) -> Option<f64>) -> StageCost {
        let backups: Vec<f64> = self.honest_backups.iter().filter_map(|id| seconds(*id)).collect();
        let each = |seconds: f64| ratio(seconds * 1e6, self.operations);
        StageCost {
            primary: self.primary.and_then(&seconds).and_then(each),
            backup: ratio(backups.iter().sum(), backups.len() as f64).and_then(each),
        }
    }

    /// How much a counter grew at each replica that has it.
    fn growth(&self, counter: &str) -> impl Iterator<Item = f64> {
        self.measured.metrics.values().filter_map(move |(before, after)| after.growth(before, counter))
    }

    /// What one replica has of something on average, for each operation.
    fn of_one(&self, amounts: impl Iterator<Item = f64>) -> Option<f64> {
        let amounts: Vec<f64> = amounts.collect();
        ratio(amounts.iter().sum(), amounts.len() as f64 * self.operations)
    }

    fn micros(&self, cpu: Duration) -> Option<f64> {
        ratio(cpu.as_secs_f64() * 1e6, self.operations)
    }

    fn of_replica(&self, replica: ReplicaId, used: &Consumption, target: &Target) -> OfReplica {
        let role = if self.primary == Some(replica) { "primary" } else { "backup" };
        let lie = target.liars.get(&replica).map(|lie| format!(", {lie}")).unwrap_or_default();
        OfReplica {
            replica,
            role: format!("{role}{lie}"),
            cpu_us_per_op: self.micros(used.cpu),
            rss_mb: megabytes(used.resident_bytes),
            threads_us_per_op: used.threads.iter().map(|(name, cpu)| (name.clone(), self.micros(*cpu))).collect(),
        }
    }
}

/// `None` where nothing is to be divided by.
fn ratio(one: f64, other: f64) -> Option<f64> {
    (other > 0.0).then(|| rounded(one / other))
}

fn megabytes(bytes: u64) -> f64 {
    rounded(bytes as f64 / 1e6)
}

/// Three decimals are more than is true.
pub fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

fn grouping<S: Serializer>(grouping: &Grouping, serializer: S) -> Result<S::Ok, S::Error> {
    match grouping {
        Grouping::Fixed(count) => serializer.serialize_u64(count.get() as u64),
        Grouping::Auto => serializer.serialize_str("auto"),
    }
}
