//! Where a replica stands, for operators.

use super::*;

/// Where a replica stands. Cheap to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The view that it is in or wants to enter.
    pub view: View,
    /// Whether it has entered it.
    pub active: bool,
    /// The view's primary.
    pub primary: ReplicaId,
    /// Every number up to this one is committed here, with its body.
    pub committed: SequenceNumber,
    /// The last number that was executed.
    pub executed: SequenceNumber,
    /// What a weak quorum of the others says that it has executed: at least one of them is right.
    pub executed_elsewhere: SequenceNumber,
    /// h.
    pub low_watermark: SequenceNumber,
    /// H.
    pub high_watermark: SequenceNumber,
    /// The checkpoint whose state is being fetched (R14).
    pub transferring: Option<SequenceNumber>,
    /// How long the primary may take now: doubled by failed view changes (R10).
    pub timeout: Duration,
    /// What agreement waits for.
    pub awaited: Option<Awaited>,
    /// Whether and why this replica suspects the primary.
    pub suspicion: Option<Reason>,
    /// Bytes of requests that wait to be ordered.
    pub request_bytes: usize,
    /// Since when the longest watched request is watched, on the monotonic clock.
    pub watched_since: Option<Duration>,
}

/// What another replica says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerProgress {
    /// The replica.
    pub replica: ReplicaId,
    /// Its last status, if there was one.
    pub status: Option<Status>,
    /// Whether it suspects the primary of the view that this replica is in.
    pub suspects: bool,
}

impl Replica {
    /// Where it stands.
    pub fn progress(&self) -> Progress {
        Progress {
            view: self.view,
            active: self.active,
            primary: self.primary(),
            committed: self.ordering.frontier,
            executed: self.ordering.executed,
            executed_elsewhere: self.executed_elsewhere(),
            low_watermark: self.log.low(),
            high_watermark: self.log.high(),
            transferring: self.ordering.transferring,
            timeout: self.timeout(),
            awaited: self.awaited(),
            suspicion: self.view_changes.suspicion.map(Suspicion::reason),
            request_bytes: self.requests.bytes(),
            watched_since: self.requests.watched_since(),
        }
    }

    /// What the others say of themselves.
    pub fn peers(&self) -> impl Iterator<Item = PeerProgress> {
        let (view, now) = (self.view, self.now.monotonic);
        self.peers.iter().map(move |(replica, peer)| PeerProgress {
            replica: *replica,
            status: peer.status.clone(),
            suspects: peer.suspects(view, now),
        })
    }

    /// The running timers, and when they expire, on the monotonic clock.
    pub fn timers(&self) -> impl Iterator<Item = (Timer, Duration)> {
        let request = self.watched_deadline().map(|deadline| (Timer::Request, deadline));
        let measure = self.pace_deadline().map(|deadline| (Timer::Measure, deadline));
        self.timers.running().chain(request).chain(measure)
    }

    /// How long requests that are known here waited (R18).
    pub fn delays(&self) -> &RequestDelays {
        self.requests.delays()
    }

    fn awaited(&self) -> Option<Awaited> {
        if !self.active {
            let here = self.view_changes.received.values().filter(|change| change.view >= self.view).count();
            return Some(if here < self.genesis().quorum() { Awaited::ViewChanges(here as u64) } else { Awaited::NewView });
        }
        let next = self.ordering.frontier.next();
        if self.log.contains(next) { self.awaited_for(next) } else { self.awaited_checkpoint() }
    }

    /// What the lowest number waits for that is not committed; nothing if nobody has asked for it.
    fn awaited_for(&self, next: SequenceNumber) -> Option<Awaited> {
        let slot = self.log.slot(next);
        let Some((slot, header)) = slot.and_then(|slot| Some((slot, slot.header.as_ref()?))) else {
            let later = self.log.slots().any(|(sequence, slot)| sequence > next && slot.header.is_some());
            return (later || self.requests.watched_since().is_some()).then_some(Awaited::PrePrepare(next));
        };
        if !self.bodies.holds(&header.signed.digest) {
            return Some(Awaited::Batch(next));
        }
        if !header.accepted {
            return Some(Awaited::Time(next));
        }
        let digest = header.signed.digest;
        if !slot.is_prepared_in(self.view) {
            let prepares = slot.prepares.values().filter(|(prepare, _)| prepare.digest == digest).count();
            return Some(Awaited::Prepares(next, prepares.saturating_add(1) as u64));
        }
        let commits = slot.commits.values().filter(|commit| commit.view == self.view && commit.digest == digest).count();
        Some(Awaited::Commits(next, commits as u64))
    }

    /// The log is full: what lets it go on is the next checkpoint, once that is executed (R9).
    fn awaited_checkpoint(&self) -> Option<Awaited> {
        let checkpoint = self.log.low().plus(self.genesis().parameters.checkpoint_interval);
        let here = self.checkpoints.matching_at(checkpoint);
        (self.ordering.executed >= checkpoint).then_some(Awaited::Checkpoints(checkpoint, here as u64))
    }

    fn executed_elsewhere(&self) -> SequenceNumber {
        let mut executed: Vec<SequenceNumber> =
            self.peers.values().filter_map(|peer| peer.status.as_ref()).map(|status| status.executed).collect();
        executed.sort_unstable_by(|first, second| second.cmp(first));
        executed.get(self.genesis().weak_quorum().saturating_sub(1)).copied().unwrap_or_default()
    }
}
