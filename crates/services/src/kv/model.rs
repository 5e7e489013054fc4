use super::limits::{Limits, result_too_large};
use super::store::FIRST_REVISION;
use super::{Compare, Entry, Expected, KvResult, Operation, RangeEnd, Relation, Step, StepResult, Target};
use pbft_message::{Blob, ServiceParameters};
use std::collections::BTreeMap;

/// The store's semantics as one map and its revision, to check answers against.
///
/// It shares with [`KeyValueStore`](super::KeyValueStore) the types and the check of an operation's own size. A
/// transaction copies the whole map: it is meant to be right, not fast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    parameters: ServiceParameters,
    revision: u64,
    entries: BTreeMap<Blob, Entry>,
}

impl Model {
    /// An empty store. Every operation may have a result of `max_result_bytes` bytes, as if it were alone in its
    /// request.
    pub fn new(parameters: &ServiceParameters) -> Self {
        Self { parameters: parameters.clone(), revision: FIRST_REVISION, entries: BTreeMap::new() }
    }

    /// The revision that the last change left.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// What an operation answers; it has its effect.
    pub fn apply(&mut self, operation: &Operation) -> KvResult {
        if let Err(error) = Limits::new(&self.parameters).check(operation) {
            return KvResult::Error(error);
        }
        let answer = match operation {
            Operation::Step(step) => self.apply_step(step),
            Operation::CompareAndSwap { key, expected, value } => self.apply_compare_and_swap(key, expected, value),
            Operation::Transaction { compare, success, failure } => {
                let succeeded = compare.iter().all(|compare| self.holds(compare));
                self.apply_transaction(succeeded, if succeeded { success } else { failure })
            }
        };
        answer.unwrap_or_else(|| KvResult::Error(result_too_large(self.parameters.max_result_bytes)))
    }

    fn apply_step(&mut self, step: &Step) -> Option<KvResult> {
        let revision = self.revision_after(step);
        let result = KvResult::Step(self.answer(step, revision, KvResult::Step)?);
        self.change(step, revision);
        self.revision = revision;
        Some(result)
    }

    fn apply_compare_and_swap(&mut self, key: &Blob, expected: &Expected, value: &Blob) -> Option<KvResult> {
        let current = self.entries.get(key).cloned();
        let swapped = match (expected, &current) {
            (Expected::Absent | Expected::ModRevision(0), current) => current.is_none(),
            (Expected::Value(value), Some(entry)) => entry.value == *value,
            (Expected::ModRevision(revision), Some(entry)) => entry.mod_revision == *revision,
            (_, None) => false,
        };
        if !swapped {
            return self.fitting(KvResult::CompareAndSwap { revision: self.revision, swapped, current });
        }
        let revision = self.revision.saturating_add(1);
        let result = self.fitting(KvResult::CompareAndSwap { revision, swapped, current: None })?;
        self.change(&Step::Put { key: key.clone(), value: value.clone() }, revision);
        self.revision = revision;
        Some(result)
    }

    fn apply_transaction(&mut self, succeeded: bool, steps: &[Step]) -> Option<KvResult> {
        let mut after = self.clone();
        let mut results = Vec::new();
        for step in steps {
            // All changes share one revision.
            let revision = after.revision_after(step).min(self.revision.saturating_add(1));
            let so_far = |result| {
                let results = results.iter().cloned().chain([result]).collect();
                KvResult::Transaction { revision, succeeded, results }
            };
            let result = after.answer(step, revision, so_far)?;
            results.push(result);
            after.change(step, revision);
            after.revision = revision;
        }
        let result = self.fitting(KvResult::Transaction { revision: after.revision, succeeded, results })?;
        *self = after;
        Some(result)
    }

    /// A result that has a place in the encoded answer; None for any other.
    fn fitting(&self, result: KvResult) -> Option<KvResult> {
        (result.encode().len() <= self.parameters.max_result_bytes).then_some(result)
    }

