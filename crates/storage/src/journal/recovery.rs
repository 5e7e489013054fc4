//! Reading a journal back: which segments count, which frames they hold, and where damage differs from a torn tail (R15).
//!
//! Frame i + 1 is written only after frame i was synced, and a segment gets its name only after all before it was synced. So an
//! invalid frame can be a torn one, never acknowledged, only at the very end: in the newest segment, beyond its base, with no
//! valid frame anywhere behind it. All else is damage to what was acknowledged, and refused. Recovery only reads; `Journal::open`
//! then cuts the tail and removes the leftovers.

use super::frame::{self, Chain, Frame};
use super::segment::{self, Header, Unreadable};
use super::{OpenError, TornTail};
use crate::{Damage, Disk, Identity};

/// Where a journal ends and what is to be cleaned away.
pub struct Recovered {
    pub oldest: u64,
    pub newest: Header,
    /// Offset of the next frame in the newest segment.
    pub end: u64,
    pub chain: Chain,
    pub bytes_since_base: u64,
    pub torn: Option<TornTail>,
    pub leftovers: Vec<String>,
}

/// Reads all live records in order. On an error, those that were passed on count for nothing.
pub fn recover(disk: &mut impl Disk, identity: &Identity, mut on_record: impl FnMut(&[u8])) -> Result<Recovered, OpenError> {
    let files = disk.list()?;
    let live = live_segments(disk, identity, &files)?;
    let (oldest, newest) = match (live.first(), live.last()) {
        (Some(oldest), Some(newest)) => (oldest.number, newest.clone()),
        _ => return Err(OpenError::Empty),
    };
    let mut walk = Walk { chain: newest.chain, end: segment::HEADER, bytes_since_base: 0 };
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
    let Walk { chain, end, bytes_since_base } = walk;
    Ok(Recovered { oldest, newest, end: end as u64, chain, bytes_since_base, torn, leftovers })
}

/// The headers from the newest segment that stands alone to the newest of all, in ascending order. Older ones are leftovers.
fn live_segments(disk: &mut impl Disk, identity: &Identity, files: &[String]) -> Result<Vec<Header>, OpenError> {
    let mut numbers: Vec<u64> = files.iter().filter_map(|file| segment::number(file)).collect();
    numbers.sort_unstable();
    let Some(newest) = numbers.last().copied() else { return Err(OpenError::Empty) };
    let mut live = Vec::new();
    let mut expected = newest;
    for number in numbers.into_iter().rev() {
        if number != expected {
            break;
        }
        let header = read_header(disk, identity, number)?;
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

fn read_header(disk: &mut impl Disk, identity: &Identity, number: u64) -> Result<Header, OpenError> {
    let file = segment::name(number);
    let bytes = disk.read_at(&file, 0, segment::HEADER as u64)?;
    let header = match Header::decode(&bytes) {
        Ok(header) => header,
        Err(Unreadable::Format(found)) => return Err(OpenError::Format { file, found, supported: segment::FORMAT }),
        Err(Unreadable::Damaged) => return Err(OpenError::Damaged { file, offset: 0, damage: Damage::Header }),
    };
    if header.identity != *identity {
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
struct Walk {
    chain: Chain,
    end: usize,
    bytes_since_base: u64,
}

impl Walk {
    fn enter(&mut self, header: &Header) -> Result<(), OpenError> {
        if header.base_frames.is_some() {
            self.chain = header.chain;
        }
        if header.chain != self.chain {
            return Err(OpenError::BrokenChain { file: segment::name(header.number), offset: 0 });
        }
        self.end = segment::HEADER;
        Ok(())
    }

    /// Passes on the records up to the first bytes that are no valid frame; these must be behind the base.
    fn read_frames(&mut self, header: &Header, bytes: &[u8], on_record: &mut impl FnMut(&[u8])) -> Result<(), OpenError> {
        let base_frames = header.base_frames.unwrap_or(0);
        let mut frames = 0u32;
        while let Some(frame) = bytes.get(self.end..).and_then(|rest| Frame::decode(rest, &header.marker)) {
            let Some(chain) = frame.continues(&self.chain) else {
                return Err(OpenError::BrokenChain { file: segment::name(header.number), offset: self.end as u64 });
            };
            frame.for_each_record(&mut *on_record).ok_or_else(|| self.damaged(header, Damage::Records))?;
            self.chain = chain;
            self.end = self.end.saturating_add(frame.length());
            frames = frames.saturating_add(1);
            if frames > base_frames {
                self.bytes_since_base = self.bytes_since_base.saturating_add(frame.length() as u64);
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
        let zeros = tail.iter().rev().take_while(|byte| **byte == 0).count();
        let torn = tail.get(..tail.len().saturating_sub(zeros)).unwrap_or_default();
        if torn.is_empty() {
            return Ok(None);
        }
        if frame::contains_frame(tail, &header.marker) {
            return Err(self.damaged(header, Damage::Frame));
        }
        Ok(Some(TornTail { file: segment::name(header.number), offset: self.end as u64, bytes: torn.len() as u64 }))
    }

    fn tail<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        bytes.get(self.end..).unwrap_or_default()
    }

    fn damaged(&self, header: &Header, damage: Damage) -> OpenError {
        OpenError::Damaged { file: segment::name(header.number), offset: self.end as u64, damage }
    }
}
