//! Status, and what it brings: lost messages, missing bodies, committed batches, state (R9, R14, R23).

use super::*;

/// How many numbers, and how many bytes of bodies, one answer to a status may bring.
const ANSWER_NUMBERS: usize = 64;
const ANSWER_BYTES: usize = 2 << 20;
/// Status periods without anything executed, although a peer promised the next batch, before the state is fetched.
const PATIENCE_PERIODS: u32 = 20;

impl Replica {
    /// Where this replica stands.
    pub fn status(&self) -> Status {
        let window = self.genesis().parameters.log_window;
        let bytes = usize::try_from(window.div_ceil(8)).unwrap_or(0);
        let (mut prepared, mut committed) = (vec![0; bytes], vec![0; bytes]);
        for (sequence, slot) in self.log.slots() {
            if slot.is_prepared_in(self.view) {
                set_bit(&mut prepared, sequence, self.log.low());
            }
        }
        for (sequence, entry) in self.ordering.committed_above(self.log.low()) {
            if self.bodies.holds(&entry.certificate.digest) {
                set_bit(&mut committed, sequence, self.log.low());
            }
        }
        Status {
            view: self.view,
            active: self.active,
            low_watermark: self.log.low(),
            // While a state is fetched, only what comes after it, and is not here, is of use.
            executed: self.ordering.transferring.map_or(self.ordering.executed, |_| self.ordering.frontier),
            oldest_served: self.ordering.oldest_served(),
            prepared,
            committed,
            asks: self.recovery.as_ref().filter(|_| self.is_recovering()).map(|recovery| recovery.asked),
            votes: self.votes(),
        }
    }

    pub(super) fn on_status_timeout(&mut self) {
        let status = self.status();
        self.output.at_once(Action::Broadcast(Message::Status(status)));
        self.consider_state_transfer();
        self.look_for_full_log();
        self.remind_primary();
        let timing = &self.config.timing;
        let period = if self.is_idle() { timing.idle_status } else { timing.status };
        self.timers.set(Timer::Status, self.now.monotonic.saturating_add(period));
    }

    /// A watched request that the primary may never have got, or had no room for, is sent to it again at half its time,
    /// and after each further half (R10, R19). To all while this replica is in no view: they may have a primary that it wants to
    /// leave.
    fn remind_primary(&mut self) {
        if self.leads() {
            return;
        }
        let primary = self.primary();
        let half = self.timeout().checked_div(2).unwrap_or_default();
        for request in self.requests.reminders(self.now.monotonic, half) {
            let request = Message::Request(request.into_inner());
            self.output.at_once(if self.active { Action::Send(primary, request) } else { Action::Broadcast(request) });
        }
    }

    /// Nothing waits to be ordered, committed, executed or caught up with.
    pub(super) fn is_idle(&self) -> bool {
        let settled = self.ordering.frontier == self.ordering.executed && self.ordering.executed >= self.log.low();
        let last = self.log.slots().next_back().map(|(sequence, _)| sequence);
        let settled = settled && !self.is_recovering();
        self.active && settled && self.requests.is_empty() && last <= Some(self.ordering.frontier) && !self.is_behind()
    }

    /// A weak quorum has a higher stable checkpoint.
    pub(super) fn is_behind(&self) -> bool {
        let low = self.log.low();
        let ahead = |peer: &&Peer| peer.status.as_ref().is_some_and(|status| status.low_watermark > low);
        self.peers.values().filter(ahead).count() >= self.genesis().weak_quorum()
    }

    /// State transfer starts only if the next batch is neither held nor served by a peer (R9).
    fn consider_state_transfer(&mut self) {
        let executed = self.ordering.executed;
        let progress = executed > self.ordering.executed_before;
        self.ordering.executed_before = executed;
        let stable = self.checkpoints.stable.as_ref().map(|stable| stable.sequence);
        if self.has_diverged() {
            if self.ordering.transferring.is_none() && self.repairs_from().is_some_and(|least| stable >= Some(least)) {
                self.fetch_newest_state();
            }
            return;
        }
        // While a state is fetched, another is needed only if nobody has what comes after it.
        let next = self.ordering.in_prospect().next();
        let held = self.ordering.committed_digest(next).is_some_and(|digest| self.bodies.holds(&digest));
        if stable < Some(next) || progress || held {
            self.ordering.stalled_periods = 0;
            return;
        }
        self.ordering.stalled_periods = self.ordering.stalled_periods.saturating_add(1);
        let statuses = || self.peers.values().filter_map(|peer| peer.status.as_ref());
        let serves = |status: &Status| status.executed >= next && status.oldest_served <= next;
        let known = statuses().count() >= self.genesis().weak_quorum();
        let hopeless = known && self.ordering.stalled_periods > 2 && !statuses().any(serves);
        if hopeless || self.ordering.stalled_periods > PATIENCE_PERIODS {
            self.fetch_newest_state();
        }
    }

