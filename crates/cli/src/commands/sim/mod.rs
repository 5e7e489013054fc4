//! `pbft sim`: simulated clusters, each from one seed.

mod answer;
mod hook;
mod progress;
mod story;

use super::strategies::strategies;
use crate::client_home::parse_time;
use crate::failure::Failure;
use crate::output::{Format, FormatOption, print_text};
use answer::Answer;
use hook::Silence;
use pbft_byzantine::{Lie, UnknownStrategy};
use pbft_node::ExitCode;
use pbft_simulator::{Extent, Fault, Options, Outcome, Summary, UnknownFault, run, run_all, run_twins};
use progress::Progress;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How many seeds, unless it is said.
const SEEDS: u64 = 100;
/// After so many failures it ends early.
const MOST_FAILURES: usize = 20;
/// Of so many failures the story is told.
const STORIES: usize = 3;

/// Simulate whole clusters, with lies, crashes and bad networks, from seeds.
///
/// Simulate whole clusters, each from one seed: replicas that lie, crash and lose messages, and clients, in one process
/// and in a time of its own. Whatever must hold is checked all the while; a seed that fails is told, and can be replayed.
#[derive(clap::Args)]
#[command(after_help = after_help())]
pub struct Sim {
    /// One seed, run twice to see that both runs are the same.
    #[arg(long, value_name = "N", conflicts_with_all = ["seeds", "seed_start", "time"])]
    seed: Option<u64>,
    /// How many seeds; 100 unless --seed or --time is given. Every 16th is run twice.
    #[arg(long, value_name = "COUNT", conflicts_with = "time", value_parser = clap::value_parser!(u64).range(1..=u64::MAX / 2))]
    seeds: Option<u64>,
    /// The first seed.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=u64::MAX / 2))]
    seed_start: u64,
    /// As many seeds as fit into this time, as in 10m; one at least.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    time: Option<Duration>,
    /// Instead of seeds: so many Twins scenarios, from --seed-start on. One or two replicas run as two honest processes
    /// with one key, and the network splits in enumerated ways.
    #[arg(long, value_name = "COUNT", conflicts_with_all = ["seed", "seeds", "time", "replicas", "byzantine", "faults", "requests"])]
    twins: Option<u64>,
    /// How many replicas; from 4 to 10, as the seed decides, if it is not given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(4..=100))]
    replicas: Option<u64>,
    /// How up to f replicas may lie: all ways, none, or some strategies.
    #[arg(long, value_name = "all|none|NAME,...", default_value = "all", value_parser = parse_lies)]
    byzantine: Chosen<Vec<Lie>>,
    /// What the environment may do: all, none, or some faults.
    #[arg(long, value_name = "all|none|NAME,...", default_value = "all", value_parser = parse_faults)]
    faults: Chosen<BTreeSet<Fault>>,
    /// How many requests the clients send in total while there are faults and lies.
    #[arg(long, value_name = "N", default_value_t = Options::default().requests, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    requests: u64,
    /// On how many threads; as many as there are processors if it is not given.
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// A file for the whole trace: of the first seed that fails, else of the first one.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    #[command(flatten)]
    format: FormatOption,
}

/// What was chosen from a list, and how it was written.
#[derive(Clone, Debug)]
struct Chosen<T> {
    text: String,
    what: T,
}

fn after_help() -> String {
    let faults = Fault::ALL.map(Fault::name).join(", ");
    let examples = "Examples:\n  pbft sim\n  pbft sim --time 10m\n  pbft sim --twins 20000\n  pbft sim --seed 7 --trace seed-7.txt\n  pbft sim --seeds 1000 --replicas 4 --byzantine equivocate,intermittent:mute --faults crash,partition -o json\n\nExits 0 only if all held, 1 if a seed failed.";
    format!("Faults: {faults}\n\n{}\n\n{examples}", strategies())
}

fn parse_lies(text: &str) -> Result<Chosen<Vec<Lie>>, UnknownStrategy> {
    let what = match text {
        "all" => Options::default().lies,
        "none" => Vec::new(),
        list => list.split(',').map(str::parse).collect::<Result<_, _>>()?,
    };
    Ok(Chosen { text: text.to_owned(), what })
}

fn parse_faults(text: &str) -> Result<Chosen<BTreeSet<Fault>>, UnknownFault> {
    Ok(Chosen { text: text.to_owned(), what: Fault::parse_list(text)? })
}

impl Sim {
    pub fn run(self) -> ExitCode {
        let format = self.format.format;
        format.end(self.simulate(), |answer| print_text(&answer.to_string()))
    }