    fn revision_after(&self, step: &Step) -> u64 {
        let changes = match step {
            Step::Put { .. } => true,
            Step::Delete { key } => self.entries.contains_key(key),
            Step::Get { .. } | Step::Range { .. } => false,
        };
        if changes { self.revision.saturating_add(1) } else { self.revision }
    }

    /// A step's result, if it fits into the answer that it is part of.
    fn answer(&self, step: &Step, revision: u64, whole: impl Fn(StepResult) -> KvResult) -> Option<StepResult> {
        let result = match step {
            Step::Put { key, .. } => StepResult::Put { revision, previous: self.entries.get(key).map(|entry| entry.mod_revision) },
            Step::Get { key } => StepResult::Get { revision, entry: self.entries.get(key).cloned() },
            Step::Delete { key } => StepResult::Delete { revision, deleted: self.entries.contains_key(key).into() },
            Step::Range { start, end, limit } => return self.answer_range(start, end, *limit, revision, whole),
        };
        self.fitting(whole(result.clone()))?;
        Some(result)
    }

    /// The most entries that the limit and the bytes allow; at least one if there are any.
    fn answer_range(
        &self,
        start: &Blob,
        end: &RangeEnd,
        limit: u64,
        revision: u64,
        whole: impl Fn(StepResult) -> KvResult,
    ) -> Option<StepResult> {
        let found: Vec<&Entry> = self.entries.values().filter(|entry| in_range(start, end, &entry.key)).collect();
        let maximum = self.parameters.max_range_entries;
        let limit = usize::try_from(limit).ok().filter(|limit| *limit != 0 && *limit < maximum).unwrap_or(maximum);
        let result = |count: usize| {
            let entries = found.iter().take(count).map(|entry| (*entry).clone()).collect();
            StepResult::Range { revision, entries, more: count < found.len() }
        };
        let smallest = found.len().min(1);
        let fits = |count: &usize| self.fitting(whole(result(*count))).is_some();
        (smallest..=found.len().min(limit)).rev().find(fits).map(result)
    }

    /// What a step that changes something leaves behind.
    fn change(&mut self, step: &Step, revision: u64) {
        match step {
            Step::Get { .. } | Step::Range { .. } => {}
            Step::Delete { key } => {
                self.entries.remove(key);
            }
            Step::Put { key, value } => {
                let new = Entry {
                    key: key.clone(),
                    value: value.clone(),
                    create_revision: revision,
                    mod_revision: revision,
                    version: 0,
                    lease: 0,
                };
                let entry = self.entries.entry(key.clone()).or_insert(new);
                entry.value = value.clone();
                entry.mod_revision = revision;
                entry.version = entry.version.saturating_add(1);
            }
        }
    }

    fn holds(&self, compare: &Compare) -> bool {
        let entry = self.entries.get(&compare.key);
        let relation = compare.relation;
        match &compare.target {
            Target::Version(given) => related(relation, &entry.map_or(0, |entry| entry.version), given),
            Target::CreateRevision(given) => related(relation, &entry.map_or(0, |entry| entry.create_revision), given),
            Target::ModRevision(given) => related(relation, &entry.map_or(0, |entry| entry.mod_revision), given),
            Target::Value(given) => entry.is_some_and(|entry| related(relation, &entry.value, given)),
        }
    }
}

fn related<T: Ord>(relation: Relation, found: &T, given: &T) -> bool {
    match relation {
        Relation::Equal => found == given,
        Relation::NotEqual => found != given,
        Relation::Greater => found > given,
        Relation::Less => found < given,
    }
}

fn in_range(start: &Blob, end: &RangeEnd, key: &Blob) -> bool {
    match end {
        RangeEnd::Start => key == start,
        RangeEnd::Prefix => key.starts_with(start),
        RangeEnd::Before(end) => key >= start && key < end,
        RangeEnd::Last => key >= start,
    }
}
