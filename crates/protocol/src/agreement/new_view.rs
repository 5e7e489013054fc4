//! Opening and entering a view (R12, R13).

use super::log::Header;
use super::view_change::Suspicion;
use super::*;
use std::collections::BTreeSet;

impl Replica {
    /// As the primary of the view that is wanted: sends NEW-VIEW once V is complete and every body in O is held (R12).
    pub(super) fn try_new_view(&mut self) {
        if self.active || !self.is_primary() || !self.votes() || self.view_changes.built.is_some() {
            return;
        }
        let Some(chosen) = self.choose_view_changes() else { return };
        let plan = match NewViewPlan::of(chosen.iter().map(|change| &***change)) {
            Ok(plan) => plan,
            Err(TooManyFaults { sequence }) => return self.halt(Alarm::TooManyFaults(sequence)),
        };
        let proposals: Vec<(SequenceNumber, Digest)> = plan.proposals().collect();
        let missing: Vec<Digest> =
            proposals.iter().map(|(_, digest)| *digest).filter(|digest| !self.bodies.holds(digest)).collect();
        if !missing.is_empty() {
            return missing.into_iter().for_each(|digest| self.want(digest));
        }
        let (view, replica) = (self.view, self.id());
        let sign = |(sequence, digest)| self.signer.sign(PrePrepare { view, sequence, digest, replica }).into_inner();
        let pre_prepares = proposals.into_iter().map(sign).collect();
        let view_changes = chosen.into_iter().map(Verified::into_inner).collect();
        let new_view = self.signer.sign(NewView { view, view_changes, pre_prepares, replica });
        self.view_changes.built = Some(new_view.clone());
        let new_view = new_view.into_inner();
        self.output.record(Record::NewView(new_view.clone()));
        self.output.await_durable(Awaiting::NewView(view));
        self.output.after(Action::Broadcast(Message::NewView(new_view)));
    }

    /// V: a quorum for the view, the own one included; those first whose bodies are all held.
    fn choose_view_changes(&self) -> Option<Vec<Verified<Signed<ViewChange>>>> {
        let own = self.view_changes.received.get(&self.id()).filter(|own| own.view == self.view)?;
        let lacks = |change: &Signed<ViewChange>| change.prepared.iter().any(|entry| !self.bodies.holds(&entry.digest));
        let mut others: Vec<_> =
            self.view_changes.received.values().filter(|change| change.view == self.view && change.replica != self.id()).collect();
        others.sort_by_key(|change| (lacks(change), change.replica));
        let mut chosen: Vec<_> = std::iter::once(own).chain(others).take(self.genesis().quorum()).cloned().collect();
        chosen.sort_by_key(|change| change.replica);
        (chosen.len() == self.genesis().quorum()).then_some(chosen)
    }

    pub(super) fn own_new_view_durable(&mut self, view: View) {
        if self.active || self.view != view {
            return;
        }
        if let Some(new_view) = self.view_changes.built.take() {
            self.view_changes.opened = Some(view);
            self.enter_view(new_view);
        }
    }

    pub(super) fn on_new_view(&mut self, new_view: Verified<Signed<NewView>>) -> Result<(), Rejection> {
        let view = new_view.view;
        let current = self.view_changes.current.as_ref().filter(|current| current.view == view);
        if current == Some(&new_view) {
            return Err(Rejection::Stale);
        }
        let second = current.is_some_and(|current| ***current != **new_view);
        self.compare_cited(&new_view);
        let follows = new_view.follows();
        if follows == Ok(false) {
            self.accuse(Evidence::FalseNewView(Box::new((*new_view).clone())));
        }
        if view < self.view || (view == self.view && self.active) {
            return Err(if second { Rejection::ConflictingVote } else { Rejection::Stale });
        }
        match follows {
            Ok(true) => {}
            Ok(false) => {
                if view == self.view {
                    self.start_view_change(view.next(), Reason::FalseNewView);
                }
                return Err(Rejection::FalseNewView);
            }
            Err(TooManyFaults { sequence }) => {
                self.halt(Alarm::TooManyFaults(sequence));
                return Err(Rejection::FalseNewView);
            }
        }
        if new_view.replica == self.id() {
            // An own new-view that this replica does not know of: it belongs to a view that the restart gave up (R15).
            return Err(Rejection::Stale);
        }
        self.output.record(Record::NewView((*new_view).clone()));
        self.enter_view(new_view);
        Ok(())
    }

