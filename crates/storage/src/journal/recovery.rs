//! Reading a journal back: which segments count, which frames they hold, and where damage differs from a torn tail (R15).
//!
//! Frame i + 1 is written only after frame i was synced, and a segment gets its name only after all before it was synced. So an
//! invalid frame can be a torn one, never acknowledged, only at the very end: in the newest segment, beyond its base, with no
//! frame begun behind it. And a frame is written onto zeros: a torn one still has a sector of zeros, which a complete one never
//! has. All else is damage to what was acknowledged, and refused. Recovery only reads; `Journal::open` then cuts the tail and
//! removes the leftovers.

use super::frame::{self, Chain, Frame, Marks};
use super::segment::{self, Header, Unreadable};
use super::{OpenError, Place, Summary, TornTail};
use crate::{Damage, Disk, Identity};
use std::ops::Range;

/// Where a journal ends and what is to be cleaned away.
pub struct Recovered {
    pub oldest: u64,
    pub newest: Header,
    pub walk: Walk,
    pub torn: Option<TornTail>,
    pub leftovers: Vec<String>,
}

impl Recovered {
    pub fn summary(self) -> Summary {
        let segments = self.newest.number.saturating_sub(self.oldest).saturating_add(1);
        let Walk { frames, records, bytes, .. } = self.walk;
        Summary { identity: self.newest.identity, segments, frames, records, bytes, torn: self.torn }
    }
}

