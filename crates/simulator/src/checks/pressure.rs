//! Who presses for another view, and what that does to time-outs (R10).

use super::checker::Checker;
use super::invariant::Invariant;
use pbft_message::View;
use std::collections::BTreeMap;

/// With so many the time-out is the longest, 4 s, and more are not made up for.
const MOST_ATTEMPTS: u32 = 4;

/// What correct replicas did for a change of view since the run began.
#[derive(Clone, Debug, Default)]
pub struct Pressure {
    /// How often each said that it suspects one, or left it.
    presses: BTreeMap<u32, u64>,
    /// The highest view that one wanted or entered.
    highest: View,
    /// Of each: view changes that no checkpoint has made up for, and whether one came since the last checkpoint.
    attempts: BTreeMap<u32, (u32, bool)>,
    /// How many states each fetched and installed.
    pub installs: BTreeMap<u32, u64>,
}

impl Pressure {
    /// A checkpoint became stable at a replica.
    pub fn stable(&mut self, id: u32) {
        let (attempts, changed) = self.attempts.entry(id).or_default();
        if !*changed {
            *attempts = attempts.saturating_sub(1);
        }
        *changed = false;
    }
}

impl Checker {
    /// How often correct replicas said that they suspect the primary, or left it.
    pub fn presses(&self) -> u64 {
        self.pressure.presses.values().sum()
    }

    /// The same, but for those that fell behind and fetched a state.
    pub fn presses_of_the_even(&self) -> u64 {
        let even = self.pressure.presses.iter().filter(|(id, _)| !self.pressure.installs.contains_key(id));
        even.map(|(_, presses)| presses).sum()
    }

    /// The highest view that a correct replica wanted or entered.
    pub const fn highest_view(&self) -> View {
        self.pressure.highest
    }

    /// How many states correct replicas installed.
    pub fn installs(&self) -> u64 {
        self.pressure.installs.values().sum()
    }

    /// The view changes of a replica that no checkpoint has made up for.
    pub fn attempts(&self, id: u32) -> u32 {
        self.pressure.attempts.get(&id).map_or(0, |(attempts, _)| *attempts)
    }

    /// A correct replica says that it suspects the primary.
    pub(super) fn suspected(&mut self, id: u32) {
        *self.pressure.presses.entry(id).or_default() += 1;
    }

    /// A correct replica leaves its view.
    pub(super) fn left(&mut self, id: u32, view: View) {
        self.suspected(id);
        let (attempts, changed) = self.pressure.attempts.entry(id).or_default();
        *attempts = (*attempts + 1).min(MOST_ATTEMPTS);
        *changed = true;
        let highest = self.pressure.highest;
        self.expect(view <= highest.next(), Invariant::NoViewIsSkipped, || {
            format!("replica {id} wants view {view}, where no correct replica wanted more than {highest} before")
        });
        self.entered(view);
    }

    /// A correct replica enters a view.
    pub(super) fn entered(&mut self, view: View) {
        self.pressure.highest = self.pressure.highest.max(view);
    }
}
