use super::world::*;
use crate::execution::*;
use pbft_message::*;

fn table(world: &World) -> Vec<Vec<u8>> {
    let clients = world.executor.local().clients;
    (0..CLIENT_CHUNKS).map(|index| clients.chunk(index)).collect()
}

#[test]
fn r08_a_duplicate_in_one_batch_and_across_batches_runs_once_and_gets_the_first_reply() {
    let mut world = World::new();
    let request = world.request(0, 10, &["append a x"]);
    let first = world.batch(vec![request.clone(), request.clone()]);
    assert_eq!(outcomes(&first), [executed(&["x"]), executed(&["x"])]);
    assert_eq!(first.replies[0], first.replies[1]);
    let second = world.batch(vec![request.clone()]);
    assert_eq!(second.replies, first.replies[..1], "the sequence number is the first one's too");
    assert_eq!(first.replies[0].request, digest(&request));
    assert_eq!((first.replies[0].view, first.replies[0].sequence), (View(7), SequenceNumber(1)));
    world.reach_checkpoint();
    assert_eq!(world.value("a").as_deref(), Some("x"));
}

#[test]
fn r08_w_requests_in_flight_run_in_any_order() {
    let mut world = World::new();
    for timestamp in [40, 10, 30, 20] {
        let request = world.request(0, timestamp, &[&format!("append a {timestamp}.")]);
        assert!(matches!(world.batch(vec![request]).replies[0].outcome, Outcome::Executed(_)));
    }
    assert_eq!(world.value("a").as_deref(), Some("40.10.30.20."));
}

#[test]
fn r08_not_above_the_lowest_of_a_full_set_is_too_old() {
    let mut world = World::new();
    let request = |timestamp| request(0, timestamp, &["append a x"]);
    world.batch([20, 30, 40].map(request).into());
    assert_eq!(outcomes(&world.batch(vec![request(15)])), [executed(&["xxxx"])], "the set was not full");
    world.batch(vec![request(50)]); // forgets 15
    for timestamp in [0, 14, 15, 16, 19] {
        let outcome = &outcomes(&world.batch(vec![request(timestamp)]))[0];
        assert_eq!(*outcome, Outcome::Refused(RequestRefusal::TooOld), "{timestamp}");
        assert_eq!(world.executor.request_state(client(0), Timestamp(timestamp)), RequestState::TooOld);
    }
    assert_eq!(outcomes(&world.batch(vec![request(21)])), [executed(&["xxxxxx"])]);
    assert_eq!(outcomes(&world.batch(vec![request(30)])), [executed(&["xx"])], "remembered");
}

#[test]
fn r08_a_timestamp_used_for_another_request_is_refused() {
    let mut world = World::new();
    let (first, second) = (world.request(0, 5, &["append a x"]), world.request(0, 5, &["append a y"]));
    let replies = world.batch(vec![first, second.clone()]);
    assert_eq!(outcomes(&replies), [executed(&["x"]), Outcome::Refused(RequestRefusal::TimestampReused)]);
    assert_eq!(replies.replies[1].request, digest(&second));
    let other = world.request(1, 5, &["append a z"]);
    assert_eq!(outcomes(&world.batch(vec![other])), [executed(&["xz"])], "another client's timestamps are its own");
}

#[test]
fn r08_an_unknown_client_has_no_effect_and_a_named_outcome() {
    let mut world = World::new();
    let before = (world.executor.local().state.service_root, world.executor.local().state.clients_root);
    let request = world.request(99, 5, &["append a x"]);
    let replies = world.batch(vec![request.clone(), request]);
    assert_eq!(outcomes(&replies), vec![Outcome::Refused(RequestRefusal::UnknownClient); 2]);
    assert_eq!(world.executor.request_state(client(99), Timestamp(5)), RequestState::UnknownClient);
    assert_eq!(world.executor.answer(client(99), Timestamp(5), View(0)), None);
    world.reach_checkpoint();
    assert_eq!((world.executor.local().state.service_root, world.executor.local().state.clients_root), before);
}

#[test]
fn r08_a_huge_timestamp_harms_only_its_sender() {
    let mut world = World::new();
    for timestamp in [u64::MAX, u64::MAX - 1, u64::MAX - 2, u64::MAX - 3] {
        let request = world.request(0, timestamp, &["append a x"]);
        world.batch(vec![request]);
    }
    let requests = vec![world.request(0, 1_000_000, &["append a y"]), world.request(1, 1_000_000, &["append a z"])];
    assert_eq!(outcomes(&world.batch(requests)), [Outcome::Refused(RequestRefusal::TooOld), executed(&["xxxxz"])]);
}

