use super::frozen::FrozenState;
use crate::service::Snapshot;
use pbft_message::{Blob, ChunkPiece, FetchState, Genesis, SequenceNumber, StatePart, StateReply};

/// The most bytes of chunks in one answer.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// What a piece costs beside its bytes: so the number of pieces in an answer is bounded too.
const PIECE_OVERHEAD: usize = 128;

/// Answers questions in state transfer (R14). Whatever is asked, an answer costs no more than its own size and the
/// making of one chunk.
pub(super) struct Server {
    max_answer_bytes: usize,
    /// The last chunk that did not fit an answer: its next piece will be asked for next.
    unfinished: Option<Unfinished>,
}

struct Unfinished {
    sequence: SequenceNumber,
    part: StatePart,
    index: u32,
    chunk: Blob,
}

impl Server {
    pub(super) fn new(genesis: &Genesis) -> Self {
        Self { max_answer_bytes: MAX_ANSWER_BYTES.min(genesis.max_message_bytes() / 2), unfinished: None }
    }

    /// The answer to a question about this state.
    pub(super) fn answer(&mut self, frozen: &FrozenState, question: &FetchState) -> StateReply {
        match question {
            FetchState::Outline { .. } => frozen.outline(),
            FetchState::Chunks { part, indices, offset, .. } => StateReply::Chunks {
                sequence: frozen.state.sequence,
                part: *part,
                pieces: self.pieces(frozen, *part, indices, *offset),
            },
        }
    }

    fn pieces(&mut self, frozen: &FrozenState, part: StatePart, indices: &[u32], mut offset: u64) -> Vec<ChunkPiece> {
        let snapshot = frozen.snapshot(part);
        let mut pieces = Vec::new();
        let mut room = self.max_answer_bytes;
        let mut least = 0;
        for index in indices.iter().copied() {
            if index < least || index >= snapshot.chunk_count() || room <= PIECE_OVERHEAD {
                break;
            }
            let chunk = self.chunk(frozen.state.sequence, part, index, snapshot);
            room = room.saturating_sub(PIECE_OVERHEAD);
            let Some(piece) = piece_of(&chunk, index, offset, room) else { break };
            room = room.saturating_sub(piece.bytes.len());
            let complete = piece.offset.saturating_add(piece.bytes.len() as u64) == piece.size;
            pieces.push(piece);
            if !complete {
                self.unfinished = Some(Unfinished { sequence: frozen.state.sequence, part, index, chunk });
                break;
            }
            offset = 0;
            least = index.saturating_add(1);
        }
        pieces
    }

    fn chunk(&mut self, sequence: SequenceNumber, part: StatePart, index: u32, snapshot: &dyn Snapshot) -> Blob {
        match self.unfinished.take() {
            Some(last) if (last.sequence, last.part, last.index) == (sequence, part, index) => last.chunk,
            _ => Blob::from(snapshot.chunk(index)),
        }
    }
}

/// At most `room` bytes of the chunk from the offset on; none for an offset beyond its end.
fn piece_of(chunk: &Blob, index: u32, offset: u64, room: usize) -> Option<ChunkPiece> {
    let start = usize::try_from(offset).ok().filter(|start| *start <= chunk.len())?;
    let end = start.saturating_add(room).min(chunk.len());
    Some(ChunkPiece { index, offset, size: chunk.len() as u64, bytes: Blob(chunk.0.slice(start..end)) })
}
