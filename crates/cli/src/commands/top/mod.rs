//! `pbft top`: a live view of a cluster in a terminal.

mod draw;
mod history;

use crate::client_home::{ClientOptions, Cluster};
use crate::failure::Failure;
use crate::output::Format;
use history::History;
use pbft_node::ExitCode;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyModifiers};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// How long replicas may take to answer a look.
const ANSWER: Duration = Duration::from_millis(400);

/// Watch a cluster in a terminal.
///
/// Each replica's role, view, watermarks and lag, throughput and latency, who suspects whom, what
/// is refused. 80x24 is enough; q ends it.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  pbft top --home net/client-0\n  pbft top --interval 2s")]
pub struct Top {
    /// How often it looks.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = crate::client_home::parse_time)]
    interval: Duration,
    #[command(flatten)]
    options: ClientOptions,
}

impl Top {
    pub fn run(self) -> ExitCode {
        if !std::io::stdout().is_terminal() {
            let message = "pbft top needs a terminal; pbft status tells the same once, also with -o json";
            return self.options.format.fail(&Failure::new(ExitCode::Usage, "Usage", message));
        }
        let ended = self.options.run(|cluster| self.watch(cluster));
        match ended {
            Ok(()) => ExitCode::Yes,
            Err(failure) => Format::Table.fail(&failure),
        }
    }

    async fn watch(&self, cluster: Cluster) -> Result<(), Failure> {
        let mut terminal = ratatui::try_init().map_err(Failure::io)?;
        let ended = self.redraw(&cluster, &mut terminal).await;
        ratatui::restore();
        ended
    }

    async fn redraw(&self, cluster: &Cluster, terminal: &mut ratatui::DefaultTerminal) -> Result<(), Failure> {
        let mut history = History::default();
        let mut before = Instant::now();
        loop {
            let reports = cluster.client.reports(ANSWER.min(self.interval)).await;
            let now = Instant::now();
            let reports = reports.into_iter().filter_map(|(id, report)| Some((id, report?))).collect();
            history.add(reports, now.saturating_duration_since(before));
            before = now;
            terminal.draw(|frame| draw::draw(frame, &cluster.genesis, &history)).map_err(Failure::io)?;
            let next = now.checked_add(self.interval);
            while next.is_some_and(|next| Instant::now() < next) {
                if ends()? {
                    return Ok(());
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Whether a key was pressed that ends it. In the terminal's raw mode Ctrl-C is a key too.
fn ends() -> Result<bool, Failure> {
    while event::poll(Duration::ZERO).map_err(Failure::io)? {
        let Event::Key(key) = event::read().map_err(Failure::io)? else { continue };
        let is_interrupt = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
        if is_interrupt || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc) {
            return Ok(true);
        }
    }
    Ok(false)
}
