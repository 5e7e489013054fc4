//! The frame reader: however the bytes are cut, it finds the frames that are there, in memory that they are worth.

use crate::allocation::within;
use crate::input::Input;
use bytes::Bytes;
use pbft_network::{Assembler, FrameError, Lane, coalesce};

type Found = (Vec<Bytes>, Result<(), FrameError>);

pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let max = u32::from(input.u16()) + 1;
    let cuts: [u8; 4] = input.array();
    let wire = input.0;
    let expected = frames(wire, max);
    let found = within(4 * wire.len() + (64 << 10), || assembled(wire, max, &cuts));
    assert_eq!(found, expected);
    let (frames, _) = expected;
    let again = coalesce(frames.clone()).concat();
    assert_eq!(again, wire[..again.len()], "frames have one form on the wire");
    assert_eq!(assembled(&again, max, &cuts), (frames, Ok(())));
}

/// The definition, over all bytes at once.
fn frames(mut wire: &[u8], max: u32) -> Found {
    let mut frames = Vec::new();
    while let Some((header, rest)) = wire.split_first_chunk::<4>() {
        let length = u32::from_le_bytes(*header);
        if length == 0 {
            return (frames, Err(FrameError::Empty));
        }
        if length > max {
            return (frames, Err(FrameError::Oversize { lane: Lane::Bulk, length, max }));
        }
        let Some((frame, rest)) = rest.split_at_checked(length as usize) else { break };
        frames.push(Bytes::copy_from_slice(frame));
        wire = rest;
    }
    (frames, Ok(()))
}

/// The same from pieces, whose sizes go round.
fn assembled(mut wire: &[u8], max: u32, cuts: &[u8]) -> Found {
    let mut assembler = Assembler::new(Lane::Bulk, max);
    let mut frames = Vec::new();
    for cut in cuts.iter().cycle() {
        if wire.is_empty() {
            break;
        }
        let (piece, rest) = wire.split_at((usize::from(*cut) + 1).min(wire.len()));
        wire = rest;
        let mut piece = Bytes::copy_from_slice(piece);
        while !piece.is_empty() {
            match assembler.take_frame(&mut piece) {
                Ok(frame) => frames.extend(frame),
                Err(error) => return (frames, Err(error)),
            }
        }
    }
    (frames, Ok(()))
}
