//! `pbft demo`: the story of a dead and a lying primary.

use crate::demo::{Check, Report, Story, play};
use crate::failure::Failure;
use crate::output::{FormatOption, print_table, print_text};
use pbft_node::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// See a cluster survive a dead and a lying primary, in a minute and with nothing prepared.
///
/// With -o json the story goes to standard error.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  pbft demo\n  pbft demo -o json\n\nExits 0 only if every check held.")]
pub struct Demo {
    #[command(flatten)]
    format: FormatOption,
}

impl Demo {
    pub fn run(self) -> ExitCode {
        let story = Story::new(self.format.format);
        self.format.format.end(played(&story), show)
    }
}

fn played(story: &Story) -> Result<(Report, ExitCode), Failure> {
    let home = tempfile::Builder::new().prefix("pbft-demo-").tempdir().map_err(Failure::io)?;
    let network = home.path().join("network");
    let runtime = tokio::runtime::Runtime::new().map_err(Failure::io)?;
    let result = runtime.block_on(async {
        let (mut terminate, mut interrupt) = (on(SignalKind::terminate())?, on(SignalKind::interrupt())?);
        // Dropped when interrupted, and with it the replicas' processes.
        tokio::select! {
            report = play(&network, story) => report,
            _ = terminate.recv() => Err(interrupted()),
            _ = interrupt.recv() => Err(interrupted()),
        }
    });
    story.end();
    let held = result.as_ref().is_ok_and(|report| report.ok);
    let keep = !held && result.as_ref().err() != Some(&interrupted());
    if keep {
        story.tell(&format!("\nThe homes and logs of the replicas are kept in {}", home.keep().display()));
    }
    result.map(|report| (report, if held { ExitCode::Yes } else { ExitCode::No }))
}

fn on(kind: SignalKind) -> Result<tokio::signal::unix::Signal, Failure> {
    signal(kind).map_err(Failure::io)
}

fn interrupted() -> Failure {
    Failure::new(ExitCode::Interrupted, "Interrupted", "interrupted: the replicas are ended, their homes removed")
}

fn show(report: &Report) {
    let row = |check: &Check| {
        let time = check.value_ms.map(|time| format!("{time} ms")).unwrap_or_default();
        [check.name.to_owned(), if check.ok { "yes" } else { "NO" }.to_owned(), time]
    };
    print_text("");
    print_table(&["check", "held", "time"], report.checks.iter().map(row));
    for check in report.checks.iter().filter(|check| !check.ok) {
        print_text(&format!("{}: {}", check.name, check.detail));
    }
    print_text(if report.ok { "Every check held." } else { "Not every check held." });
}
