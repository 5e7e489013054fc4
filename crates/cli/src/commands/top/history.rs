use pbft_message::{ReplicaId, ReplicaReport};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// So many looks are remembered: as many as a line of 80 characters shows.
const LOOKS: usize = 72;

/// What the replicas reported, now and before.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// The newest reports, of those that answered.
    pub reports: BTreeMap<ReplicaId, ReplicaReport>,
    /// Requests a second, at each look.
    pub throughput: VecDeque<u64>,
    /// From a request's arrival at a replica until it was committed there, on average, in microseconds, at each look.
    pub latency: VecDeque<u64>,
}

impl History {
    /// Takes a look, so long after the one before.
    pub fn add(&mut self, reports: BTreeMap<ReplicaId, ReplicaReport>, elapsed: Duration) {
        let pairs = || reports.iter().filter_map(|(id, now)| Some((self.reports.get(id)?, now)));
        // A replica that restarted counts from 0 again, and one that lags catches up in bursts: the middle one is right.
        let executed = pairs().map(|(before, now)| now.requests_executed.saturating_sub(before.requests_executed));
        let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
        let rate = middle(executed.collect()).saturating_mul(1000).checked_div(millis).unwrap_or(0);
        let delays = pairs().filter_map(|(before, now)| mean_since(before.condition.commits, now.condition.commits));
        let latency = middle(delays.collect());
        let is_first = self.reports.is_empty();
        self.reports = reports;
        if !is_first {
            remember(&mut self.throughput, rate);
            remember(&mut self.latency, latency);
        }
    }
}

/// The mean of what was added since, of a count and a sum.
fn mean_since(before: (u64, u64), now: (u64, u64)) -> Option<u64> {
    now.1.saturating_sub(before.1).checked_div(now.0.saturating_sub(before.0))
}

fn middle(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
}

fn remember(values: &mut VecDeque<u64>, value: u64) {
    values.push_back(value);
    if values.len() > LOOKS {
        values.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::fixture::look;

    #[test]
    fn rates_are_of_the_middle_replica_and_of_the_time_between_two_looks() {
        let mut history = History::default();
        history.add(look().reports, Duration::ZERO);
        assert!(history.throughput.is_empty(), "one look tells no rate");
        let mut later = look().reports;
        for (id, executed) in [(0, 500), (1, 510), (2, 490), (3, 100_000)] {
            let report = later.get_mut(&ReplicaId(id)).unwrap();
            report.requests_executed += executed;
            report.condition.commits = (report.condition.commits.0 + 100, report.condition.commits.1 + 250_000);
        }
        history.add(later, Duration::from_secs(2));
        assert_eq!((history.throughput.back(), history.latency.back()), (Some(&255), Some(&2_500)));
        let restarted = look().reports;
        history.add(restarted, Duration::from_secs(1));
        assert_eq!((history.throughput.back(), history.latency.back()), (Some(&0), Some(&0)));
        for _ in 0..100 {
            history.add(look().reports, Duration::from_secs(1));
        }
        assert_eq!(history.throughput.len(), LOOKS);
    }
}
