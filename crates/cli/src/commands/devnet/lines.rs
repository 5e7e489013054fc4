use super::events::{Line, Stands};
use crate::output::print_text;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use pbft_byzantine::Lie;
use pbft_message::ReplicaId;
use std::collections::BTreeMap;
use std::io::IsTerminal;

/// One line for each replica: live on a terminal; elsewhere each is printed when it changes in more than its numbers.
pub struct Lines {
    liars: BTreeMap<ReplicaId, Lie>,
    progress: MultiProgress,
    bars: Vec<ProgressBar>,
    live: bool,
    /// What was printed last for each replica, without numbers that always change.
    told: BTreeMap<ReplicaId, Option<(String, u64, usize)>>,
}

impl Lines {
    /// Lines for so many replicas.
    pub fn new(count: usize, liars: &BTreeMap<ReplicaId, Lie>) -> Self {
        let progress = MultiProgress::new();
        let plain = ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
        let bars = (0..count).map(|_| progress.add(ProgressBar::no_length().with_style(plain.clone()))).collect();
        let live = std::io::stderr().is_terminal();
        Self { liars: liars.clone(), progress, bars, live, told: BTreeMap::new() }
    }

    /// Shows where the replicas stand.
    pub fn show(&mut self, status: &[Line]) {
        for (line, bar) in status.iter().zip(&self.bars) {
            let text = self.text(line);
            if self.live {
                bar.set_message(text);
                continue;
            }
            let essence = line.stands.as_ref().map(|stands| (role(stands), stands.view, stands.peers_up));
            if self.told.insert(line.replica, essence.clone()) != Some(essence) {
                print_text(&text);
            }
        }
    }

    /// Tells something once.
    pub fn tell(&self, text: &str) {
        self.progress.suspend(|| print_text(text));
    }

    fn text(&self, line: &Line) -> String {
        let lies = self.liars.get(&line.replica).map(|lie| format!("  ({lie})")).unwrap_or_default();
        let Some(stands) = &line.stands else { return format!("replica {}  does not answer{lies}", line.replica) };
        format!(
            "replica {}  {:<13}  view {:<3}  executed {:<7}  stable {:<7}  peers up {}  {:>6} requests/s{lies}",
            line.replica,
            role(stands),
            stands.view,
            stands.executed,
            stands.stable_checkpoint,
            stands.peers_up,
            stands.requests_per_second,
        )
    }
}

fn role(stands: &Stands) -> String {
    if stands.active { stands.role.to_owned() } else { "changing view".to_owned() }
}
