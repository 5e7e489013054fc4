//! Pre-prepare, prepare, commit (R4-R6).

use super::log::Header;
use super::*;
use pbft_crypto::Signature;

impl Replica {
    pub(super) fn on_pre_prepare(&mut self, header: Verified<Signed<PrePrepare>>, body: Proposal) -> Result<(), Rejection> {
        let PrePrepare { view, sequence, digest, .. } = **header;
        if let Proposal::Invalid(invalid) = &body {
            self.accuse(Evidence::InvalidBatch((*header).clone(), invalid.body().clone()));
            return Err(Rejection::InvalidBatch);
        }
        if view != self.view {
            return Err(Rejection::WrongView);
        }
        if !self.log.contains(sequence) {
            return Err(Rejection::OutsideWatermarks);
        }
        self.heard_primary();
        if let Some(known) = self.log.slot(sequence).and_then(|slot| slot.header.as_ref()).map(|known| &known.signed) {
            if known.view < view {
                // Not entered yet: the proposal of the view that was left is still needed. It is sent again.
                return Err(Rejection::WrongView);
            }
            if known.digest != digest {
                return Err(Rejection::ConflictingPrePrepare);
            }
            if self.bodies.holds(&digest) {
                return Err(Rejection::Duplicate);
            }
        }
        if let Proposal::Valid(batch) = body {
            self.hold(batch, self.is_executed_next(sequence))?;
        }
        if let Some(slot) = self.log.slot_mut(sequence) {
            slot.header.get_or_insert(Header { signed: header, accepted: false });
        }
        self.body_arrived(digest);
        self.try_accept(sequence);
        Ok(())
    }

    /// Holds a body, if there is room (R19), or if nothing would ever be freed without it.
    pub(super) fn hold(&mut self, batch: Verified<Batch>, in_any_case: bool) -> Result<(), Rejection> {
        if !self.make_room_for(&batch) && !in_any_case {
            return Err(Rejection::LogFull);
        }
        self.bodies.hold(batch, false);
        Ok(())
    }

    pub(super) fn is_executed_next(&self, sequence: SequenceNumber) -> bool {
        sequence <= self.ordering.in_prospect().next()
    }

    /// What is executed and settled is kept for those that lag only as long as nothing else needs its room: a replica that
    /// catches up comes to no checkpoint that would free it.
    fn make_room_for(&mut self, batch: &Verified<Batch>) -> bool {
        let fits = |replica: &Self| replica.bodies.bytes().saturating_add(batch.bytes().len()) <= replica.config.limits.body_bytes;
        if self.bodies.holds(&batch.digest()) || fits(self) {
            return true;
        }
        self.forget_beyond(self.config.limits.settled_bytes(), self.log.low());
        fits(self)
    }

    /// Accepts the parked pre-prepare of a number once everything that R3 and R4 ask for is there.
    pub(super) fn try_accept(&mut self, sequence: SequenceNumber) {
        if !self.active || self.is_recovering() {
            return;
        }
        let parked = self.log.slot(sequence).and_then(|slot| slot.header.as_ref()).filter(|header| !header.accepted);
        let Some(header) = parked.map(|header| header.signed.clone()) else { return };
        if let Some(other) = self.ordering.other_committed(&header) {
            // A primary that is left behind cannot know what a later view committed.
            if other.view <= header.view {
                self.tell(Event::Alarm(Alarm::ProposalContradictsCommitted(sequence)));
            }
            return;
        }
        if !self.bodies.holds(&header.digest) {
            return self.want(header.digest);
        }
        if self.is_from_the_future(&header) {
            return;
        }
        self.journal_body(&header.digest);
        self.output.record(Record::PrePrepare(header.clone().into_inner()));
        let now = self.now.monotonic;
        if let Some(slot) = self.log.slot_mut(sequence) {
            slot.header = Some(Header { signed: header.clone(), accepted: true });
            slot.spoke_at = now;
            slot.accepted_at = now;
        }
        if let Some(batch) = self.bodies.get(&header.digest) {
            self.requests.proposed(batch, now);
        }
        self.send_prepare(&header);
        self.try_prepared(sequence);
        self.judge_proposal(sequence);
    }

    /// A fresh proposal whose time is too far ahead waits; it is never rejected, and nobody is suspected for it (R3).
    fn is_from_the_future(&mut self, header: &PrePrepare) -> bool {
        if header.sequence <= self.view_changes.reproposed_through {
            return false;
        }
        let latest = self.now.wall.saturating_add(micros(self.config.timing.clock_drift));
        let ahead = self.bodies.get(&header.digest).map_or(0, |batch| batch.time().saturating_sub(latest));
        if ahead > 0 {
            let wait = Duration::from_micros(ahead).min(self.config.timing.max_timeout);
            self.timers.set_if_idle(Timer::Parked, self.now.monotonic.saturating_add(wait));
        }
        ahead > 0
    }

    pub(super) fn journal_body(&mut self, digest: &Digest) {
        if let Some(batch) = self.bodies.take_unjournaled(digest) {
            self.output.record(Record::Body(batch.bytes().clone()));
        }
    }

