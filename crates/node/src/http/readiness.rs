use crate::shared::{Details, Standing};
use pbft_protocol::agreement::{Alarm, Silence};
use std::time::Duration;

/// A replica that says nothing for so long counts as away: those that run say where they stand twice a second.
pub const AWAY: Duration = Duration::from_secs(3);
/// A replica that lags and executes nothing for so long is behind, however little it lags.
const STUCK: Duration = Duration::from_secs(2);
/// The core turns at least once a second, unless it waits for another thread.
const STILL: Duration = Duration::from_secs(5);

/// What decides whether a replica is ready.
pub struct Condition<'a> {
    /// Now, on the monotonic clock.
    pub now: Duration,
    pub standing: &'a Standing,
    /// None until the core has turned once.
    pub details: Option<&'a Details>,
    /// Replicas that are heard and vote, or will; this one counts if it does.
    pub present: usize,
    pub quorum: usize,
    /// The disk takes no more promises.
    pub disk_full: bool,
    /// How many numbers a replica may lag by while others go on.
    pub checkpoint_interval: u64,
}

/// Why a replica is not ready: not in the active view, behind, or of no use to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unready {
    #[error("starting: the journal is being read")]
    Starting,
    #[error("the core has not turned for {} s: a thread hangs, or the disk does", .0.as_secs())]
    Still(Duration),
    #[error("halted: {0}")]
    Halted(Alarm),
    #[error("under repair: {0}")]
    Repairing(Alarm),
    #[error("back from its disk: a quorum has yet to say what it holds of this replica's votes")]
    Recovering,
    #[error("the disk is full: this replica promises nothing until there is room")]
    DiskFull,
    #[error("no quorum: {present} of the {quorum} votes that it takes are to be had, with this replica's if it votes")]
    NoQuorum { present: usize, quorum: usize },
    #[error("a view change is under way: view {view} is not entered, its primary is replica {primary}")]
    ViewChange { view: u64, primary: u32 },
    #[error("behind: the state of checkpoint {0} is being fetched")]
    Transferring(u64),
    #[error("behind: number {executed} is executed here, {elsewhere} elsewhere")]
    Behind { executed: u64, elsewhere: u64 },
}

impl Unready {
    /// The reason's name, for metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Still(_) => "still",
            Self::Halted(_) => "halted",
            Self::Repairing(_) => "repairing",
            Self::Recovering => "recovering",
            Self::DiskFull => "disk_full",
            Self::NoQuorum { .. } => "no_quorum",
            Self::ViewChange { .. } => "view_change",
            Self::Transferring(_) => "transferring",
            Self::Behind { .. } => "behind",
        }
    }
}

/// The names of all reasons.
pub const REASONS: [&str; 10] =
    ["starting", "still", "halted", "repairing", "recovering", "disk_full", "no_quorum", "view_change", "transferring", "behind"];

