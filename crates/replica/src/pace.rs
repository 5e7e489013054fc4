use std::time::Duration;

/// Spreads what is served over time: so many bytes a second, whoever asks.
#[derive(Debug)]
pub struct Pace {
    bytes_per_second: u64,
    free_at: Duration,
}

impl Pace {
    /// Free from the start.
    pub const fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second, free_at: Duration::ZERO }
    }

    /// When the next may be served.
    pub const fn free_at(&self) -> Duration {
        self.free_at
    }

    /// So many bytes were served at this time.
    pub fn spend(&mut self, now: Duration, bytes: u64) {
        let micros = bytes.saturating_mul(1_000_000).checked_div(self.bytes_per_second).unwrap_or(u64::MAX);
        self.free_at = self.free_at.max(now).saturating_add(Duration::from_micros(micros));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r14_what_is_spent_must_be_earned_and_idle_time_earns_nothing() {
        let mut pace = Pace::new(1000);
        let at = Duration::from_secs;
        pace.spend(at(5), 2000);
        assert_eq!(pace.free_at(), at(7));
        pace.spend(at(6), 1000);
        assert_eq!(pace.free_at(), at(8));
        pace.spend(at(60), 500);
        assert_eq!(pace.free_at(), Duration::from_millis(60_500));
    }
}