    /// No digest reaches a quorum by H: an alarm, once, and never a lower quorum (R9).
    fn look_for_full_log(&mut self) {
        let high = self.log.high();
        if self.ordering.executed < high {
            self.ordering.full_periods = 0;
            return;
        }
        self.ordering.full_periods = self.ordering.full_periods.saturating_add(1);
        if self.ordering.full_periods == PATIENCE_PERIODS {
            self.tell(Event::Alarm(Alarm::NoStableCheckpoint(high)));
        }
    }

    /// Sends what the sender of the status lacks, at a bounded rate. In every state, view change included (R23).
    pub(super) fn on_status(&mut self, from: ReplicaId, status: Status) -> Result<(), Rejection> {
        let now = self.now.monotonic;
        let gap = self.config.timing.status.checked_div(4).unwrap_or_default();
        let longest = usize::try_from(self.genesis().parameters.log_window.div_ceil(8)).unwrap_or(0);
        if status.prepared.len() > longest || status.committed.len() > longest {
            return Err(Rejection::OutsideWatermarks);
        }
        let Some(peer) = self.peers.get_mut(&from) else { return Err(Rejection::Unsolicited) };
        peer.status = Some(status.clone());
        if peer.answered_at.is_some_and(|at| now.saturating_sub(at) < gap) {
            return Ok(());
        }
        peer.answered_at = Some(now);
        self.answer_question(from, &status);
        self.answer_view(from, &status);
        self.answer_checkpoint(from, &status);
        self.answer_log(from, &status);
        Ok(())
    }

    /// A replica that came back from its disk is shown its votes (R16).
    fn answer_question(&mut self, from: ReplicaId, status: &Status) {
        if let Some(asked) = status.asks {
            let witness = Witness { asked, votes: self.votes_of(from) };
            self.output.at_once(Action::Send(from, Message::Witness(Box::new(witness))));
        }
    }

    fn answer_view(&mut self, from: ReplicaId, status: &Status) {
        let lower = status.view < self.view || (status.view == self.view && !status.active);
        if !lower {
            return;
        }
        if self.active {
            if let Some(new_view) = &self.view_changes.current {
                self.output.at_once(Action::Send(from, Message::NewView((**new_view).clone())));
            }
        } else if let Some(own) = self.view_changes.received.get(&self.id()).filter(|own| own.view == self.view) {
            self.output.at_once(Action::Send(from, Message::ViewChange((**own).clone())));
        }
    }

    fn answer_checkpoint(&mut self, from: ReplicaId, status: &Status) {
        if status.low_watermark < self.log.low()
            && let Some(stable) = &self.checkpoints.stable
        {
            self.output.at_once(Action::Send(from, Message::Stable((**stable).clone())));
            return;
        }
        let own = self.checkpoints.own_durable_above(status.low_watermark, self.id());
        for checkpoint in own.take(4) {
            self.output.at_once(Action::Send(from, Message::Checkpoint((**checkpoint).clone())));
        }
    }

    /// Committed batches from the first that the other has not executed; else the own messages of the same view.
    fn answer_log(&mut self, from: ReplicaId, status: &Status) {
        let mut room = ANSWER_BYTES;
        let mut answers = Vec::new();
        let mut served = status.executed;
        let settled = self.now.monotonic.saturating_sub(self.config.timing.status.checked_div(2).unwrap_or_default());
        let from_here = self.not_served_lately(from, status.executed);
        for (sequence, committed) in self.ordering.committed_above(from_here).take(ANSWER_NUMBERS) {
            if committed.at > settled || has_bit(&status.committed, sequence, status.low_watermark) {
                continue;
            }
            let certificate = (*committed.certificate).clone();
            let body = self.bodies.get(&certificate.digest).map(|batch| batch.bytes().clone());
            let Some(body) = body.or_else(|| (certificate.digest == NULL_DIGEST).then(Blob::default)) else { continue };
            // The first goes in any case: a large batch must be served too.
            if body.len() > room && !answers.is_empty() {
                break;
            }
            room = room.saturating_sub(body.len().saturating_add(512));
            answers.push(Message::Committed { certificate, body });
            served = sequence;
        }
        if let (false, Some(peer)) = (answers.is_empty(), self.peers.get_mut(&from)) {
            peer.served = (served, self.now.monotonic);
        }
        if answers.is_empty() && status.view == self.view && status.active && self.active {
            answers = self.own_messages_for(status, settled, room);
        }
        for answer in answers {
            self.output.at_once(Action::Send(from, answer));
        }
    }

    /// What was sent to a peer lately is not sent again at once: the next answer goes on from there.
    fn not_served_lately(&self, peer: ReplicaId, executed: SequenceNumber) -> SequenceNumber {
        let patience = self.config.timing.status.saturating_mul(4);
        match self.peers.get(&peer).map(|peer| peer.served) {
            Some((served, at)) if self.now.monotonic.saturating_sub(at) < patience => served.max(executed),
            _ => executed,
        }
    }