impl Condition<'_> {
    /// Why the replica is not ready, the gravest reason first; none if it is. A learner is ready when it follows: it
    /// does all that it ever will.
    pub fn unready(&self) -> Option<Unready> {
        let Some(Details { at, moved_at, progress, .. }) = self.details else { return Some(Unready::Starting) };
        let still = self.now.saturating_sub(*at);
        match self.standing.silence {
            Some(Silence::Halted(alarm)) => return Some(Unready::Halted(alarm)),
            Some(Silence::Repairing(alarm)) => return Some(Unready::Repairing(alarm)),
            _ if self.disk_full => return Some(Unready::DiskFull),
            _ if still > STILL => return Some(Unready::Still(still)),
            _ if self.present < self.quorum => {
                return Some(Unready::NoQuorum { present: self.present, quorum: self.quorum });
            }
            Some(Silence::Recovering) => return Some(Unready::Recovering),
            Some(Silence::Learner) | None => {}
        }
        if !self.standing.active {
            return Some(Unready::ViewChange { view: progress.view.0, primary: progress.primary.0 });
        }
        if let Some(target) = progress.transferring {
            return Some(Unready::Transferring(target.0));
        }
        let (executed, elsewhere) = (progress.executed.0, progress.executed_elsewhere.0);
        let lag = elsewhere.saturating_sub(executed);
        let stuck = lag > 0 && self.now.saturating_sub(*moved_at) > STUCK;
        (stuck || lag > self.checkpoint_interval).then_some(Unready::Behind { executed, elsewhere })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pbft_message::{ReplicaId, SequenceNumber, Status, View};
    use pbft_protocol::agreement::{Held, Progress, RequestDelays};

    const NOW: Duration = Duration::from_secs(100);

    fn details() -> Details {
        let progress = Progress {
            view: View(2),
            active: true,
            primary: ReplicaId(2),
            committed: SequenceNumber(40),
            executed: SequenceNumber(40),
            executed_elsewhere: SequenceNumber(40),
            low_watermark: SequenceNumber(0),
            high_watermark: SequenceNumber(256),
            transferring: None,
            timeout: Duration::from_millis(500),
            awaited: None,
            suspicion: None,
            request_bytes: 0,
            watched_since: None,
        };
        let (held, bounds) = (Held::default(), Held::default());
        let delays = RequestDelays::default();
        Details {
            at: NOW,
            moved_at: Duration::ZERO,
            status: Status {
                view: View(3),
                active: true,
                low_watermark: SequenceNumber(0),
                executed: SequenceNumber(0),
                oldest_served: SequenceNumber(1),
                prepared: Vec::new(),
                committed: Vec::new(),
                asks: None,
                votes: true,
            },
            progress,
            held,
            bounds,
            timers: vec![],
            peers: vec![],
            journal_waiting: 0,
            delays,
        }
    }

    /// What is said of a replica that differs from one in order by this.
    fn with(change: impl FnOnce(&mut Standing, &mut Details, &mut Condition<'_>)) -> Option<Unready> {
        let mut standing = Standing { active: true, ..Standing::default() };
        let (mut details, nothing) = (details(), Standing::default());
        let mut condition = Condition {
            now: NOW,
            standing: &nothing,
            details: None,
            present: 3,
            quorum: 3,
            disk_full: false,
            checkpoint_interval: 128,
        };
        change(&mut standing, &mut details, &mut condition);
        Condition { standing: &standing, details: Some(&details), ..condition }.unready()
    }

    #[test]
    fn a_replica_in_order_is_ready_and_so_is_a_learner_that_follows() {
        assert_eq!(with(|_, _, _| {}), None);
        assert_eq!(with(|standing, _, _| standing.silence = Some(Silence::Learner)), None);
    }

    #[test]
    fn a_replica_without_a_quorum_a_view_or_a_disk_is_not_ready() {
        assert_eq!(with(|_, _, condition| condition.present = 2), Some(Unready::NoQuorum { present: 2, quorum: 3 }));
        assert_eq!(with(|standing, _, _| standing.active = false), Some(Unready::ViewChange { view: 2, primary: 2 }));
        assert_eq!(with(|_, _, condition| condition.disk_full = true), Some(Unready::DiskFull));
        let still = Duration::from_secs(6);
        assert_eq!(with(|_, details, _| details.at = NOW - still), Some(Unready::Still(still)));
    }

    #[test]
    fn a_replica_that_does_not_vote_says_why() {
        let alarm = Alarm::Diverged(SequenceNumber(4));
        let silent = |silence| with(move |standing, _, _| standing.silence = Some(silence));
        assert_eq!(silent(Silence::Halted(alarm)), Some(Unready::Halted(alarm)));
        assert_eq!(silent(Silence::Repairing(alarm)), Some(Unready::Repairing(alarm)));
        assert_eq!(silent(Silence::Recovering), Some(Unready::Recovering));
    }

    #[test]
    fn a_lag_counts_once_it_is_long_or_stands_still() {
        let lags = |elsewhere, moved_ago| {
            with(move |_, details, _| {
                details.progress.executed_elsewhere = SequenceNumber(elsewhere);
                details.moved_at = NOW - Duration::from_millis(moved_ago);
            })
        };
        assert_eq!(lags(100, 10), None);
        assert_eq!(lags(41, 2_001), Some(Unready::Behind { executed: 40, elsewhere: 41 }));
        assert_eq!(lags(200, 10), Some(Unready::Behind { executed: 40, elsewhere: 200 }));
        let fetching = |_: &mut Standing, details: &mut Details, _: &mut Condition<'_>| {
            details.progress.transferring = Some(SequenceNumber(64));
        };
        assert_eq!(with(fetching), Some(Unready::Transferring(64)));
    }

    #[test]
    fn every_reason_has_its_name_and_is_said_in_words() {
        let alarm = Alarm::Diverged(SequenceNumber(4));
        let all = [
            Unready::Starting,
            Unready::Still(STILL),
            Unready::Halted(alarm),
            Unready::Repairing(alarm),
            Unready::Recovering,
            Unready::DiskFull,
            Unready::NoQuorum { present: 1, quorum: 3 },
            Unready::ViewChange { view: 1, primary: 1 },
            Unready::Transferring(4),
            Unready::Behind { executed: 1, elsewhere: 2 },
        ];
        assert_eq!(all.map(Unready::name), REASONS);
        assert!(all.iter().all(|reason| reason.to_string().contains(' ')));
    }
}
