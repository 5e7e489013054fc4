use pbft_protocol::agreement::Event;
use std::io::IsTerminal;
use std::str::FromStr;
use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(format!("{other} is no log format: text or json")),
        }
    }
}

/// Sends log lines to standard error. `PBFT_LOG` filters them as `RUST_LOG` does elsewhere; `info` by default.
pub fn start_logging(format: LogFormat) {
    let filter = EnvFilter::try_from_env("PBFT_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false).with_ansi(colour);
    // A second call, as tests in one process make, changes nothing.
    let _ = match format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
}

/// Logs what the replica tells.
pub fn tell(event: &Event) {
    match event {
        Event::ViewChange { view, reason } => tracing::warn!(event = "view_change", view = view.0, reason, "left the view"),
        Event::ViewEntered { view, primary } => {
            tracing::info!(event = "view_entered", view = view.0, primary = primary.0, "entered a view");
        }
        Event::StableCheckpoint { sequence } => {
            tracing::info!(event = "stable_checkpoint", sequence = sequence.0, "a checkpoint is stable");
        }
        Event::Evidence { accused, kind } => {
            tracing::error!(event = "evidence", accused = accused.0, kind = kind.name(), "a replica lied, provably");
        }
        Event::Alarm(alarm) => tracing::error!(event = "alarm", "{alarm}"),
    }
}
