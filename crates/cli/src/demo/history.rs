//! Every accepted answer, and whether one store that does one thing after the other would have given the same ones.

use pbft_message::{Blob, ClientId, SequenceNumber, ServiceParameters, Timestamp};
use pbft_services::kv::{KvResult, Model, Operation, StepResult};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A request and its accepted answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Who asked.
    pub client: ClientId,
    /// The request's timestamp.
    pub timestamp: Timestamp,
    /// What was asked.
    pub operations: Vec<Operation>,
    /// Where it was ordered.
    pub sequence: SequenceNumber,
    /// What was answered.
    pub results: Vec<Blob>,
    /// When it was sent first.
    pub asked: Instant,
    /// When its answer was accepted.
    pub accepted: Instant,
}

/// All accepted answers, of all clients. Clones are the same history.
#[derive(Clone, Debug, Default)]
pub struct History(Arc<Mutex<Vec<Answer>>>);

/// An answer's place in the order of execution: the number of its batch, the revision after it, and whether it came
/// after the change that made this revision.
type Place = (SequenceNumber, u64, bool);

impl History {
    fn answers(&self) -> MutexGuard<'_, Vec<Answer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an answer.
    pub fn push(&self, answer: Answer) {
        self.answers().push(answer);
    }

    /// How many answers there are.
    pub fn len(&self) -> usize {
        self.answers().len()
    }

    /// The answers of one client, as they were accepted.
    pub fn of(&self, client: ClientId) -> Vec<Answer> {
        self.answers().iter().filter(|answer| answer.client == client).cloned().collect()
    }

    /// How long each request took, shortest first.
    pub fn latencies(&self) -> Vec<Duration> {
        let taken = |answer: &Answer| answer.accepted.duration_since(answer.asked);
        let mut latencies: Vec<Duration> = self.answers().iter().map(taken).collect();
        latencies.sort_unstable();
        latencies
    }

    /// The longest time without an accepted answer, from `since` until now.
    pub fn longest_gap(&self, since: Instant) -> Duration {
        let mut times: Vec<Instant> = self.answers().iter().map(|answer| answer.accepted).filter(|time| *time > since).collect();
        times.push(Instant::now());
        times.sort_unstable();
        let mut before = since;
        let gaps = times.into_iter().map(|time| time.duration_since(std::mem::replace(&mut before, time)));
        gaps.max().unwrap_or_default()
    }

    /// Checks that all answers are those of one store that ran the requests one after the other, in an order that
    /// agrees with their sequence numbers and with the clients' clocks. Returns how many there are.
    ///
    /// The order within a batch is not told, but follows: each change makes a revision of its own, and what changes
    /// nothing commutes with what else stands at its revision. So the reference model runs the requests by (sequence
    /// number, revision after it, the change first). If it gives exactly the answers that were accepted, revisions
    /// and whole entries included, that order is the proof; if the replicas' order had been another, or an answer
    /// false, or something unasked executed, some answer or revision would differ.
    pub fn check(&self, parameters: &ServiceParameters) -> Result<usize, String> {
        let mut answers = Vec::new();
        for answer in self.answers().iter() {
            let results = decoded(answer)?;
            answers.push((place(answer, &results)?, answer.clone(), results));
        }
        answers.sort_by_key(|(place, ..)| *place);
        let mut model = Model::new(parameters);
        for (_, answer, results) in &answers {
            let expected: Vec<KvResult> = answer.operations.iter().map(|operation| model.apply(operation)).collect();
            if expected != *results {
                return Err(format!(
                    "request {} at sequence number {}: {:?} was answered with {results:?}, the model says {expected:?}",
                    answer.timestamp, answer.sequence, answer.operations
                ));
            }
        }
        check_clocks(answers.iter().map(|(_, answer, _)| answer))?;
        Ok(answers.len())
    }
}

/// What was asked after another answer was accepted must be ordered after it. The answers come by sequence number.
fn check_clocks<'a>(answers: impl DoubleEndedIterator<Item = &'a Answer>) -> Result<(), String> {
    let mut first_accepted: Option<&Answer> = None;
    for answer in answers.rev() {
        if let Some(early) = first_accepted
            && early.accepted < answer.asked
        {
            return Err(format!(
                "request {} was sent after {} was answered, and yet ordered at {}, not after {}",
                answer.timestamp, early.timestamp, answer.sequence, early.sequence
            ));
        }
        if first_accepted.is_none_or(|early| answer.accepted < early.accepted) {
            first_accepted = Some(answer);
        }
    }
    Ok(())
}

