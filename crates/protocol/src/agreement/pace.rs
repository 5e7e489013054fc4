//! What a backup measures of its primary (R18): whether the cluster stands idle while the primary could go on.
//!
//! A request that has waited for a while is passed on to the primary, again if need be, and from then on it is measured. A
//! correct primary has three excuses for one that waits: batches in flight, for requests gather meanwhile; large batches, for
//! others came first; and many requests of the same client, beyond which it takes no more. So time is wasted when nothing is in
//! flight, or a batch comes that had room. What a lying client sends to backups alone harms no primary: it gets it from them.
//! Throughput itself is not compared: it does not tell a slow primary from another load.

use super::propose::LARGE_BATCH;
use super::*;
use std::collections::{BTreeSet, VecDeque};

/// How many stretches of time count, each as long as the patience, so that one pause is no habit.
const STRETCHES: usize = 16;
/// In how many of them a primary must have wasted time to be suspected.
const WASTED: usize = 8;
/// Passing a request on and seeing it proposed takes as many messages as agreement, and fewer syncs: so many times that is ample.
const AGREEMENTS: u32 = 4;
/// So many time-outs later a stretch no longer counts: who was slow then may be well now.
const MEMORY: u32 = 64;
/// A client with this part of what it may have in flight ordered meanwhile may have filled its place at the primary.
const MANY_OF_A_CLIENT: usize = 4;

/// What was measured in this view.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pace {
    /// When the view began: no request has waited for longer.
    began: Duration,
    /// The request that is measured.
    probe: Option<Probe>,
    /// Since when a request waits and nothing is in flight.
    idle_since: Option<Duration>,
    /// From an accepted proposal to its commit here, smoothed: what network and disks allow.
    agreement: Duration,
    /// When each of the latest stretches began, and whether time was wasted in it; none as long as none was.
    stretches: VecDeque<(Duration, bool)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Probe {
    client: ClientId,
    timestamp: Timestamp,
    /// When it was passed on first.
    since: Duration,
    /// When it was passed on last: with nothing in flight the primary has room for it.
    repeated: Duration,
    /// How many other requests of its client were proposed since.
    others: usize,
}

impl Pace {
    /// A new view begins.
    pub fn begin(&mut self, now: Duration) {
        *self = Self { began: now, agreement: self.agreement, ..Self::default() };
    }

    fn agreed(&mut self, took: Duration) {
        self.agreement = self.agreement.saturating_mul(7).saturating_add(took).checked_div(8).unwrap_or_default();
    }

    fn note(&mut self, now: Duration, patience: Duration, wasted: bool) {
        match self.stretches.back_mut() {
            Some((began, seen)) if now < began.saturating_add(patience) => *seen |= wasted,
            None if !wasted => return,
            _ => self.stretches.push_back((now, wasted)),
        }
        if self.stretches.len() > STRETCHES {
            self.stretches.pop_front();
        }
        if self.wasted() == 0 {
            self.stretches.clear();
        }
    }

    /// Forgets what began before this time.
    fn forget_before(&mut self, time: Duration) {
        while self.stretches.pop_front_if(|(began, _)| *began < time).is_some() {}
    }

    fn wasted(&self) -> usize {
        self.stretches.iter().filter(|(_, wasted)| *wasted).count()
    }

    /// Wasting time is this primary's habit.
    pub fn is_slow(&self) -> bool {
        self.wasted() >= WASTED
    }
}

impl Replica {
    /// Looks after every event whether the primary leaves the cluster idle, and what is to be measured.
    pub(super) fn watch_pace(&mut self) {
        let now = self.now.monotonic;
        self.pace.forget_before(now.saturating_sub(self.timeout().saturating_mul(MEMORY)));
        let repeated = self.pace.probe.as_ref().map(|probe| probe.repeated);
        match (self.is_left_idle(), self.pace.idle_since) {
            (true, None) => {
                self.pace.idle_since = Some(now);
                self.pass_on();
            }
            (false, Some(idle)) => {
                self.pace.idle_since = None;
                // Only a proposal tells something: a certificate or a state that comes instead shows that this replica lags.
                if self.is_measured() && self.is_next_accepted() {
                    self.judge(repeated.is_some_and(|since| now.saturating_sub(since.max(idle)) > self.patience()));
                }
            }
            _ => {}
        }
        self.pace.probe.take_if(|probe| !self.requests.is_unproposed(probe.client, probe.timestamp));
        if self.pace_deadline().is_some_and(|deadline| deadline <= now) {
            self.probe();
        }
    }

    /// When the request that has waited longest is passed on once more, and measured.
    pub(super) fn pace_deadline(&self) -> Option<Duration> {
        if !self.is_measured() || self.pace.probe.is_some() {
            return None;
        }
        let longest = self.requests.longest_unproposed()?;
        Some(longest.1.max(self.pace.began).saturating_add(self.patience()))
    }

    fn probe(&mut self) {
        let Some((request, _)) = self.requests.longest_unproposed() else { return };
        let (client, timestamp, since) = (request.client, request.timestamp, self.now.monotonic);
        self.pace.probe = Some(Probe { client, timestamp, since, repeated: since, others: 0 });
        self.pass_on();
    }

