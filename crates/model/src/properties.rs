//! What must hold in every state, and what must be reachable for that to mean anything.

use crate::model::{Local, PbftModel, State, Step};
use crate::node::Node;
use pbft_message::View;
use stateright::{Model, Property};
use std::sync::atomic::Ordering;

/// No two correct replicas execute different batches at one number, over views and restarts.
pub const AGREEMENT: &str = "agreement";
/// No correct replica lets two digests leave, or makes them durable, for one (type, view, number), over restarts.
pub const ONE_PROMISE: &str = "one promise";
/// All prepared certificates of one (view, number) at correct replicas are for one digest.
pub const ONE_CERTIFICATE: &str = "one certificate";
/// Restarts neither lower the view, nor change or shorten what is executed; nobody votes in a view that it left.
pub const NOTHING_GOES_BACK: &str = "nothing goes back";
/// Evidence accuses liars only.
pub const EVIDENCE_IS_TRUE: &str = "evidence is true";
/// No correct replica has reason to stop voting for good.
pub const NOBODY_HALTS: &str = "nobody halts";

/// Reachable: something is executed in view 0.
pub const COMMITS_IN_VIEW_0: &str = "commits in view 0";
/// Reachable: something is executed in a later view.
pub const COMMITS_LATER: &str = "commits in a later view";
/// Reachable: one replica executes in view 0, another the same in a later view.
pub const CARRIED_OVER: &str = "carried over";
/// Reachable: a lie is proven.
pub const LIE_PROVEN: &str = "lie proven";
/// Reachable: two replicas prepared different values in different views.
pub const TWO_VALUES_PREPARED: &str = "two values prepared";
/// Reachable: a replica that crashed executes afterwards.
pub const COMMITS_AFTER_CRASH: &str = "commits after a crash";

fn nodes(state: &State) -> impl Iterator<Item = &Node> {
    state.iter().map(Local::node)
}

fn pairs(state: &State) -> impl Iterator<Item = (&Node, &Node)> {
    nodes(state).enumerate().flat_map(move |(index, first)| nodes(state).skip(index + 1).map(move |second| (first, second)))
}

fn agreement(_: &PbftModel, state: &State) -> bool {
    pairs(state).all(|(first, second)| {
        let differs = |(sequence, (digest, _)): (_, &(pbft_crypto::Digest, View))| {
            second.executed.get(sequence).is_some_and(|(other, _)| other != digest)
        };
        !first.executed.iter().any(differs)
    })
}

fn one_promise(_: &PbftModel, state: &State) -> bool {
    nodes(state).all(|node| node.promises.values().all(|digests| digests.len() == 1))
}

fn one_certificate(_: &PbftModel, state: &State) -> bool {
    let own = nodes(state).all(|node| node.prepared.values().all(|digests| digests.len() == 1));
    let differs = |(first, second): (&Node, &Node)| {
        first.prepared.iter().any(|(place, digests)| second.prepared.get(place).is_some_and(|other| other != digests))
    };
    own && !pairs(state).any(differs)
}

fn nothing_goes_back(_: &PbftModel, state: &State) -> bool {
    nodes(state).all(|node| node.broken.is_empty())
}

fn evidence_is_true(model: &PbftModel, state: &State) -> bool {
    let held = nodes(state).filter_map(|node| node.replica.as_ref()).flat_map(|replica| replica.evidence());
    held.map(|evidence| evidence.accused().0).all(|accused| model.scenario.byzantine.contains(&accused.0))
}

fn nobody_halts(_: &PbftModel, state: &State) -> bool {
    nodes(state).all(|node| node.halted().is_none())
}

fn executed_in(node: &Node, wanted: impl Fn(View) -> bool) -> bool {
    node.executed.values().any(|(_, view)| wanted(*view))
}

fn commits_in_view_0(_: &PbftModel, state: &State) -> bool {
    nodes(state).any(|node| executed_in(node, |view| view == View(0)))
}

fn commits_later(_: &PbftModel, state: &State) -> bool {
    nodes(state).any(|node| executed_in(node, |view| view > View(0)))
}

fn carried_over(_: &PbftModel, state: &State) -> bool {
    let first = nodes(state).flat_map(|node| &node.executed).filter(|(_, (_, view))| *view == View(0));
    first.into_iter().any(|(sequence, (digest, _))| {
        let again = |node: &Node| node.executed.get(sequence).is_some_and(|(other, view)| other == digest && *view > View(0));
        nodes(state).any(again)
    })
}

fn lie_proven(_: &PbftModel, state: &State) -> bool {
    nodes(state).filter_map(|node| node.replica.as_ref()).any(|replica| !replica.evidence().is_empty())
}

fn two_values_prepared(_: &PbftModel, state: &State) -> bool {
    let all = || nodes(state).flat_map(|node| &node.prepared);
    all().any(|((view, sequence), digests)| {
        all().any(|((other, place), others)| place == sequence && other > view && others != digests)
    })
}

fn commits_after_crash(_: &PbftModel, state: &State) -> bool {
    nodes(state).any(|node| node.crashed && node.replica.as_ref().is_some_and(|replica| replica.executed().0 > 0))
}

impl Model for PbftModel {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![self.initial().clone()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Step>) {
        self.examined.fetch_add(1, Ordering::Relaxed);
        if nodes(state).all(|node| node.view().0 <= self.scenario.highest_view) {
            self.steps(state, actions);
        }
    }

    fn next_state(&self, state: &State, step: Step) -> Option<State> {
        self.after(state, step)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(AGREEMENT, agreement),
            Property::always(ONE_PROMISE, one_promise),
            Property::always(ONE_CERTIFICATE, one_certificate),
            Property::always(NOTHING_GOES_BACK, nothing_goes_back),
            Property::always(EVIDENCE_IS_TRUE, evidence_is_true),
            Property::always(NOBODY_HALTS, nobody_halts),
            Property::sometimes(COMMITS_IN_VIEW_0, commits_in_view_0),
            Property::sometimes(COMMITS_LATER, commits_later),
            Property::sometimes(CARRIED_OVER, carried_over),
            Property::sometimes(LIE_PROVEN, lie_proven),
            Property::sometimes(TWO_VALUES_PREPARED, two_values_prepared),
            Property::sometimes(COMMITS_AFTER_CRASH, commits_after_crash),
        ]
    }
}
