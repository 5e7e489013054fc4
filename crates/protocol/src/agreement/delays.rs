//! How long requests wait for their primary (R18). Measured for operators: agreement goes by `pace`.

use std::fmt;
use std::time::Duration;

/// Bounds of the classes that delays fall into.
const BOUNDS: [Duration; 14] = [
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_millis(2),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(20),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
];

/// Delays of requests, by length.
#[derive(Clone, Copy, Debug, Default)]
pub struct Delays {
    classes: [u64; BOUNDS.len()],
    beyond: u64,
    sum: Duration,
}

impl Delays {
    pub(super) fn add(&mut self, delay: Duration) {
        let class = self.classes.iter_mut().zip(BOUNDS).find(|(_, bound)| delay <= *bound);
        let count = class.map_or(&mut self.beyond, |(count, _)| count);
        *count = count.saturating_add(1);
        self.sum = self.sum.saturating_add(delay);
    }

    /// How many delays there were above the bound of the class before and up to this one's.
    pub fn classes(&self) -> impl Iterator<Item = (Duration, u64)> {
        BOUNDS.into_iter().zip(self.classes)
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.classes.iter().fold(self.beyond, |sum, count| sum.saturating_add(*count))
    }

    /// All of them, added up.
    pub const fn sum(&self) -> Duration {
        self.sum
    }
}

/// How long the requests that are known here waited, since they came.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestDelays {
    /// Until the primary proposed them, as this replica saw it.
    pub proposed: Delays,
    /// Until they were committed here, with all before them.
    pub committed: Delays,
}

/// Something that is measured and decides nothing: two replicas that differ in it alone are the same.
#[derive(Clone, Copy, Default)]
pub(super) struct Aside<T>(pub T);

impl<T> PartialEq for Aside<T> {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl<T> Eq for Aside<T> {}

impl<T> fmt::Debug for Aside<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Aside")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_delay_counts_in_the_class_that_its_bound_closes() {
        let mut delays = Delays::default();
        for millis in [0, 1, 2, 3, 10_000, 10_001] {
            delays.add(Duration::from_millis(millis));
        }
        let classes: Vec<u64> = delays.classes().map(|(_, count)| count).collect();
        assert_eq!(classes, [1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!((delays.count(), delays.sum()), (6, Duration::from_millis(20_007)));
    }

    #[test]
    fn what_is_measured_is_no_part_of_the_state() {
        assert_eq!(Aside(1), Aside(2));
        assert_eq!(format!("{:?}", Aside(1)), format!("{:?}", Aside(2)));
    }
}