    fn pass_on(&mut self) {
        let (now, primary) = (self.now.monotonic, self.primary());
        let Some(probe) = &mut self.pace.probe else { return };
        let Some(request) = self.requests.unproposed(probe.client, probe.timestamp) else { return };
        probe.repeated = now;
        self.output.at_once(Action::Send(primary, Message::Request((**request).clone())));
    }

    /// A request waits, and the primary has no reason not to propose it: it is not the new view's beginning, the window is open,
    /// execution keeps up, and nothing is in flight.
    fn is_left_idle(&self) -> bool {
        let frontier = self.ordering.frontier;
        self.is_measured()
            && self.requests.has_unproposed()
            && self.view_changes.outstanding.is_empty()
            && frontier < self.log.high()
            && frontier.above(self.ordering.executed) < self.config.limits.execution_lag.div_ceil(2)
            && !self.is_next_accepted()
            && !self.is_next_prepared_by_others()
    }

    fn is_next_accepted(&self) -> bool {
        self.is_accepted(self.ordering.frontier.next())
    }

    fn is_accepted(&self, sequence: SequenceNumber) -> bool {
        self.log.slot(sequence).is_some_and(|slot| slot.accepted().is_some())
    }

    /// The last of those in flight.
    fn is_newest(&self, sequence: SequenceNumber) -> bool {
        let first = self.ordering.frontier.next();
        let in_flight = (first.0..=sequence.0).all(|number| self.is_accepted(SequenceNumber(number)));
        sequence >= first && in_flight && !self.is_accepted(sequence.next())
    }

    /// The proposal is there, and only this replica lacks it.
    fn is_next_prepared_by_others(&self) -> bool {
        let slot = self.log.slot(self.ordering.frontier.next());
        slot.is_some_and(|slot| slot.prepares.len() >= self.genesis().weak_quorum())
    }

    /// Whoever lags measures itself.
    fn is_measured(&self) -> bool {
        self.active
            && !self.is_primary()
            && self.votes()
            && !self.is_recovering()
            && self.ordering.transferring.is_none()
            && !self.timers.runs(Timer::CatchUp)
    }

    /// A proposal is accepted: has it left out what had waited too long? Only the newest one without a gap below it tells.
    pub(super) fn judge_proposal(&mut self, sequence: SequenceNumber) {
        if !self.is_measured() || !self.is_newest(sequence) || sequence <= self.view_changes.reproposed_through {
            return;
        }
        // The null request leaves out everything.
        let header = self.log.slot(sequence).and_then(log::Slot::accepted);
        let batch = header.and_then(|header| self.bodies.get(&header.digest));
        let requests = batch.map_or(&[][..], |batch| batch.requests());
        let large = self.is_large(requests.len(), batch.map_or(0, |batch| batch.bytes().len()));
        let (now, patience) = (self.now.monotonic, self.patience());
        let many = self.genesis().parameters.requests_in_flight.div_ceil(MANY_OF_A_CLIENT);
        let passed_over = self.pace.probe.as_mut().is_some_and(|probe| {
            let others = requests.iter().filter(|other| other.client == probe.client).count();
            probe.others = probe.others.saturating_add(others);
            // Clients are served in turn: no batch has two requests of one client and none of another that waits.
            let distinct: BTreeSet<ClientId> = requests.iter().map(|request| request.client).collect();
            let unfair = others == 0 && distinct.len() < requests.len();
            let late = now.saturating_sub(probe.since) > patience && probe.others < many;
            late && (unfair || !large) && self.requests.is_unproposed(probe.client, probe.timestamp)
        });
        if large {
            // It may have been long on its way.
            self.pace.idle_since = None;
        }
        if passed_over {
            self.judge(true);
        }
    }

    /// Whether a batch may have had no room for another request. The primary's own limit on their number may be somewhat lower.
    fn is_large(&self, requests: usize, bytes: usize) -> bool {
        let parameters = &self.genesis().parameters;
        requests >= self.config.limits.batch_requests.div_ceil(LARGE_BATCH)
            || bytes >= parameters.max_batch_bytes.div_ceil(LARGE_BATCH)
            || bytes.saturating_add(parameters.max_request_bytes) >= parameters.max_batch_bytes
    }

    /// What this view's primary proposed is committed.
    pub(super) fn measure_agreement(&mut self, sequence: SequenceNumber) {
        let accepted = self.log.slot(sequence).filter(|slot| slot.accepted().is_some_and(|header| header.view == self.view));
        if let Some(at) = accepted.map(|slot| slot.accepted_at).filter(|at| *at >= self.pace.began) {
            self.pace.agreed(self.now.monotonic.saturating_sub(at));
        }
    }

    fn judge(&mut self, wasted: bool) {
        self.pace.note(self.now.monotonic, self.patience(), wasted);
        if wasted && self.pace.is_slow() {
            self.late(Reason::SlowPrimary);
        }
    }

    /// How long a request may wait for no reason. A part of the time-out, so that it doubles with it: a network that is slower than
    /// was thought changes no views for ever.
    fn patience(&self) -> Duration {
        let timeout = self.timeout();
        let [least, most] = [16, 2].map(|part| timeout.checked_div(part).unwrap_or_default());
        self.pace.agreement.saturating_mul(AGREEMENTS).clamp(least, most)
    }
}
