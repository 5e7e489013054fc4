//! Coming back from the journal with every promise kept (R15).

use super::log::Header;
use super::*;

/// Why a replica cannot continue from its journal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecoverError {
    /// A record does not verify under the genesis: the journal belongs to another cluster or was altered.
    #[error("journal record {index} does not verify: {reason}")]
    Invalid {
        /// The record's place, from 0.
        index: usize,
        /// The broken rule.
        reason: Invalid,
    },
    /// A body in the journal breaks R4.
    #[error("journal record {index} holds an invalid batch")]
    InvalidBatch {
        /// The record's place, from 0.
        index: usize,
    },
}

impl Replica {
    /// A replica that continues from its journal's records and the executor's restored state.
    ///
    /// Every signature is checked again. Whoever was primary and may have proposed leaves the view as its first act;
    /// whoever wanted a view still wants it, with the same bytes; votes are repeated, never changed.
    pub fn recover(
        config: Config,
        signer: Signer,
        now: Now,
        restored: (SequenceNumber, BTreeMap<ClientId, RequestWindow>),
        records: impl IntoIterator<Item = Record>,
    ) -> Result<Self, RecoverError> {
        let mut replica = Self::empty(config, signer, now);
        let (sequence, windows) = restored;
        replica.ordering.installed(sequence);
        replica.ordering.snapshot = sequence;
        replica.requests.restore(windows, now.monotonic);
        for (index, record) in records.into_iter().enumerate() {
            replica.replay(index, record)?;
        }
        // What replaying recorded and wanted sent was recorded and sent before; it is sent again when asked for.
        replica.output = Output::default();
        replica.resume();
        Ok(replica)
    }

    fn replay(&mut self, index: usize, record: Record) -> Result<(), RecoverError> {
        let authenticator = self.config.authenticator.clone();
        let invalid = |reason| RecoverError::Invalid { index, reason };
        match record {
            Record::Opened(view) => self.view_changes.opened = Some(view),
            Record::Body(body) => match authenticator.verify_body(body) {
                Proposal::Valid(batch) => self.bodies.hold(batch, true),
                _ => return Err(RecoverError::InvalidBatch { index }),
            },
            Record::PrePrepare(header) => {
                let signed = authenticator.verify_signed(header).map_err(invalid)?;
                let next = signed.sequence.next();
                let accepted = self.bodies.holds(&signed.digest);
                if let Some(slot) = self.log.slot_mut(signed.sequence) {
                    slot.header = Some(Header { signed, accepted });
                }
                self.view_changes.next_sequence = self.view_changes.next_sequence.max(next);
            }
            Record::Prepare(prepare) => {
                let prepare = authenticator.verify_signed(prepare).map_err(invalid)?;
                self.replay_prepare(prepare);
            }
            Record::Prepared(certificate) => {
                let certificate = authenticator.verify_prepared(certificate).map_err(invalid)?;
                if let Some(slot) = self.log.slot_mut(certificate.sequence) {
                    slot.prepared = Some(certificate);
                }
            }
            Record::Commit(commit) => {
                let commit = authenticator.verify_signed(commit).map_err(invalid)?;
                if let Some(slot) = self.log.slot_mut(commit.sequence) {
                    slot.commits.insert(commit.replica, commit.clone());
                    slot.own_commit = Some(commit);
                }
            }
            Record::Committed(certificate) => {
                let certificate = authenticator.verify_committed(certificate).map_err(invalid)?;
                self.view_changes.outstanding.remove(&certificate.sequence);
                if certificate.sequence > self.ordering.executed {
                    self.ordering.insert(certificate, self.now.monotonic);
                    self.advance_frontier();
                }
            }
            Record::Checkpoint(checkpoint) => {
                let checkpoint = authenticator.verify_signed(checkpoint).map_err(invalid)?;
                self.checkpoints.own.insert(checkpoint.sequence, checkpoint);
            }
            Record::Stable(certificate) => {
                let certificate = authenticator.verify_stable(certificate).map_err(invalid)?;
                self.advance_stable(certificate);
            }
            Record::ViewChange(change) => {
                let change = authenticator.verify_view_change(change).map_err(invalid)?;
                self.view = change.view;
                self.active = false;
                self.view_changes.attempts = self.view_changes.attempts.saturating_add(1);
                self.view_changes.received.insert(self.id(), change.clone());
                self.view_changes.own = Some(change);
            }
            Record::NewView(new_view) => {
                let new_view = authenticator.verify_new_view(new_view).map_err(invalid)?;
                if new_view.replica == self.id() {
                    self.view_changes.opened = Some(new_view.view);
                }
                self.install_new_view(&new_view);
            }
            Record::Halted(alarm) => self.halted = Some(alarm),
            Record::Evidence(evidence) => {
                self.evidence.push(authenticator.verify_evidence(evidence).map_err(invalid)?);
            }
        }
        Ok(())
    }

    fn replay_prepare(&mut self, prepare: Verified<Signed<Prepare>>) {
        let id = self.id();
        let Some(slot) = self.log.slot_mut(prepare.sequence) else { return };
        let Some(header) = slot.accepted().map(|header| header.signature()) else { return };
        slot.prepares.insert(id, (prepare.clone(), header));
        slot.own_prepare = Some(prepare);
    }

    /// The first acts after a restart.
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
        if !self.active {
            self.timers.set(Timer::Resend, now);
            return;
        }
        if self.is_primary() && self.view_changes.opened == Some(self.view) {
            // Proposals may have left without being durable: this view is over for its primary (R15).
            return self.start_view_change(self.view.next(), "restarted as primary");
        }
        self.start();
        if !self.view_changes.outstanding.is_empty() {
            self.timers.set(Timer::Reproposed, now.saturating_add(self.timeout()));
        }
        let parked: Vec<SequenceNumber> = self.log.slots().filter(|(_, slot)| slot.header.is_some()).map(|(s, _)| s).collect();
        for sequence in parked {
            self.try_accept(sequence);
            self.try_prepared(sequence);
        }
    }

    /// The records that stand for all that this replica must remember, from the newest snapshot on. None if execution
    /// could not be replayed from them: then the journal keeps what it has.
    pub(super) fn live_records(&mut self) -> Option<Vec<Record>> {
        let mut records = Vec::new();
        let mut bodies = std::collections::BTreeSet::new();
        let mut expected = self.ordering.snapshot.next();
        let replayed: Vec<_> = self.ordering.committed_above(self.ordering.snapshot).collect();
        for (sequence, committed) in &replayed {
            if *sequence <= self.ordering.frontier && *sequence != expected {
                return None;
            }
            expected = sequence.next();
            bodies.insert(committed.certificate.digest);
        }
        if replayed.is_empty() && self.ordering.frontier > self.ordering.snapshot {
            return None;
        }
        for (_, slot) in self.log.slots() {
            bodies.extend(slot.accepted().map(|header| header.digest));
            bodies.extend(slot.prepared.as_ref().map(|certificate| certificate.digest));
        }
        let opening = (self.active && self.is_primary()).then_some(self.view);
        records.extend(opening.or(self.view_changes.opened).map(Record::Opened));
        records.extend(self.halted.map(Record::Halted));
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