    /// Enters the view that the new-view opens and prepares what it proposes again (R13).
    fn enter_view(&mut self, new_view: Verified<Signed<NewView>>) {
        self.install_new_view(&new_view);
        // What only a lower view proposed is not kept or asked for any more either.
        self.forget_settled();
        self.dispatch();
        self.relay_waiting();
        let now = self.now.monotonic;
        self.timers.clear(Timer::NewView);
        self.timers.clear(Timer::Resend);
        if !self.view_changes.outstanding.is_empty() {
            self.timers.set(Timer::Reproposed, now.saturating_add(self.timeout()));
        }
        if self.is_primary() {
            self.timers.set(Timer::Heartbeat, now);
            self.timers.set(Timer::IdleCheckpoint, now.saturating_add(self.config.timing.idle_checkpoint));
        } else {
            self.heard_primary();
        }
        self.timers.set(Timer::Status, now);
        self.tell(Event::ViewEntered { view: self.view, primary: self.primary() });
        let primary = self.primary();
        if self.evidence.iter().any(|known| (known.accused().0, known.accused().1) == (primary, self.view)) {
            self.suspect_the_accused(primary);
        }
        let parked: Vec<SequenceNumber> = self.log.slots().filter(|(_, slot)| slot.header.is_some()).map(|(s, _)| s).collect();
        for sequence in parked {
            self.try_accept(sequence);
        }
    }

    /// The part of entering a view that a restart repeats.
    pub(super) fn install_new_view(&mut self, new_view: &Verified<Signed<NewView>>) {
        self.view = new_view.view;
        self.active = true;
        let changes: Vec<Verified<Signed<ViewChange>>> = new_view.view_changes().collect();
        let best = changes.iter().max_by_key(|change| change.low_watermark());
        let min = best.map_or(SequenceNumber::GENESIS, |change| change.low_watermark());
        if let Some(stable) = best.and_then(|change| change.stable()) {
            self.advance_stable(stable);
        }
        let max = new_view.pre_prepares.last().map_or(min, |header| header.sequence);
        self.leave_old_proposals(new_view);
        self.requests.requeue(self.now.monotonic);
        self.pace.begin(self.now.monotonic);
        self.view_changes.suspicion = None;
        self.view_changes.caught_up = false;
        self.view_changes.built = None;
        self.view_changes.own = None;
        if let Some(left) = self.view_changes.current.replace(new_view.clone()) {
            self.overheard.keep(Statement::NewView(Box::new(left.into_inner())));
        }
        self.view_changes.reproposed_through = max;
        self.view_changes.next_sequence = max.max(self.log.low()).next();
        self.view_changes.outstanding.clear();
        for peer in self.peers.values_mut() {
            peer.heartbeat = 0;
        }
        for header in new_view.pre_prepares() {
            let (sequence, digest) = (header.sequence, header.digest);
            let Some(slot) = self.log.slot_mut(sequence) else { continue };
            slot.header = Some(Header { signed: header, accepted: false });
            if self.ordering.committed(sequence).is_none() {
                self.view_changes.outstanding.insert(sequence);
            }
            if let Some(batch) = self.bodies.get(&digest) {
                self.requests.proposed(batch, self.now.monotonic);
                self.view_changes.last_time = self.view_changes.last_time.max(batch.time());
            }
        }
    }

    /// Forgets the votes of lower views, but no certificate (R11). Requests of proposals that O leaves out wait again
    /// (R10).
    fn leave_old_proposals(&mut self, new_view: &Signed<NewView>) {
        let view = self.view;
        let kept: BTreeSet<Digest> = new_view.pre_prepares.iter().map(|header| header.digest).collect();
        let mut left_out = Vec::new();
        for (_, slot) in self.log.slots_mut() {
            slot.prepares.retain(|_, (prepare, _)| prepare.view == view);
            if slot.header.as_ref().is_some_and(|header| header.signed.view == view) {
                continue;
            }
            let header = slot.header.take();
            slot.own_prepare = None;
            slot.own_commit = None;
            left_out.extend(header.map(|header| header.signed.digest).filter(|digest| !kept.contains(digest)));
        }
        let domain = *self.config.authenticator.domain();
        for digest in left_out {
            let Some(batch) = self.bodies.get(&digest).cloned() else { continue };
            for request in batch.verified_requests() {
                // A request that there is no room for is sent again by its client.
                let _ = self.requests.take(request, &domain, self.now.monotonic, true, true);
            }
        }
    }

    fn relay_waiting(&mut self) {
        if self.is_primary() {
            return;
        }
        let primary = self.primary();
        for request in self.requests.waiting() {
            self.output.at_once(Action::Send(primary, Message::Request((**request).clone())));
        }
    }

    /// Verified evidence against the primary of this view is at once treated as expiry (R10).
    pub(super) fn suspect_the_accused(&mut self, accused: ReplicaId) {
        if accused == self.primary() {
            self.suspect(Suspicion::Proven(Reason::Evidence));
        }
    }
}
