//! What a replica counts as it works, for whoever looks. Nothing of it decides anything.

use pbft_protocol::agreement::{Alarm, Reason, Timer};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// What CPU time is spent on. QUIC is what is left of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Signatures of others, and the digests they cover.
    Verify,
    /// Messages from bytes and to bytes.
    Codec,
    /// The Merkle trees of checkpoints.
    Hash,
    /// The core.
    Agreement,
    /// Records to bytes, and to the disk.
    Journal,
    /// The service, and state for others.
    Execute,
    /// Snapshots to the disk.
    Snapshot,
}

impl Stage {
    pub const ALL: [Self; 7] =
        [Self::Verify, Self::Codec, Self::Hash, Self::Agreement, Self::Journal, Self::Execute, Self::Snapshot];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::Codec => "codec",
            Self::Hash => "hash",
            Self::Agreement => "agreement",
            Self::Journal => "journal",
            Self::Execute => "execute",
            Self::Snapshot => "snapshot",
        }
    }
}

/// Counters of one kind, told apart by the value of one label.
#[derive(Clone, Debug)]
pub struct Counters {
    label: &'static str,
    family: Family<[(&'static str, &'static str); 1], Counter>,
}

impl Counters {
    /// Those that are known before they happen begin at 0.
    fn new(label: &'static str, known: impl IntoIterator<Item = &'static str>) -> Self {
        let counters = Self { label, family: Family::default() };
        known.into_iter().for_each(|name| counters.add(name, 0));
        counters
    }

    pub fn add(&self, name: &'static str, more: u64) {
        self.family.get_or_create(&[(self.label, name)]).inc_by(more);
    }
}

/// All counters of one replica.
#[derive(Debug)]
pub struct Meters {
    stages: [AtomicU64; Stage::ALL.len()],

    /// From replicas, by type.
    pub messages_received: Counters,
    /// To replicas, by type; one for each receiver.
    pub messages_sent: Counters,
    /// From clients.
    pub requests_received: Counter,
    /// To clients: results of requests.
    pub replies_sent: Counter,
    /// Messages and requests whose signatures were found good.
    pub verified: Counters,
    /// How often signatures were verified together.
    pub verify_bursts: Counter,

    /// Messages without effect in the core, as late and repeated ones are, by reason.
    pub ignored: Counters,
    /// Turns of the core's loop.
    pub core_turns: Counter,
    /// Timers that expired, by name.
    pub timers_expired: Counters,
    /// Views left, by reason.
    pub view_changes: Counters,
    /// Views entered.
    pub views_entered: Counter,
    /// Checkpoints that became stable.
    pub checkpoints: Counter,
    /// Alarms, by name.
    pub alarms: Counters,
    /// How far the time of the last executed batch was ahead of the own clock, in microseconds.
    pub proposed_time_ahead: AtomicI64,

    /// Files and directories of the journal made durable.
    pub journal_syncs: Counter,
    /// Bytes given to the disk for the journal, the zeros of new segments included.
    pub journal_written_bytes: Counter,
    /// Records in the journal's groups.
    pub journal_records: Counter,
    /// How long a group took to become durable.
    pub journal_groups: Histogram,

    /// Batches executed; null requests aside.
    pub batches_executed: Counter,
    /// Null requests executed.
    pub null_requests_executed: Counter,
    /// Requests in executed batches.
    pub requests_executed: Counter,
    /// Operations in these.
    pub operations_executed: Counter,
    /// How long a batch took to execute, at checkpoints with the hashing.
    pub executions: Histogram,
    /// States of checkpoints that were to be fetched.
    pub transfers: Counter,
    /// States that were installed.
    pub installed: Counter,
    /// Bytes of chunks that were fetched for them.
    pub fetched_bytes: Counter,

    /// How long a snapshot took to become durable.
    pub snapshots: Histogram,
    /// Bytes in the last one.
    pub snapshot_bytes: AtomicU64,
}

/// From 20 microseconds to 10 seconds.
fn durations() -> Histogram {
    let decades = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0];
    Histogram::new(decades.into_iter().flat_map(|decade| [2.0 * decade, 5.0 * decade, 10.0 * decade]))
}

impl Default for Meters {
    fn default() -> Self {
        Self {
            stages: Default::default(),
            messages_received: Counters::new("type", []),
            messages_sent: Counters::new("type", []),
            requests_received: Counter::default(),
            replies_sent: Counter::default(),
            verified: Counters::new("kind", ["message", "request"]),
            verify_bursts: Counter::default(),
            ignored: Counters::new("reason", []),
            core_turns: Counter::default(),
            timers_expired: Counters::new("timer", Timer::ALL.map(Timer::name)),
            view_changes: Counters::new("reason", Reason::ALL.map(Reason::name)),
            views_entered: Counter::default(),
            checkpoints: Counter::default(),
            alarms: Counters::new("alarm", Alarm::NAMES),
            proposed_time_ahead: AtomicI64::new(0),
            journal_syncs: Counter::default(),
            journal_written_bytes: Counter::default(),
            journal_records: Counter::default(),
            journal_groups: durations(),
            batches_executed: Counter::default(),
            null_requests_executed: Counter::default(),
            requests_executed: Counter::default(),
            operations_executed: Counter::default(),
            executions: durations(),
            transfers: Counter::default(),
            installed: Counter::default(),
            fetched_bytes: Counter::default(),
            snapshots: durations(),
            snapshot_bytes: AtomicU64::new(0),
        }
    }
}

