//! The seeds that once found something find nothing any more; and what makes a seed a witness: the same seed is the same
//! run, whoever looks on.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use pbft_byzantine::Strategy;
use pbft_simulator::{Extent, Fault, Options, run, run_all};

/// The corpus' seeds, each with what it found.
fn corpus() -> Vec<(u64, &'static str)> {
    let lines = include_str!("../corpus.txt").lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(|line| line.split_once("  # ").unwrap()).map(|(seed, found)| (seed.parse().unwrap(), found)).collect()
}

#[test]
fn no_seed_of_the_corpus_finds_anything_any_more() {
    let seeds = corpus();
    let options = Options::default();
    let threads = std::thread::available_parallelism().unwrap().get();
    let play = |index: u64| run(seeds[index as usize].0, &options, false);
    let summary = run_all(0, Extent::Count(seeds.len() as u64), threads, seeds.len(), play, |_| {});
    assert_eq!(summary.seeds, seeds.len() as u64);
    let failed = summary.failed.iter().map(|(index, violation)| {
        let (seed, found) = seeds[*index as usize];
        format!("seed {seed} ({found}): {}: {}", violation.invariant.name(), violation.detail)
    });
    let failed: Vec<String> = failed.collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

/// Small, so that many can be run.
fn small(lies: bool, faults: bool) -> Options {
    let all = Options::default();
    Options {
        replicas: Some(4),
        lies: if lies { all.lies } else { Vec::new() },
        faults: if faults { all.faults } else { [].into() },
        requests: 40,
    }
}

#[test]
fn the_same_seed_is_the_same_run_also_when_it_is_told() {
    for seed in [1, 2, 3] {
        let options = small(true, true);
        let (first, again, told) = (run(seed, &options, false), run(seed, &options, false), run(seed, &options, true));
        assert_eq!(first, again);
        assert_eq!((first.hash, first.events, &first.violation), (told.hash, told.events, &told.violation));
        assert!(first.lines.is_empty() && told.lines.len() as u64 > told.events);
    }
}

#[test]
fn another_seed_and_other_options_are_another_run() {
    let one = run(7, &small(true, true), false).hash;
    assert_ne!(one, run(8, &small(true, true), false).hash);
    assert_ne!(one, run(7, &Options { requests: 80, ..small(true, true) }, false).hash);
    assert_ne!(one, run(7, &Options { replicas: Some(5), ..small(true, true) }, false).hash);
}

#[test]
fn a_cluster_without_lies_and_faults_is_quiet() {
    for seed in 0..4 {
        let outcome = run(seed, &small(false, false), false);
        assert_eq!((outcome.violation, outcome.seed), (None, seed));
    }
}

#[test]
fn every_fault_is_read_by_its_name() {
    for fault in Fault::ALL {
        assert_eq!(fault.name().parse(), Ok(fault));
        assert_eq!(Fault::parse_list(fault.name()), Ok([fault].into()));
    }
    assert_eq!(Fault::parse_list("all"), Ok(Fault::ALL.into()));
    assert_eq!(Fault::parse_list("none"), Ok([].into()));
    assert_eq!(Fault::parse_list("crash,loss"), Ok([Fault::Loss, Fault::Crash].into()));
    for wrong in ["", "crash,", "Crash", "crash,all"] {
        assert!(Fault::parse_list(wrong).unwrap_err().to_string().contains("slow-disk"), "{wrong}");
    }
}

#[test]
fn the_page_on_testing_lists_what_there_is() {
    let page = include_str!("../../../docs/testing.md");
    let told = |what: &str| assert!(page.contains(what), "docs/testing.md does not say {what:?}");
    for fault in Fault::ALL {
        told(&format!("\n| `{}` | ", fault.name()));
    }
    for strategy in Strategy::ALL {
        told(&format!("\n| `{}` | {} |\n", strategy.name(), strategy.summary()));
    }
    // Every text from here on is an invariant's name or its words.
    let (_, texts) = include_str!("../src/checks/invariant.rs").split_once("impl Invariant").unwrap();
    let (words, names): (Vec<&str>, Vec<&str>) = texts.split('"').skip(1).step_by(2).partition(|text| text.contains(' '));
    assert_eq!(words.len(), names.len());
    words.iter().for_each(|words| told(&format!("` | {words} |\n")));
    names.iter().for_each(|name| told(&format!("\n| `{name}` | ")));
}
