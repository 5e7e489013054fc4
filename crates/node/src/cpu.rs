use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// The calling thread's CPU time, by laps. Reading it is a system call: once a burst, not once a message.
#[derive(Debug)]
pub struct CpuClock(Duration);

impl CpuClock {
    pub fn start() -> Self {
        Self(thread_cpu())
    }

    /// The CPU time of this thread since the last lap. To be called on the thread that started it.
    pub fn lap(&mut self) -> Duration {
        self.lap_until(thread_cpu())
    }

    /// The same, up to a moment that has passed.
    pub fn lap_until(&mut self, moment: Duration) -> Duration {
        moment.saturating_sub(std::mem::replace(&mut self.0, moment))
    }
}

/// The CPU time of the calling thread.
pub fn thread_cpu() -> Duration {
    of_clock(ClockId::ThreadCPUTime)
}

/// The CPU time of the process.
pub fn process_cpu() -> Duration {
    of_clock(ClockId::ProcessCPUTime)
}

fn of_clock(clock: ClockId) -> Duration {
    Duration::try_from(clock_gettime(clock)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn laps_add_up_to_what_the_thread_has_used() {
        let before = thread_cpu();
        let mut clock = CpuClock::start();
        let laps = clock.lap() + clock.lap();
        assert!(before + laps <= thread_cpu());
        assert!(thread_cpu() <= process_cpu());
    }

    #[test]
    fn a_lap_may_end_in_the_past() {
        let mut clock = CpuClock(Duration::from_secs(3));
        assert_eq!(clock.lap_until(Duration::from_secs(5)), Duration::from_secs(2));
        assert_eq!(clock.lap_until(Duration::from_secs(6)), Duration::from_secs(1));
    }
}