impl Meters {
    /// CPU time was spent on a stage.
    pub fn spend(&self, stage: Stage, time: Duration) {
        if let Some(spent) = self.stages.get(stage as usize) {
            spent.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }

    /// The CPU time spent on each stage since the start.
    pub fn spent(&self) -> impl Iterator<Item = (Stage, Duration)> {
        let spent = self.stages.iter().map(|spent| Duration::from_nanos(spent.load(Ordering::Relaxed)));
        Stage::ALL.into_iter().zip(spent)
    }

    /// Makes the counters known by their names, without the `_total` that is added to counters, and help texts, without the
    /// full stop.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("pbft");
        self.register_messages(registry);
        self.register_agreement(registry);
        self.register_journal(registry);
        self.register_execution(registry);
    }

    fn register_messages(&self, registry: &mut Registry) {
        let received = self.messages_received.family.clone();
        registry.register("messages_received", "Messages from replicas that decoded, by type", received);
        let sent = self.messages_sent.family.clone();
        registry.register("messages_sent", "Messages to replicas, one for each receiver, by type", sent);
        let requests = self.requests_received.clone();
        registry.register("requests_received", "Requests from clients that decoded, refused ones included", requests);
        registry.register("replies_sent", "Replies to clients", self.replies_sent.clone());
        registry.register("verified", "What was verified: its signatures are good", self.verified.family.clone());
        let bursts = self.verify_bursts.clone();
        registry.register("verify_bursts", "How often messages or requests were verified together", bursts);
    }

    fn register_agreement(&self, registry: &mut Registry) {
        let ignored = self.ignored.family.clone();
        let help = "Messages of replicas that had no effect, as is ordinary for late and repeated ones, by reason";
        registry.register("messages_ignored", help, ignored);
        registry.register("core_turns", "Turns of the core's loop, each for a burst of messages", self.core_turns.clone());
        registry.register("timers_expired", "Timers that expired, by timer", self.timers_expired.family.clone());
        registry.register("view_changes", "Views that this replica left, by reason", self.view_changes.family.clone());
        registry.register("views_entered", "Views that this replica entered", self.views_entered.clone());
        registry.register("checkpoints_stable", "Checkpoints that became stable", self.checkpoints.clone());
        registry.register("alarms", "Alarms: what a correct cluster never shows, by alarm", self.alarms.family.clone());
    }

    fn register_journal(&self, registry: &mut Registry) {
        let syncs = self.journal_syncs.clone();
        registry.register("journal_syncs", "Files and directories of the journal made durable", syncs);
        let written = self.journal_written_bytes.clone();
        registry.register("journal_written_bytes", "Bytes written for the journal, zeros of new segments included", written);
        registry.register("journal_records", "Records made durable", self.journal_records.clone());
        let groups = self.journal_groups.clone();
        registry.register("journal_group_duration_seconds", "How long a group of records took to become durable", groups);
        let snapshots = self.snapshots.clone();
        registry.register("snapshot_duration_seconds", "How long a snapshot took to become durable", snapshots);
    }

    fn register_execution(&self, registry: &mut Registry) {
        registry.register("batches_executed", "Batches executed, null requests aside", self.batches_executed.clone());
        registry.register("null_requests_executed", "Null requests executed", self.null_requests_executed.clone());
        registry.register("requests_executed", "Requests in executed batches", self.requests_executed.clone());
        registry.register("operations_executed", "Operations in executed batches", self.operations_executed.clone());
        let help = "How long a batch took to execute, at checkpoints with the hashing";
        registry.register("execution_duration_seconds", help, self.executions.clone());
        registry.register("state_transfers_started", "States of checkpoints that were to be fetched", self.transfers.clone());
        registry.register("states_installed", "Fetched states that were installed", self.installed.clone());
        let fetched = self.fetched_bytes.clone();
        registry.register("state_fetched_bytes", "Bytes of chunks that were fetched for installed states", fetched);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::prometheus_text::encode;

    #[test]
    fn each_stage_has_a_count_of_its_own() {
        let meters = Meters::default();
        for (number, stage) in (1..).zip(Stage::ALL) {
            meters.spend(stage, Duration::from_secs(number));
        }
        let spent: Vec<u64> = meters.spent().map(|(_, time)| time.as_secs()).collect();
        assert_eq!(spent, [1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn what_is_known_before_it_happens_is_there_with_0_and_the_rest_comes_by_its_first_time() {
        let meters = Meters::default();
        meters.view_changes.add("no_heartbeat", 2);
        meters.messages_sent.add("commit", 3);
        let mut registry = Registry::default();
        meters.register(&mut registry);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            "# HELP pbft_view_changes_total Views that this replica left, by reason.",
            "# TYPE pbft_view_changes_total counter",
            "pbft_view_changes_total{reason=\"no_heartbeat\"} 2",
            "pbft_view_changes_total{reason=\"late_request\"} 0",
            "pbft_alarms_total{alarm=\"rolled_back\"} 0",
            "pbft_messages_sent_total{type=\"commit\"} 3",
            "pbft_journal_group_duration_seconds_bucket{le=\"2e-05\"} 0",
            "pbft_journal_group_duration_seconds_bucket{le=\"10\"} 0",
            "pbft_journal_syncs_total 0",
        ] {
            assert!(text.lines().any(|other| other == line), "no {line:?} in:\n{text}");
        }
    }
}
