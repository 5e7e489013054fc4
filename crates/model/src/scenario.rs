//! What a model explores, and how far.

use std::collections::BTreeSet;
use std::ops::Range;

/// The bounds of one model, who lies in it, and how its driver treats the disk.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The replicas that lie; the rest run the real core.
    pub byzantine: BTreeSet<u32>,
    /// The sequence numbers that are lied about: 1 up to this one.
    pub sequences: u64,
    /// States in which a correct replica wants a higher view are checked but not explored further.
    pub highest_view: u64,
    /// What the adversary says.
    pub lies: Lies,
    /// How often each correct replica's timers may expire.
    pub timeouts: u8,
    /// The correct replicas that may crash, once each, and come back.
    pub crashes: BTreeSet<u32>,
    /// Whether correct replicas hear each other's SUSPECT.
    pub suspicion: bool,
    /// Whether evidence is passed on; it is always found and kept.
    pub gossip: bool,
    /// How the driver treats the disk.
    pub driver: Driver,
}

/// The adversary's vocabulary. It says any of it to anyone at any time, any number of times, or not at all.
#[derive(Clone, Debug, Default)]
pub struct Lies {
    /// As primary: both values for each number of its views.
    pub pre_prepares: bool,
    /// PREPARE and COMMIT for both values in each of these views.
    pub votes: Range<u64>,
    /// SUSPECT in every view.
    pub suspects: bool,
    /// VIEW-CHANGE for every view up to this one, with and without each certificate that its knowledge allows.
    pub view_changes_to: u64,
    /// NEW-VIEW in its views, from each quorum of view-changes that it knows; honest, or null over what prepared.
    pub new_views: bool,
}

/// How records become durable (R15). All but the first are deliberate bugs, which the checker must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// Where a crash is to come, as a step of its own, one group after the other; a crash finds any prefix of the records
    /// that wait on disk. Elsewhere at once: what waits for the disk differs then in nothing from what is on its way.
    Sound,
    /// Bug: what should wait for the records leaves before them.
    SendsBeforePersisting,
    /// Bug: a crash loses the pre-prepares and votes of the journal, and the certificates that they rest on.
    LosesVotes,
}

impl Scenario {
    /// One liar who says nothing yet, no crashes, no timeouts, view 0 and number 1 only.
    pub fn new(byzantine: impl IntoIterator<Item = u32>) -> Self {
        Self {
            byzantine: byzantine.into_iter().collect(),
            sequences: 1,
            highest_view: 0,
            lies: Lies::default(),
            timeouts: 0,
            crashes: BTreeSet::new(),
            suspicion: false,
            gossip: false,
            driver: Driver::Sound,
        }
    }
}
