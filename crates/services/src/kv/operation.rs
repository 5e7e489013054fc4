use super::Entry;
use pbft_message::Blob;
use pbft_message::codec::{self, DecodeError};
use serde::{Deserialize, Serialize};

/// What a client asks of the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// One read or write.
    Step(Step),
    /// A put that happens only if the key is as expected.
    CompareAndSwap {
        /// The key.
        key: Blob,
        /// What must stand there now.
        expected: Expected,
        /// What shall stand there.
        value: Blob,
    },
    /// Steps that are chosen by comparisons, and happen together or not at all.
    Transaction {
        /// What is compared, before any step.
        compare: Vec<Compare>,
        /// Run if all comparisons hold, or there are none. A step sees what the steps before it did.
        success: Vec<Step>,
        /// Run if one does not hold.
        failure: Vec<Step>,
    },
}

/// One read or write, alone or in a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// Writes a value. It grows the revision even if the same value stands there already.
    Put {
        /// The key.
        key: Blob,
        /// The value.
        value: Blob,
    },
    /// Reads one key.
    Get {
        /// The key.
        key: Blob,
    },
    /// Deletes one key.
    Delete {
        /// The key.
        key: Blob,
    },
    /// Reads keys in their order, as bytes.
    Range {
        /// Where to begin; empty for the first key.
        start: Blob,
        /// Where to end.
        end: RangeEnd,
        /// The most entries; 0, or more than the store's maximum, means the maximum.
        limit: u64,
    },
}

/// Where a range ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RangeEnd {
    /// At its start: one key.
    Start,
    /// With the last key that begins with the start.
    Prefix,
    /// Before this key.
    Before(Blob),
    /// With the last key of all.
    Last,
}

/// What a compare-and-swap expects at its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Expected {
    /// No entry.
    Absent,
    /// An entry with this value.
    Value(Blob),
    /// An entry last changed at this revision; 0 is an absent one.
    ModRevision(u64),
}

/// A comparison: the key's target stands in this relation to the given one, as in "version greater than 3".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compare {
    /// The key.
    pub key: Blob,
    /// How what is found relates to what is given.
    pub relation: Relation,
    /// What of the entry is compared, and with what.
    pub target: Target,
}

/// What of an entry is compared, and with what. The numbers of an absent key are 0; a comparison with the value of an
/// absent key never holds, not even `NotEqual` (as in etcd).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// How often the key was put since it was created.
    Version(u64),
    /// The revision that created it.
    CreateRevision(u64),
    /// The revision that last changed it.
    ModRevision(u64),
    /// Its value, ordered as bytes.
    Value(Blob),
}

/// How two things relate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Relation {
    /// What is found equals what is given.
    Equal,
    /// It does not.
    NotEqual,
    /// What is found is greater than what is given.
    Greater,
    /// It is less.
    Less,
}

impl Operation {
    /// Writes a value.
    pub fn put(key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        Step::put(key, value).into()
    }

    /// Reads one key.
    pub fn get(key: impl AsRef<[u8]>) -> Self {
        Step::get(key).into()
    }

    /// Deletes one key.
    pub fn delete(key: impl AsRef<[u8]>) -> Self {
        Step::delete(key).into()
    }

    /// Reads at most `limit` keys (0: as many as may be) from `start` to `end`.
    pub fn range(start: impl AsRef<[u8]>, end: RangeEnd, limit: u64) -> Self {
        Step::range(start, end, limit).into()
    }

    /// Writes a value if the key is as expected.
    pub fn compare_and_swap(key: impl AsRef<[u8]>, expected: Expected, value: impl AsRef<[u8]>) -> Self {
        Self::CompareAndSwap { key: key.as_ref().into(), expected, value: value.as_ref().into() }
    }

    /// Whether it changes nothing, whatever it finds.
    pub fn is_read(&self) -> bool {
        match self {
            Self::Step(step) => step.is_read(),
            Self::CompareAndSwap { .. } => false,
            Self::Transaction { success, failure, .. } => success.iter().chain(failure).all(Step::is_read),
        }
    }

    /// The canonical bytes, to be sent in a request.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// What was asked, from its canonical bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        codec::decode(bytes)
    }
}

impl Step {
    /// Writes a value.
    pub fn put(key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        Self::Put { key: key.as_ref().into(), value: value.as_ref().into() }
    }

    /// Reads one key.
    pub fn get(key: impl AsRef<[u8]>) -> Self {
        Self::Get { key: key.as_ref().into() }
    }

    /// Deletes one key.
    pub fn delete(key: impl AsRef<[u8]>) -> Self {
        Self::Delete { key: key.as_ref().into() }
    }

    /// Whether it changes nothing.
    pub const fn is_read(&self) -> bool {
        matches!(self, Self::Get { .. } | Self::Range { .. })
    }

    /// Reads at most `limit` keys (0: as many as may be) from `start` to `end`.
    pub fn range(start: impl AsRef<[u8]>, end: RangeEnd, limit: u64) -> Self {
        Self::Range { start: start.as_ref().into(), end, limit }
    }
}

impl From<Step> for Operation {
    fn from(step: Step) -> Self {
        Self::Step(step)
    }
}

impl RangeEnd {
    /// Before a key.
    pub fn before(key: impl AsRef<[u8]>) -> Self {
        Self::Before(key.as_ref().into())
    }

    /// Whether a key that is not below `start` is still in the range. Once it is not, no greater key is.
    pub(super) fn includes(&self, start: &[u8], key: &[u8]) -> bool {
        match self {
            Self::Start => key == start,
            Self::Prefix => key.starts_with(start),
            Self::Before(end) => key < &**end,
            Self::Last => true,
        }
    }
}

impl Expected {
    pub(super) fn holds(&self, current: Option<&Entry>) -> bool {
        match self {
            Self::Absent => current.is_none(),
            Self::Value(value) => current.is_some_and(|entry| entry.value == *value),
            Self::ModRevision(revision) => current.map_or(0, |entry| entry.mod_revision) == *revision,
        }
    }
}

impl Compare {
    /// A comparison of what stands at `key` with `target`.
    pub fn new(key: impl AsRef<[u8]>, relation: Relation, target: Target) -> Self {
        Self { key: key.as_ref().into(), relation, target }
    }

    pub(super) fn holds(&self, current: Option<&Entry>) -> bool {
        let number = |of: fn(&Entry) -> u64| current.map_or(0, of);
        let ordering = match &self.target {
            Target::Version(version) => number(|entry| entry.version).cmp(version),
            Target::CreateRevision(revision) => number(|entry| entry.create_revision).cmp(revision),
            Target::ModRevision(revision) => number(|entry| entry.mod_revision).cmp(revision),
            Target::Value(value) => match current {
                Some(entry) => entry.value.cmp(value),
                None => return false,
            },
        };
        match self.relation {
            Relation::Equal => ordering.is_eq(),
            Relation::NotEqual => ordering.is_ne(),
            Relation::Greater => ordering.is_gt(),
            Relation::Less => ordering.is_lt(),
        }
    }
}
