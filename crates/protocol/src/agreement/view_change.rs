//! Suspicion and leaving a view (R10, R11).

use super::*;

/// What is known of view changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ViewChanges {
    /// Each sender's of the highest view; the own one once it is durable.
    pub received: BTreeMap<ReplicaId, Verified<Signed<ViewChange>>>,
    /// The own one for the view that this replica wants to enter.
    pub own: Option<Verified<Signed<ViewChange>>>,
    /// The new-view of the current view.
    pub current: Option<Verified<Signed<NewView>>>,
    /// The own new-view that waits to be durable.
    pub built: Option<Verified<Signed<NewView>>>,
    /// The view that this replica may propose in: it is durable that it is about to (R15).
    pub opened: Option<View>,
    /// Whether and why this replica suspects the current primary.
    pub suspicion: Option<Suspicion>,
    /// The numbers of O that are not committed yet.
    pub outstanding: std::collections::BTreeSet<SequenceNumber>,
    /// The last number of O.
    pub reproposed_through: SequenceNumber,
    /// As primary: the next number to propose.
    pub next_sequence: SequenceNumber,
    /// As primary: the last proposed time, in microseconds since 1970.
    pub last_time: u64,
    /// View changes that no stable checkpoint has made up for: the time-out doubles with each (R10).
    pub attempts: u32,
    /// Whether the view changed since the last stable checkpoint.
    pub changed_since_stable: bool,
    /// Already caught up once in this view before suspecting (R10).
    pub caught_up: bool,
    /// All view changes of this replica.
    pub count: u64,
    /// Grows with each heartbeat sent.
    pub heartbeat: u64,
}

/// Why a primary is suspected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Suspicion {
    /// A timer expired; withdrawn when what it waited for comes.
    Late(Reason),
    /// Proven, or the primary itself left; never withdrawn.
    Proven(Reason),
}

impl Suspicion {
    pub fn reason(self) -> Reason {
        match self {
            Self::Late(reason) | Self::Proven(reason) => reason,
        }
    }
}

impl Default for ViewChanges {
    fn default() -> Self {
        Self {
            received: BTreeMap::new(),
            own: None,
            current: None,
            built: None,
            opened: None,
            suspicion: None,
            outstanding: std::collections::BTreeSet::new(),
            reproposed_through: SequenceNumber::GENESIS,
            next_sequence: SequenceNumber(1),
            last_time: 0,
            attempts: 0,
            changed_since_stable: false,
            caught_up: false,
            count: 0,
            heartbeat: 0,
        }
    }
}

impl ViewChanges {
    /// A checkpoint became stable: what it covers is settled, and a quiet view halves the time-out again (R10).
    pub fn stable_checkpoint(&mut self, sequence: SequenceNumber) {
        self.outstanding = self.outstanding.split_off(&sequence.next());
        self.next_sequence = self.next_sequence.max(sequence.next());
        if !self.changed_since_stable {
            self.attempts = self.attempts.saturating_sub(1);
        }
        self.changed_since_stable = false;
    }

    /// The digests of what the latest view-changes and new-view report as prepared above h: their bodies are still needed.
    pub fn cited_digests(&self, low: SequenceNumber) -> impl Iterator<Item = Digest> {
        let new_views = self.built.iter().chain(&self.current).flat_map(|new_view| &new_view.pre_prepares);
        let built = new_views.map(|header| (header.sequence, header.digest));
        let prepared = self.received.values().flat_map(|change| &change.prepared);
        let cited = prepared.map(|certificate| (certificate.sequence, certificate.digest)).chain(built);
        cited.filter(move |(sequence, _)| *sequence > low).map(|(_, digest)| digest)
    }
}

