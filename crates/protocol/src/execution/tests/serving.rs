use super::world::*;
use crate::execution::*;
use pbft_message::*;

const S: SequenceNumber = SequenceNumber(K);

/// A stable state whose chunk of "a" has more than 3 MiB, and that of "b" about 1.5 MiB.
fn large() -> World {
    let mut world = World::new();
    let piece = "x".repeat(1_600_000);
    world.run(&[&format!("append a {piece}")]);
    world.run(&[&format!("append a {piece}")]);
    world.run(&[&format!("append b {piece}")]);
    world.reach_stable();
    world
}

fn ask(world: &mut World, indices: Vec<u32>, offset: u64) -> Vec<ChunkPiece> {
    let question = FetchState::Chunks { sequence: S, part: StatePart::Service, indices, offset };
    let StateReply::Chunks { sequence: S, part: StatePart::Service, pieces } = world.executor.serve(&question) else {
        panic!("not chunks")
    };
    pieces
}

fn shape(pieces: &[ChunkPiece]) -> Vec<(u32, u64, usize)> {
    pieces.iter().map(|piece| (piece.index, piece.offset, piece.bytes.len())).collect()
}

#[test]
fn r14_answers_are_bounded_and_continue_where_the_last_ended() {
    let mut world = large();
    let chunk = world.executor.local().service.chunk(chunk_of("a"));
    let mut whole = Vec::new();
    let mut answers = 0;
    while whole.len() < chunk.len() {
        let pieces = ask(&mut world, vec![chunk_of("a"), chunk_of("b")], whole.len() as u64);
        assert!(pieces.iter().map(|piece| piece.bytes.len()).sum::<usize>() <= 1 << 20);
        assert_eq!((pieces[0].index, pieces[0].size), (chunk_of("a"), chunk.len() as u64));
        whole.extend_from_slice(&pieces[0].bytes);
        answers += 1;
        // Another question in between changes nothing.
        let other = &ask(&mut world, vec![chunk_of("b")], 7)[0];
        assert_eq!((other.offset, other.size), (7, world.executor.local().service.chunk(chunk_of("b")).len() as u64));
    }
    assert_eq!((&whole, answers), (&chunk, 4));
    let end = chunk.len() as u64 - 5;
    let last = ask(&mut world, vec![3, 4], 3);
    assert_eq!(shape(&last), [(3, 3, 5), (4, 0, 8)], "the offset is the first chunk's alone");
    assert_eq!(ask(&mut world, vec![chunk_of("a")], end)[0].bytes, Blob::from(&chunk[chunk.len() - 5..]));
}

#[test]
fn r14_absurd_questions_are_answered_cheaply() {
    let mut world = large();
    assert_eq!(shape(&ask(&mut world, vec![], 0)), []);
    assert_eq!(shape(&ask(&mut world, vec![], u64::MAX)), []);
    assert_eq!(shape(&ask(&mut world, vec![CHUNKS, u32::MAX], 0)), []);
    assert_eq!(shape(&ask(&mut world, vec![3], u64::MAX)), []);
    assert_eq!(shape(&ask(&mut world, vec![4], 8)), [(4, 8, 0)], "at the very end");
    assert_eq!(shape(&ask(&mut world, vec![4; 100_000], 0)), [(4, 0, 8)], "no chunk twice");
    assert_eq!(shape(&ask(&mut world, vec![5, 4, 6], 0)), [(5, 0, 8)], "only ascending");
    let gone = StateReply::Gone { sequence: SequenceNumber(3), newest: S };
    assert_eq!(world.executor.serve(&FetchState::Outline { sequence: SequenceNumber(3) }), gone);
    let (sequence, part) = (SequenceNumber(u64::MAX), StatePart::Clients);
    let question = FetchState::Chunks { sequence, part, indices: vec![0; 10], offset: 1 };
    assert_eq!(world.executor.serve(&question), StateReply::Gone { sequence, newest: S });
}

#[test]
fn r14_an_answer_of_many_empty_chunks_fits_the_smallest_clusters_messages() {
    let mut world = World::with(|genesis| {
        genesis.parameters.max_request_bytes = 1024;
        genesis.parameters.max_batch_bytes = 5120;
    });
    world.reach_stable();
    let question = FetchState::Chunks { sequence: S, part: StatePart::Clients, indices: (0..CLIENT_CHUNKS).collect(), offset: 0 };
    let StateReply::Chunks { pieces, .. } = world.executor.serve(&question) else { panic!("not chunks") };
    assert_eq!(pieces.len(), CLIENT_CHUNKS as usize);
    let answer = StateReply::Chunks { sequence: S, part: StatePart::Clients, pieces };
    assert!(codec::encode(&Message::State(answer)).len() < world.genesis.max_message_bytes());
}

#[test]
fn r14_a_chunk_that_was_begun_of_one_state_is_not_continued_of_another() {
    let mut world = large();
    world.run(&[&format!("set b {}", "y".repeat(1_600_000))]);
    let newer = world.reach_stable().sequence;
    let mut first_piece = |sequence| {
        let question = FetchState::Chunks { sequence, part: StatePart::Service, indices: vec![chunk_of("b")], offset: 0 };
        let StateReply::Chunks { mut pieces, .. } = world.executor.serve(&question) else { panic!("not chunks") };
        let (frozen, _) = world.executor.frozen(sequence).unwrap();
        (pieces.remove(0).bytes, frozen.service.chunk(chunk_of("b")))
    };
    for sequence in [S, newer, S] {
        let (piece, chunk) = first_piece(sequence);
        assert!(piece.len() < chunk.len(), "the rest would be asked for next");
        assert_eq!(*piece, chunk[..piece.len()], "of the state after {sequence}");
    }
}

#[test]
fn r14_a_pinned_state_is_served_for_as_long_as_it_is_pinned() {
    let mut world = World::new();
    let [first, second, third] = std::array::from_fn(|_| world.reach_stable().sequence);
    assert_eq!(world.executor.servable(), [second, third]);
    world.executor.pin([second].into());
    let fourth = world.reach_stable().sequence;
    let fifth = world.reach_stable().sequence;
    assert_eq!(world.executor.servable(), [second, fourth, fifth]);
    world.executor.pin([first].into());
    assert_eq!(world.executor.servable(), [fourth, fifth]);
}