fn decoded(answer: &Answer) -> Result<Vec<KvResult>, String> {
    let result = |bytes: &Blob| {
        KvResult::decode(bytes).map_err(|error| format!("the answer to request {} does not decode: {error}", answer.timestamp))
    };
    answer.results.iter().map(result).collect()
}

fn place(answer: &Answer, results: &[KvResult]) -> Result<Place, String> {
    let unplaced = || format!("request {} was answered without a revision: {results:?}", answer.timestamp);
    let last = results.last().and_then(revision).ok_or_else(unplaced)?;
    Ok((answer.sequence, last, !results.iter().any(changes)))
}

/// The store's revision after an operation.
pub fn revision(result: &KvResult) -> Option<u64> {
    match result {
        KvResult::Step(
            StepResult::Put { revision, .. }
            | StepResult::Get { revision, .. }
            | StepResult::Delete { revision, .. }
            | StepResult::Range { revision, .. },
        )
        | KvResult::CompareAndSwap { revision, .. }
        | KvResult::Transaction { revision, .. } => Some(*revision),
        KvResult::Error(_) => None,
    }
}

fn changes(result: &KvResult) -> bool {
    match result {
        KvResult::Step(step) => step_changes(step),
        KvResult::CompareAndSwap { swapped, .. } => *swapped,
        KvResult::Transaction { results, .. } => results.iter().any(step_changes),
        KvResult::Error(_) => false,
    }
}

fn step_changes(result: &StepResult) -> bool {
    match result {
        StepResult::Put { .. } => true,
        StepResult::Delete { deleted, .. } => *deleted > 0,
        StepResult::Get { .. } | StepResult::Range { .. } => false,
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;
    use crate::demo::operations::request;
    use pbft_crypto::SecretKey;

    /// What an honest cluster answers to 300 requests, three to a batch, in the order in which they came back: not the
    /// one in which they ran.
    fn honest() -> Vec<Answer> {
        let mut model = Model::new(&ServiceParameters::default());
        let start = Instant::now();
        let answer = |number: u64| {
            let operations = request(number % 4, number);
            let results = operations.iter().map(|operation| model.apply(operation).encode().into()).collect();
            Answer {
                client: ClientId(SecretKey::from_seed(&[(number % 4) as u8; 32]).public()),
                timestamp: Timestamp(number),
                operations,
                sequence: SequenceNumber(number / 3 + 1),
                results,
                asked: start + Duration::from_millis(number / 3),
                accepted: start + Duration::from_millis(number / 3 + 1),
            }
        };
        let mut answers: Vec<Answer> = (0..300).map(answer).collect();
        answers.reverse();
        answers
    }

    fn check(answers: Vec<Answer>) -> Result<usize, String> {
        History(Arc::new(Mutex::new(answers))).check(&ServiceParameters::default())
    }

    #[test]
    fn honest_answers_match_the_model_in_whatever_order_they_come() {
        assert_eq!(check(honest()), Ok(300));
    }

    #[test]
    fn one_altered_answer_is_found() {
        for number in (0..300).step_by(17) {
            let mut answers = honest();
            let operation = Operation::get("never written");
            let mut model = Model::new(&ServiceParameters::default());
            answers[number].results[0] = model.apply(&operation).encode().into();
            assert!(check(answers).is_err(), "{number}");
        }
    }

    #[test]
    fn a_change_that_nobody_asked_for_is_found_by_the_next_answer() {
        let mut answers = honest();
        let first_change = answers.iter().rposition(|answer| decoded(answer).unwrap().iter().any(changes)).unwrap();
        answers.remove(first_change); // executed, and in nobody's history
        assert!(check(answers).is_err());
    }

    #[test]
    fn an_order_against_the_clocks_is_found() {
        let mut answers = honest();
        let late = answers.iter_mut().find(|answer| answer.timestamp == Timestamp(0)).unwrap();
        late.asked += Duration::from_secs(1);
        late.accepted += Duration::from_secs(1);
        assert!(check(answers).unwrap_err().contains("sent after"));
    }

    #[test]
    fn the_longest_gap_counts_to_now() {
        let history = History(Arc::new(Mutex::new(honest())));
        let since = Instant::now().checked_sub(Duration::from_secs(10)).unwrap();
        assert!(history.longest_gap(since) >= Duration::from_secs(9));
    }
}
