//! `/status`, as JSON.

use super::Instruments;
use crate::shared::{Details, Standing};
use pbft_message::ReplicaId;
use pbft_protocol::agreement::{PeerProgress, Silence};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where a replica stands, as `/status` tells it. Times are in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names say it, and docs/operations.md")]
pub struct StatusPage {
    pub replica: ReplicaId,
    pub cluster: String,
    pub cluster_name: String,
    pub version: String,
    pub pid: u32,
    /// Since 1970, by this replica's clock.
    pub time_ms: u64,
    pub uptime_ms: u64,
    pub ready: bool,
    /// In words.
    pub unready: Option<String>,
    /// starting, primary, backup or learner.
    pub role: String,
    pub view: u64,
    pub active: bool,
    pub view_changes: u64,
    /// What stopped its votes.
    pub alarm: Option<String>,
    pub executed: u64,
    pub stable_checkpoint: u64,
    pub state_root: Option<String>,
    pub requests_executed: u64,
    pub operations_executed: u64,
    /// None until the journal is read.
    pub progress: Option<ProgressPart>,
    pub peers: Vec<PeerPart>,
    pub clients: ClientsPart,
    pub queues: BTreeMap<String, Filling>,
    pub disk: DiskPart,
    pub evidence: Vec<EvidencePart>,
    pub refused: BTreeMap<String, u64>,
}

/// More of where agreement stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "as above")]
pub struct ProgressPart {
    pub primary: ReplicaId,
    pub committed: u64,
    pub executed_elsewhere: u64,
    pub high_watermark: u64,
    /// The checkpoint whose state is being fetched.
    pub transferring: Option<u64>,
    pub timeout_ms: u64,
    /// Why it suspects the primary.
    pub suspicion: Option<String>,
    /// For how long the primary has owed the request that is owed longest.
    pub request_owed_ms: u64,
    /// When running timers expire.
    pub timers_ms: BTreeMap<String, u64>,
    pub held: BTreeMap<String, Filling>,
}

/// How full something is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "as above")]
pub struct Filling {
    pub length: usize,
    pub limit: usize,
}

/// Another replica, as seen from here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "as above")]
pub struct PeerPart {
    pub replica: ReplicaId,
    pub up: bool,
    /// None if it never said anything.
    pub silent_ms: Option<u64>,
    pub round_trip_us: Option<u64>,
    pub sent_bytes: u64,
    pub received_bytes: u64,
    pub refused: u64,
    /// What it says of itself; none before its first word.
    pub view: Option<u64>,
    pub active: Option<bool>,
    pub executed: Option<u64>,
    pub stable_checkpoint: Option<u64>,
    pub suspects_primary: bool,
}

/// The clients, together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "as above")]
pub struct ClientsPart {
    pub connections: usize,
    pub limit: usize,
    pub sent_bytes: u64,
    pub received_bytes: u64,
}

/// The disk of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "as above")]
pub struct DiskPart {
    pub full: bool,
    pub free_bytes: Option<u64>,
    pub size_bytes: Option<u64>,
    pub journal_bytes: u64,
    pub syncs: u64,
}

/// A proof of a lie.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "as above")]
pub struct EvidencePart {
    pub accused: ReplicaId,
    pub kind: String,
}

/// The page, as text.
pub fn page(instruments: &Instruments) -> String {
    // It holds nothing that JSON cannot say.
    let text = serde_json::to_string_pretty(&status(instruments)).unwrap_or_default();
    text + "\n"
}

fn status(instruments: &Instruments) -> StatusPage {
    let shared = &instruments.shared;
    let standing = shared.standing().clone();
    let details = shared.details().clone();
    let unready = instruments.unready();
    let refused = shared.refusals.by_reason().into_iter().chain(instruments.connections_refused());
    StatusPage {
        replica: instruments.replica,
        cluster: instruments.genesis.cluster_id().to_string(),
        cluster_name: instruments.genesis.name.clone(),
        version: crate::VERSION.to_owned(),
        pid: std::process::id(),
        time_ms: millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()),
        uptime_ms: millis(instruments.started_at.elapsed().unwrap_or_default()),
        ready: unready.is_none(),
        unready: unready.map(|reason| reason.to_string()),
        role: role(instruments, &standing, details.as_ref()).to_owned(),
        view: standing.view.0,
        active: standing.active,
        view_changes: standing.view_changes,
        alarm: standing.halted.map(|alarm| alarm.to_string()),
        executed: standing.executed.0,
        stable_checkpoint: standing.stable_checkpoint.0,
        state_root: standing.state_root.map(|root| root.to_string()),
        requests_executed: shared.meters.requests_executed.get(),
        operations_executed: shared.meters.operations_executed.get(),
        peers: peers(instruments, details.as_ref()),
        progress: details.as_ref().map(|details| progress(details, instruments.clock.now().monotonic)),
        clients: clients(instruments),
        queues: instruments
            .queues()
            .iter()
            .map(|queue| (queue.name.to_owned(), Filling { length: queue.length(), limit: queue.limit }))
            .collect(),
        disk: disk(instruments),
        evidence: evidence(instruments),
        refused: refused.filter(|(_, count)| *count > 0).map(|(reason, count)| (reason.to_owned(), count)).collect(),
    }
}