    /// This replica's own messages of the view, the same bytes, for numbers that the other has not committed.
    fn own_messages_for(&self, status: &Status, settled: Duration, mut room: usize) -> Vec<Message> {
        let mut messages = Vec::new();
        let id = self.id();
        let lacking = |sequence: &SequenceNumber| !has_bit(&status.committed, *sequence, status.low_watermark);
        let slots = self.log.slots().filter(|(sequence, slot)| lacking(sequence) && slot.spoke_at <= settled);
        for (sequence, slot) in slots.take(ANSWER_NUMBERS) {
            if !has_bit(&status.prepared, sequence, status.low_watermark) {
                let proposed = slot.accepted().filter(|header| header.replica == id);
                if let Some(header) = proposed {
                    let body = self.bodies.get(&header.digest).map(|batch| batch.bytes().clone()).unwrap_or_default();
                    if body.len() > room && !messages.is_empty() {
                        break;
                    }
                    room = room.saturating_sub(body.len());
                    messages.push(Message::PrePrepare { header: (**header).clone(), body });
                }
                if let Some((prepare, pre_prepare)) = slot.prepares.get(&id) {
                    messages.push(Message::Prepare { prepare: (**prepare).clone(), pre_prepare: *pre_prepare });
                }
            }
            if let Some(commit) = slot.commits.get(&id) {
                messages.push(Message::Commit((**commit).clone()));
            }
        }
        messages
    }

    /// A body is missing: ask for it, one replica after the other.
    pub(super) fn want(&mut self, digest: Digest) {
        if self.bodies.wanted.contains_key(&digest) {
            return;
        }
        self.bodies.wanted.insert(digest, 0);
        self.fetch(digest);
        self.timers.set_if_idle(Timer::Fetch, self.now.monotonic.saturating_add(self.config.timing.fetch));
    }

    fn fetch(&mut self, digest: Digest) {
        let Some(attempt) = self.bodies.wanted.get_mut(&digest) else { return };
        let others: Vec<ReplicaId> = self.peers.keys().copied().collect();
        // Different replicas begin with different peers.
        let turn = usize::try_from(attempt.wrapping_add(self.signer.replica().0)).unwrap_or(0);
        *attempt = attempt.wrapping_add(1);
        if let Some(peer) = turn.checked_rem(others.len()).and_then(|index| others.get(index)) {
            self.output.at_once(Action::Send(*peer, Message::FetchBody { digest }));
        }
    }

    pub(super) fn on_fetch_timeout(&mut self) {
        let wanted: Vec<Digest> = self.bodies.wanted.keys().take(ANSWER_NUMBERS).copied().collect();
        if wanted.is_empty() {
            return;
        }
        for digest in wanted {
            self.fetch(digest);
        }
        self.timers.set(Timer::Fetch, self.now.monotonic.saturating_add(self.config.timing.fetch));
    }

    pub(super) fn on_fetch_body(&mut self, from: ReplicaId, digest: Digest) -> Result<(), Rejection> {
        let body = self.bodies.get(&digest).map(|batch| batch.bytes().clone()).ok_or(Rejection::Unsolicited)?;
        self.output.at_once(Action::Send(from, Message::Body(body)));
        Ok(())
    }

    pub(super) fn on_body(&mut self, body: Proposal) -> Result<(), Rejection> {
        let digest = body.digest();
        if !self.bodies.wanted.contains_key(&digest) {
            return Err(Rejection::Unsolicited);
        }
        match body {
            Proposal::Null => Err(Rejection::Unsolicited),
            Proposal::Valid(batch) => {
                let next = self.ordering.in_prospect().next();
                let proposed = self.log.slot(next).and_then(|slot| slot.header.as_ref()).map(|header| header.signed.digest);
                let is_next = self.ordering.committed_digest(next).or(proposed) == Some(digest);
                // A view cannot begin without a body that it proposes again.
                self.hold(batch, is_next || !self.active)?;
                self.body_arrived(digest);
                Ok(())
            }
            Proposal::Invalid(invalid) => {
                let proposed = self.log.slots().filter_map(|(_, slot)| slot.header.as_ref());
                let header = proposed.map(|header| &header.signed).find(|header| header.digest == digest).cloned();
                if let Some(header) = header {
                    self.accuse(Evidence::InvalidBatch(header.into_inner(), invalid.body().clone()));
                }
                Err(Rejection::InvalidBatch)
            }
        }
    }
}

/// Bit i of byte j stands for number low + 1 + 8j + i.
fn position(sequence: SequenceNumber, low: SequenceNumber) -> Option<(usize, u8)> {
    let index = sequence.above(low).checked_sub(1)?;
    let byte = usize::try_from(index / 8).ok()?;
    Some((byte, 1_u8.checked_shl(u32::try_from(index % 8).ok()?)?))
}

fn set_bit(bits: &mut [u8], sequence: SequenceNumber, low: SequenceNumber) {
    if let Some((byte, mask)) = position(sequence, low)
        && let Some(byte) = bits.get_mut(byte)
    {
        *byte |= mask;
    }
}

/// What a peer sent may be too short; then the bit is not set.
fn has_bit(bits: &[u8], sequence: SequenceNumber, low: SequenceNumber) -> bool {
    position(sequence, low).is_some_and(|(byte, mask)| bits.get(byte).is_some_and(|byte| byte & mask != 0))
}
