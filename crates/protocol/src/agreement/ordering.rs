//! Committed batches, in order, to the executor (R7).

use super::*;
use crate::execution::Ordered;
use std::collections::BTreeSet;

/// What is committed, and how far execution got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ordering {
    committed: BTreeMap<SequenceNumber, Committed>,
    /// Every number up to this one is committed here with its body, or part of a state that is installed or being fetched.
    pub frontier: SequenceNumber,
    /// Handed to the executor.
    pub dispatched: SequenceNumber,
    /// Executed.
    pub executed: SequenceNumber,
    /// The state that the executor is fetching (R14).
    pub transferring: Option<SequenceNumber>,
    /// Status periods in a row that ended behind h without anything executed.
    pub stalled_periods: u32,
    /// Status periods in a row that ended with the whole log executed and no stable checkpoint.
    pub full_periods: u32,
    /// What was executed when the last status period ended.
    pub executed_before: SequenceNumber,
}

/// A committed batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Committed {
    pub certificate: Verified<CommitCertificate>,
    /// When it was learnt.
    pub at: Duration,
}

impl Ordering {
    pub fn committed(&self, sequence: SequenceNumber) -> Option<&Committed> {
        self.committed.get(&sequence)
    }

    pub fn committed_digest(&self, sequence: SequenceNumber) -> Option<Digest> {
        self.committed.get(&sequence).map(|committed| committed.certificate.digest)
    }

    /// Where this is proposed another batch is committed: nobody who knows that votes for it (R6).
    pub fn other_committed(&self, header: &PrePrepare) -> Option<&CommitCertificate> {
        self.committed.get(&header.sequence).map(|known| &*known.certificate).filter(|known| known.digest != header.digest)
    }

    pub fn committed_above(&self, sequence: SequenceNumber) -> impl Iterator<Item = (SequenceNumber, &Committed)> {
        self.committed.range(sequence.next()..).map(|(sequence, committed)| (*sequence, committed))
    }

    pub fn insert(&mut self, certificate: Verified<CommitCertificate>, at: Duration) {
        self.committed.insert(certificate.sequence, Committed { certificate, at });
    }

    /// What is executed, or will be once the state that is being fetched is installed.
    pub fn in_prospect(&self) -> SequenceNumber {
        self.executed.max(self.transferring.unwrap_or_default())
    }

    /// The state after `target` is being fetched: batches are held from there on (R14).
    fn transfer(&mut self, target: SequenceNumber) {
        self.transferring = Some(target);
        self.frontier = self.frontier.max(target);
        self.stalled_periods = 0;
    }

    /// No state is fetched: what follows the executed numbers is missing again.
    pub fn transfer_failed(&mut self) {
        self.transferring = None;
        self.frontier = self.dispatched;
    }

    /// The state after `sequence` is installed or restored: nothing at or below it remains to be executed. A newer one that was
    /// asked for meanwhile is still to come.
    pub fn installed(&mut self, sequence: SequenceNumber) {
        self.transferring = self.transferring.filter(|target| *target > sequence);
        self.executed = self.executed.max(sequence);
        self.dispatched = self.dispatched.max(sequence);
        self.frontier = self.frontier.max(sequence);
        self.stalled_periods = 0;
    }

    /// The lowest number from which on every committed batch is still held.
    pub fn oldest_served(&self) -> SequenceNumber {
        let mut oldest = self.frontier.next();
        for sequence in self.committed.range(..oldest).rev().map(|(sequence, _)| *sequence) {
            if sequence.next() != oldest {
                break;
            }
            oldest = sequence;
        }
        oldest
    }

    /// Forgets what lies more than a window above the frontier and is stable: whoever is so far behind fetches a state.
    /// Otherwise one that hears of commits and cannot ask for bodies would keep certificates without end (R19).
    fn forget_out_of_reach(&mut self, low: SequenceNumber, window: u64) {
        let reach = self.frontier.plus(window);
        self.committed.retain(|sequence, _| *sequence <= reach || *sequence > low);
    }

    /// Forgets what is executed and at or below `settled`.
    fn forget(&mut self, settled: SequenceNumber) {
        self.committed = self.committed.split_off(&settled.min(self.in_prospect()).next());
    }
}

impl Replica {
    pub(super) fn on_committed(
        &mut self,
        certificate: Verified<CommitCertificate>,
        body: Option<Verified<Batch>>,
    ) -> Result<(), Rejection> {
        let sequence = certificate.sequence;
        self.compare(&certificate.statements().collect::<Vec<_>>());
        if sequence <= self.ordering.frontier {
            return Err(Rejection::Stale);
        }
        // Up to one window above what is there, so that a replica behind h can still fill the gap, or inside (h, H].
        let near = sequence <= self.ordering.frontier.plus(self.genesis().parameters.log_window);
        if !near && !self.log.contains(sequence) {
            return Err(Rejection::OutsideWatermarks);
        }
        if let Some(batch) = body {
            self.hold(batch, self.is_executed_next(sequence))?;
        }
        let digest = certificate.digest;
        self.learn_committed(certificate);
        self.body_arrived(digest);
        Ok(())
    }

    pub(super) fn learn_committed(&mut self, certificate: Verified<CommitCertificate>) {
        let (sequence, digest) = (certificate.sequence, certificate.digest);
        if sequence <= self.ordering.frontier && self.ordering.committed(sequence).is_none() {
            return;
        }
        if let Some(known) = self.ordering.committed_digest(sequence) {
            if known != digest {
                self.halt(Alarm::TooManyFaults(sequence));
            }
            return;
        }
        self.journal_body(&digest);
        self.output.record(Record::Committed((*certificate).clone()));
        self.ordering.insert(certificate, self.now.monotonic);
        self.measure_agreement(sequence);
        if !self.bodies.holds(&digest) {
            self.want(digest);
        }
        self.view_changes.outstanding.remove(&sequence);
        if self.view_changes.outstanding.is_empty() {
            self.timers.clear(Timer::Reproposed);
        }
        self.advance_frontier();
        self.dispatch();
    }

