use pbft_message::Blob;
use pbft_message::codec::{self, DecodeError};
use serde::{Deserialize, Serialize};

/// A key and what stands there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The key.
    pub key: Blob,
    /// The value.
    pub value: Blob,
    /// The revision that created the key (anew, if it had been deleted).
    pub create_revision: u64,
    /// The revision that last changed it.
    pub mod_revision: u64,
    /// How often it was put since it was created; 1 at first.
    pub version: u64,
    /// The lease it is bound to; 0 is none, and there are none yet.
    pub lease: u64,
}

/// The answer to an operation. `revision` is the store's, after the operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KvResult {
    /// To a step.
    Step(StepResult),
    /// To a compare-and-swap.
    CompareAndSwap {
        /// The store's revision.
        revision: u64,
        /// Whether the key was as expected, and so has the new value.
        swapped: bool,
        /// What was found instead. None if the key is absent, or the value was swapped.
        current: Option<Entry>,
    },
    /// To a transaction.
    Transaction {
        /// The store's revision.
        revision: u64,
        /// Whether all comparisons held.
        succeeded: bool,
        /// A result for each step of the branch that was run.
        results: Vec<StepResult>,
    },
    /// It was refused, and had no effect.
    Error(KvError),
}

/// The answer to a step. In a transaction, `revision` is the store's as this step left it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StepResult {
    /// To a put.
    Put {
        /// The store's revision: also the entry's `mod_revision`.
        revision: u64,
        /// The `mod_revision` of the entry that was replaced, if there was one. Its value is not sent back, so that no
        /// put is refused for the size of what it replaces; a transaction of a get and a put tells it.
        previous: Option<u64>,
    },
    /// To a get.
    Get {
        /// The store's revision.
        revision: u64,
        /// What was found.
        entry: Option<Entry>,
    },
    /// To a delete.
    Delete {
        /// The store's revision.
        revision: u64,
        /// How many keys were deleted: 0 or 1.
        deleted: u64,
    },
    /// To a range.
    Range {
        /// The store's revision.
        revision: u64,
        /// What was found, in the order of the keys.
        entries: Vec<Entry>,
        /// Whether there is more in the range than the limits allowed. The rest begins after the last entry.
        more: bool,
    },
}

/// Why an operation was refused. It had no effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum KvError {
    /// The bytes are no operation of this store, or not in their canonical encoding.
    #[error("the bytes are no operation of the key-value store")]
    Malformed,
    /// A key has at least one byte.
    #[error("the key is empty: it needs at least one byte")]
    EmptyKey,
    /// A branch of a transaction puts a key twice, or puts and deletes it, so that a revision would not say which
    /// value it stands for.
    #[error("a transaction may change a key only once")]
    DuplicateKey,
    /// A limit of the store was exceeded.
    #[error("{limit} may be at most {maximum}")]
    TooLarge {
        /// Which limit.
        limit: String,
        /// What is allowed.
        maximum: u64,
    },
}

impl KvResult {
    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// The result, from its canonical bytes. No bytes at all, which are no result, are what the store answers if not
    /// even the error fits into what the request's earlier results have left of the limit.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        codec::decode(bytes)
    }
}

/// The encoding's widths (R20), to know a result's size before it is encoded.
const TAG: usize = 4;
const NUMBER: usize = 8;
const FLAG: usize = 1;

/// A range without entries.
pub(super) const EMPTY_RANGE_BYTES: usize = TAG + NUMBER + NUMBER + FLAG;
/// [`KvResult::Step`] without the step's result.
pub(super) const STEP_BYTES: usize = TAG;
/// [`KvResult::Transaction`] without results.
pub(super) const EMPTY_TRANSACTION_BYTES: usize = TAG + NUMBER + FLAG + NUMBER;

impl Entry {
    /// The size of its encoding, in bytes.
    pub(super) fn size(&self) -> usize {
        const FIXED: usize = 6 * NUMBER;
        FIXED.saturating_add(self.key.len()).saturating_add(self.value.len())
    }
}

impl StepResult {
    /// The size of its encoding, in bytes.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Put { previous: None, .. } => TAG + NUMBER + FLAG,
            Self::Put { previous: Some(_), .. } => TAG + NUMBER + FLAG + NUMBER,
            Self::Get { entry, .. } => (TAG + NUMBER + FLAG).saturating_add(entry.as_ref().map_or(0, Entry::size)),
            Self::Delete { .. } => TAG + NUMBER + NUMBER,
            Self::Range { entries, .. } => entries.iter().map(Entry::size).fold(EMPTY_RANGE_BYTES, usize::saturating_add),
        }
    }
}

/// The size of an encoded [`KvResult::CompareAndSwap`], in bytes.
pub(super) fn compare_and_swap_size(current: Option<&Entry>) -> usize {
    (TAG + NUMBER + FLAG + FLAG).saturating_add(current.map_or(0, Entry::size))
}
