use crate::failure::Failure;
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How many digits of a latency are kept.
const DIGITS: u8 = 3;

/// What a client sees, noted by all its lanes.
pub struct Meter(Mutex<Readings>);

/// What was seen since the last look.
#[derive(Clone, Debug)]
pub struct Readings {
    /// How long operations took, in microseconds.
    pub latency: Histogram<u64>,
    /// Operations that were answered.
    pub operations: u64,
    /// Operations that failed, by the error's name.
    pub errors: BTreeMap<&'static str, u64>,
    /// Operations that were due and had no answer at the end.
    pub unanswered: u64,
}

impl Readings {
    /// Nothing yet.
    pub fn new() -> Result<Self, Failure> {
        let latency = Histogram::new(DIGITS).map_err(Failure::io)?;
        Ok(Self { latency, operations: 0, errors: BTreeMap::new(), unanswered: 0 })
    }

    /// Operations that were answered together, so long after they were asked for.
    fn answered(&mut self, operations: u64, latency: Duration) {
        self.operations = self.operations.saturating_add(operations);
        self.record(operations, latency);
    }

    /// Operations that failed together.
    pub fn failed(&mut self, operations: u64, error: &'static str) {
        let count = self.errors.entry(error).or_default();
        *count = count.saturating_add(operations);
    }

    /// Operations that have no answer so long after they were due.
    pub fn add_unanswered(&mut self, operations: u64, age: Duration) {
        self.unanswered = self.unanswered.saturating_add(operations);
        self.record(operations, age);
    }

    fn record(&mut self, operations: u64, latency: Duration) {
        // It grows as it must, so that no latency is out of its range.
        let _ = self.latency.record_n(micros(latency), operations);
    }

    /// Takes over only how long operations took that began in the time that counts and ended after it, or did not.
    pub fn add_late(&mut self, late: &Self) {
        let _ = self.latency.add(&late.latency);
        self.unanswered = self.unanswered.saturating_add(late.unanswered);
    }

    /// Adds what another one saw.
    pub fn add(&mut self, other: &Self) {
        let _ = self.latency.add(&other.latency);
        self.operations = self.operations.saturating_add(other.operations);
        self.unanswered = self.unanswered.saturating_add(other.unanswered);
        for (error, count) in &other.errors {
            self.failed(*count, error);
        }
    }

    /// How many operations failed.
    pub fn error_count(&self) -> u64 {
        self.errors.values().fold(0, |sum, count| sum.saturating_add(*count))
    }
}

impl Meter {
    pub fn new() -> Result<Self, Failure> {
        Readings::new().map(Mutex::new).map(Self)
    }

    /// Operations that ended together: how long they took, or what was wrong.
    pub fn note(&self, operations: u64, ended: Result<Duration, &'static str>) {
        let mut readings = self.readings();
        match ended {
            Ok(latency) => readings.answered(operations, latency),
            Err(error) => readings.failed(operations, error),
        }
    }

    /// Operations that have no answer so long after they were due.
    pub fn note_unanswered(&self, operations: u64, age: Duration) {
        self.readings().add_unanswered(operations, age);
    }

    /// What was seen since the last time it was taken.
    pub fn readings(&self) -> MutexGuard<'_, Readings> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what was seen since the last time.
    pub fn take(&self) -> Result<Readings, Failure> {
        let fresh = Readings::new()?;
        Ok(std::mem::replace(&mut *self.readings(), fresh))
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_operations_not_of_requests() {
        let mut readings = Readings::new().unwrap();
        readings.answered(90, Duration::from_millis(1));
        readings.answered(9, Duration::from_millis(10));
        readings.answered(1, Duration::from_millis(100));
        let at = |quantile| readings.latency.value_at_quantile(quantile) / 1000;
        assert_eq!((readings.operations, at(0.5), at(0.9), at(0.99), at(0.999)), (100, 1, 1, 10, 100));
    }

    #[test]
    fn what_was_taken_is_not_seen_again() {
        let meter = Meter::new().unwrap();
        meter.note(3, Ok(Duration::from_secs(100)));
        meter.note(2, Err("OutcomeUnknown"));
        let mut sum = meter.take().unwrap();
        sum.add(&meter.take().unwrap());
        assert_eq!((sum.operations, sum.error_count(), sum.latency.len()), (3, 2, 3));
    }
}
