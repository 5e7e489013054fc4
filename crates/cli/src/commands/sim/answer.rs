use pbft_node::ExitCode;
use pbft_simulator::{Summary, Violation};
use serde::Serialize;
use std::fmt;

/// What came of it all, for programs; its `Display` is for people.
#[derive(Debug, Serialize)]
pub struct Answer {
    ok: bool,
    seeds: u64,
    failed: Vec<Failed>,
    seeds_per_s: f64,
    events: u64,
    events_per_s: f64,
    elapsed_s: f64,
    /// Of one seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_hash: Option<String>,
}

#[derive(Debug, Serialize)]
struct Failed {
    seed: u64,
    invariant: &'static str,
    words: String,
    detail: String,
    replay: String,
}

impl Answer {
    pub fn new(summary: &Summary, hash: Option<u64>, replay: impl Fn(u64) -> String) -> Self {
        let failed = |(seed, violation): &(u64, Violation)| Failed {
            seed: *seed,
            invariant: violation.invariant.name(),
            words: violation.invariant.to_string(),
            detail: violation.detail.clone(),
            replay: replay(*seed),
        };
        Self {
            ok: summary.failed.is_empty(),
            seeds: summary.seeds,
            failed: summary.failed.iter().map(failed).collect(),
            seeds_per_s: summary.seeds_per_second(),
            events: summary.events,
            events_per_s: summary.events_per_second(),
            elapsed_s: summary.elapsed.as_secs_f64(),
            trace_hash: hash.map(|hash| format!("{hash:016x}")),
        }
    }

    pub const fn exit_code(&self) -> ExitCode {
        if self.ok { ExitCode::Yes } else { ExitCode::No }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for failed in &self.failed {
            writeln!(formatter, "seed {} failed: {}, replay with {}", failed.seed, failed.invariant, failed.replay)?;
        }
        if let Some(hash) = &self.trace_hash {
            writeln!(formatter, "trace hash {hash}")?;
        }
        let Self { seeds, events, elapsed_s, seeds_per_s, events_per_s, .. } = self;
        write!(
            formatter,
            "{seeds} seeds and {events} events in {elapsed_s:.1} s: {seeds_per_s:.1} seeds/s, {events_per_s:.0} events/s. "
        )?;
        match self.failed.len() {
            0 => write!(formatter, "Everything held."),
            failed => write!(formatter, "{failed} failed."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pbft_simulator::Invariant;
    use serde_json::json;
    use std::time::Duration;

    #[test]
    fn a_failed_seed_is_named_with_what_it_broke_and_how_to_replay_it() {
        let violation = Violation { invariant: Invariant::NoPanic, detail: "index out of bounds".to_owned() };
        let summary = Summary { seeds: 4, events: 80, failed: vec![(43, violation)], elapsed: Duration::from_secs(2) };
        let answer = Answer::new(&summary, None, |seed| format!("pbft sim --seed {seed}"));
        let document = json!({
            "ok": false, "seeds": 4, "events": 80, "elapsed_s": 2.0, "seeds_per_s": 2.0, "events_per_s": 40.0,
            "failed": [{
                "seed": 43, "invariant": "no-panic", "words": Invariant::NoPanic.to_string(),
                "detail": "index out of bounds", "replay": "pbft sim --seed 43",
            }],
        });
        assert_eq!(serde_json::to_value(&answer).unwrap(), document);
        assert_eq!(answer.exit_code(), ExitCode::No);
        assert_eq!(
            answer.to_string(),
            "seed 43 failed: no-panic, replay with pbft sim --seed 43\n\
             4 seeds and 80 events in 2.0 s: 2.0 seeds/s, 40 events/s. 1 failed."
        );
    }
}