/// Reads all live records in order. On an error, those that were passed on count for nothing. Without an `identity` the
/// journal may be anyone's, but only one's.
pub fn recover(
    disk: &mut impl Disk,
    identity: Option<&Identity>,
    mut on_record: impl FnMut(Place<'_>, &[u8]),
) -> Result<Recovered, OpenError> {
    let files = disk.list()?;
    let live = live_segments(disk, identity, &files)?;
    let (Some(first), Some(newest)) = (live.first(), live.last().cloned()) else { return Err(OpenError::Empty) };
    let oldest = first.number;
    if let Some(other) = live.iter().find(|header| header.marker != first.marker) {
        return Err(OpenError::BrokenChain { file: segment::name(other.number), offset: 0 });
    }
    let mut walk = Walk::new(first);
    let mut torn = None;
    let mut rest = live.iter();
    while let Some(header) = rest.next() {
        let bytes = read_segment(disk, header)?;
        walk.enter(header)?;
        walk.read_frames(header, &bytes, &mut on_record)?;
        match rest.as_slice().first() {
            Some(next) => walk.check_complete(header, &bytes, next)?,
            None => torn = walk.torn_tail(header, &bytes)?,
        }
    }
    let is_leftover = |file: &&String| segment::is_temporary(file) || segment::number(file).is_some_and(|number| number < oldest);
    let leftovers = files.iter().filter(is_leftover).cloned().collect();
    Ok(Recovered { oldest, newest, walk, torn, leftovers })
}

/// The headers from the newest segment that stands alone to the newest of all, in ascending order. Older ones are leftovers.
fn live_segments(disk: &mut impl Disk, identity: Option<&Identity>, files: &[String]) -> Result<Vec<Header>, OpenError> {
    let mut numbers: Vec<u64> = files.iter().filter_map(|file| segment::number(file)).collect();
    numbers.sort_unstable();
    let Some(newest) = numbers.last().copied() else { return Err(OpenError::Empty) };
    let mut live: Vec<Header> = Vec::new();
    let mut expected = newest;
    for number in numbers.into_iter().rev() {
        if number != expected {
            break;
        }
        let owner = identity.or(live.first().map(|newest| &newest.identity));
        let header = read_header(disk, owner, number)?;
        let stands_alone = header.base_frames.is_some();
        live.push(header);
        if stands_alone {
            live.reverse();
            return Ok(live);
        }
        expected = expected.saturating_sub(1);
    }
    Err(OpenError::MissingSegment { file: segment::name(expected) })
}

fn read_header(disk: &mut impl Disk, identity: Option<&Identity>, number: u64) -> Result<Header, OpenError> {
    let file = segment::name(number);
    let bytes = disk.read_at(&file, 0, segment::HEADER as u64)?;
    let header = match Header::decode(&bytes) {
        Ok(header) => header,
        Err(Unreadable::Format(found)) => return Err(OpenError::Format { file, found, supported: segment::FORMAT }),
        Err(Unreadable::Damaged) => return Err(OpenError::Damaged { file, offset: 0, damage: Damage::Header }),
    };
    if identity.is_some_and(|identity| header.identity != *identity) {
        return Err(OpenError::Foreign { file, found: header.identity });
    }
    if header.number != number {
        return Err(OpenError::Damaged { file, offset: 0, damage: Damage::Name });
    }
    Ok(header)
}

fn read_segment(disk: &mut impl Disk, header: &Header) -> Result<Vec<u8>, OpenError> {
    let file = segment::name(header.number);
    let found = disk.size(&file)?;
    if found != header.size {
        let damage = Damage::Size { found, expected: header.size };
        return Err(OpenError::Damaged { file, offset: found.min(header.size), damage });
    }
    Ok(disk.read_at(&file, 0, found)?)
}

/// How far reading has come.
pub struct Walk {
    pub marks: Marks,
    pub chain: Chain,
    /// Offset of the next frame in the segment that is being read.
    pub end: usize,
    /// Where the last frame of that segment stands; empty if it has none.
    pub last: Range<usize>,
    pub frames: u64,
    pub records: u64,
    pub bytes: u64,
    pub bytes_since_base: u64,
    /// Damage to the last frame cannot be taken for a torn tail that held records.
    pub sealed: bool,
}

impl Walk {
    fn new(oldest: &Header) -> Self {
        Self {
            marks: Marks::new(oldest.marker),
            chain: oldest.chain,
            end: segment::HEADER,
            last: 0..0,
            frames: 0,
            records: 0,
            bytes: 0,
            bytes_since_base: 0,
            sealed: true,
        }
    }

    fn enter(&mut self, header: &Header) -> Result<(), OpenError> {
        if header.base_frames.is_some() {
            self.chain = header.chain;
        }
        if header.chain != self.chain {
            return Err(OpenError::BrokenChain { file: segment::name(header.number), offset: 0 });
        }
        self.end = segment::HEADER;
        self.last = 0..0;
        self.sealed = true;
        Ok(())
    }

    /// Passes on the records up to the first bytes that are no valid frame; these must be behind the base.
    fn read_frames(
        &mut self,
        header: &Header,
        bytes: &[u8],
        on_record: &mut impl FnMut(Place<'_>, &[u8]),
    ) -> Result<(), OpenError> {
        let file = segment::name(header.number);
        let base_frames = header.base_frames.unwrap_or(0);
        let mut frames = 0u32;
        while let Some(frame) = bytes.get(self.end..).and_then(|rest| Frame::decode(rest, &self.marks)) {
            let Some(chain) = frame.continues(&self.chain) else {
                return Err(OpenError::BrokenChain { file, offset: self.end as u64 });
            };
            let begin = self.end as u64;
            let place = |at: usize| Place { file: &file, offset: begin.saturating_add(at as u64) };
            frame
                .for_each_record(|at, record| on_record(place(at), record))
                .ok_or_else(|| self.damaged(header, Damage::Records))?;
            let length = frame.length() as u64;
            self.chain = chain;
            let end = self.end.saturating_add(frame.length());
            self.last = self.end..end;
            self.end = end;
            self.frames = self.frames.saturating_add(1);
            self.records = self.records.saturating_add(u64::from(frame.records()));
            self.bytes = self.bytes.saturating_add(length);
            frames = frames.saturating_add(1);
            if frames > base_frames {
                self.bytes_since_base = self.bytes_since_base.saturating_add(length);
                self.sealed = frame.records() == 0;
            }
        }
        if frames < base_frames {
            return Err(self.damaged(header, Damage::Frame));
        }
        Ok(())
    }

    /// A segment that another one continues was synced to its end.
    fn check_complete(&self, header: &Header, bytes: &[u8], next: &Header) -> Result<(), OpenError> {
        let frames_missing = next.chain.counter > self.chain.counter;
        if frames_missing || self.tail(bytes).iter().any(|byte| *byte != 0) {
            return Err(self.damaged(header, Damage::Frame));
        }
        Ok(())
    }

    /// What is behind the last frame of the newest segment: zeros, or a frame that was never acknowledged.
    fn torn_tail(&self, header: &Header, bytes: &[u8]) -> Result<Option<TornTail>, OpenError> {
        let tail = self.tail(bytes);
        let Some(last) = tail.iter().rposition(|byte| *byte != 0) else { return Ok(None) };
        if !frame::is_torn(tail, &self.marks, self.chain.counter) {
            return Err(self.damaged(header, Damage::Frame));
        }
        let (file, offset) = (segment::name(header.number), self.end as u64);
        Ok(Some(TornTail { file, offset, bytes: (last as u64).saturating_add(1) }))
    }

    fn tail<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        bytes.get(self.end..).unwrap_or_default()
    }

    fn damaged(&self, header: &Header, damage: Damage) -> OpenError {
        OpenError::Damaged { file: segment::name(header.number), offset: self.end as u64, damage }
    }
}
