use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What was refused, by reason. Each reason is logged at most once a second: a flood must not fill the disk.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<BTreeMap<&'static str, Counter>>);

#[derive(Debug)]
struct Counter {
    count: u64,
    logged: Option<Instant>,
}

impl Refusals {
    /// Counts a refusal of something that `from` sent.
    pub fn count(&self, reason: &'static str, from: &dyn std::fmt::Display) {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counter = table.entry(reason).or_insert(Counter { count: 0, logged: None });
        counter.count = counter.count.saturating_add(1);
        if counter.logged.is_none_or(|logged| logged.elapsed() > Duration::from_secs(1)) {
            counter.logged = Some(Instant::now());
            tracing::warn!(event = "refused", reason, %from, count = counter.count, "refused");
        }
    }

    pub fn snapshot(&self) -> Vec<(String, u64)> {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.iter().map(|(reason, counter)| ((*reason).to_owned(), counter.count)).collect()
    }
}
