//! Beginning anew: a segment starts with the records that stand for all before it, its base. It is written when a snapshot is
//! begun, and adopted once that is durable: only then do the older segments go. So what is written meanwhile need not be copied.

use super::segment::{self, Header};
use super::{Journal, JournalError, frame};
use crate::{Disk, DiskError};

/// A base is written in frames of about this many bytes.
pub(super) const BASE_FRAME: usize = 4 << 20;

/// A base that is not adopted yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pending {
    /// As it is once it is adopted.
    pub header: Header,
    /// What `bytes` counted when it was complete.
    bytes: u64,
}

impl<D: Disk> Journal<D> {
    /// Writes the records that stand for all so far, at the beginning of a new segment. Nothing is removed yet: whoever reads the
    /// journal finds all older records, and these behind them. One that was begun before is no base any more. After `Full`
    /// nothing has changed.
    pub fn begin_base(&mut self, live: &[impl AsRef<[u8]>]) -> Result<(), JournalError> {
        self.unless_poisoned(|journal| journal.write_base(live))
    }

    /// From now on the journal begins with the newest base: what is older is removed. No base, no effect. A crash at any moment
    /// leaves all the records, or those from the base on. It takes no room.
    pub fn adopt_base(&mut self) -> Result<(), JournalError> {
        self.unless_poisoned(Self::mark_base)
    }

    fn write_base(&mut self, live: &[impl AsRef<[u8]>]) -> Result<(), JournalError> {
        let groups = base_groups(live);
        let length = groups.iter().fold(0, |sum: usize, group| sum.saturating_add(frame::length(group))) as u64;
        let header = self.begin_segment(length)?;
        let file = segment::temporary_name(header.number);
        // From here on it holds more than zeros.
        self.prepared = 0;
        let mut end = segment::HEADER as u64;
        let mut chain = self.chain;
        let base_frames = u32::try_from(groups.len()).ok();
        for group in groups {
            let (frame, next) = self.encode(&chain, group)?;
            self.disk.write_at(&file, end, &frame)?;
            end = end.saturating_add(frame.len() as u64);
            chain = next;
        }
        self.enter_segment(header.clone(), end)?;
        self.chain = chain;
        self.bytes_since_base = self.bytes_since_base.saturating_add(length);
        self.pending = Some(Pending { header: Header { base_frames, ..header }, bytes: self.bytes_since_base });
        Ok(())
    }

    /// The header is one sector: it is written whole or not at all.
    fn mark_base(&mut self) -> Result<(), JournalError> {
        let Some(Pending { header, bytes }) = self.pending.take() else { return Ok(()) };
        let file = segment::name(header.number);
        self.disk.write_at(&file, 0, &header.encode())?;
        self.disk.sync(&file)?;
        self.bytes_since_base = self.bytes_since_base.saturating_sub(bytes);
        Ok(self.remove_before(header.number)?)
    }

    /// Whether these removals are durable does not matter: `open` ignores and removes what is older than the newest base.
    fn remove_before(&mut self, number: u64) -> Result<(), DiskError> {
        for older in self.oldest..number {
            self.disk.remove(&segment::name(older))?;
        }
        self.oldest = number;
        Ok(())
    }
}

/// The records in groups of about `BASE_FRAME` bytes, one frame each.
pub(super) fn base_groups<R: AsRef<[u8]>>(live: &[R]) -> Vec<&[R]> {
    let mut groups = Vec::new();
    let mut rest = live;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = rest.iter().take_while(|record| {
            bytes = frame::length(std::slice::from_ref(*record)).saturating_add(bytes);
            bytes <= BASE_FRAME
        });
        let (group, later) = rest.split_at(fits.count().max(1));
        groups.push(group);
        rest = later;
    }
    groups
}