    pub(super) fn send_prepare(&mut self, header: &Verified<Signed<PrePrepare>>) {
        if self.is_primary() || !self.votes() {
            return;
        }
        let PrePrepare { view, sequence, digest, .. } = ***header;
        let prepare = self.signer.sign(Prepare { view, sequence, digest, replica: self.id() });
        if let Some(slot) = self.log.slot_mut(sequence) {
            slot.own_prepare = Some(prepare.clone());
        }
        let prepare = prepare.into_inner();
        self.output.record(Record::Prepare(prepare.clone()));
        self.output.await_durable(Awaiting::Prepare(view, sequence));
        self.output.after(Action::Broadcast(Message::Prepare { prepare, pre_prepare: header.signature() }));
    }

    pub(super) fn own_prepare_durable(&mut self, view: View, sequence: SequenceNumber) {
        let id = self.id();
        let Some(slot) = self.log.slot_mut(sequence) else { return };
        let Some(prepare) = slot.own_prepare.clone().filter(|prepare| prepare.view == view) else { return };
        let Some(header) = slot.accepted().map(|header| header.signature()) else { return };
        slot.prepares.insert(id, (prepare, header));
        self.try_prepared(sequence);
    }

    pub(super) fn on_prepare(&mut self, prepare: Verified<Signed<Prepare>>, pre_prepare: Signature) -> Result<(), Rejection> {
        self.compare_proposals(&prepare, pre_prepare);
        if prepare.view != self.view {
            return Err(Rejection::WrongView);
        }
        let sequence = prepare.sequence;
        let slot = self.log.slot_mut(sequence).ok_or(Rejection::OutsideWatermarks)?;
        if let Some((known, _)) = slot.prepares.get(&prepare.replica).filter(|(known, _)| known.view == prepare.view) {
            let same = known.digest == prepare.digest;
            return Err(if same { Rejection::Duplicate } else { Rejection::ConflictingVote });
        }
        let earlier = slot.prepares.insert(prepare.replica, (prepare, pre_prepare));
        if let Some((earlier, _)) = earlier {
            self.overheard.keep(Statement::Prepare(earlier.into_inner()));
        }
        self.try_prepared(sequence);
        Ok(())
    }

    /// Prepared: the body, the pre-prepare, and `quorum - 1` matching prepares (R5). Then COMMIT (R6).
    pub(super) fn try_prepared(&mut self, sequence: SequenceNumber) {
        let view = self.view;
        if !self.active || !self.votes() {
            return;
        }
        let Some(slot) = self.log.slot(sequence) else { return };
        if slot.own_commit.is_some() {
            return;
        }
        let Some(header) = slot.accepted() else { return };
        if self.ordering.other_committed(header).is_some() {
            return;
        }
        let prepares = slot.prepares.values().map(|(prepare, _)| prepare);
        let Some(certificate) = Verified::<PreparedCertificate>::assemble(header, prepares, self.genesis()) else { return };
        let digest = certificate.digest;
        let commit = self.signer.sign(Commit { view, sequence, digest, replica: self.id() });
        let now = self.now.monotonic;
        if let Some(slot) = self.log.slot_mut(sequence) {
            slot.prepared = Some(certificate.clone());
            slot.own_commit = Some(commit.clone());
            slot.spoke_at = now;
        }
        self.output.record(Record::Prepared(certificate.into_inner()));
        self.output.record(Record::Commit(commit.clone().into_inner()));
        self.output.await_durable(Awaiting::Commit(view, sequence));
        self.output.after(Action::Broadcast(Message::Commit(commit.into_inner())));
    }

    pub(super) fn own_commit_durable(&mut self, view: View, sequence: SequenceNumber) {
        let id = self.id();
        let Some(slot) = self.log.slot_mut(sequence) else { return };
        let Some(commit) = slot.own_commit.clone().filter(|commit| commit.view == view) else { return };
        slot.commits.insert(id, commit.clone());
        self.try_committed(&commit);
    }

    pub(super) fn on_commit(&mut self, commit: Verified<Signed<Commit>>) -> Result<(), Rejection> {
        let slot = self.log.slot_mut(commit.sequence).ok_or(Rejection::OutsideWatermarks)?;
        if let Some(known) = slot.commits.get(&commit.replica) {
            if known.view == commit.view && known.digest != commit.digest {
                return Err(Rejection::ConflictingVote);
            }
            if known.view >= commit.view {
                return Err(Rejection::Duplicate);
            }
        }
        if let Some(earlier) = slot.commits.insert(commit.replica, commit.clone()) {
            self.overheard.keep(Statement::Commit(earlier.into_inner()));
        }
        self.try_committed(&commit);
        Ok(())
    }

    /// A quorum of matching commits is a certificate, whatever the view this replica is in (R6).
    fn try_committed(&mut self, vote: &Commit) {
        let Some(slot) = self.log.slot(vote.sequence) else { return };
        if let Some(certificate) = Verified::<CommitCertificate>::assemble(vote, slot.commits.values(), self.genesis()) {
            self.learn_committed(certificate);
        }
    }
}

pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