#[test]
fn r08_results_beyond_the_cap_are_evicted_oldest_first_and_equally_after_a_restore() {
    // A result counts for its bytes and 32 more: three of 10 bytes fit, a fourth does not.
    let mut world = World::with(|genesis| genesis.parameters.max_cached_result_bytes = 3 * 42);
    let fill = |world: &World, number, timestamp| world.request(number, timestamp, &["fill 10"]);
    let batch = vec![fill(&world, 1, 9), fill(&world, 0, 8), fill(&world, 2, 7)];
    world.batch(batch);
    let known = |world: &World| {
        [(1, 9), (0, 8), (2, 7), (3, 6)].map(|(number, timestamp)| {
            matches!(
                world.executor.answer(client(number), Timestamp(timestamp), View(0)),
                Some(Reply { outcome: Outcome::Executed(_), .. })
            )
        })
    };
    assert_eq!(known(&world), [true, true, true, false]);
    let (again, last) = (fill(&world, 1, 9), fill(&world, 3, 6));
    let replies = world.batch(vec![last, again]);
    assert_eq!(outcomes(&replies), [executed(&["xxxxxxxxxx"]), Outcome::ExecutedResultGone]);
    assert_eq!((replies.replies[1].sequence, known(&world)), (SequenceNumber(1), [false, true, true, true]));

    let mut restored = World::with(|genesis| genesis.parameters.max_cached_result_bytes = 3 * 42);
    restored.executor = world.restored();
    assert_eq!(known(&restored), [false, true, true, true]);
    let next = fill(&world, 1, 10);
    world.batch(vec![next.clone()]);
    restored.batch(vec![next]);
    assert_eq!((known(&world), known(&restored)), ([false, false, true, true], [false, false, true, true]));
    assert_eq!(world.reach_checkpoint(), restored.reach_checkpoint());
}

#[test]
fn r08_a_forgotten_request_frees_its_result() {
    let mut world = World::with(|genesis| genesis.parameters.max_cached_result_bytes = 5 * 42);
    let other = world.request(1, 1, &["fill 10"]);
    world.batch(vec![other]);
    for timestamp in 1..=20 {
        let request = world.request(0, timestamp, &["fill 10"]);
        world.batch(vec![request]);
    }
    let reply = world.executor.answer(client(1), Timestamp(1), View(3)).unwrap();
    assert_eq!((reply.outcome, reply.view), (executed(&["xxxxxxxxxx"]), View(3)), "W results of client 0 and this one fit");
}

#[test]
fn r08_the_table_restores_to_the_same_bytes_and_no_others() {
    let mut world = World::new();
    for timestamp in 1..=6 {
        let requests = (0..4).map(|number| world.request(number, timestamp, &["append a x", "time"])).collect();
        world.batch(requests);
    }
    world.reach_checkpoint();
    let chunks = table(&world);
    let mut restored = ClientTable::restore(&world.genesis, &chunks).unwrap();
    let snapshot = restored.snapshot();
    assert_eq!((0..CLIENT_CHUNKS).map(|index| snapshot.chunk(index)).collect::<Vec<_>>(), chunks);
    assert_eq!((restored.windows(), restored.changed_chunks()), (world.executor.windows(), vec![]));

    let full = chunks.iter().position(|chunk| !chunk.is_empty()).unwrap();
    let error = |change: &dyn Fn(&mut Vec<Vec<u8>>)| {
        let mut changed = chunks.clone();
        change(&mut changed);
        ClientTable::restore(&world.genesis, &changed).err()
    };
    let chunk = full as u32;
    assert_eq!(error(&|chunks| drop(chunks.pop())), Some(ClientTableError::ChunkCount { found: 1023 }));
    assert_eq!(
        error(&|chunks| chunks[full] = chunks[full].split_last().unwrap().1.to_vec()),
        Some(ClientTableError::Truncated { chunk })
    );
    assert_eq!(
        error(&|chunks| chunks[full].extend([0; 8])),
        Some(ClientTableError::Malformed { chunk, error: codec::decode::<(ClientId, u64)>(&[]).unwrap_err() })
    );
    assert_eq!(error(&|chunks| chunks[full][..8].fill(0xff)), Some(ClientTableError::Truncated { chunk }));
    assert_eq!(error(&|chunks| chunks[full] = chunks[full].repeat(2)), Some(ClientTableError::NotInOrder { chunk }));
    let first_two_requests_exchanged = |chunk: &mut Vec<u8>| {
        let end = |start: usize| start + 8 + usize::try_from(u64::from_le_bytes(*chunk[start..].first_chunk().unwrap())).unwrap();
        let (first, second, third) = (end(0), end(end(0)), end(end(end(0))));
        chunk[first..third].rotate_left(second - first);
    };
    assert_eq!(error(&|chunks| first_two_requests_exchanged(&mut chunks[full])), Some(ClientTableError::NotInOrder { chunk }));
    let target = (full + 1) % 1024;
    let moved = error(&|chunks| chunks.swap(full, target));
    assert!(matches!(moved, Some(ClientTableError::WrongChunk { .. })), "{moved:?}");
    // Behind the frame's length, the client and its standing comes how many requests it has.
    let count = 8 + 32 + codec::encode(&restored.standing(client(0)).unwrap()).len();
    assert!(matches!(error(&|chunks| chunks[full][count] = 5), Some(ClientTableError::TooManyRequests { .. })));
}

#[test]
fn r08_the_window_says_what_the_table_says() {
    let mut world = World::new();
    let mut mirror = RequestWindow::new(W);
    let mut timestamp = 7_u64;
    for _ in 0..200 {
        timestamp = timestamp * 75 % 65_537;
        let wanted = timestamp % 40;
        let request = world.request(0, wanted, &["append a x"]);
        let before = mirror.admits(Timestamp(wanted));
        let state = world.executor.request_state(client(0), Timestamp(wanted));
        let expected = match state {
            RequestState::Executed { .. } => Admission::Ordered,
            RequestState::NotExecuted => Admission::New,
            _ => Admission::TooOld,
        };
        assert_eq!(before, expected);
        mirror.insert(Timestamp(wanted));
        world.batch(vec![request]);
        assert_eq!(world.executor.windows()[&client(0)], mirror);
    }
    assert_eq!(world.executor.windows().len(), 4, "clients without requests have a window too");
}
