//! Coming back from the journal with every promise kept (R15).

use super::log::Header;
use super::record::{Checked, VerifiedRecord};
use super::*;
use std::collections::BTreeSet;

/// After so many snapshots in a row without a base the journal's growth is an alarm.
const MOST_MISSED_BASES: u32 = 3;

/// Why a replica cannot continue from its journal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecoverError {
    /// A record does not verify under the genesis: the journal belongs to another cluster or was altered.
    #[error("record {index} of the journal does not verify: {reason}")]
    Invalid {
        /// The record's place, from 0.
        index: usize,
        /// The broken rule.
        reason: Invalid,
    },
    /// A body in the journal breaks R4.
    #[error("record {index} of the journal holds an invalid batch")]
    InvalidBatch {
        /// The record's place, from 0.
        index: usize,
    },
}

impl RecoverError {
    /// The place of the record that is not as it should be, counted from 0.
    pub const fn index(&self) -> usize {
        match self {
            Self::Invalid { index, .. } | Self::InvalidBatch { index } => *index,
        }
    }
}

impl Replica {
    /// A replica that continues from its journal's records and the executor's restored state.
    ///
    /// Whoever was primary and may have proposed leaves the view as its first act;
    /// whoever wanted a view still wants it, with the same bytes; votes are repeated, never changed. It votes once a quorum,
    /// itself included, has told it what it said before (R16).
    pub fn recover(
        config: Config,
        signer: Signer,
        now: Now,
        restored: (SequenceNumber, BTreeMap<ClientId, RequestWindow>),
        records: impl IntoIterator<Item = VerifiedRecord>,
    ) -> Self {
        let mut replica = Self::empty(config, signer, now);
        let (sequence, windows) = restored;
        replica.ordering.installed(sequence);
        replica.requests.restore(windows, now.monotonic);
        records.into_iter().for_each(|record| replica.replay(record.0));
        // Not before: a later record may rest on a body that nothing else names, or close a gap that had been open for long.
        replica.advance_frontier();
        replica.forget_settled();
        // What replaying recorded and wanted sent was recorded and sent before; it is sent again when asked for.
        replica.output = Output::default();
        let recovery = Recovery { asked: now.wall, answered: BTreeSet::new() };
        replica.recovery = (!replica.learner).then_some(recovery);
        // The certified state of a repair was durable, and that it was repaired was not.
        replica.repair_installed(sequence);
        replica.repair_durable(sequence);
        replica.resume();
        replica
    }

    fn replay(&mut self, record: Checked) {
        match record {
            Checked::Opened(view) => self.view_changes.opened = Some(view),
            Checked::Body(batch) => self.bodies.hold(batch, true),
            Checked::PrePrepare(signed) => {
                let next = signed.sequence.next();
                let accepted = self.bodies.holds(&signed.digest);
                if let Some(slot) = self.log.slot_mut(signed.sequence) {
                    slot.header = Some(Header { signed, accepted });
                }
                self.view_changes.next_sequence = self.view_changes.next_sequence.max(next);
            }
            Checked::Prepare(prepare) => self.replay_prepare(prepare),
            Checked::Prepared(certificate) => {
                if let Some(slot) = self.log.slot_mut(certificate.sequence) {
                    slot.prepared = Some(certificate);
                }
            }
            Checked::Commit(commit) => {
                if let Some(slot) = self.log.slot_mut(commit.sequence) {
                    slot.commits.insert(commit.replica, commit.clone());
                    slot.own_commit = Some(commit);
                }
            }
            Checked::Committed(certificate) => {
                self.view_changes.outstanding.remove(&certificate.sequence);
                if certificate.sequence > self.ordering.executed {
                    self.ordering.insert(certificate, self.now.monotonic);
                    self.advance_frontier();
                }
            }
            Checked::Checkpoint(checkpoint) => _ = self.checkpoints.own.insert(checkpoint.sequence, checkpoint),
            Checked::Stable(certificate) => self.advance_stable(certificate),
            Checked::ViewChange(change) => {
                self.view = change.view;
                self.active = false;
                self.count_attempt();
                self.view_changes.received.insert(self.id(), change.clone());
                self.view_changes.own = Some(change);
            }
            Checked::NewView(new_view) => {
                if new_view.replica == self.id() {
                    self.view_changes.opened = Some(new_view.view);
                }
                self.install_new_view(&new_view);
            }
            Checked::Halted(alarm) => (self.halted, self.repair) = (Some(alarm), Repair::None),
            Checked::Repair => self.repair = Repair::Asked,
            Checked::Repaired => (self.halted, self.repair) = (None, Repair::None),
            Checked::Learner => self.learner = true,
            // A base that was not adopted repeats what is before it.
            Checked::Evidence(evidence) if self.evidence.contains(&evidence) => {}
            Checked::Evidence(evidence) => self.evidence.push(evidence),
        }
    }

    fn replay_prepare(&mut self, prepare: Verified<Signed<Prepare>>) {
        let id = self.id();
        let Some(slot) = self.log.slot_mut(prepare.sequence) else { return };
        slot.own_prepare = Some(prepare.clone());
        let Some(header) = slot.accepted().map(|header| header.signature()) else { return };
        slot.prepares.insert(id, (prepare, header));
    }

