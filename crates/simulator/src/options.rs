use pbft_byzantine::Lie;
use std::collections::BTreeSet;
use std::str::FromStr;

/// What the environment may do to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Messages are lost.
    Loss,
    /// Messages come twice, or again much later.
    Duplication,
    /// Messages take long and overtake each other.
    Delay,
    /// Links stand still for a while, then all comes at once.
    Clog,
    /// Links have a bandwidth.
    Bandwidth,
    /// Replicas cannot reach each other: isolated, split, in a ring, over a bridge, one way.
    Partition,
    /// Replicas are killed at any boundary, with what was not synced lost, torn or kept.
    Crash,
    /// Replicas stand still.
    Pause,
    /// Clocks run fast, slow, or are wrong.
    Drift,
    /// Disks are slow.
    SlowDisk,
    /// A write or fsync fails: the process ends, and starts from what is durable.
    DiskError,
    /// Disks have no room for a while.
    FullDisk,
    /// Bits of a faulty replica's disk flip, and sectors turn to zeros or junk.
    RottenDisk,
    /// A write of a faulty replica's journal goes to another place.
    MisdirectedWrite,
    /// A write of a faulty replica's journal is acknowledged and never done.
    LostWrite,
    /// Some clients lie.
    Clients,
    /// A replica comes back with its votes erased.
    Amnesiac,
    /// A replica comes back from an old copy of its disk.
    Rollback,
    /// A replica's service does what no other's does.
    Nondeterminism,
}

/// The name is no fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownFault(String);

impl std::fmt::Display for UnknownFault {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = Fault::ALL.iter().map(|fault| fault.name()).collect();
        write!(formatter, "{} is no fault: all, none, or some of {}", self.0, names.join(", "))
    }
}

impl std::error::Error for UnknownFault {}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::Loss,
        Self::Duplication,
        Self::Delay,
        Self::Clog,
        Self::Bandwidth,
        Self::Partition,
        Self::Crash,
        Self::Pause,
        Self::Drift,
        Self::SlowDisk,
        Self::DiskError,
        Self::FullDisk,
        Self::RottenDisk,
        Self::MisdirectedWrite,
        Self::LostWrite,
        Self::Clients,
        Self::Amnesiac,
        Self::Rollback,
        Self::Nondeterminism,
    ];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Loss => "loss",
            Self::Duplication => "duplication",
            Self::Delay => "delay",
            Self::Clog => "clog",
            Self::Bandwidth => "bandwidth",
            Self::Partition => "partition",
            Self::Crash => "crash",
            Self::Pause => "pause",
            Self::Drift => "drift",
            Self::SlowDisk => "slow-disk",
            Self::DiskError => "disk-error",
            Self::FullDisk => "full-disk",
            Self::RottenDisk => "rotten-disk",
            Self::MisdirectedWrite => "misdirected-write",
            Self::LostWrite => "lost-write",
            Self::Clients => "clients",
            Self::Amnesiac => "amnesiac",
            Self::Rollback => "rollback",
            Self::Nondeterminism => "nondeterminism",
        }
    }

    /// Those that destroy what was promised: whom they befall counts as faulty.
    pub const DESTRUCTIVE: [Self; 3] = [Self::RottenDisk, Self::MisdirectedWrite, Self::LostWrite];

    /// Reads a list such as `loss,crash`, `all` or `none`.
    pub fn parse_list(text: &str) -> Result<BTreeSet<Self>, UnknownFault> {
        match text {
            "all" => Ok(Self::ALL.into()),
            "none" => Ok(BTreeSet::new()),
            list => list.split(',').map(str::parse).collect(),
        }
    }
}

impl FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(text: &str) -> Result<Self, UnknownFault> {
        Self::ALL.into_iter().find(|fault| fault.name() == text).ok_or_else(|| UnknownFault(text.to_owned()))
    }
}

/// What a seed may draw from. The same seed with other options is another run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The size of the cluster; drawn if none.
    pub replicas: Option<u64>,
    /// How replicas may lie; nobody lies if empty.
    pub lies: Vec<Lie>,
    /// What the environment may do.
    pub faults: BTreeSet<Fault>,
    /// How many requests the clients send in total.
    pub requests: u64,
}

impl Default for Options {
    fn default() -> Self {
        let lies = pbft_byzantine::Strategy::ALL
            .into_iter()
            .flat_map(|strategy| [false, true].map(|intermittent| Lie { strategy, intermittent }));
        Self { replicas: None, lies: lies.collect(), faults: Fault::ALL.into(), requests: 200 }
    }
}
