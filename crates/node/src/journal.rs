use crate::core::Wake;
use crate::postman::Postman;
use crate::shared::Shared;
use crossbeam_channel::Receiver;
use pbft_protocol::agreement::{Action, JournalPosition, Unpersisted};
use pbft_replica::JournalWriter;
use pbft_storage::{FileDisk, Journal, JournalError};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The journal's thread: makes records durable, and only then lets go what waits for them (R15). Runs until the core is
/// gone; an error is final.
pub fn run(
    journal: Journal<FileDisk>,
    inbox: &Receiver<Unpersisted>,
    postman: &Postman,
    wake: &Wake,
    shared: &Arc<Shared>,
) -> Result<(), JournalError> {
    let mut writer = JournalWriter::new(journal);
    loop {
        if writer.is_idle() {
            let Ok(first) = inbox.recv() else { return Ok(()) };
            writer.push(first);
        }
        while !writer.is_full()
            && let Ok(later) = inbox.try_recv()
        {
            writer.push(later);
        }
        let Some(group) = writer.next_group() else { continue };
        let (actions, position) = writer.write(group)?;
        shared.journal_bytes.store(writer.bytes(), Ordering::Relaxed);
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

/// Position 0 is durable from the start.
pub const NOTHING: JournalPosition = JournalPosition(0);
