use crate::{ReplicaId, SequenceNumber, View};
use pbft_crypto::Digest;
use serde::{Deserialize, Serialize};

/// Where a replica stands, for operators.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaReport {
    /// The replica.
    pub replica: ReplicaId,
    /// Its process id.
    pub pid: u32,
    /// Its build's version.
    pub version: String,
    /// Its view.
    pub view: View,
    /// Whether it has entered the view.
    pub active: bool,
    /// Whether it follows without voting (R16).
    pub learner: bool,
    /// Why it stopped voting for good, if it did (R9, R12, R16).
    pub alarm: Option<String>,
    /// The last executed number.
    pub executed: SequenceNumber,
    /// h.
    pub stable_checkpoint: SequenceNumber,
    /// The service's and the clients' root at the stable checkpoint, as one digest.
    pub state_root: Digest,
    /// The replicas that it is connected to.
    pub peers_up: Vec<ReplicaId>,
    /// How often it left a view.
    pub view_changes: u64,
    /// How many requests it executed since it started.
    pub requests_executed: u64,
    /// How many pieces of evidence it holds.
    pub evidence: u64,
    /// Its disk has no room: it cannot vote, or save snapshots, until there is.
    pub disk_full: bool,
    /// What it refused, by reason.
    pub refused: Vec<(String, u64)>,
    /// More, for those who look for what is wrong.
    pub condition: Condition,
}

/// How a replica is, and what it waits for. Times are in milliseconds where nothing else is said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// Why it is not ready, if it is not: the reason's name, and in words.
    pub unready: Option<(String, String)>,
    /// Why it follows without voting, if it does: `learner`, `halted`, `repairing` or `recovering`.
    pub silence: Option<String>,
    /// Its clock, in microseconds since 1970.
    pub clock: u64,
    /// How far a proposed time may be ahead of its clock, in microseconds (R3).
    pub clock_drift: u64,
    /// H: no number above it is ordered before the next checkpoint is stable.
    pub high_watermark: SequenceNumber,
    /// How many requests that it held were committed since its start, and how long they took together, in microseconds (R18).
    pub commits: (u64, u64),
    /// Every number up to this one is committed, with its batch.
    pub committed: SequenceNumber,
    /// The last number that f + 1 others say they have executed.
    pub executed_elsewhere: SequenceNumber,
    /// The checkpoint whose state is being fetched (R14).
    pub transferring: Option<SequenceNumber>,
    /// What agreement waits for.
    pub awaited: Option<Awaited>,
    /// Why it suspects its primary (R10).
    pub suspicion: Option<String>,
    /// For how long the primary has owed the request that is owed longest.
    pub owed: u64,
    /// How long the primary may take now.
    pub timeout: u64,
    /// The timers that run, and when they expire.
    pub timers: Vec<(String, u64)>,
    /// Room on the journal's disk and its size, in bytes; none if the system does not say.
    pub disk: Option<(u64, u64)>,
    /// The other replicas, as seen from here.
    pub peers: Vec<PeerReport>,
}

/// What is missing for the next step of agreement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Awaited {
    /// VIEW-CHANGEs for the view that it wants to enter; so many are here (R12).
    ViewChanges(u64),
    /// A quorum wants the view: its primary's NEW-VIEW (R13).
    NewView,
    /// The proposal of this number; a request waits, or a later number is there.
    PrePrepare(SequenceNumber),
    /// The batch of this number (R4).
    Batch(SequenceNumber),
    /// The time that the batch of this number proposes: it lies too far ahead of the own clock (R3).
    Time(SequenceNumber),
    /// PREPAREs for this number; so many are here, the primary's proposal among them (R5).
    Prepares(SequenceNumber, u64),
    /// COMMITs for this number; so many are here (R6).
    Commits(SequenceNumber, u64),
    /// CHECKPOINTs for this number, which is executed; so many that name the same state are here (R9).
    Checkpoints(SequenceNumber, u64),
}

/// Another replica, as one sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerReport {
    /// The replica.
    pub replica: ReplicaId,
    /// Whether a connection is up.
    pub up: bool,
    /// Why the last attempt to connect failed; none where the other side dials, or if there was no such attempt.
    pub problem: Option<String>,
    /// For how long it has said nothing; none if it never did.
    pub silent: Option<u64>,
    /// Whether it suspects the primary of the view that the reporting replica is in.
    pub suspects: bool,
}