impl Replica {
    /// How long this view's primary may take: doubled with each failed attempt, capped (R10).
    pub(super) fn timeout(&self) -> Duration {
        let doublings = self.view_changes.attempts.saturating_sub(1);
        let timeout = self.config.timing.base_timeout.saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX));
        timeout.min(self.config.timing.max_timeout)
    }

    /// An attempt failed. Once the time-out is the longest there is nothing to count: the next quiet checkpoint halves it.
    pub(super) fn count_attempt(&mut self) {
        if self.timeout() < self.config.timing.max_timeout {
            self.view_changes.attempts = self.view_changes.attempts.saturating_add(1);
        }
    }

    /// Spreads what is sent again and again by different replicas, without randomness.
    pub(super) fn resend_deadline(&self) -> Duration {
        let resend = self.config.timing.resend;
        let spread = u64::from(self.id().0)
            .wrapping_mul(7)
            .wrapping_add(super::normal_case::micros(self.now.monotonic))
            .checked_rem(8)
            .unwrap_or(0);
        let jitter = resend.checked_div(32).unwrap_or_default().saturating_mul(u32::try_from(spread).unwrap_or(0));
        self.now.monotonic.saturating_add(resend).saturating_add(jitter)
    }

    pub(super) fn suspect(&mut self, suspicion: Suspicion) {
        if !self.active || self.is_primary() || !self.votes() {
            return;
        }
        match (self.view_changes.suspicion, suspicion) {
            (None, _) | (Some(Suspicion::Late(_)), Suspicion::Proven(_)) => {}
            _ => return,
        }
        self.view_changes.suspicion = Some(suspicion);
        self.output.at_once(Action::Broadcast(Message::Suspect { view: self.view }));
        self.timers.set(Timer::Resend, self.resend_deadline());
        self.count_suspicion();
    }

    pub(super) fn on_suspect(&mut self, from: ReplicaId, view: View) -> Result<(), Rejection> {
        if view != self.view || !self.active {
            return Err(Rejection::WrongView);
        }
        let until = self.now.monotonic.saturating_add(self.config.timing.resend.saturating_mul(4));
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.suspects = Some((view, until));
        }
        self.count_suspicion();
        Ok(())
    }

    /// A weak quorum of SUSPECT(v) or VIEW-CHANGE(> v) leaves the view: one deaf replica strands nobody (R10).
    fn count_suspicion(&mut self) {
        if !self.active {
            return;
        }
        let (view, now) = (self.view, self.now.monotonic);
        let suspects = |(id, peer): &(&ReplicaId, &Peer)| {
            peer.suspects(view, now) || self.view_changes.received.get(id).is_some_and(|change| change.view > view)
        };
        let others = self.peers.iter().filter(suspects).count();
        let own = usize::from(self.view_changes.suspicion.is_some());
        if others.saturating_add(own) >= self.genesis().weak_quorum() {
            let reason = self.view_changes.suspicion.map_or(Reason::OthersSuspect, Suspicion::reason);
            self.start_view_change(view.next(), reason);
        }
    }

    /// Stops voting in all views below `target` and says what prepared (R11).
    pub(super) fn start_view_change(&mut self, target: View, reason: Reason) {
        if !self.votes() || target <= self.view {
            return;
        }
        self.view = target;
        self.active = false;
        self.count_attempt();
        let changes = &mut self.view_changes;
        changes.suspicion = None;
        changes.built = None;
        changes.outstanding.clear();
        changes.changed_since_stable = true;
        changes.count = changes.count.saturating_add(1);
        for timer in
            [Timer::Heartbeat, Timer::PrimaryAlive, Timer::Reproposed, Timer::CatchUp, Timer::NewView, Timer::IdleCheckpoint]
        {
            self.timers.clear(timer);
        }
        let prepared = self.log.slots().filter_map(|(_, slot)| slot.prepared.as_ref()).map(|certificate| (**certificate).clone());
        let change = self.signer.sign(ViewChange {
            view: target,
            stable: self.checkpoints.stable.as_ref().map(|stable| (**stable).clone()),
            prepared: prepared.collect(),
            replica: self.id(),
        });
        self.view_changes.own = Some(change.clone());
        let change = change.into_inner();
        self.output.record(Record::ViewChange(change.clone()));
        self.output.await_durable(Awaiting::ViewChange(target));
        self.output.after(Action::Broadcast(Message::ViewChange(change)));
        self.timers.set(Timer::Resend, self.resend_deadline());
        self.tell(Event::ViewChange { view: target, reason });
    }

    /// This replica is about to be stopped: as primary it leaves its view now, so that nobody waits for a timer to tell (R10).
    /// False while others still need it: it leads, or waits for a new view to begin.
    pub fn hand_over(&mut self, now: Now) -> bool {
        self.now = now;
        if self.leads() {
            self.start_view_change(self.view.next(), Reason::HandedOver);
        }
        self.active || !self.votes()
    }

    pub(super) fn own_view_change_durable(&mut self, view: View) {
        let Some(own) = self.view_changes.own.clone().filter(|own| own.view == view && view == self.view) else { return };
        self.view_changes.received.insert(self.id(), own);
        self.after_view_change();
    }

    pub(super) fn on_view_change(&mut self, change: Verified<Signed<ViewChange>>) -> Result<(), Rejection> {
        let sender = change.replica;
        if self.view_changes.received.get(&sender) == Some(&change) {
            return Err(Rejection::Duplicate);
        }
        self.compare_reported(&change);
        if let Some(known) = self.view_changes.received.get(&sender).filter(|known| known.view >= change.view) {
            let differs = ***known != **change;
            return Err(match known.view == change.view {
                true if differs => Rejection::ConflictingVote,
                true => Rejection::Duplicate,
                false => Rejection::Stale,
            });
        }
        let leaves = change.view > self.view && sender == self.primary();
        if let Some(earlier) = self.view_changes.received.insert(sender, change) {
            self.overheard.keep(Statement::ViewChange(Box::new(earlier.into_inner())));
        }
        if leaves {
            self.suspect(Suspicion::Proven(Reason::PrimaryLeft));
        }
        self.count_suspicion();
        self.join();
        self.after_view_change();
        Ok(())
    }

    /// A weak quorum above the own view: join the (f+1)-th highest of them (R10).
    fn join(&mut self) {
        let mut views: Vec<View> =
            self.view_changes.received.values().map(|change| change.view).filter(|view| *view > self.view).collect();
        views.sort_unstable_by(|first, second| second.cmp(first));
        let weak_quorum = self.genesis().weak_quorum();
        if let Some(target) = views.get(weak_quorum.saturating_sub(1)).copied() {
            self.start_view_change(target, Reason::OthersLeft);
        }
    }

    /// The timer for the new view starts only when a quorum wants it (R10), or more: who went on to a higher view wants
    /// this one no longer and never will again, so waiting for its word would be for ever.
    fn after_view_change(&mut self) {
        if self.active {
            return;
        }
        let wanted = self.view_changes.received.values().filter(|change| change.view >= self.view).count();
        if wanted >= self.genesis().quorum() {
            self.timers.set_if_idle(Timer::NewView, self.now.monotonic.saturating_add(self.timeout()));
        }
        self.try_new_view();
    }
}
