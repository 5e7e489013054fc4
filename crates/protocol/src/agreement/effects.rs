use super::reason::Reason;
use super::record::Record;
use crate::execution::Ordered;
use pbft_message::{
    ClientId, EvidenceKind, Message, ReplicaId, SequenceNumber, StableCertificate, Timestamp, Verified, View, codec,
};
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
        reason: Reason,
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
    /// Back from its disk it knows all that the others hold of its votes, and takes part (R16).
    Recovered,
    /// A certified state has taken the place of the one that differed (R9).
    Repaired {
        /// The last number in it.
        sequence: SequenceNumber,
    },
    /// Something that a correct cluster never shows.
    Alarm(Alarm),
}

/// Something that a correct cluster never shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Alarm {
    /// The own state is not the one that a quorum certified: voting stops (R9).
    #[error(
        "the state at {0} differs from the certified one: this replica stops voting. Keep a copy of data/ for forensics, find \
         the cause, then have it fetch the certified state: pbftd repair --from-certificate"
    )]
    Diverged(SequenceNumber),
    /// Replaying after a restart gave another state than the one that was signed: voting stops (R9).
    #[error(
        "replay gave another state at {0} than the one signed before: this replica stops voting. Keep a copy of data/ for \
         forensics, find the cause, then have it fetch the certified state: pbftd repair --from-certificate"
    )]
    ReplayDiffers(SequenceNumber),
    /// Valid certificates contradict each other: more than f replicas are faulty; voting stops (R12).
    #[error("certificates contradict each other at {0}: more than f replicas are faulty; this replica stops voting")]
    TooManyFaults(SequenceNumber),
    /// The log is full and no state at a checkpoint has a quorum: replicas diverge, or are missing (R9). No lower quorum
    /// is ever taken.
    #[error("the log is full up to {0} and no checkpoint becomes stable: replicas are missing or their states differ")]
    NoStableCheckpoint(SequenceNumber),
    /// The primary proposes something else where a batch is committed in its view or before (R6). No vote is given.
    #[error("the primary proposes another batch at {0}, where one is committed")]
    ProposalContradictsCommitted(SequenceNumber),
    /// A replica signed two states for one checkpoint (R17).
    #[error("replica {1} signed two different checkpoints at {0}")]
    TwoCheckpoints(SequenceNumber, ReplicaId),
    /// Another replica holds what this one signed and does not remember: its disk lost promises; voting stops (R16).
    #[error(
        "replica {0} holds a vote of this replica that its journal lacks: data/ is older than what this replica signed, or lost \
         its end. It stops voting under this key: move data/ away, then start it with --rejoin, to follow without voting"
    )]
    RolledBack(ReplicaId),
    /// The journal cannot begin anew: what was committed after a snapshot is not held any more, again and again.
    #[error(
        "the journal cannot begin anew at the snapshot of {0}, and grows: what was committed since is not held any more. Raise \
         limits.body_bytes"
    )]
    NoBase(SequenceNumber),
}

impl Alarm {
    /// The names of all of them.
    pub const NAMES: [&str; 8] = [
        "diverged",
        "replay_differs",
        "too_many_faults",
        "no_stable_checkpoint",
        "proposal_contradicts_committed",
        "two_checkpoints",
        "rolled_back",
        "no_base",
    ];

    /// The alarm's name, for counters.
    pub const fn name(self) -> &'static str {
        let [diverged, replay, faults, unstable, proposal, checkpoints, rolled_back, no_base] = Self::NAMES;
        match self {
            Self::Diverged(_) => diverged,
            Self::ReplayDiffers(_) => replay,
            Self::TooManyFaults(_) => faults,
            Self::NoStableCheckpoint(_) => unstable,
            Self::ProposalContradictsCommitted(_) => proposal,
            Self::TwoCheckpoints(..) => checkpoints,
            Self::RolledBack(_) => rolled_back,
            Self::NoBase(_) => no_base,
        }
    }

    /// Whether a certified state in the place of the own one heals it.
    pub const fn is_repairable(self) -> bool {
        matches!(self, Self::Diverged(_) | Self::ReplayDiffers(_))
    }
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
    records: Vec<Record>,
    base: Option<Vec<Record>>,
    adopt: bool,
    after: Vec<Action>,
    position: JournalPosition,
}

