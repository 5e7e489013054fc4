use pbft_message::codec;
use pbft_protocol::agreement::{Action, JournalPosition, Persist, Record, Unpersisted};
use pbft_storage::{Disk, Journal, JournalError};
use std::collections::VecDeque;

/// How many of the replica's effects one fsync may serve.
const GROUP: usize = 4096;

/// Makes records durable, and only then lets go what waits for them (R15).
#[derive(Debug)]
pub struct JournalWriter<D> {
    journal: Journal<D>,
    waiting: VecDeque<Unpersisted>,
}

impl<D: Disk> JournalWriter<D> {
    /// A writer that goes on with this journal.
    pub const fn new(journal: Journal<D>) -> Self {
        Self { journal, waiting: VecDeque::new() }
    }

    /// Adds what the replica wants next.
    pub fn push(&mut self, effects: Unpersisted) {
        self.waiting.push_back(effects);
    }

    /// Nothing waits.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    /// No more fits into the next group.
    pub fn is_full(&self) -> bool {
        self.waiting.len() >= GROUP
    }

    /// What waits, as far as one fsync can serve it.
    pub fn next_group(&mut self) -> Option<Unpersisted> {
        let mut group = self.waiting.pop_front()?;
        while let Some(later) = self.waiting.pop_front() {
            if let Err(later) = group.join(later) {
                self.waiting.push_front(later);
                break;
            }
        }
        Some(group)
    }

    /// Makes a group durable. Gives the actions that waited for it, and the position that is durable now. An error is
    /// final: the process must end.
    pub fn write(&mut self, group: Unpersisted) -> Result<(Vec<Action>, JournalPosition), JournalError> {
        group.persist(&mut Writer(&mut self.journal))
    }

    /// Bytes written since the journal was created or last began anew.
    pub fn bytes(&self) -> u64 {
        self.journal.bytes()
    }
}

struct Writer<'a, D>(&'a mut Journal<D>);

impl<D: Disk> Persist for Writer<'_, D> {
    type Error = JournalError;

    fn append(&mut self, records: &[Record]) -> Result<(), JournalError> {
        self.0.commit(&encoded(records))
    }

    fn rebase(&mut self, records: &[Record]) -> Result<(), JournalError> {
        self.0.rebase(&encoded(records))
    }
}

fn encoded(records: &[Record]) -> Vec<Vec<u8>> {
    records.iter().map(codec::encode).collect()
}
