use crate::checks::{Invariant, Violation};
use crate::run::Outcome;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// One run in so many is done twice and compared.
const TWICE: u64 = 16;

/// Which seeds to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// So many.
    Count(u64),
    /// As many as fit into this time, and one at least.
    Time(Duration),
}

/// What came of many seeds.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// How many were run.
    pub seeds: u64,
    /// How much happened in all of them.
    pub events: u64,
    /// Those in which something did not hold, ascending.
    pub failed: Vec<(u64, Violation)>,
    /// How long it took.
    pub elapsed: Duration,
}

impl Summary {
    /// Seeds a second.
    pub fn seeds_per_second(&self) -> f64 {
        self.seeds as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// Events a second.
    pub fn events_per_second(&self) -> f64 {
        self.events as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }
}

/// Runs seeds from `first` on, on so many threads, and tells how far it is from time to time. Ends early after
/// `most_failures`.
pub fn run_all(
    first: u64,
    extent: Extent,
    threads: usize,
    most_failures: usize,
    run: impl Fn(u64) -> Outcome + Sync,
    progress: impl Fn(&Summary) + Sync,
) -> Summary {
    let start = Instant::now();
    let next = AtomicU64::new(0);
    let over = AtomicBool::new(false);
    let summary = Mutex::new(Summary::default());
    let work = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let done = match extent {
                Extent::Count(count) => index >= count,
                Extent::Time(time) => index > 0 && start.elapsed() >= time,
            };
            if done || over.load(Ordering::Relaxed) {
                return;
            }
            let seed = first + index;
            let mut outcome = run(seed);
            if index.is_multiple_of(TWICE) {
                let again = run(seed);
                if again.hash != outcome.hash && outcome.violation.is_none() {
                    let detail = format!("trace {:016x} and then {:016x}", outcome.hash, again.hash);
                    outcome.violation = Some(Violation { invariant: Invariant::Deterministic, detail });
                }
            }
            let mut summary = summary.lock().unwrap();
            summary.seeds += 1;
            summary.events += outcome.events;
            summary.elapsed = start.elapsed();
            if let Some(violation) = outcome.violation {
                summary.failed.push((seed, violation));
                over.store(summary.failed.len() >= most_failures, Ordering::Relaxed);
            }
            progress(&summary);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(work);
        }
    });
    let mut summary = summary.into_inner().unwrap();
    summary.elapsed = start.elapsed();
    summary.failed.sort_by_key(|(seed, _)| *seed);
    summary
}
