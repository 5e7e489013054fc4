//! The primary's side: batching and proposing (R3, R4).

use super::log::Header;
use super::*;

/// A batch is large from this part of the largest one on.
pub(super) const LARGE_BATCH: usize = 4;

impl Replica {
    /// Before its first pre-prepare in a view the primary makes durable that it is about to propose (R15).
    pub(super) fn open_view(&mut self) {
        self.output.record(Record::Opened(self.view));
        self.output.await_durable(Awaiting::Opened(self.view));
        self.timers.set(Timer::Heartbeat, self.now.monotonic);
        self.timers.set(Timer::IdleCheckpoint, self.now.monotonic.saturating_add(self.config.timing.idle_checkpoint));
    }

    fn may_propose(&self) -> bool {
        self.leads() && self.votes() && self.view_changes.opened == Some(self.view)
    }

    /// Proposes what waits. A lone request goes at once; under load requests gather while batches are in flight, and make
    /// a larger batch: up to two are in flight in any case, and up to `pipeline` if they are large.
    pub(super) fn propose(&mut self) {
        if !self.may_propose() {
            return;
        }
        while self.requests.has_unproposed() && self.has_room_to_propose() {
            let most_bytes = self.genesis().parameters.max_batch_bytes;
            let requests = self.requests.next_batch(self.now.monotonic, self.config.limits.batch_requests, most_bytes);
            if requests.is_empty() {
                return;
            }
            let time = self.now.wall.max(self.view_changes.last_time.saturating_add(1));
            self.view_changes.last_time = time;
            self.propose_body(Some(Batch::of_verified(time, requests)));
        }
        // Large batches have filled the memory before the next checkpoint could free it: go there without them.
        if self.requests.has_unproposed() && self.view_changes.next_sequence.minus(1) <= self.ordering.frontier && self.is_heavy() {
            self.pad_to_checkpoint();
        }
    }

    /// The window, the executor's lag, the memory and the pipeline all bound how far proposals run ahead (R19).
    fn has_room_to_propose(&self) -> bool {
        let in_flight = self.view_changes.next_sequence.minus(1).above(self.ordering.frontier.max(self.log.low()));
        // What comes after a state that is being fetched waits for it, not for the executor.
        let lag = self.ordering.dispatched.above(self.ordering.executed);
        self.may_propose_next()
            && in_flight < self.config.limits.pipeline
            && (in_flight < 2 || self.is_large_batch_waiting())
            && lag < self.config.limits.execution_lag
            && !self.is_heavy()
    }

    /// Inside the window, and where nothing is known as committed (R6): that would be by a later view, which left this primary behind.
    fn may_propose_next(&self) -> bool {
        let next = self.view_changes.next_sequence;
        next <= self.log.high() && self.ordering.committed(next).is_none()
    }

    /// What a batch costs hardly depends on its size: many small ones in flight would take from all what large ones save.
    fn is_large_batch_waiting(&self) -> bool {
        let (requests, bytes) = self.requests.size_unproposed();
        let (most, most_bytes) = (self.config.limits.batch_requests, self.genesis().parameters.max_batch_bytes);
        requests >= most.div_ceil(LARGE_BATCH) || bytes >= most_bytes.div_ceil(LARGE_BATCH)
    }

    /// What was proposed above h takes as much memory as it may: half of it all, so that the backups, whose h may be
    /// lower, have room for it too; or all memory is taken, also by what lower views proposed.
    fn is_heavy(&self) -> bool {
        let digests = self.log.slots().filter_map(|(_, slot)| slot.accepted()).map(|header| header.digest);
        let bytes = digests.fold(0, |sum: usize, digest| sum.saturating_add(self.bodies.size(&digest)));
        let most = self.config.limits.body_bytes;
        bytes >= most / 2 || (bytes > 0 && self.bodies.bytes() >= most)
    }

    fn propose_body(&mut self, body: Option<Verified<Batch>>) {
        let sequence = self.view_changes.next_sequence;
        let digest = body.as_ref().map_or(NULL_DIGEST, |batch| batch.digest());
        let header = self.signer.sign(PrePrepare { view: self.view, sequence, digest, replica: self.id() });
        let bytes = body.as_ref().map(|batch| batch.bytes().clone()).unwrap_or_default();
        let now = self.now.monotonic;
        let Some(slot) = self.log.slot_mut(sequence) else { return };
        slot.header = Some(Header { signed: header.clone(), accepted: true });
        slot.spoke_at = now;
        slot.accepted_at = now;
        self.view_changes.next_sequence = sequence.next();
        if let Some(batch) = body {
            self.bodies.hold(batch, false);
        }
        let header = header.into_inner();
        self.output.at_once(Action::Broadcast(Message::PrePrepare { header: header.clone(), body: bytes }));
        self.journal_body(&digest);
        self.output.record(Record::PrePrepare(header));
        self.timers.set(Timer::IdleCheckpoint, now.saturating_add(self.config.timing.idle_checkpoint));
        self.try_prepared(sequence);
    }

    /// When nothing was ordered for a while, fills the log with null requests to the next checkpoint, once (R9).
    pub(super) fn fill_to_checkpoint(&mut self) {
        let timing = &self.config.timing;
        self.timers.set(Timer::IdleCheckpoint, self.now.monotonic.saturating_add(timing.idle_checkpoint));
        let next = self.view_changes.next_sequence;
        let interval = self.genesis().parameters.checkpoint_interval;
        let done = next.minus(1);
        let at_checkpoint = done.0.checked_rem(interval) == Some(0);
        let unfinished = self.ordering.executed < done || self.requests.has_unproposed();
        if !self.may_propose() || at_checkpoint || unfinished || done <= self.log.low() {
            return;
        }
        self.pad_to_checkpoint();
    }

    fn pad_to_checkpoint(&mut self) {
        let interval = self.genesis().parameters.checkpoint_interval;
        let past = self.view_changes.next_sequence.minus(1).0.checked_rem(interval).unwrap_or(0);
        let missing = if past == 0 { 0 } else { interval.saturating_sub(past) };
        for _ in 0..missing {
            if !self.may_propose_next() {
                return;
            }
            self.propose_body(None);
        }
    }
}
