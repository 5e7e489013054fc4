use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Between two lines where no terminal is.
const PERIOD: Duration = Duration::from_secs(10);

/// What is under way: one line that changes on a terminal, elsewhere a line now and then, all on standard error.
pub struct Progress {
    bar: ProgressBar,
    live: bool,
    told: Mutex<Instant>,
}

impl Progress {
    pub fn new() -> Self {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} [{elapsed}]") {
            bar.set_style(style);
        }
        Self { bar, live: std::io::stderr().is_terminal(), told: Mutex::new(Instant::now()) }
    }

    /// What is under way from now on.
    pub fn tell(&self, what: impl Into<String>) {
        let line = what.into();
        if self.live {
            self.bar.set_message(line);
            self.bar.tick();
            return;
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.elapsed() >= PERIOD {
            *told = Instant::now();
            eprintln!("{line}");
        }
    }

    /// Nothing is under way any more.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}
