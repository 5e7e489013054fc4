use super::history::History;
use pbft_message::{Genesis, ReplicaReport};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::Line;
use ratatui::widgets::{Row, Sparkline, Table};

/// Draws what is known on a terminal of at least 80x24. More replicas than fit are cut off at the bottom.
pub fn draw(frame: &mut Frame<'_>, genesis: &Genesis, history: &History) {
    let replicas = u16::try_from(genesis.replica_count()).unwrap_or(u16::MAX);
    let heights = [
        Constraint::Length(1),
        Constraint::Max(replicas.saturating_add(1)),
        Constraint::Length(4),
        Constraint::Length(4),
        Constraint::Min(3),
        Constraint::Length(1),
    ];
    let [title, table, throughput, latency, notes, help] = Layout::vertical(heights).areas(frame.area());
    frame.render_widget(heading(genesis, history), title);
    frame.render_widget(replica_table(genesis, history), table);
    let rate = history.throughput.back().copied().unwrap_or(0);
    sparkline(frame, throughput, format!("{rate} requests a second"), &history.throughput);
    let delay = history.latency.back().copied().unwrap_or(0);
    let delay = format!("{}.{} ms from a request's arrival to its commit", delay / 1000, delay % 1000 / 100);
    sparkline(frame, latency, delay, &history.latency);
    for (line, place) in said(genesis, history).into_iter().zip(rows(notes)) {
        frame.render_widget(line, place);
    }
    frame.render_widget(Line::from("q: end   what a replica tells of itself is its own word; pbft doctor judges").dim(), help);
}

fn rows(area: Rect) -> impl Iterator<Item = Rect> {
    area.rows()
}

fn heading(genesis: &Genesis, history: &History) -> Line<'static> {
    let (n, here, quorum) = (genesis.replica_count(), history.reports.len(), genesis.quorum());
    let text = format!("{}: {here} of {n} replicas answer, a quorum is {quorum}", genesis.name.escape_debug());
    if here < quorum { Line::from(text).red().bold() } else { Line::from(text).bold() }
}

fn replica_table(genesis: &Genesis, history: &History) -> Table<'static> {
    let header = ["", "role", "view", "executed", "lag", "stable", "high", "peers", "left", "refused", "proofs"];
    let widths = [2, 10, 5, 8, 5, 8, 8, 5, 4, 7, 6].map(Constraint::Length);
    let newest = history.reports.values().map(|report| report.executed.0).max().unwrap_or(0);
    let rows = genesis.replica_ids().map(|id| match history.reports.get(&id) {
        Some(report) => row(genesis, report, newest),
        None => Row::new([id.to_string(), "no answer".to_owned()]).red(),
    });
    Table::new(rows.collect::<Vec<_>>(), widths).header(Row::new(header).dim())
}

fn row(genesis: &Genesis, report: &ReplicaReport, newest: u64) -> Row<'static> {
    let (role, style) = role(genesis, report);
    let refused = report.refused.iter().fold(0_u64, |sum, (_, count)| sum.saturating_add(*count));
    let cells = [
        report.replica.to_string(),
        role,
        format!("{}{}", report.view, if report.active { "" } else { "?" }),
        report.executed.to_string(),
        newest.saturating_sub(report.executed.0).to_string(),
        report.stable_checkpoint.to_string(),
        report.condition.high_watermark.to_string(),
        report.peers_up.len().to_string(),
        report.view_changes.to_string(),
        refused.to_string(),
        report.evidence.to_string(),
    ];
    Row::new(cells).style(style)
}

fn role(genesis: &Genesis, report: &ReplicaReport) -> (String, Style) {
    let plain = Style::new();
    match report.condition.silence.as_deref() {
        Some(silence) => (short(silence), plain.fg(Color::Yellow)),
        None if report.disk_full => ("disk full".to_owned(), plain.fg(Color::Red)),
        None if report.condition.transferring.is_some() => ("fetching".to_owned(), plain.fg(Color::Yellow)),
        None if genesis.primary(report.view) == report.replica => ("primary".to_owned(), plain.fg(Color::Green)),
        None => ("backup".to_owned(), plain),
    }
}

/// A word of a replica, which may be anything.
fn short(word: &str) -> String {
    word.escape_debug().take(10).collect()
}

fn sparkline(frame: &mut Frame<'_>, area: Rect, title: String, values: &std::collections::VecDeque<u64>) {
    let [words, line] = Layout::vertical([Constraint::Length(1), Constraint::Min(1)]).areas(area);
    frame.render_widget(Line::from(title), words);
    let values: Vec<u64> = values.iter().copied().collect();
    frame.render_widget(Sparkline::default().data(values).style(Style::new().fg(Color::Cyan)), line);
}

/// What else is to be seen: who suspects whom, alarms, and what was refused most.
fn said(genesis: &Genesis, history: &History) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    let reports = history.reports.values();
    for report in reports.clone() {
        if let Some(alarm) = &report.alarm {
            lines.push(Line::from(format!("replica {} stopped voting: {}", report.replica, alarm.escape_debug())).red());
        }
    }
    for report in reports.clone() {
        if let Some(reason) = &report.condition.suspicion {
            let primary = genesis.primary(report.view);
            let text = format!(
                "replica {} suspects {primary}, primary of view {}: {}",
                report.replica,
                report.view,
                reason.escape_debug()
            );
            lines.push(Line::from(text).yellow());
        }
    }
    for report in reports {
        let most = report.refused.iter().max_by_key(|(_, count)| *count);
        if let Some((reason, count)) = most {
            lines.push(Line::from(format!("replica {} refused {count}: {}", report.replica, reason.escape_debug())).dim());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::fixture::look;
    use pbft_message::ReplicaId;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use std::time::Duration;

    fn drawn(history: &History) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        terminal.draw(|frame| draw(frame, &look().genesis, history)).unwrap();
        let buffer = terminal.backend().buffer();
        let line = |y| (0..80).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
        (0..24).map(line).collect()
    }

    #[test]
    fn all_that_is_known_fits_on_80_by_24() {
        let mut history = History::default();
        history.add(look().reports, Duration::ZERO);
        let mut later = look().reports;
        later.remove(&ReplicaId(3));
        for report in later.values_mut() {
            report.requests_executed += 1_000;
            report.condition.commits = (100, 420_000);
        }
        let slow = later.get_mut(&ReplicaId(2)).unwrap();
        slow.executed.0 -= 8;
        slow.condition.suspicion = Some("the primary shows no life".to_owned());
        slow.refused = vec![("TooOld".to_owned(), 7)];
        history.add(later, Duration::from_secs(1));
        let lines = drawn(&history);
        let shows = |words: &str| assert!(lines.iter().any(|line| line.contains(words)), "no {words:?} in {lines:#?}");
        shows("test: 3 of 4 replicas answer, a quorum is 3");
        shows("   role       view  executed lag   stable   high     peers left refused proofs");
        shows("0  primary    0     64       0     64       320      3     0    0       0");
        shows("2  backup     0     56       8");
        shows("3  no answer");
        shows("1000 requests a second");
        shows("4.2 ms from a request's arrival to its commit");
        shows("replica 2 suspects 0, primary of view 0: the primary shows no life");
        shows("replica 2 refused 7: TooOld");
        shows("q: end");
    }
}
