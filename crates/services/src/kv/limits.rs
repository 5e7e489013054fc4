use super::{Compare, Expected, KvError, Operation, RangeEnd, Step, Target};
use pbft_message::ServiceParameters;
use std::collections::BTreeSet;

/// The most comparisons in a transaction, and the most steps in each of its branches.
pub const MAX_TRANSACTION_STEPS: usize = 1024;

/// What is refused for its size alone, whatever the store holds.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    key_bytes: usize,
    value_bytes: usize,
    range_entries: usize,
}

pub(super) fn too_large(limit: &str, maximum: usize) -> KvError {
    KvError::TooLarge { limit: limit.to_owned(), maximum: maximum as u64 }
}

/// The error of a result that is larger than `maximum` bytes.
pub(super) fn result_too_large(maximum: usize) -> KvError {
    too_large("the result's size in bytes", maximum)
}

impl Limits {
    pub(super) fn new(parameters: &ServiceParameters) -> Self {
        Self {
            key_bytes: parameters.max_key_bytes,
            value_bytes: parameters.max_value_bytes,
            range_entries: parameters.max_range_entries,
        }
    }

    /// How many entries a range with this limit may have.
    pub(super) fn range_entries(&self, limit: u64) -> usize {
        match usize::try_from(limit) {
            Ok(limit) if limit > 0 => limit.min(self.range_entries),
            _ => self.range_entries,
        }
    }

    pub(super) fn check(&self, operation: &Operation) -> Result<(), KvError> {
        match operation {
            Operation::Step(step) => self.check_step(step),
            Operation::CompareAndSwap { key, expected, value } => {
                self.check_key(key)?;
                if let Expected::Value(expected) = expected {
                    self.check_value(expected)?;
                }
                self.check_value(value)
            }
            Operation::Transaction { compare, success, failure } => {
                if compare.len() > MAX_TRANSACTION_STEPS {
                    return Err(too_large("the number of comparisons in a transaction", MAX_TRANSACTION_STEPS));
                }
                compare.iter().try_for_each(|compare| self.check_compare(compare))?;
                self.check_branch(success)?;
                self.check_branch(failure)
            }
        }
    }

    /// Both branches are checked, the one that will not be run too: a refusal does not depend on the store.
    fn check_branch(&self, steps: &[Step]) -> Result<(), KvError> {
        if steps.len() > MAX_TRANSACTION_STEPS {
            return Err(too_large("the number of steps in a branch of a transaction", MAX_TRANSACTION_STEPS));
        }
        steps.iter().try_for_each(|step| self.check_step(step))?;
        let mut put = BTreeSet::new();
        for step in steps {
            if let Step::Put { key, .. } = step
                && !put.insert(key)
            {
                return Err(KvError::DuplicateKey);
            }
        }
        let deletes_a_put = |step: &Step| matches!(step, Step::Delete { key } if put.contains(key));
        if steps.iter().any(deletes_a_put) { Err(KvError::DuplicateKey) } else { Ok(()) }
    }

    fn check_step(&self, step: &Step) -> Result<(), KvError> {
        match step {
            Step::Put { key, value } => {
                self.check_key(key)?;
                self.check_value(value)
            }
            Step::Get { key } | Step::Delete { key } => self.check_key(key),
            Step::Range { start, end, .. } => {
                self.check_key_size(start)?;
                match end {
                    RangeEnd::Before(end) => self.check_key_size(end),
                    RangeEnd::Start | RangeEnd::Prefix | RangeEnd::Last => Ok(()),
                }
            }
        }
    }

    fn check_compare(&self, compare: &Compare) -> Result<(), KvError> {
        self.check_key(&compare.key)?;
        match &compare.target {
            Target::Value(value) => self.check_value(value),
            Target::Version(_) | Target::CreateRevision(_) | Target::ModRevision(_) => Ok(()),
        }
    }

    fn check_key(&self, key: &[u8]) -> Result<(), KvError> {
        if key.is_empty() {
            return Err(KvError::EmptyKey);
        }
        self.check_key_size(key)
    }

    fn check_key_size(&self, key: &[u8]) -> Result<(), KvError> {
        if key.len() > self.key_bytes {
            return Err(too_large("the key's length in bytes", self.key_bytes));
        }
        Ok(())
    }

    fn check_value(&self, value: &[u8]) -> Result<(), KvError> {
        if value.len() > self.value_bytes {
            return Err(too_large("the value's length in bytes", self.value_bytes));
        }
        Ok(())
    }
}