    /// What is committed without a gap below it is discharged (R10).
    pub(super) fn advance_frontier(&mut self) {
        loop {
            let next = self.ordering.frontier.next();
            let Some(digest) = self.ordering.committed_digest(next) else { return };
            if !self.bodies.holds(&digest) {
                return;
            }
            if let Some(batch) = self.bodies.get(&digest) {
                self.requests.ordered(batch, self.now.monotonic);
            }
            self.ordering.frontier = next;
        }
    }

    /// What is committed above an installed state is marked as ordered, though the state does not know it.
    pub(super) fn mark_ordered_above(&mut self, sequence: SequenceNumber) {
        let frontier = self.ordering.frontier;
        let above = self.ordering.committed_above(sequence).take_while(|(number, _)| *number <= frontier);
        let digests: Vec<Digest> = above.map(|(_, committed)| committed.certificate.digest).collect();
        for digest in digests {
            if let Some(batch) = self.bodies.get(&digest) {
                self.requests.ordered(batch, self.now.monotonic);
            }
        }
    }

    /// Has the state of the newest stable checkpoint fetched (R14). What comes after it is gathered meanwhile, so that
    /// execution can go on from there however long it takes.
    pub(super) fn fetch_newest_state(&mut self) {
        let Some(stable) = self.checkpoints.stable.clone().filter(|stable| stable.sequence > self.ordering.in_prospect()) else {
            return;
        };
        self.ordering.transfer(stable.sequence);
        self.output.at_once(Action::TransferState(stable));
        self.advance_frontier();
    }

    /// Hands committed batches to the executor, no further than it may lag, nor beyond H: whoever committed beyond it has the
    /// certificate that moves it, and the checkpoints signed above h would have no bound (R19).
    pub(super) fn dispatch(&mut self) {
        if self.ordering.transferring.is_some() || self.has_diverged() {
            return;
        }
        while self.ordering.dispatched < self.ordering.frontier.min(self.log.high())
            && self.ordering.dispatched.above(self.ordering.executed) < self.config.limits.execution_lag
        {
            let sequence = self.ordering.dispatched.next();
            let digest = self.ordering.committed_digest(sequence).filter(|digest| self.bodies.holds(digest));
            let Some(digest) = digest else { return };
            let body = self.bodies.get(&digest).cloned();
            self.ordering.dispatched = sequence;
            self.output.at_once(Action::Execute(Ordered { view: self.view, sequence, body }));
        }
    }

    /// A body that something may have waited for is here.
    pub(super) fn body_arrived(&mut self, digest: Digest) {
        let waiting: Vec<SequenceNumber> = self
            .log
            .slots()
            .filter(|(_, slot)| slot.header.as_ref().is_some_and(|header| !header.accepted && header.signed.digest == digest))
            .map(|(sequence, _)| sequence)
            .collect();
        for sequence in waiting {
            self.try_accept(sequence);
        }
        self.journal_committed_body(&digest);
        self.advance_frontier();
        self.dispatch();
        self.try_new_view();
    }

    /// Replay needs the body of what is recorded as committed.
    fn journal_committed_body(&mut self, digest: &Digest) {
        if self.ordering.committed_above(self.ordering.executed).any(|(_, committed)| committed.certificate.digest == *digest) {
            self.journal_body(digest);
        }
    }

    /// Frees what no peer, no view change and no execution will need (R9, R11).
    pub(super) fn forget_settled(&mut self) {
        let served = self.log.low().minus(self.genesis().parameters.log_window);
        self.ordering.forget(served);
        self.ordering.forget_out_of_reach(self.log.low(), self.genesis().parameters.log_window);
        self.retain_needed_bodies();
        // Under the pressure of large batches fewer are kept for those that lag, and at last none for a state that is still
        // being fetched: then a newer one is.
        if self.ordering.transferring.is_some() && self.bodies.bytes() > self.config.limits.body_bytes / 2 {
            self.fetch_newest_state();
        }
        self.forget_beyond(self.config.limits.settled_bytes(), self.log.low());
    }

    /// Forgets settled batches, oldest first, until the rest takes no more than so many bytes.
    pub(super) fn forget_beyond(&mut self, bytes: usize, settled: SequenceNumber) {
        let mut excess = self.bodies.bytes().saturating_sub(bytes);
        let mut last = None;
        for (sequence, committed) in self.ordering.committed_above(SequenceNumber::GENESIS) {
            if excess == 0 || sequence > settled || sequence > self.ordering.in_prospect() {
                break;
            }
            excess = excess.saturating_sub(self.bodies.size(&committed.certificate.digest));
            last = Some(sequence);
        }
        if let Some(last) = last {
            self.ordering.forget(last);
            self.retain_needed_bodies();
        }
    }

    fn retain_needed_bodies(&mut self) {
        let needed = self.needed_bodies();
        self.bodies.retain(&needed);
    }

    /// What execution, the log, view-changes or the new-view name.
    fn needed_bodies(&self) -> BTreeSet<Digest> {
        let slots = self.log.slots().flat_map(|(_, slot)| {
            let header = slot.header.as_ref().map(|header| header.signed.digest);
            let prepared = slot.prepared.as_ref().map(|certificate| certificate.digest);
            header.into_iter().chain(prepared)
        });
        let committed = self.ordering.committed_above(SequenceNumber::GENESIS).map(|(_, committed)| committed.certificate.digest);
        let proposed = self.view_changes.cited_digests(self.log.low());
        slots.chain(committed).chain(proposed).collect()
    }
}