/// What a waiting action is taken to hold: most are a vote to be sent.
const ACTION_BYTES: usize = 256;

/// What is to be done now that its records are durable, and the position to be told.
pub type Durable = (Vec<Action>, JournalPosition);

/// Where durable things are put.
pub trait Persist {
    /// Why it failed.
    type Error;

    /// Appends as many of the records as it takes at once, at least one, and makes them durable. Tells how many.
    fn append(&mut self, records: &[Record]) -> Result<usize, Self::Error>;

    /// Appends the records that stand for all so far, durably: the journal's next base. It may go without: then it keeps
    /// what it has.
    fn begin_base(&mut self, records: &[Record]) -> Result<(), Self::Error>;

    /// Removes what is before the base that was begun last, if there is one.
    fn adopt_base(&mut self) -> Result<(), Self::Error>;
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
        self.base.is_none() && !self.adopt && self.records.is_empty() && self.after.is_empty()
    }

    /// Whether somebody waits for it to be durable. A commit certificate promises nothing, and can be had again from others.
    pub fn is_awaited(&self) -> bool {
        let promises = self.records.iter().any(|record| !matches!(record, Record::Committed(_)));
        promises || !self.after.is_empty() || self.base.is_some() || self.adopt
    }

    /// The records to be appended.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The journal's next base: behind those records, the ones that stand for all so far.
    pub fn base(&self) -> Option<&[Record]> {
        self.base.as_deref()
    }

    /// Whether the journal is to begin with its base from now on.
    pub const fn adopts_base(&self) -> bool {
        self.adopt
    }

    /// What it holds until it is durable, in bytes, roughly.
    pub fn size(&self) -> usize {
        let actions = self.after.len().saturating_mul(ACTION_BYTES);
        let records = self.records.iter().chain(self.base.iter().flatten());
        records.map(codec::encoded_size).fold(actions, usize::saturating_add)
    }

    /// What is durable once it is.
    pub const fn position(&self) -> JournalPosition {
        self.position
    }

    /// Adds what came later, so that one fsync serves both. Not possible across a base: gives `later` back.
    pub fn join(&mut self, later: Self) -> Result<(), Self> {
        if [&*self, &later].into_iter().any(|effects| effects.base.is_some() || effects.adopt) {
            return Err(later);
        }
        self.records.extend(later.records);
        self.after.extend(later.after);
        self.position = later.position;
        Ok(())
    }

    /// Makes the records durable; only then are the waiting actions to be had, and the position to be told to
    /// [`Replica::handle_durable`](super::Replica::handle_durable). On an error they go on waiting, here, without the records
    /// that are durable by then: whether there may be another try is the journal's to say (R15).
    pub fn persist<P: Persist>(mut self, journal: &mut P) -> Result<Durable, (Box<Self>, P::Error)> {
        while !self.records.is_empty() {
            match journal.append(&self.records) {
                Ok(count) => drop(self.records.drain(..count.min(self.records.len()))),
                Err(error) => return Err((Box::new(self), error)),
            }
        }
        if let Some(base) = &self.base
            && let Err(error) = journal.begin_base(base)
        {
            return Err((Box::new(self), error));
        }
        if self.adopt
            && let Err(error) = journal.adopt_base()
        {
            return Err((Box::new(self), error));
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

    /// Everything gathered, with the journal's next base, and whether it is to be adopted.
    pub fn take(&mut self, base: Option<Vec<Record>>, adopt: bool) -> Effects {
        let (records, after) = (std::mem::take(&mut self.records), std::mem::take(&mut self.after));
        let rest = Unpersisted { records, base, adopt, after, position: self.recorded };
        Effects { at_once: std::mem::take(&mut self.at_once), rest }
    }
}
