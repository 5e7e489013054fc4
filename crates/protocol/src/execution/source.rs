//! One peer in a state transfer: what it was asked, what it delivered in part, and how well it serves.

use super::MAX_CHUNK_BYTES;
use super::merkle::chunk_digest;
use super::poison::Poison;
use pbft_crypto::Digest;
use pbft_message::{ChunkPiece, SequenceNumber, StatePart};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long an answer may take, and each MiB of a chunk that needs several answers; each failure in a row doubles it, up
/// to the maximum. So long does a peer rest after a failure, too.
const BASE_TIMEOUT: Duration = Duration::from_secs(1);
const MAX_TIMEOUT: Duration = Duration::from_secs(16);

/// Chunks to fetch: where they are, and their digests.
pub(super) type Wanted = BTreeMap<(StatePart, u32), Digest>;

#[derive(Debug, Default)]
pub(super) struct Source {
    /// It sent what the certificate contradicts: nobody asks it while another serves.
    pub poisoned: bool,
    /// It left a chunk unfinished: nobody asks it while another serves, until it delivers a whole one.
    breaks_off: bool,
    /// How often in a row it did not answer in time, or to no use.
    pub failures: u32,
    /// When it was last asked, counted in questions.
    pub turn: u64,
    rests_until: Duration,
    asked: Option<Asked>,
    /// A chunk that needs several answers, as far as it came from here: so that a lie has one author.
    partial: Option<Partial>,
}

#[derive(Debug)]
struct Asked {
    sequence: SequenceNumber,
    until: Duration,
    /// Empty for the outline.
    share: Wanted,
}

#[derive(Debug)]
struct Partial {
    place: (StatePart, u32),
    digest: Digest,
    bytes: Vec<u8>,
    began: Duration,
}

impl Source {
    pub fn is_idle(&self, now: Duration) -> bool {
        self.asked.is_none() && self.rests_until <= now
    }

    /// Whether it is trusted to answer the next question.
    pub const fn serves(&self) -> bool {
        !self.is_avoided() && self.failures == 0
    }

    /// Whether it is asked only while no other serves.
    pub const fn is_avoided(&self) -> bool {
        self.poisoned || self.breaks_off
    }

    /// It was asked for the outline of the state, or for a share of its chunks.
    pub fn ask(&mut self, now: Duration, sequence: SequenceNumber, share: Wanted) {
        self.asked = Some(Asked { sequence, until: now.saturating_add(self.patience()), share });
    }

    /// The share that it was asked for, if it was asked for this state. A question is answered once.
    pub fn answers(&mut self, sequence: SequenceNumber) -> Option<Wanted> {
        self.asked.take_if(|asked| asked.sequence == sequence).map(|asked| asked.share)
    }

    /// Another state is wanted, which it may have if it had not this one. An answer is still awaited, so that a dead peer
    /// is not asked anew.
    pub fn start_anew(&mut self) {
        self.partial = None;
        (self.failures, self.rests_until) = (0, Duration::ZERO);
        if let Some(asked) = &mut self.asked {
            asked.share.clear();
        }
    }

    /// Whether its answer about this state is awaited.
    pub fn is_asked_for(&self, sequence: SequenceNumber) -> bool {
        self.asked.as_ref().is_some_and(|asked| asked.sequence == sequence)
    }

    /// The chunk to go on with, and from which byte.
    pub fn unfinished(&self) -> Option<((StatePart, u32), Digest, u64)> {
        self.partial.as_ref().map(|partial| (partial.place, partial.digest, partial.bytes.len() as u64))
    }

    /// When its answer, or the end of a chunk, must be here.
    pub fn answer_due(&self) -> Option<Duration> {
        let asked = self.asked.as_ref().map(|asked| asked.until);
        asked.into_iter().chain(self.partial.as_ref().map(|partial| self.piece_due(partial))).min()
    }

    /// When it may be asked again after a failure.
    pub fn rest_over(&self) -> Option<Duration> {
        (self.failures > 0).then_some(self.rests_until)
    }

    /// Whether its time is over.
    pub fn is_late(&self, now: Duration) -> bool {
        self.answer_due().is_some_and(|due| due <= now)
    }

    /// It was of no use. Gives back what it was asked for.
    pub fn fail(&mut self, now: Duration) -> Wanted {
        self.rests_until = now.saturating_add(self.patience());
        self.failures = self.failures.saturating_add(1);
        self.breaks_off |= self.partial.is_some();
        let partial = self.partial.take().map(|partial| (partial.place, partial.digest));
        self.asked.take().into_iter().flat_map(|asked| asked.share).chain(partial).collect()
    }

    /// Takes a piece that continues what is here, or begins another chunk. Gives the chunk when it is whole.
    pub fn take_piece(
        &mut self,
        now: Duration,
        place: (StatePart, u32),
        digest: Digest,
        piece: &ChunkPiece,
    ) -> Result<Option<Vec<u8>>, Poison> {
        let (part, index) = place;
        let end = piece.offset.saturating_add(piece.bytes.len() as u64);
        if piece.size > MAX_CHUNK_BYTES || end > piece.size {
            return Err(Poison::Piece { part, index });
        }
        let mut partial = self.partial.take().unwrap_or_else(|| Partial { place, digest, bytes: Vec::new(), began: now });
        partial.bytes.extend_from_slice(&piece.bytes);
        if end < piece.size {
            self.partial = Some(partial).filter(|partial| !partial.bytes.is_empty());
            return Ok(None);
        }
        if chunk_digest(&partial.bytes) != digest {
            return Err(Poison::Chunk { part, index });
        }
        self.breaks_off = false;
        Ok(Some(partial.bytes))
    }

    /// When a chunk must have grown beyond what is here of it: so that nobody stalls the transfer with crumbs, whatever size it
    /// claims.
    fn piece_due(&self, partial: &Partial) -> Duration {
        let mebibytes = u32::try_from(partial.bytes.len() >> 20).unwrap_or(u32::MAX).saturating_add(2);
        partial.began.saturating_add(self.patience().saturating_mul(mebibytes))
    }

    fn patience(&self) -> Duration {
        BASE_TIMEOUT.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX)).min(MAX_TIMEOUT)
    }
}
