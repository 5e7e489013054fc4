//! Log lines: one an event, with its name in the field `event`.

mod flood;
mod tell;

pub use flood::{lines, report_left_out_regularly};
pub use tell::tell;

use flood::Flood;
use std::io::IsTerminal;
use std::str::FromStr;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt, registry};

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

/// Sends log lines to standard error, a panic's included. `PBFT_LOG` filters them as `RUST_LOG` does elsewhere; `info` by
/// default.
pub fn start_logging(format: LogFormat) {
    let filter = EnvFilter::try_from_env("PBFT_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    // A log that cannot be written, on a full disk or a closed pipe, must not end the replica: as it is told by a panic.
    let lines = fmt::layer().log_internal_errors(false).with_writer(std::io::stderr).with_target(false).with_ansi(colour);
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    // A second call, as tests in one process make, changes nothing.
    if registry().with(lines).with(filter).with(Flood::default()).try_init().is_ok() {
        std::panic::set_hook(Box::new(|panic| {
            let thread = std::thread::current();
            let (name, place) = (thread.name().unwrap_or("unnamed"), panic.location().map(ToString::to_string));
            let said = panic.payload_as_str().unwrap_or("it said nothing").escape_debug().to_string();
            tracing::error!(event = "panic", thread = name, place, said, "a thread panicked: a defect of this program");
        }));
    }
}
