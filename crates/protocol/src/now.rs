use std::time::Duration;

/// The time, as the driver tells it: the core has no clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Since an arbitrary start; never goes back. Timers run by it.
    pub monotonic: Duration,
    /// Microseconds since 1970; may jump. Only proposed times look at it (R3).
    pub wall: u64,
}
