use indicatif::{ProgressBar, ProgressStyle};
use pbft_simulator::{Extent, Summary};
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Between two lines where no terminal is.
const PERIOD: Duration = Duration::from_secs(10);

/// How far it is: one line that changes on a terminal, elsewhere a line now and then, all on standard error.
pub struct Progress {
    of: String,
    bar: ProgressBar,
    live: bool,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    at: Duration,
    failures: usize,
}

impl Progress {
    pub fn new(extent: Extent) -> Self {
        let of = match extent {
            Extent::Count(count) => format!(" of {count}"),
            Extent::Time(_) => String::new(),
        };
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} [{elapsed}]") {
            bar.set_style(style);
        }
        Self { of, bar, live: std::io::stderr().is_terminal(), told: Mutex::default() }
    }

    pub fn tell(&self, summary: &Summary) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        for (seed, violation) in summary.failed.iter().skip(told.failures) {
            self.bar.suspend(|| eprintln!("seed {seed} failed: {}", violation.invariant.name()));
        }
        told.failures = summary.failed.len();
        let line = self.line(summary);
        if self.live {
            self.bar.set_message(line);
            self.bar.tick();
        } else if summary.elapsed.saturating_sub(told.at) >= PERIOD {
            told.at = summary.elapsed;
            eprintln!("{line}");
        }
    }

    fn line(&self, summary: &Summary) -> String {
        format!("{}{} seeds, {:.1} seeds/s, {} failed", summary.seeds, self.of, summary.seeds_per_second(), summary.failed.len())
    }

    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}