    /// The first acts after a restart: what is known is executed, and the others are asked for the rest.
    fn resume(&mut self) {
        let now = self.now.monotonic;
        let own: Vec<SequenceNumber> = self.checkpoints.own.keys().copied().collect();
        for sequence in own {
            self.own_checkpoint_durable(sequence);
        }
        if let Some(stable) = self.checkpoints.stable.clone() {
            self.output.at_once(Action::Stable(stable));
        }
        self.advance_frontier();
        self.dispatch();
        let committed = self.ordering.committed_above(self.ordering.frontier);
        let missing: Vec<Digest> = committed.map(|(_, entry)| entry.certificate.digest).collect();
        for digest in missing.into_iter().filter(|digest| !self.bodies.holds(digest)).collect::<Vec<_>>() {
            self.want(digest);
        }
        self.timers.set(Timer::Status, now);
        if !self.is_recovering() {
            self.begin();
        }
    }

    /// It remembers all that is known of its votes: from now on it takes part.
    pub(super) fn begin(&mut self) {
        let now = self.now.monotonic;
        // Nobody was late while this replica did not listen.
        self.requests.requeue(now);
        self.pace.begin(now);
        if !self.active {
            self.timers.set(Timer::Resend, now);
        } else if self.is_primary() && self.view_changes.opened == Some(self.view) {
            // Proposals may have left without being durable: this view is over for its primary (R15).
            self.start_view_change(self.view.next(), Reason::Restarted);
        } else {
            self.start();
            if !self.view_changes.outstanding.is_empty() {
                self.timers.set(Timer::Reproposed, now.saturating_add(self.timeout()));
            }
        }
        // In whatever view: a full log may wait for a checkpoint of this replica (R9).
        self.catch_up_on_votes();
    }

    /// The journal's next base, beside a snapshot of the state at this number. None if execution could not be replayed
    /// from there: then the journal keeps what it has, and that is told if it happens again and again.
    pub(super) fn next_base(&mut self, snapshot: SequenceNumber) -> Option<Vec<Record>> {
        let base = self.live_records(snapshot);
        // What comes between the snapshot and a state that is being fetched is never here.
        let is_missed = base.is_none() && self.ordering.transferring.is_none();
        self.missed_bases = if is_missed { self.missed_bases.saturating_add(1) } else { 0 };
        if self.missed_bases == MOST_MISSED_BASES {
            self.tell(Event::Alarm(Alarm::NoBase(snapshot)));
        }
        base
    }

    /// The records that stand for all that this replica must remember beside the snapshot.
    fn live_records(&mut self, snapshot: SequenceNumber) -> Option<Vec<Record>> {
        let mut records = Vec::new();
        let mut bodies = BTreeSet::new();
        let mut expected = snapshot.next();
        let replayed: Vec<_> = self.ordering.committed_above(snapshot).collect();
        for (sequence, committed) in &replayed {
            if *sequence <= self.ordering.frontier && *sequence != expected {
                return None;
            }
            expected = sequence.next();
            bodies.insert(committed.certificate.digest);
        }
        if replayed.is_empty() && self.ordering.frontier > snapshot {
            return None;
        }
        for (_, slot) in self.log.slots() {
            bodies.extend(slot.accepted().map(|header| header.digest));
            bodies.extend(slot.prepared.as_ref().map(|certificate| certificate.digest));
        }
        let opening = self.leads().then_some(self.view);
        records.extend(opening.or(self.view_changes.opened).map(Record::Opened));
        records.extend(self.learner.then_some(Record::Learner));
        records.extend(self.halted.map(Record::Halted));
        records.extend((self.repair != Repair::None).then_some(Record::Repair));
        records.extend(self.checkpoints.stable.as_ref().map(|stable| Record::Stable((**stable).clone())));
        records.extend(bodies.iter().filter_map(|digest| self.bodies.get(digest)).map(|batch| Record::Body(batch.bytes().clone())));
        records.extend(replayed.iter().map(|(_, committed)| Record::Committed((*committed.certificate).clone())));
        records.extend(self.log.slots().filter_map(|(_, slot)| slot.prepared.as_ref()).map(|c| Record::Prepared((**c).clone())));
        records.extend(self.view_changes.current.as_ref().map(|new_view| Record::NewView((**new_view).clone())));
        for (_, slot) in self.log.slots() {
            records.extend(slot.accepted().map(|header| Record::PrePrepare((**header).clone())));
            records.extend(slot.own_prepare.as_ref().map(|prepare| Record::Prepare((**prepare).clone())));
            records.extend(slot.own_commit.as_ref().map(|commit| Record::Commit((**commit).clone())));
        }
        records.extend(self.view_changes.own.as_ref().map(|change| Record::ViewChange((**change).clone())));
        records.extend(self.view_changes.built.as_ref().map(|new_view| Record::NewView((**new_view).clone())));
        records.extend(self.checkpoints.own.values().map(|checkpoint| Record::Checkpoint((**checkpoint).clone())));
        records.extend(self.evidence.iter().map(|evidence| Record::Evidence((**evidence).clone())));
        self.bodies.journaled_are(&bodies);
        Some(records)
    }
}