fn role(instruments: &Instruments, standing: &Standing, details: Option<&Details>) -> &'static str {
    match details {
        None => "starting",
        Some(_) if standing.silence == Some(Silence::Learner) => "learner",
        Some(details) if details.progress.primary == instruments.replica => "primary",
        Some(_) => "backup",
    }
}

fn progress(details: &Details, now: Duration) -> ProgressPart {
    let progress = &details.progress;
    let held = details.held.named().into_iter().zip(details.bounds.named());
    ProgressPart {
        primary: progress.primary,
        committed: progress.committed.0,
        executed_elsewhere: progress.executed_elsewhere.0,
        high_watermark: progress.high_watermark.0,
        transferring: progress.transferring.map(|target| target.0),
        timeout_ms: millis(progress.timeout),
        suspicion: progress.suspicion.map(|reason| reason.to_string()),
        request_owed_ms: progress.watched_since.map_or(0, |since| millis(now.saturating_sub(since))),
        timers_ms: details
            .timers
            .iter()
            .map(|(timer, deadline)| (timer.name().to_owned(), millis(deadline.saturating_sub(now))))
            .collect(),
        held: held.map(|((what, length), (_, limit))| (what.to_owned(), Filling { length, limit })).collect(),
    }
}

fn peers(instruments: &Instruments, details: Option<&Details>) -> Vec<PeerPart> {
    let said: BTreeMap<ReplicaId, &PeerProgress> =
        details.iter().flat_map(|details| &details.peers).map(|peer| (peer.replica, peer)).collect();
    let refused = instruments.shared.refusals.by_replica();
    let part = |(replica, key)| {
        let (usage, progress) = (instruments.usage(Some(key)), said.get(&replica));
        let status = progress.and_then(|progress| progress.status.as_ref());
        PeerPart {
            replica,
            up: usage.up > 0,
            silent_ms: instruments.silent_for(replica).map(millis),
            round_trip_us: usage.round_trip.and_then(|time| u64::try_from(time.as_micros()).ok()),
            sent_bytes: usage.traffic.sent_bytes,
            received_bytes: usage.traffic.received_bytes,
            refused: refused.get(&replica).copied().unwrap_or(0),
            view: status.map(|status| status.view.0),
            active: status.map(|status| status.active),
            executed: status.map(|status| status.executed.0),
            stable_checkpoint: status.map(|status| status.low_watermark.0),
            suspects_primary: progress.is_some_and(|progress| progress.suspects),
        }
    };
    instruments.peers().map(part).collect()
}

fn clients(instruments: &Instruments) -> ClientsPart {
    let usage = instruments.usage(None);
    ClientsPart {
        connections: usage.up,
        limit: instruments.client_connections,
        sent_bytes: usage.traffic.sent_bytes,
        received_bytes: usage.traffic.received_bytes,
    }
}

fn disk(instruments: &Instruments) -> DiskPart {
    let (shared, room) = (&instruments.shared, super::process::disk_room(&instruments.data));
    DiskPart {
        full: shared.is_disk_full(),
        free_bytes: room.as_ref().map(|room| room.free_bytes),
        size_bytes: room.map(|room| room.size_bytes),
        journal_bytes: shared.journal_bytes.load(Ordering::Relaxed),
        syncs: shared.meters.journal_syncs.get(),
    }
}

fn evidence(instruments: &Instruments) -> Vec<EvidencePart> {
    let held = instruments.shared.evidence();
    let part =
        |evidence: &pbft_message::Evidence| EvidencePart { accused: evidence.accused().0, kind: evidence.kind().name().to_owned() };
    held.iter().map(part).collect()
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
