//! Disks that garble or forget what they hold, and what must come of it.

use crate::checks::{Invariant, Promises};
use crate::options::Fault;
use crate::process::Process;
use crate::world::World;
use pbft_message::codec;
use pbft_protocol::agreement::Record;
use pbft_replica::RecoveryError;
use pbft_storage::{Journal, OpenError, SnapshotError};

/// What a journal held before its disk was damaged.
#[derive(Debug)]
pub struct Held {
    records: Vec<Vec<u8>>,
    frames: u64,
    /// Nobody can tell that the last frame was written: all its sectors may be zeros now, and no other one was written since.
    may_lose_last: bool,
    /// In words.
    damage: String,
}

impl Held {
    /// Only copies of what stands in these records is gone: a base that was begun, of which no snapshot is durable yet.
    fn has_lost_only_copies(&self, id: u32, records: &[Vec<u8>]) -> bool {
        let decode = |record: &Vec<u8>| codec::decode::<Record>(record).ok();
        let promises = Promises::of(id, &records.iter().filter_map(decode).collect::<Vec<_>>());
        let is_copy = |record: &Vec<u8>| match decode(record) {
            Some(Record::Opened(view)) => promises.has_opened(view),
            _ => records.contains(record),
        };
        self.records.strip_prefix(records).is_some_and(|lost| lost.iter().all(is_copy))
    }
}

impl World {
    /// The process dies, and finds something else on its disk than it wrote.
    pub fn damage(&mut self, process: u32, fault: Fault) {
        let one = &mut self.processes[process as usize];
        let (Some(running), None) = (&mut one.running, &one.held) else { return };
        // As after an idle second, on a disk that has room.
        one.disk.leave_room(None);
        let sealed = self.random.percent(50) && running.writer.seal().is_ok();
        self.crash(process);
        let one = &mut self.processes[process as usize];
        let Some((records, frames)) = content(one) else { return };
        let Some(damage) = one.disk.damage(fault, &mut self.random) else { return };
        self.trace.event(self.now, [13, u64::from(process), 0], &[], || format!("{process}: {damage}"));
        one.held = Some(Held { records, frames, may_lose_last: !sealed, damage });
    }

    /// It has started from a damaged disk, or not: nothing that it promised may be gone without an error that says where.
    pub fn after_damage(&mut self, process: u32, started: &Result<(), RecoveryError>) {
        let one = &mut self.processes[process as usize];
        let Some(held) = &one.held else { return };
        let complaint = match started {
            Err(error) if names_the_place(error) => None,
            Err(error) => Some(format!("refused without a place: {error}")),
            Ok(()) => match content(one) {
                Some((records, _)) if records == held.records => None,
                Some((records, frames))
                    if held.records.starts_with(&records) && frames + 1 == held.frames && held.may_lose_last =>
                {
                    None
                }
                Some((records, _)) if held.has_lost_only_copies(one.id.0, &records) => None,
                Some((records, _)) => Some(format!("{} of {} records came back", records.len(), held.records.len())),
                None => Some("what it started from cannot be read".to_owned()),
            },
        };
        if let Some(complaint) = complaint {
            let detail = format!("process {process}, {}: {complaint}", held.damage);
            self.checker.fail(Invariant::DamageIsFound, || detail);
        }
        if started.is_ok() {
            one.held = None;
        }
    }
}

fn content(process: &Process) -> Option<(Vec<Vec<u8>>, u64)> {
    let mut records = Vec::new();
    let summary = Journal::read(process.disk.copy(), |_, record| records.push(record.to_vec())).ok()?;
    Some((records, summary.frames))
}

const fn names_the_place(error: &RecoveryError) -> bool {
    matches!(
        error,
        RecoveryError::Journal(
            OpenError::Damaged { .. } | OpenError::BrokenChain { .. } | OpenError::MissingSegment { .. } | OpenError::Format { .. }
        ) | RecoveryError::Undecodable { .. }
            | RecoveryError::Unverified { .. }
            | RecoveryError::Snapshot(SnapshotError::Damaged { .. })
    )
}
