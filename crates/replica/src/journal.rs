#[cfg(test)]
mod tests;

use pbft_message::codec;
use pbft_protocol::agreement::{Durable, Persist, Record, Unpersisted};
use pbft_storage::{Disk, Journal, JournalError};
use std::collections::VecDeque;

/// How many bytes of records one fsync serves, roughly: with less than that, all that waits shares one. More would need
/// larger segments than the ordinary ones, and a disk that was full must find room for one again.
pub const GROUP_BYTES: usize = 4 << 20;

/// Makes records durable, and only then lets go what waits for them (R15).
#[derive(Debug)]
pub struct JournalWriter<D> {
    journal: Journal<D>,
    waiting: VecDeque<Unpersisted>,
    /// Of what waits.
    bytes: usize,
}

impl<D: Disk> JournalWriter<D> {
    /// A writer that goes on with this journal.
    pub const fn new(journal: Journal<D>) -> Self {
        Self { journal, waiting: VecDeque::new(), bytes: 0 }
    }

    /// Adds what the replica wants next.
    pub fn push(&mut self, effects: Unpersisted) {
        self.bytes = self.bytes.saturating_add(effects.size());
        self.waiting.push_back(effects);
    }

    /// Nothing waits.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Somebody waits for some of it to be durable.
    pub fn is_awaited(&self) -> bool {
        self.waiting.iter().any(Unpersisted::is_awaited)
    }

    /// What waits makes a group: it is to be written before more is added.
    pub const fn is_full(&self) -> bool {
        self.bytes >= GROUP_BYTES
    }

    /// What waits, as far as one fsync is to serve it.
    pub fn next_group(&mut self) -> Option<Unpersisted> {
        let mut group = self.waiting.pop_front()?;
        let mut bytes = group.size();
        while let Some(later) = self.waiting.pop_front() {
            let with_later = bytes.saturating_add(later.size());
            let left = if with_later > GROUP_BYTES { Some(later) } else { group.join(later).err() };
            if let Some(later) = left {
                self.waiting.push_front(later);
                break;
            }
            bytes = with_later;
        }
        self.bytes = self.bytes.saturating_sub(bytes);
        Some(group)
    }

    /// Makes a group durable. Gives the actions that waited for it, and the position that is durable now. After `Full` what is
    /// left of the group waits on, before all others, for the next try. Any other error is final: the process must end.
    pub fn write(&mut self, group: Unpersisted) -> Result<Durable, JournalError> {
        group.persist(&mut Writer(&mut self.journal)).map_err(|(group, error)| {
            if matches!(error, JournalError::Full(_)) {
                self.bytes = self.bytes.saturating_add(group.size());
                self.waiting.push_front(*group);
            }
            error
        })
    }

    /// Call it when nothing has come for a while, and at the end: later damage to the last group is then found out. On a
    /// full disk it is left to the next time.
    pub fn seal(&mut self) -> Result<(), JournalError> {
        unless_full(self.journal.seal())
    }

    /// The disk.
    pub fn disk(&mut self) -> &mut D {
        self.journal.disk_mut()
    }

    /// Bytes written since the journal was created or last began anew.
    pub fn bytes(&self) -> u64 {
        self.journal.bytes()
    }
}

struct Writer<'a, D>(&'a mut Journal<D>);

impl<D: Disk> Persist for Writer<'_, D> {
    type Error = JournalError;

    /// One frame of at most `GROUP_BYTES`, or of one record that is larger.
    fn append(&mut self, records: &[Record]) -> Result<usize, JournalError> {
        let (mut frame, mut bytes) = (Vec::new(), 0_usize);
        for record in records {
            bytes = bytes.saturating_add(codec::encoded_size(record));
            if bytes > GROUP_BYTES && !frame.is_empty() {
                break;
            }
            frame.push(codec::encode(record));
        }
        self.0.commit(&frame)?;
        Ok(frame.len())
    }

    fn begin_base(&mut self, records: &[Record]) -> Result<(), JournalError> {
        let encoded: Vec<Vec<u8>> = records.iter().map(codec::encode).collect();
        unless_full(self.0.begin_base(&encoded))
    }

    fn adopt_base(&mut self) -> Result<(), JournalError> {
        self.0.adopt_base()
    }
}

/// What has no room is left to the next snapshot: it holds up no vote that has.
fn unless_full(done: Result<(), JournalError>) -> Result<(), JournalError> {
    match done {
        Err(JournalError::Full(_)) => Ok(()),
        done => done,
    }
}
