use super::entries::Entries;
use super::limits::{Limits, result_too_large};
use super::result::{EMPTY_RANGE_BYTES, EMPTY_TRANSACTION_BYTES, STEP_BYTES, compare_and_swap_size};
use super::{Compare, Entry, Expected, KvError, KvResult, Operation, RangeEnd, Step, StepResult};
use pbft_message::Blob;
use std::collections::BTreeMap;

/// What an operation would leave behind at each key it changes; None is a deletion.
pub(super) type Changes = BTreeMap<Blob, Option<Entry>>;

/// An operation being worked out over a store that stays as it is: if its result turns out too large, the draft is
/// dropped, and nothing has happened.
pub(super) struct Draft<'a> {
    /// The store's entries.
    entries: &'a Entries,
    limits: &'a Limits,
    /// The store's revision.
    base: u64,
    /// Seen by the steps after them, in front of `entries`. Every one of them is a real change.
    changes: Changes,
    max_result_bytes: usize,
    /// How much of it is left.
    room: usize,
}

impl<'a> Draft<'a> {
    pub(super) fn new(entries: &'a Entries, limits: &'a Limits, revision: u64, max_result_bytes: usize) -> Self {
        Self { entries, limits, base: revision, changes: Changes::new(), max_result_bytes, room: max_result_bytes }
    }

    /// Works out an operation that keeps to the limits: its result, the changes, and the revision after them.
    pub(super) fn run(mut self, operation: &Operation) -> Result<(KvResult, Changes, u64), KvError> {
        let result = match operation {
            Operation::Step(step) => {
                self.reserve(STEP_BYTES)?;
                KvResult::Step(self.step(step)?)
            }
            Operation::CompareAndSwap { key, expected, value } => self.compare_and_swap(key, expected, value)?,
            Operation::Transaction { compare, success, failure } => self.transaction(compare, success, failure)?,
        };
        let revision = self.revision();
        Ok((result, self.changes, revision))
    }

    fn revision(&self) -> u64 {
        if self.changes.is_empty() { self.base } else { self.base.saturating_add(1) }
    }

    fn current(&self, key: &Blob) -> Option<Entry> {
        match self.changes.get(key) {
            Some(changed) => changed.clone(),
            None => self.entries.get(key),
        }
    }

    /// Takes room for so many bytes of the result.
    fn reserve(&mut self, bytes: usize) -> Result<(), KvError> {
        self.room = self.room.checked_sub(bytes).ok_or_else(|| result_too_large(self.max_result_bytes))?;
        Ok(())
    }

    fn compare_and_swap(&mut self, key: &Blob, expected: &Expected, value: &Blob) -> Result<KvResult, KvError> {
        let current = self.current(key);
        let swapped = expected.holds(current.as_ref());
        let current = current.filter(|_| !swapped);
        self.reserve(compare_and_swap_size(current.as_ref()))?;
        if swapped {
            self.put(key, value);
        }
        Ok(KvResult::CompareAndSwap { revision: self.revision(), swapped, current })
    }

    fn transaction(&mut self, compare: &[Compare], success: &[Step], failure: &[Step]) -> Result<KvResult, KvError> {
        self.reserve(EMPTY_TRANSACTION_BYTES)?;
        let succeeded = compare.iter().all(|compare| compare.holds(self.current(&compare.key).as_ref()));
        let steps = if succeeded { success } else { failure };
        let results = steps.iter().map(|step| self.step(step)).collect::<Result<Vec<_>, _>>()?;
        Ok(KvResult::Transaction { revision: self.revision(), succeeded, results })
    }

    fn step(&mut self, step: &Step) -> Result<StepResult, KvError> {
        let result = match step {
            Step::Put { key, value } => self.put(key, value),
            Step::Get { key } => StepResult::Get { revision: self.revision(), entry: self.current(key) },
            Step::Delete { key } => self.delete(key),
            Step::Range { start, end, limit } => self.range(start, end, self.limits.range_entries(*limit))?,
        };
        self.reserve(result.size())?;
        Ok(result)
    }

    fn put(&mut self, key: &Blob, value: &Blob) -> StepResult {
        let revision = self.base.saturating_add(1);
        let (previous, create_revision, version) = match self.current(key) {
            Some(entry) => (Some(entry.mod_revision), entry.create_revision, entry.version.saturating_add(1)),
            None => (None, revision, 1),
        };
        let (own_key, value) = (key.clone(), value.clone());
        let entry = Entry { key: own_key, value, create_revision, mod_revision: revision, version, lease: 0 };
        self.changes.insert(key.clone(), Some(entry));
        StepResult::Put { revision, previous }
    }

    fn delete(&mut self, key: &Blob) -> StepResult {
        let found = self.current(key).is_some();
        if found {
            self.changes.insert(key.clone(), None);
        }
        StepResult::Delete { revision: self.revision(), deleted: u64::from(found) }
    }

    /// Stops at the end, at the limit, or where no more bytes fit. One that fits not even its first entry is an
    /// error: a client that goes on after the last entry would never get further.
    fn range(&self, start: &Blob, end: &RangeEnd, limit: usize) -> Result<StepResult, KvError> {
        let mut room = self.room.saturating_sub(EMPTY_RANGE_BYTES);
        let mut entries = Vec::new();
        let mut more = false;
        for entry in self.entries_from(start).take_while(|entry| end.includes(start, &entry.key)) {
            let left = room.checked_sub(entry.size());
            let (Some(left), true) = (left, entries.len() < limit) else {
                more = true;
                break;
            };
            room = left;
            entries.push(entry);
        }
        if more && entries.is_empty() {
            return Err(result_too_large(self.max_result_bytes));
        }
        Ok(StepResult::Range { revision: self.revision(), entries, more })
    }

    /// The entries from a key on, as changed.
    fn entries_from(&self, start: &Blob) -> impl Iterator<Item = Entry> {
        let mut unchanged = self.entries.from(start).filter(|entry| !self.changes.contains_key(&entry.key)).peekable();
        let mut changed = self.changes.range(start..).filter_map(|(_, entry)| entry.clone()).peekable();
        std::iter::from_fn(move || match (unchanged.peek(), changed.peek()) {
            (Some(left), Some(right)) if right.key < left.key => changed.next(),
            (Some(_), _) => unchanged.next(),
            (None, _) => changed.next(),
        })
    }
}
