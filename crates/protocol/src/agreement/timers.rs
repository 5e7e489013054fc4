use std::collections::BTreeMap;
use std::time::Duration;

/// What a replica may wait for. Each runs at most once at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// Primary: show that it lives.
    Heartbeat,
    /// Backup: the primary shows no life (R10).
    PrimaryAlive,
    /// What the new view proposed again is not committed (R10).
    Reproposed,
    /// Behind and about to suspect: first catch up (R10).
    CatchUp,
    /// A quorum wants the view, its new-view does not come (R10).
    NewView,
    /// Say SUSPECT or VIEW-CHANGE again.
    Resend,
    /// Tell the others where this replica stands (R23).
    Status,
    /// Ask the next replica for missing bodies.
    Fetch,
    /// A pre-prepare from the future becomes acceptable (R3).
    Parked,
    /// Fill the log to the next checkpoint (R9).
    IdleCheckpoint,
    /// Backup: the longest watched request is not discharged (R10). Follows from the requests, and is never set.
    Request,
    /// Backup: a request has waited so long that it is passed on and measured (R18). Follows from the requests too.
    Measure,
}

impl Timer {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Heartbeat,
        Self::PrimaryAlive,
        Self::Reproposed,
        Self::CatchUp,
        Self::NewView,
        Self::Resend,
        Self::Status,
        Self::Fetch,
        Self::Parked,
        Self::IdleCheckpoint,
        Self::Request,
        Self::Measure,
    ];

    /// The timer's name, for counters.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Heartbeat => "heartbeat",
            Self::PrimaryAlive => "primary_alive",
            Self::Reproposed => "reproposed",
            Self::CatchUp => "catch_up",
            Self::NewView => "new_view",
            Self::Resend => "resend",
            Self::Status => "status",
            Self::Fetch => "fetch",
            Self::Parked => "parked",
            Self::IdleCheckpoint => "idle_checkpoint",
            Self::Request => "request",
            Self::Measure => "measure",
        }
    }
}

/// The running timers: one table of deadlines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Timers(BTreeMap<Timer, Duration>);

impl Timers {
    pub fn set(&mut self, timer: Timer, deadline: Duration) {
        self.0.insert(timer, deadline);
    }

    /// Starts the timer unless it runs already.
    pub fn set_if_idle(&mut self, timer: Timer, deadline: Duration) {
        self.0.entry(timer).or_insert(deadline);
    }

    /// Sees to it that the timer expires by then.
    pub fn set_at_most(&mut self, timer: Timer, deadline: Duration) {
        self.0.entry(timer).and_modify(|set| *set = deadline.min(*set)).or_insert(deadline);
    }

    pub fn clear(&mut self, timer: Timer) {
        self.0.remove(&timer);
    }

    pub fn runs(&self, timer: Timer) -> bool {
        self.0.contains_key(&timer)
    }

    pub fn running(&self) -> impl Iterator<Item = (Timer, Duration)> {
        self.0.iter().map(|(timer, deadline)| (*timer, *deadline))
    }

    pub fn next(&self) -> Option<Duration> {
        self.0.values().min().copied()
    }

    /// Takes a timer that has expired.
    pub fn pop_expired(&mut self, now: Duration) -> Option<Timer> {
        let timer = self.0.iter().find(|(_, deadline)| **deadline <= now).map(|(timer, _)| *timer)?;
        self.0.remove(&timer);
        Some(timer)
    }
}
