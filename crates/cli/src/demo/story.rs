use crate::output::Format;
use indicatif::{ProgressBar, ProgressStyle};
use std::time::Duration;

/// Tells what happens, in plain words: on standard output, or on standard error when standard output is for a JSON
/// document. What is under way is shown on a terminal only.
#[derive(Clone)]
pub struct Story {
    format: Format,
    progress: ProgressBar,
}

impl Story {
    pub fn new(format: Format) -> Self {
        let progress = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("  {spinner} {msg} [{elapsed}]") {
            progress.set_style(style);
        }
        Self { format, progress }
    }

    /// A new act.
    pub fn act(&self, title: &str) {
        self.tell("");
        self.tell(title);
    }

    /// A sentence.
    pub fn tell(&self, line: &str) {
        use std::io::Write;
        // Who does not listen need not hear it.
        self.progress.suspend(|| match self.format {
            Format::Table => drop(writeln!(std::io::stdout(), "{line}")),
            Format::Json => drop(writeln!(std::io::stderr(), "{line}")),
        });
    }

    /// What is under way from now on.
    pub fn doing(&self, what: impl Into<String>) {
        self.progress.reset_elapsed();
        self.progress.set_message(what.into());
        self.progress.enable_steady_tick(Duration::from_millis(100));
    }

    /// Nothing is under way any more.
    pub fn end(&self) {
        self.progress.disable_steady_tick();
        self.progress.finish_and_clear();
    }
}
