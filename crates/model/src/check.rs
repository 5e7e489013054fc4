//! Running a model, and saying what came of it.

use crate::model::{PbftModel, Step};
use crate::properties;
use stateright::{Checker, HasDiscoveries, Model};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// What must never be discovered.
const SAFETY: [&str; 6] = [
    properties::AGREEMENT,
    properties::ONE_PROMISE,
    properties::ONE_CERTIFICATE,
    properties::NOTHING_GOES_BACK,
    properties::EVIDENCE_IS_TRUE,
    properties::NOBODY_HALTS,
];

/// What exploring a model found.
pub struct Outcome {
    /// Different states that were examined.
    pub states: usize,
    /// The longest shortest path to any of them.
    pub depth: usize,
    /// Different states of single replicas.
    pub local_states: u32,
    /// Wall-clock time.
    pub took: Duration,
    /// For each property that was broken, or reached: the steps to there.
    pub found: BTreeMap<&'static str, Vec<Step>>,
    words: BTreeMap<&'static str, Vec<String>>,
}

impl PbftModel {
    /// Visits every state within so many steps of the initial one, breadth first on one thread: the counts are the same
    /// each time. No limit: every state that there is.
    pub fn explore(self, depth: Option<usize>) -> Outcome {
        self.run(depth, HasDiscoveries::All)
    }

    /// Explores until the property is broken.
    pub fn explore_until(self, broken: &'static str) -> Outcome {
        self.run(None, HasDiscoveries::AllOf([broken].into()))
    }

    fn run(self, depth: Option<usize>, finish: HasDiscoveries) -> Outcome {
        let started = Instant::now();
        let mut builder = self.checker().finish_when(finish);
        if let Some(depth) = depth {
            // The checker counts states on a path, and does not look at those of the last depth.
            builder = builder.target_max_depth(depth + 2);
        }
        let checker = builder.spawn_bfs().join();
        let model = checker.model();
        let states = model.examined.load(Ordering::Relaxed);
        let found: BTreeMap<_, Vec<Step>> =
            checker.discoveries().into_iter().map(|(name, path)| (name, path.into_actions())).collect();
        let words = found.iter().map(|(name, path)| (*name, path.iter().map(|step| model.describe(*step)).collect()));
        Outcome {
            states,
            depth: depth.unwrap_or(usize::MAX).min(checker.max_depth() - 1),
            local_states: model.local_states(),
            took: started.elapsed(),
            words: words.collect(),
            found,
        }
    }
}

impl Outcome {
    /// The steps to a state where the property is broken, or reached.
    pub fn path(&self, property: &str) -> Option<&[Step]> {
        self.found.get(property).map(Vec::as_slice)
    }

    /// One line, and the steps to what was found.
    pub fn report(&self, name: &str) -> String {
        let Self { states, depth, local_states, took, .. } = self;
        let mut report = format!("{name}: {states} states, depth {depth}, {local_states} local states, {took:.1?}\n");
        for (property, path) in &self.words {
            report += &format!("  {property} after {} steps\n", path.len());
        }
        report
    }

    /// Panics with the steps to it if any safety property is broken, or if one of `reached` was not reached.
    pub fn assert_safe(&self, reached: &[&str]) {
        for property in SAFETY {
            assert!(!self.words.contains_key(property), "{property} is broken:\n{}", self.words[property].join("\n"));
        }
        for property in reached {
            assert!(self.words.contains_key(property), "not reachable: {property}");
        }
    }

    /// The steps in words to a state where the property is broken, or reached.
    pub fn words(&self, property: &str) -> &[String] {
        self.words.get(property).map_or(&[], Vec::as_slice)
    }
}
