use crate::{Network, PATIENCE};
use pbft_client::{Accepted, Client};
use pbft_message::{SequenceNumber, ServiceParameters};
use pbft_services::kv::{KvResult, Model, Operation, RangeEnd, StepResult};

/// A request that was answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What was asked.
    pub operations: Vec<Operation>,
    /// What was answered.
    pub results: Vec<KvResult>,
    /// Where it was ordered.
    pub sequence: SequenceNumber,
    /// The highest revision that any client had been told when the request was made.
    pub floor: u64,
}

/// All that clients were answered, of a store that nobody else changed.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// In no particular order.
    pub answers: Vec<Answer>,
}

impl Answer {
    pub(crate) fn new(operations: Vec<Operation>, accepted: &Accepted, floor: u64) -> Self {
        let results = accepted.results.iter().map(|bytes| KvResult::decode(bytes).expect("a canonical result")).collect();
        Self { operations, results, sequence: accepted.sequence, floor }
    }

    /// The store's revision after the request.
    pub(crate) fn revision(&self) -> u64 {
        self.results.last().map(revision).expect("a result")
    }

    fn changed(&self) -> bool {
        self.results.iter().any(changed)
    }
}

impl History {
    /// Checks that there is one order of all requests in which a store that starts empty gives exactly these answers, that
    /// this order keeps to sequence numbers and to real time, and that the cluster's content is what it ends in: so no
    /// answered write is lost, and nothing has happened that nobody asked for.
    ///
    /// The revisions are the order: each change has one of its own.
    pub async fn check(mut self, network: &Network, client: &Client) {
        self.answers.sort_by_key(|answer| (answer.revision(), !answer.changed(), answer.sequence));
        let mut model = Model::new(&ServiceParameters::default());
        let mut last = SequenceNumber::GENESIS;
        for answer in &self.answers {
            assert!(answer.sequence >= last, "the revisions contradict the sequence numbers at {answer:?}");
            last = answer.sequence;
            let first = answer.results.first().map(revision).unwrap();
            assert!(first >= answer.floor, "a request was answered from before it was made: {answer:?}");
            let expected: Vec<KvResult> = answer.operations.iter().map(|operation| model.apply(operation)).collect();
            assert_eq!(answer.results, expected, "not the model's answer: {answer:?}");
        }
        self.check_content(network, client, &mut model).await;
    }

    async fn check_content(&self, network: &Network, client: &Client, model: &mut Model) {
        assert!(network.genesis.service.max_range_entries >= 1000, "the keys fit into one answer");
        let all = Operation::range("", RangeEnd::Last, 0);
        let read = client.request_with_timeout(vec![all.encode()], PATIENCE).await.expect("all keys are read back");
        let read = KvResult::decode(&read.results[0]).unwrap();
        assert_eq!(read, model.apply(&all), "after {} requests", self.answers.len());
    }
}

fn revision(result: &KvResult) -> u64 {
    match result {
        KvResult::CompareAndSwap { revision, .. } | KvResult::Transaction { revision, .. } => *revision,
        KvResult::Step(
            StepResult::Put { revision, .. }
            | StepResult::Get { revision, .. }
            | StepResult::Delete { revision, .. }
            | StepResult::Range { revision, .. },
        ) => *revision,
        KvResult::Error(error) => panic!("a request of the load was refused: {error}"),
    }
}

fn changed(result: &KvResult) -> bool {
    match result {
        KvResult::Step(step) => step_changed(step),
        KvResult::CompareAndSwap { swapped, .. } => *swapped,
        KvResult::Transaction { results, .. } => results.iter().any(step_changed),
        KvResult::Error(_) => false,
    }
}

fn step_changed(step: &StepResult) -> bool {
    match step {
        StepResult::Put { .. } => true,
        StepResult::Delete { deleted, .. } => *deleted > 0,
        StepResult::Get { .. } | StepResult::Range { .. } => false,
    }
}
