use crate::core::Wake;
use crate::cpu::CpuClock;
use crate::meters::Stage;
use crate::postman::Postman;
use crate::shared::Shared;
use crossbeam_channel::{Receiver, RecvTimeoutError};
use pbft_protocol::agreement::{Action, Unpersisted};
use pbft_replica::JournalWriter;
use pbft_storage::{DiskWork, FileDisk, Journal, JournalError};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// The journal is sealed when nothing has come for so long.
const IDLE: Duration = Duration::from_secs(1);
/// What nobody waits for may share the sync of what comes within so long.
const SHARING: Duration = Duration::from_millis(20);
/// Between two tries on a full disk.
const RETRY: Duration = Duration::from_secs(1);

/// The journal's thread: makes records durable, and only then lets go what waits for them (R15). Runs until the core is
/// gone. On a full disk it tries again and again; any other error is final.
pub fn run(
    journal: Journal<FileDisk>,
    inbox: &Receiver<Unpersisted>,
    postman: &Postman,
    wake: &Wake,
    shared: &Arc<Shared>,
) -> Result<(), JournalError> {
    let mut writer = JournalWriter::new(journal);
    let mut cpu = CpuClock::start();
    let mut told = writer.disk().work();
    loop {
        if writer.is_idle() {
            match inbox.recv_timeout(IDLE) {
                Ok(first) => writer.push(first),
                Err(RecvTimeoutError::Timeout) => {
                    writer.seal()?;
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return writer.seal(),
            }
        }
        let share_until = Instant::now().checked_add(SHARING);
        let mut awaited = writer.is_awaited();
        while !writer.is_full()
            && let Some(later) = next(inbox, share_until.filter(|_| !awaited))
        {
            awaited |= later.is_awaited();
            writer.push(later);
        }
        let Some(group) = writer.next_group() else { continue };
        let (records, began) = (group.records().len(), Instant::now());
        let (actions, position) = match writer.write(group) {
            Err(JournalError::Full(error)) => {
                if !shared.journal_full.swap(true, Ordering::Relaxed) {
                    wake.nudge();
                    tracing::error!(
                        event = "disk_full",
                        %error,
                        "the disk is full: this replica takes no part in agreement until there is room; free some, and it goes on"
                    );
                }
                if !wait_for_room(&mut writer, inbox) {
                    return Ok(());
                }
                continue;
            }
            written => written?,
        };
        if shared.journal_full.swap(false, Ordering::Relaxed) {
            tracing::info!(event = "disk_has_room", "there is room again: this replica goes on");
        }
        shared.journal_bytes.store(writer.bytes(), Ordering::Relaxed);
        shared.meters.journal_groups.observe(began.elapsed().as_secs_f64());
        shared.meters.journal_records.inc_by(records as u64);
        told = tell_work(&mut writer, told, shared);
        shared.meters.spend(Stage::Journal, cpu.lap());
        for action in actions {
            match action {
                Action::Broadcast(message) => postman.broadcast(message),
                Action::Send(to, message) => postman.send(to, message),
                Action::Tell(event) => crate::log::tell(&event, shared),
                // The core hands these out at once; none of them waits for the journal.
                Action::Execute(_) | Action::Stable(_) | Action::TransferState(_) | Action::Answer(..) => {}
            }
        }
        shared.meters.spend(Stage::Codec, cpu.lap());
        wake.durable(position);
    }
}

/// What comes until then, or is there already.
fn next(inbox: &Receiver<Unpersisted>, until: Option<Instant>) -> Option<Unpersisted> {
    match until {
        Some(until) => inbox.recv_deadline(until).ok(),
        None => inbox.try_recv().ok(),
    }
}

/// Counts what the disk was given since it was told last.
fn tell_work(writer: &mut JournalWriter<FileDisk>, told: DiskWork, shared: &Shared) -> DiskWork {
    let work = writer.disk().work();
    shared.meters.journal_syncs.inc_by(work.syncs.saturating_sub(told.syncs));
    shared.meters.journal_written_bytes.inc_by(work.written_bytes.saturating_sub(told.written_bytes));
    work
}

/// Until another try is due. Takes what the core has handed on before it knew: it is held up from now on. False if it is gone.
fn wait_for_room(writer: &mut JournalWriter<FileDisk>, inbox: &Receiver<Unpersisted>) -> bool {
    let Some(due) = Instant::now().checked_add(RETRY) else { return true };
    loop {
        match inbox.recv_deadline(due) {
            Ok(later) => writer.push(later),
            Err(RecvTimeoutError::Timeout) => return true,
            Err(RecvTimeoutError::Disconnected) => return false,
        }
    }
}
