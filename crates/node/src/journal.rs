use crate::core::Wake;
use crate::postman::Postman;
use crate::shared::Shared;
use crossbeam_channel::Receiver;
use pbft_message::codec;
use pbft_protocol::agreement::{Action, JournalPosition, Persist, Record, Unpersisted};
use pbft_storage::{FileDisk, Journal, JournalError};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// How many records one fsync may serve.
const GROUP: usize = 4096;

/// Makes records durable, and only then lets go what waits for them (R15). Runs until the core is gone; an error is
/// final.
pub fn run(
    mut journal: Journal<FileDisk>,
    inbox: &Receiver<Unpersisted>,
    postman: &Postman,
    wake: &Wake,
    shared: &Arc<Shared>,
) -> Result<(), JournalError> {
    let mut next: Option<Unpersisted> = None;
    loop {
        let Some(mut group) = next.take().or_else(|| inbox.recv().ok()) else { return Ok(()) };
        let mut joined: usize = 1;
        while joined < GROUP && next.is_none() {
            let Ok(later) = inbox.try_recv() else { break };
            next = group.join(later).err();
            joined = joined.saturating_add(1);
        }
        let (actions, position) = group.persist(&mut Writer(&mut journal))?;
        shared.journal_bytes.store(journal.bytes(), Ordering::Relaxed);
        for action in actions {
            match action {
                Action::Broadcast(message) => postman.broadcast(message),
                Action::Send(to, message) => postman.send(to, message),
                Action::Tell(event) => crate::log::tell(&event),
                // The core hands these out at once; none of them waits for the journal.
                Action::Execute(_) | Action::Stable(_) | Action::TransferState(_) | Action::Answer(..) => {}
            }
        }
        wake.durable(position);
    }
}

struct Writer<'a>(&'a mut Journal<FileDisk>);

impl Persist for Writer<'_> {
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

/// Position 0 is durable from the start.
pub const NOTHING: JournalPosition = JournalPosition(0);
