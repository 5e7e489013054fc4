//! What happens when a timer expires (R9, R10, R23).

use super::*;

impl Replica {
    /// When [`handle_timeout`](Self::handle_timeout) is to be called next, on the monotonic clock.
    pub fn poll_timeout(&self) -> Option<Duration> {
        let watched = self.watched_deadline();
        self.timers.next().into_iter().chain(watched).chain(self.pace_deadline()).min()
    }

    /// The time has come that [`poll_timeout`](Self::poll_timeout) told.
    pub fn handle_timeout(&mut self, now: Now) {
        self.now = now;
        if self.watched_deadline().is_some_and(|deadline| deadline <= now.monotonic) {
            self.late(Reason::LateRequest);
        }
        let mut expired = Vec::new();
        while let Some(timer) = self.timers.pop_expired(now.monotonic) {
            expired.push(timer);
        }
        for timer in expired {
            self.on_timer(timer);
        }
    }

    fn on_timer(&mut self, timer: Timer) {
        match timer {
            Timer::Heartbeat => self.send_heartbeat(),
            Timer::PrimaryAlive => self.late(Reason::NoHeartbeat),
            Timer::Reproposed => self.late(Reason::LateReproposal),
            // The one is looked at when it is asked for, the other expires with no effect but that.
            Timer::Request | Timer::Measure | Timer::CatchUp => {}
            Timer::NewView => self.start_view_change(self.view.next(), Reason::NoNewView),
            Timer::Resend => self.on_resend_timeout(),
            Timer::Status => self.on_status_timeout(),
            Timer::Fetch => self.on_fetch_timeout(),
            Timer::Parked => self.on_parked_timeout(),
            Timer::IdleCheckpoint => self.fill_to_checkpoint(),
        }
    }

    /// When the longest watched request makes the primary suspect; none while it is suspected already.
    pub(super) fn watched_deadline(&self) -> Option<Duration> {
        let excused = !self.votes() || self.view_changes.suspicion.is_some() || self.timers.runs(Timer::CatchUp);
        if !self.active || self.is_primary() || excused {
            return None;
        }
        self.requests.watched_since().map(|since| since.saturating_add(self.timeout()))
    }

    /// Something that the primary owes is late. A replica that is behind first catches up, once a view (R10).
    pub(super) fn late(&mut self, reason: Reason) {
        let lags = self.is_behind() || self.ordering.transferring.is_some();
        if lags && !self.view_changes.caught_up {
            self.view_changes.caught_up = true;
            let deadline = self.now.monotonic.saturating_add(self.timeout());
            self.timers.set(Timer::CatchUp, deadline);
            self.timers.set(Timer::Status, self.now.monotonic);
            if !self.is_primary() {
                self.timers.set_if_idle(Timer::PrimaryAlive, deadline);
            }
            if !self.view_changes.outstanding.is_empty() {
                self.timers.set_if_idle(Timer::Reproposed, deadline);
            }
            return;
        }
        self.suspect(Suspicion::Late(reason));
    }

    fn send_heartbeat(&mut self) {
        if !self.leads() || !self.votes() {
            return;
        }
        self.view_changes.heartbeat = self.view_changes.heartbeat.saturating_add(1);
        let heartbeat = Message::Heartbeat { view: self.view, counter: self.view_changes.heartbeat };
        self.output.at_once(Action::Broadcast(heartbeat));
        self.timers.set(Timer::Heartbeat, self.now.monotonic.saturating_add(self.config.timing.heartbeat));
    }

    pub(super) fn on_heartbeat(&mut self, from: ReplicaId, view: View, counter: u64) -> Result<(), Rejection> {
        if view != self.view || !self.active {
            return Err(Rejection::WrongView);
        }
        if from != self.primary() {
            return Err(Rejection::NotPrimary);
        }
        let Some(peer) = self.peers.get_mut(&from) else { return Err(Rejection::NotPrimary) };
        if counter <= peer.heartbeat {
            return Err(Rejection::Stale);
        }
        peer.heartbeat = counter;
        self.heard_primary();
        Ok(())
    }

    /// The primary lives.
    pub(super) fn heard_primary(&mut self) {
        if self.active && !self.is_primary() {
            self.timers.set(Timer::PrimaryAlive, self.now.monotonic.saturating_add(self.timeout()));
        }
    }

    /// SUSPECT or VIEW-CHANGE again, or suspicion is withdrawn because what was late has come (R10).
    fn on_resend_timeout(&mut self) {
        if !self.active {
            if let Some(own) = self.view_changes.received.get(&self.id()).filter(|own| own.view == self.view) {
                self.output.at_once(Action::Broadcast(Message::ViewChange((**own).clone())));
            }
            self.timers.set(Timer::Resend, self.resend_deadline());
            return;
        }
        let Some(suspicion) = self.view_changes.suspicion else { return };
        if matches!(suspicion, Suspicion::Late(_)) && !self.is_anything_late() {
            self.view_changes.suspicion = None;
            return;
        }
        self.output.at_once(Action::Broadcast(Message::Suspect { view: self.view }));
        self.timers.set(Timer::Resend, self.resend_deadline());
    }

    fn is_anything_late(&self) -> bool {
        let now = self.now.monotonic;
        let request = self.requests.watched_since().is_some_and(|since| since.saturating_add(self.timeout()) <= now);
        // Both timers are gone once they have expired, and set again by what they wait for.
        let silent = !self.timers.runs(Timer::PrimaryAlive);
        let reproposed = !self.view_changes.outstanding.is_empty() && !self.timers.runs(Timer::Reproposed);
        request || silent || reproposed || self.pace.is_slow()
    }

    fn on_parked_timeout(&mut self) {
        let parked: Vec<SequenceNumber> = self
            .log
            .slots()
            .filter(|(_, slot)| slot.header.as_ref().is_some_and(|header| !header.accepted))
            .map(|(sequence, _)| sequence)
            .collect();
        for sequence in parked {
            self.try_accept(sequence);
        }
    }
}
