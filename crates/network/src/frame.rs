//! A frame on a stream: its length as four bytes, little-endian, then that many bytes; 1 or more.

use crate::Lane;
use crate::budget::{Budget, Share};
use crate::fault::Fault;
use crate::settings::SMALL_FRAME;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use quinn::RecvStream;
use std::collections::VecDeque;
use std::time::Duration;

/// Frames at least this long are handed to QUIC as they are; copying shorter ones together is cheaper.
const COPY_BELOW: usize = 16 << 10;

/// How long the rest of a large frame may take once its share of the budget is taken.
const LARGE_FRAME_TIME: Duration = Duration::from_secs(30);

/// Why bytes are no frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The length is zero.
    #[error("an empty frame")]
    Empty,
    /// The length is over the limit.
    #[error("a frame of {length} bytes on the {lane} lane, where at most {max} are allowed")]
    Oversize {
        /// The lane it came on.
        lane: Lane,
        /// The length it claims.
        length: u32,
        /// The limit.
        max: u32,
    },
}

/// Puts frames and their lengths into as few pieces as pays.
pub fn coalesce(frames: Vec<Bytes>) -> Vec<Bytes> {
    let mut pieces = Vec::new();
    let mut small = BytesMut::new();
    for frame in frames {
        small.put_u32_le(u32::try_from(frame.len()).unwrap_or(u32::MAX)); // LaneQueue admits no longer ones
        if frame.len() < COPY_BELOW {
            small.put_slice(&frame);
            continue;
        }
        pieces.push(small.split().freeze());
        pieces.push(frame);
    }
    if !small.is_empty() {
        pieces.push(small.freeze());
    }
    pieces
}

/// Puts frames together again from bytes that arrive in pieces. Memory grows with what has arrived, never on the
/// word of a length.
#[derive(Debug)]
pub struct Assembler {
    lane: Lane,
    max_frame: u32,
    /// The bytes of the length that have arrived, as far as it is not known.
    header: Vec<u8>,
    /// The length of the frame that is arriving, once known.
    length: Option<usize>,
    frame: Vec<u8>,
}

impl Assembler {
    /// At the beginning of a stream whose frames are limited to so many bytes.
    pub const fn new(lane: Lane, max_frame: u32) -> Self {
        Self { lane, max_frame, header: Vec::new(), length: None, frame: Vec::new() }
    }

    /// Consumes bytes up to the end of a frame and returns that frame; `None` once all are consumed.
    pub fn take_frame(&mut self, arrived: &mut Bytes) -> Result<Option<Bytes>, FrameError> {
        let length = match self.length {
            Some(length) => length,
            None => match self.take_length(arrived)? {
                Some(length) => *self.length.insert(length),
                None => return Ok(None),
            },
        };
        let missing = length.saturating_sub(self.frame.len());
        let part = arrived.split_to(missing.min(arrived.len()));
        if self.frame.capacity().saturating_sub(self.frame.len()) < part.len() {
            // Doubles, as Vec does, but never beyond the frame.
            self.frame.reserve_exact(part.len().max(self.frame.len()).min(missing));
        }
        self.frame.extend_from_slice(&part);
        if part.len() < missing {
            return Ok(None);
        }
        self.length = None;
        Ok(Some(Bytes::from(std::mem::take(&mut self.frame))))
    }

    /// The length of the frame that is arriving, if it is known and not small.
    fn large(&self) -> Option<usize> {
        self.length.filter(|length| *length >= SMALL_FRAME)
    }

    fn take_length(&mut self, arrived: &mut Bytes) -> Result<Option<usize>, FrameError> {
        let missing = size_of::<u32>().saturating_sub(self.header.len());
        self.header.extend_from_slice(&arrived.split_to(missing.min(arrived.len())));
        let Ok(header) = <[u8; 4]>::try_from(self.header.as_slice()) else { return Ok(None) };
        self.header.clear();
        let length = u32::from_le_bytes(header);
        if length == 0 {
            return Err(FrameError::Empty);
        }
        if length > self.max_frame {
            return Err(FrameError::Oversize { lane: self.lane, length, max: self.max_frame });
        }
        usize::try_from(length).map(Some).map_err(|_| FrameError::Oversize { lane: self.lane, length, max: self.max_frame })
    }
}

/// Bytes of a stream, read in as few calls as they come.
pub(crate) struct ChunkReader {
    stream: RecvStream,
    arrived: VecDeque<Bytes>,
}

impl ChunkReader {
    pub const fn new(stream: RecvStream) -> Self {
        Self { stream, arrived: VecDeque::new() }
    }

