use crate::Context;
use crate::dice::Dice;
use crate::seam::rewriting;
use pbft_message::{Blob, ChunkPiece, Message, SequenceNumber, StateReply};
use pbft_protocol::Outbound;

/// Poisons state transfer: false chunks and outlines, pieces of chunks that never end, silence, and "gone" for states
/// that it has. Some answers are right, so that it is asked again.
pub fn outbound(context: &Context) -> Outbound {
    let mut dice = Dice::new(context.seed, 0);
    rewriting(move |_, _, message| match message {
        Message::State(reply) => poison(&mut dice, reply).map(Message::State).into_iter().collect(),
        other => vec![other],
    })
}

fn poison(dice: &mut Dice, reply: StateReply) -> Option<StateReply> {
    match (dice.below(8), reply) {
        (0, _) => None,
        (1, StateReply::Outline { state, .. }) => Some(gone(state.sequence)),
        (1, StateReply::Chunks { sequence, .. }) => Some(gone(sequence)),
        (2 | 3, StateReply::Outline { mut state, service, clients }) => {
            state.time = state.time.saturating_add(1);
            Some(StateReply::Outline { state, service, clients })
        }
        (4, StateReply::Outline { state, mut service, clients }) => {
            service.reverse();
            Some(StateReply::Outline { state, service, clients })
        }
        (5, StateReply::Outline { state, service, mut clients }) => {
            clients.reverse();
            Some(StateReply::Outline { state, service, clients })
        }
        (kind @ 2..=6, StateReply::Chunks { sequence, part, mut pieces }) => {
            pieces.iter_mut().for_each(|piece| spoil(kind, piece));
            Some(StateReply::Chunks { sequence, part, pieces })
        }
        (_, right) => Some(right),
    }
}

fn spoil(kind: u64, piece: &mut ChunkPiece) {
    match kind {
        2 | 3 => piece.bytes = piece.bytes.iter().map(|byte| !byte).collect::<Vec<u8>>().into(),
        // The chunk of another place, or a state that is older.
        4 => piece.bytes = Blob::from(vec![0; piece.bytes.len()]),
        5 => piece.size = u64::MAX,
        // A crumb of a large chunk: the rest is to be asked for again and again.
        _ => {
            piece.size = 1 << 20;
            piece.bytes = piece.bytes.get(..1).unwrap_or_default().into();
        }
    }
}

fn gone(sequence: SequenceNumber) -> StateReply {
    StateReply::Gone { sequence, newest: SequenceNumber(u64::MAX) }
}