    fn simulate(&self) -> Result<(Answer, ExitCode), Failure> {
        // A long run is not to be lost for a file that cannot be written.
        let trace = self.trace.as_deref().map(create).transpose()?;
        let silence = Silence::begin();
        let (summary, hash) = self.play_all();
        let first = summary.failed.first().map_or(self.first(), |(seed, _)| *seed);
        if let Some((mut file, path)) = trace {
            write(&mut file, &self.play(first, true)).map_err(|error| cannot_write(path, &error))?;
        }
        if self.format.format == Format::Table {
            for (seed, violation) in summary.failed.iter().take(STORIES) {
                let again = self.play(*seed, true);
                print_text(&story::tell(*seed, violation, &again.lines, silence.last_place(), &self.replay(*seed)));
            }
        }
        let answer = Answer::new(&summary, self.seed.map(|_| hash), |seed| self.replay(seed));
        let code = answer.exit_code();
        Ok((answer, code))
    }

    /// What came of all, and the trace's hash of the last one.
    fn play_all(&self) -> (Summary, u64) {
        let extent = match (self.seed.and(Some(1)).or(self.twins), self.time) {
            (Some(count), _) => Extent::Count(count),
            (None, Some(time)) => Extent::Time(time),
            (None, None) => Extent::Count(self.seeds.unwrap_or(SEEDS)),
        };
        let processors = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let threads = self.threads.map_or_else(processors, NonZeroUsize::get);
        let hash = AtomicU64::new(0);
        let play = |seed| {
            let outcome = self.play(seed, false);
            hash.store(outcome.hash, Ordering::Relaxed);
            outcome
        };
        let progress = Progress::new(extent);
        let summary = run_all(self.first(), extent, threads, MOST_FAILURES, play, |summary| progress.tell(summary));
        progress.end();
        (summary, hash.into_inner())
    }

    fn first(&self) -> u64 {
        self.seed.unwrap_or(self.seed_start)
    }

    fn play(&self, seed: u64, in_words: bool) -> Outcome {
        match self.twins {
            Some(_) => run_twins(seed, in_words),
            None => run(seed, &self.options(), in_words),
        }
    }

    fn options(&self) -> Options {
        Options {
            replicas: self.replicas,
            lies: self.byzantine.what.clone(),
            faults: self.faults.what.clone(),
            requests: self.requests,
        }
    }

    /// The command that runs this seed again, with whatever decides its course.
    fn replay(&self, seed: u64) -> String {
        if self.twins.is_some() {
            return format!("pbft sim --twins 1 --seed-start {seed}");
        }
        let mut command = format!("pbft sim --seed {seed}");
        if let Some(replicas) = self.replicas {
            command.push_str(&format!(" --replicas {replicas}"));
        }
        for (name, chosen) in [("byzantine", &self.byzantine.text), ("faults", &self.faults.text)] {
            if chosen != "all" {
                command.push_str(&format!(" --{name} {chosen}"));
            }
        }
        if self.requests != Options::default().requests {
            command.push_str(&format!(" --requests {}", self.requests));
        }
        command
    }
}

fn create(path: &Path) -> Result<(BufWriter<File>, &Path), Failure> {
    let file = File::create(path).map_err(|error| cannot_write(path, &error))?;
    Ok((BufWriter::new(file), path))
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    Failure::io(format!("cannot write {}: {error}", path.display()))
}

fn write(file: &mut impl Write, outcome: &Outcome) -> std::io::Result<()> {
    for line in &outcome.lines {
        writeln!(file, "{line}")?;
    }
    if let Some(violation) = &outcome.violation {
        writeln!(file, "{}: {}", violation.invariant.name(), violation.detail)?;
    }
    file.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use pbft_simulator::{Invariant, Violation};

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        sim: Sim,
    }

    fn replayed(line: &str) -> String {
        Line::try_parse_from(format!("pbft {line}").split_whitespace()).unwrap().sim.replay(7)
    }

    #[test]
    fn a_replay_has_all_options_that_decide_the_course_and_no_others() {
        assert_eq!(replayed("--seeds 9 --seed-start 3 --threads 2"), "pbft sim --seed 7");
        assert_eq!(replayed("--time 1m --byzantine all --faults all --requests 200"), "pbft sim --seed 7");
        assert_eq!(replayed("--twins 100"), "pbft sim --twins 1 --seed-start 7");
        let options = "--replicas 4 --byzantine mute,intermittent:censor --faults none --requests 50";
        assert_eq!(replayed(options), format!("pbft sim --seed 7 {options}"));
    }

    #[test]
    fn a_trace_ends_with_what_did_not_hold() {
        let violation = Violation { invariant: Invariant::Agreement, detail: "two batches".to_owned() };
        let lines = vec!["first".to_owned(), "second".to_owned()];
        let outcome = Outcome { seed: 1, hash: 2, events: 2, violation: Some(violation), lines };
        let mut file = Vec::new();
        write(&mut file, &outcome).unwrap();
        assert_eq!(file, b"first\nsecond\nagreement: two batches\n");
    }

    #[test]
    fn a_panic_is_silent_and_its_place_is_known() {
        let silence = Silence::begin();
        assert!(std::panic::catch_unwind(|| panic!("caught")).is_err());
        let place = silence.last_place().unwrap();
        assert!(place.contains("sim/mod.rs"), "{place}");
        assert_eq!(silence.last_place(), None);
    }
}