    /// The byte that opens the stream.
    pub async fn tag(&mut self) -> Result<u8, Fault> {
        loop {
            let chunk = self.chunk().await?;
            if chunk.has_remaining() {
                return Ok(chunk.get_u8());
            }
        }
    }

    /// The next frame. A large one waits for its share of the budget before it is put together, and then has a limited
    /// time to arrive. The share is to be given back when the frame is handed over.
    pub async fn frame(&mut self, assembler: &mut Assembler, budget: &Budget) -> Result<(Bytes, Option<Share>), Fault> {
        loop {
            if let Some(frame) = assembler.take_frame(self.chunk().await?)? {
                return Ok((frame, None));
            }
            if let Some(length) = assembler.large() {
                let share = budget.share(length).await;
                let rest = tokio::time::timeout(LARGE_FRAME_TIME, self.rest(assembler)).await;
                return Ok((rest.map_err(|_| Fault::MalformedStream("a frame that takes too long"))??, share));
            }
        }
    }

    async fn rest(&mut self, assembler: &mut Assembler) -> Result<Bytes, Fault> {
        loop {
            if let Some(frame) = assembler.take_frame(self.chunk().await?)? {
                return Ok(frame);
            }
        }
    }

    /// The first of the chunks that are not wholly consumed; waits for one.
    async fn chunk(&mut self) -> Result<&mut Bytes, Fault> {
        while self.arrived.front().is_some_and(Bytes::is_empty) {
            self.arrived.pop_front();
        }
        if self.arrived.is_empty() {
            let mut chunks = [const { Bytes::new() }; 32];
            let count = self.stream.read_chunks(&mut chunks).await?.ok_or(Fault::LANE_ENDED)?;
            self.arrived.extend(chunks.into_iter().take(count));
        }
        self.arrived.front_mut().ok_or(Fault::LANE_ENDED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames_from(wire: &[u8], piece: usize) -> Result<Vec<Bytes>, FrameError> {
        let mut assembler = Assembler::new(Lane::Votes, 100_000);
        let mut frames = Vec::new();
        for part in wire.chunks(piece) {
            let mut part = Bytes::copy_from_slice(part);
            while !part.is_empty() {
                frames.extend(assembler.take_frame(&mut part)?);
            }
        }
        Ok(frames)
    }

    #[test]
    fn coalesced_frames_come_back_the_same_however_the_bytes_are_cut() {
        let frames: Vec<Bytes> = [1, 2, 5, 200, COPY_BELOW - 1, COPY_BELOW, 100_000, 3, 3]
            .iter()
            .zip(1u8..)
            .map(|(length, fill)| Bytes::from(vec![fill; *length]))
            .collect();
        let pieces = coalesce(frames.clone());
        assert_eq!(pieces.len(), 5, "two frames travel uncopied, the rest in three pieces");
        let wire = pieces.concat();
        for piece in [1, 2, 3, 4, 5, 7, 1000, 65_536, wire.len()] {
            assert_eq!(frames_from(&wire, piece).unwrap(), frames, "cut into {piece}");
        }
    }

    #[test]
    fn an_oversize_length_is_refused_before_anything_is_allocated() {
        let mut assembler = Assembler::new(Lane::Bulk, 100_000);
        let mut wire = Bytes::from_static(&[0xff; 5]);
        let refused = FrameError::Oversize { lane: Lane::Bulk, length: u32::MAX, max: 100_000 };
        assert_eq!(assembler.take_frame(&mut wire), Err(refused));
        assert_eq!(assembler.frame.capacity(), 0);
    }

    #[test]
    fn memory_grows_with_what_has_arrived_and_not_beyond_the_frame() {
        let mut assembler = Assembler::new(Lane::Bulk, 100_000);
        let mut wire = Bytes::from([100_000u32.to_le_bytes().to_vec(), vec![7; 10]].concat());
        assert_eq!(assembler.take_frame(&mut wire), Ok(None));
        assert!(assembler.frame.capacity() < 100, "{}", assembler.frame.capacity());
        for _ in 0..9 {
            assert_eq!(assembler.take_frame(&mut Bytes::from(vec![7; 9_999])), Ok(None));
            assert!(assembler.frame.capacity() <= 2 * assembler.frame.len());
        }
        let frame = assembler.take_frame(&mut Bytes::from(vec![7; 9_999])).unwrap().unwrap();
        assert_eq!((frame.len(), assembler.frame.capacity()), (100_000, 0));
    }

    #[test]
    fn an_empty_frame_is_refused_and_a_truncated_one_yields_nothing() {
        assert_eq!(frames_from(&[0; 4], 4), Err(FrameError::Empty));
        assert_eq!(frames_from(&[3, 0, 0, 0, 1, 2], 1), Ok(vec![]));
    }
}
