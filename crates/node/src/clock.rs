use pbft_protocol::Now;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The only clock: threads share one, so that their times compare.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    pub fn start() -> Self {
        Self(Instant::now())
    }

    pub fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { monotonic: self.0.elapsed(), wall: u64::try_from(wall.as_micros()).unwrap_or(u64::MAX) }
    }
}
