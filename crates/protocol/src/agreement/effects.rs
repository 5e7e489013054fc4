use super::record::Record;
use crate::execution::Ordered;
use pbft_message::{ClientId, EvidenceKind, Message, ReplicaId, SequenceNumber, StableCertificate, Timestamp, Verified, View};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// How many records a replica has given out since it started. Records are numbered from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JournalPosition(pub u64);

/// What the driver is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send to all other replicas.
    Broadcast(Message),
    /// Send to one replica.
    Send(ReplicaId, Message),
    /// Hand to the executor; in order, without gaps.
    Execute(Ordered),
    /// Tell the executor that its state at this checkpoint is certified.
    Stable(Verified<StableCertificate>),
    /// Have the executor fetch the state of this checkpoint from the other replicas (R14).
    TransferState(Verified<StableCertificate>),
    /// Have the executor answer a request that was ordered before, once it is executed.
    Answer(ClientId, Timestamp),
    /// For logs, metrics and people.
    Tell(Event),
}

/// What an operator wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The replica left its view for a higher one.
    ViewChange {
        /// The view that it wants to enter.
        view: View,
        /// Why it left.
        reason: &'static str,
    },
    /// The replica entered a view.
    ViewEntered {
        /// The view.
        view: View,
        /// Its primary.
        primary: ReplicaId,
    },
    /// A checkpoint became stable.
    StableCheckpoint {
        /// The last number in it.
        sequence: SequenceNumber,
    },
    /// A replica lied, provably (R17).
    Evidence {
        /// Who lied.
        accused: ReplicaId,
        /// How.
        kind: EvidenceKind,
    },
    /// Something that a correct cluster never shows.
    Alarm(Alarm),
}

/// Something that a correct cluster never shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Alarm {
    /// The own state is not the one that a quorum certified: voting stops (R9).
    #[error("the state at {0} differs from the certified one: this replica stops voting; keep its data for forensics")]
    Diverged(SequenceNumber),
    /// Replaying after a restart gave another state than the one that was signed: voting stops (R9).
    #[error("replay gave another state at {0} than the one signed before: this replica stops voting")]
    ReplayDiffers(SequenceNumber),
    /// Valid certificates contradict each other: more than f replicas are faulty; voting stops (R12).
    #[error("certificates contradict each other at {0}: more than f replicas are faulty; this replica stops voting")]
    TooManyFaults(SequenceNumber),
    /// The log is full and no state at a checkpoint has a quorum: replicas diverge, or are missing (R9). No lower quorum
    /// is ever taken.
    #[error("the log is full up to {0} and no checkpoint becomes stable: replicas are missing or their states differ")]
    NoStableCheckpoint(SequenceNumber),
    /// The primary proposes something else where a batch is committed (R6). No vote is given.
    #[error("the primary proposes another batch at {0}, where one is committed")]
    ProposalContradictsCommitted(SequenceNumber),
    /// A replica signed two states for one checkpoint (R17).
    #[error("replica {1} signed two different checkpoints at {0}")]
    TwoCheckpoints(SequenceNumber, ReplicaId),
}

/// What a replica wants done, in order. What may be done at once can be taken; the rest only after its records are
/// durable (R15).
#[must_use]
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Effects {
    at_once: Vec<Action>,
    rest: Unpersisted,
}

/// Records that are not durable yet, and the actions that wait for them.
#[must_use]
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Unpersisted {
    rebase: Option<Vec<Record>>,
    records: Vec<Record>,
    after: Vec<Action>,
    position: JournalPosition,
}

/// Where durable things are put.
pub trait Persist {
    /// Why it failed. There is no second try (R15).
    type Error;

    /// Appends the records and makes them durable.
    fn append(&mut self, records: &[Record]) -> Result<(), Self::Error>;

    /// Replaces all earlier records by these, durably and at once.
    fn rebase(&mut self, records: &[Record]) -> Result<(), Self::Error>;
}

impl Effects {
    /// The actions that may be done at once, and the rest, for the journal.
    pub fn split(self) -> (Vec<Action>, Unpersisted) {
        (self.at_once, self.rest)
    }

    /// Nothing to do at all.
    pub fn is_empty(&self) -> bool {
        self.at_once.is_empty() && self.rest.is_empty()
    }
}

impl Unpersisted {
    /// Nothing to persist and nothing that waits.
    pub fn is_empty(&self) -> bool {
        self.rebase.is_none() && self.records.is_empty() && self.after.is_empty()
    }

    /// The records to be appended, or with a rebase all that stand from then on.
    pub fn records(&self) -> &[Record] {
        self.rebase.as_deref().unwrap_or(&self.records)
    }

    /// Whether the records replace all earlier ones.
    pub fn is_rebase(&self) -> bool {
        self.rebase.is_some()
    }

    /// Adds what came later, so that one fsync serves both. Not possible across a rebase: gives `later` back.
    pub fn join(&mut self, later: Self) -> Result<(), Self> {
        if self.rebase.is_some() || later.rebase.is_some() {
            return Err(later);
        }
        self.records.extend(later.records);
        self.after.extend(later.after);
        self.position = later.position;
        Ok(())
    }

    /// Makes the records durable; only then are the waiting actions to be had, and the position to be told to
    /// [`Replica::handle_durable`](super::Replica::handle_durable).
    pub fn persist<P: Persist>(self, journal: &mut P) -> Result<(Vec<Action>, JournalPosition), P::Error> {
        if let Some(records) = &self.rebase {
            journal.rebase(records)?;
        } else if !self.records.is_empty() {
            journal.append(&self.records)?;
        }
        Ok((self.after, self.position))
    }
}

/// What an own vote does once it is durable (R15).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Awaiting {
    Prepare(View, SequenceNumber),
    Commit(View, SequenceNumber),
    Checkpoint(SequenceNumber),
    ViewChange(View),
    NewView(View),
    Opened(View),
}

/// Gathers effects between two polls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Output {
    at_once: Vec<Action>,
    records: Vec<Record>,
    after: Vec<Action>,
    recorded: JournalPosition,
    awaiting: VecDeque<(JournalPosition, Awaiting)>,
}

impl Output {
    pub fn at_once(&mut self, action: Action) {
        self.at_once.push(action);
    }

    pub fn record(&mut self, record: Record) {
        self.recorded.0 = self.recorded.0.saturating_add(1);
        self.records.push(record);
    }

    /// An action that waits for all that was recorded so far.
    pub fn after(&mut self, action: Action) {
        self.after.push(action);
    }

    /// Something to do here once all that was recorded so far is durable.
    pub fn await_durable(&mut self, awaiting: Awaiting) {
        self.awaiting.push_back((self.recorded, awaiting));
    }

    pub fn next_durable(&mut self, position: JournalPosition) -> Option<Awaiting> {
        let (due, _) = self.awaiting.front()?;
        if *due > position {
            return None;
        }
        self.awaiting.pop_front().map(|(_, awaiting)| awaiting)
    }

    /// Everything gathered. With a rebase, the records are part of it and are not appended again.
    pub fn take(&mut self, rebase: Option<Vec<Record>>) -> Effects {
        let mut records = std::mem::take(&mut self.records);
        if rebase.is_some() {
            records.clear();
        }
        let rest = Unpersisted { rebase, records, after: std::mem::take(&mut self.after), position: self.recorded };
        Effects { at_once: std::mem::take(&mut self.at_once), rest }
    }
}
