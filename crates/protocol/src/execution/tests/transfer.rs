use super::world::*;
use crate::execution::*;
use pbft_crypto::Digest;
use pbft_message::*;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::time::Duration;

const NOW: Duration = Duration::from_secs(100);

fn peers(count: u32) -> Vec<ReplicaId> {
    (1..=count).map(ReplicaId).collect()
}

/// A transfer under way: what was asked of whom, and what the answers carried.
struct Session {
    transfer: Transfer,
    now: Duration,
    asked: Vec<(ReplicaId, FetchState)>,
    fetched: Vec<(StatePart, u32)>,
    poisons: Vec<(ReplicaId, Poison)>,
    /// What the fetcher keeps.
    kept: BTreeMap<Digest, Vec<u8>>,
}

impl Session {
    fn new(transfer: Transfer) -> Self {
        Self { transfer, now: NOW, asked: vec![], fetched: vec![], poisons: vec![], kept: BTreeMap::new() }
    }

    /// From nothing, of so many peers.
    fn of(certificate: &Verified<StableCertificate>, count: u32) -> Self {
        Self::new(Transfer::new(certificate.clone(), peers(count), World::new().executor.local(), BTreeSet::new()))
    }

    /// All questions that may go now.
    fn questions(&mut self) -> Vec<(ReplicaId, FetchState)> {
        let questions: Vec<_> = std::iter::from_fn(|| self.transfer.poll(self.now)).collect();
        self.asked.extend_from_slice(&questions);
        questions
    }

    fn take(&mut self, peer: ReplicaId, reply: StateReply) {
        if let StateReply::Chunks { part, pieces, .. } = &reply {
            self.fetched.extend(pieces.iter().map(|piece| (*part, piece.index)));
        }
        let taken = self.transfer.handle(self.now, peer, reply);
        self.poisons.extend(taken.poison.map(|what| (peer, what)));
        self.kept.extend(taken.chunks);
    }

    fn finish(&mut self) -> Option<InstalledState> {
        self.transfer.finish(|digest| Ok::<_, Infallible>(self.kept.get(digest).cloned())).unwrap()
    }

    /// Until it completes: `answer` may change what the server says to whom; None is silence.
    fn run(
        &mut self,
        server: &mut Executor<Map>,
        mut answer: impl FnMut(ReplicaId, StateReply) -> Option<StateReply>,
    ) -> InstalledState {
        for _ in 0..10_000 {
            if let Some(installed) = self.finish() {
                return installed;
            }
            let questions = self.questions();
            if questions.is_empty() {
                let wakes_at = self.transfer.poll_timeout().expect("waits for something");
                assert!(wakes_at > self.now, "it would wake for ever");
                self.now = wakes_at;
            }
            for (peer, question) in questions {
                let Some(reply) = answer(peer, server.serve(&question)) else { continue };
                self.take(peer, reply);
            }
        }
        panic!("the transfer does not end");
    }

    /// One round of honest answers.
    fn step(&mut self, server: &mut Executor<Map>) {
        for (peer, question) in self.questions() {
            self.take(peer, server.serve(&question));
        }
        assert_eq!(self.poisons, []);
    }
}

/// A stable state in which most chunks differ from the genesis.
fn source() -> (World, Verified<StableCertificate>) {
    let mut world = World::new();
    for round in 0..3 {
        let operations: Vec<String> = ('a'..='z').map(|key| format!("append {key} {round}")).collect();
        let operations: Vec<&str> = operations.iter().map(String::as_str).collect();
        world.run(&operations);
    }
    let certificate = world.reach_stable();
    (world, certificate)
}

fn honest(_: ReplicaId, reply: StateReply) -> Option<StateReply> {
    Some(reply)
}

#[test]
fn r14_a_state_moves_from_one_executor_to_another() {
    let (mut source, certificate) = source();
    let mut target = World::new();
    let mut session = Session::of(&certificate, 3);
    let installed = session.run(&mut source.executor, honest);
    assert_eq!((installed.certificate(), &session.poisons), (&certificate, &vec![]));
    target.executor.install(installed).unwrap();
    assert_eq!(target.executor.executed(), certificate.sequence);
    assert_eq!(target.executor.servable(), [certificate.sequence]);
    assert_eq!(target.executor.windows(), source.executor.windows());
    assert_eq!(target.value("q"), source.value("q"));
    for world in [&mut source, &mut target] {
        world.run(&["append a y"]);
    }
    assert_eq!(source.reach_checkpoint(), target.reach_checkpoint());
}

/// The next batch was proposed by a clock that is behind.
#[test]
fn r03_the_time_goes_on_from_an_installed_or_restored_state() {
    let mut source = World::new();
    let ahead = source.ordered(1_000_000, vec![source.request(0, 1, &["time"])]);
    source.executor.execute(&ahead).unwrap();
    let certificate = source.reach_stable();
    let mut installed = World::new();
    installed.executor.install(Session::of(&certificate, 3).run(&mut source.executor, honest)).unwrap();
    let (frozen, _) = source.executor.frozen(certificate.sequence).unwrap();
    let saved = InstalledState::from_saved(&frozen.header(&certificate), frozen.chunks(), &source.authenticator).unwrap();
    let mut restored = World::new();
    restored.executor = Executor::restore(source.genesis.clone(), Map::default(), saved).unwrap();
    for world in [&mut source, &mut installed, &mut restored] {
        let behind = world.ordered(5, vec![world.request(0, 2, &["time"])]);
        assert_eq!(world.executor.execute(&behind).unwrap().replies[0].outcome, executed(&["1000001"]));
    }
}

#[test]
fn r14_only_what_differs_is_fetched() {
    let (mut source, _) = source();
    let (mut behind, _) = self::source();
    source.run(&["append a y", "append b z"]);
    let certificate = source.reach_stable();
    let mut session = Session::new(Transfer::new(certificate, peers(3), behind.executor.local(), BTreeSet::new()));
    let installed = session.run(&mut source.executor, honest);
    let bucket = (0..CLIENT_CHUNKS)
        .find(|index| source.executor.local().clients.chunk(*index) != behind.executor.local().clients.chunk(*index));
    let mut expected = vec![(StatePart::Service, chunk_of("a")), (StatePart::Service, chunk_of("b"))];
    expected.push((StatePart::Clients, bucket.unwrap()));
    session.fetched.sort_unstable();
    assert_eq!(session.fetched, expected);
    behind.executor.install(installed).unwrap();
    assert_eq!(behind.executor.local().state, source.executor.local().state);
    assert_eq!(behind.value("a").as_deref(), Some("012y"));
}

#[test]
fn r14_equal_chunks_are_fetched_once() {
    let (mut source, certificate) = source();
    let mut session = Session::of(&certificate, 1);
    session.run(&mut source.executor, honest);
    let clients = session.fetched.iter().filter(|(part, _)| *part == StatePart::Clients).count();
    assert!(clients <= 5, "four clients and the empty bucket, not 1024: {clients}");
}

#[test]
fn r14_a_chunk_larger_than_an_answer_comes_in_pieces() {
    let mut source = World::new();
    let operation = format!("append a {}", "x".repeat(2_000_000));
    for _ in 0..3 {
        source.run(&[&operation]);
    }
    let certificate = source.reach_stable();
    let mut session = Session::of(&certificate, 2);
    let mut target = World::new();
    target.executor.install(session.run(&mut source.executor, honest)).unwrap();
    assert_eq!(session.fetched.iter().filter(|chunk| **chunk == (StatePart::Service, chunk_of("a"))).count(), 6);
    assert_eq!(target.executor.local().state, source.executor.local().state);
    assert_eq!(session.poisons, []);
}

#[test]
fn r14_a_poisoned_outline_is_named_and_another_peer_helps() {
    let (mut source, certificate) = source();
    for (broken, what) in
        [Poison::Outline, Poison::Leaves(StatePart::Service), Poison::Leaves(StatePart::Clients)].iter().enumerate()
    {
        let mut session = Session::of(&certificate, 3);
        let installed = session.run(&mut source.executor, |peer, mut reply| {
            if let (StateReply::Outline { state, service, clients }, ReplicaId(1)) = (&mut reply, peer) {
                match broken {
                    0 => state.time += 1,
                    1 => service.swap(0, 1),
                    _ => drop(clients.pop()),
                }
            }
            Some(reply)
        });
        assert_eq!(session.poisons, [(ReplicaId(1), what.clone())]);
        assert_eq!(*installed.certificate(), certificate);
    }
}

#[test]
fn r14_a_poisoner_is_named_once_and_its_share_goes_to_others() {
    let (mut source, certificate) = source();
    let mut session = Session::of(&certificate, 3);
    let installed = session.run(&mut source.executor, |peer, mut reply| {
        if let (StateReply::Chunks { pieces, .. }, ReplicaId(2)) = (&mut reply, peer) {
            let mut bytes = pieces[1].bytes.to_vec();
            bytes[0] ^= 1;
            pieces[1].bytes = bytes.into();
        }
        Some(reply)
    });
    let [(ReplicaId(2), Poison::Chunk { part: StatePart::Service, index })] = session.poisons[..] else {
        panic!("{:?}", session.poisons)
    };
    let asked = session.asked.iter().filter(|(peer, _)| *peer == ReplicaId(2)).count();
    assert_eq!(asked, 1, "nobody asks a liar while others serve");
    let count = |chunk| session.fetched.iter().filter(|fetched| **fetched == (StatePart::Service, chunk)).count();
    assert_eq!((count(index - 1), count(index)), (1, 2), "what was good before the lie is kept");
    World::new().executor.install(installed).unwrap();
}

#[test]
fn r14_a_poisoner_is_asked_again_when_no_other_serves() {
    let (mut source, certificate) = source();
    let mut session = Session::of(&certificate, 2);
    let mut lies = 1;
    session.run(&mut source.executor, |peer, mut reply| match (&mut reply, peer) {
        (_, ReplicaId(2)) => Some(StateReply::Gone { sequence: certificate.sequence, newest: SequenceNumber(0) }),
        (StateReply::Chunks { pieces, .. }, _) if lies > 0 => {
            lies -= 1;
            pieces[0].size = u64::MAX;
            Some(reply)
        }
        _ => Some(reply),
    });
    assert_eq!(session.poisons.len(), 1);
}

#[test]
fn r14_all_peers_are_asked_at_once_for_chunks_of_their_own() {
    let (mut source, certificate) = source();
    let mut session = Session::of(&certificate, 3);
    session.step(&mut source.executor); // the outline, of one
    let questions = session.questions();
    assert_eq!(session.transfer.poll(session.now), None, "one question a peer");
    let mut asked = Vec::new();
    for (_, question) in &questions {
        let FetchState::Chunks { indices, part, .. } = question else { panic!("{question:?}") };
        asked.extend(indices.iter().map(|index| (*part, *index)));
    }
    let all: BTreeSet<_> = asked.iter().collect();
    assert_eq!((questions.len(), all.len()), (3, asked.len()), "no chunk is asked for twice");
    for (peer, question) in questions {
        session.take(peer, source.executor.serve(&question));
    }
    session.run(&mut source.executor, honest);
    let peers = |id| session.asked.iter().filter(|(peer, _)| *peer == ReplicaId(id)).count();
    assert!((1..=3).all(|id| peers(id) >= 1), "{:?}", session.asked);
    assert_eq!(session.now, NOW, "nobody was waited for");
}

#[test]
fn r14_a_slow_peers_share_goes_to_others() {
    let (mut source, certificate) = source();
    let mut session = Session::of(&certificate, 3);
    session.step(&mut source.executor);
    let installed = session.run(&mut source.executor, |peer, reply| (peer != ReplicaId(3)).then_some(reply));
    assert_eq!(session.now - NOW, Duration::from_secs(1), "its time is waited for once");
    World::new().executor.install(installed).unwrap();
}

#[test]
fn r14_chunks_kept_from_before_a_restart_are_not_fetched_and_damaged_ones_are() {
    let (mut source, certificate) = source();
    let mut first = Session::of(&certificate, 3);
    first.run(&mut source.executor, honest);
    let kept = first.kept.keys().copied().collect();
    let mut again = Session::new(Transfer::new(certificate, peers(3), World::new().executor.local(), kept));
    let (damaged, lost) = (chunk_digest(&source.executor.local().service.chunk(1)), *first.kept.keys().next().unwrap());
    again.kept = first.kept.clone();
    again.kept.get_mut(&damaged).unwrap()[0] ^= 1;
    again.kept.remove(&lost);
    again.step(&mut source.executor);
    assert!(again.transfer.is_complete() && again.fetched.is_empty());
    assert_eq!(again.finish(), None);
    let installed = again.run(&mut source.executor, honest);
    assert_eq!(again.fetched.len(), BTreeSet::from([damaged, lost]).len());
    World::new().executor.install(installed).unwrap();
}

#[test]
fn r14_pieces_that_fit_no_chunk_are_named() {
    let (mut source, certificate) = source();
    let lies: [fn(&mut ChunkPiece); 3] = [
        |piece| piece.size = u64::MAX,
        |piece| piece.size = MAX_CHUNK_BYTES + 1,
        |piece| piece.size = piece.bytes.len() as u64 - 1,
    ];
    for lie in lies {
        let mut session = Session::of(&certificate, 3);
        session.run(&mut source.executor, |peer, mut reply| {
            if let (StateReply::Chunks { pieces, .. }, ReplicaId(2)) = (&mut reply, peer) {
                lie(&mut pieces[0]);
            }
            Some(reply)
        });
        let [(ReplicaId(2), Poison::Piece { part: StatePart::Service, .. })] = session.poisons[..] else {
            panic!("{:?}", session.poisons)
        };
    }
}

type Lie = fn(Vec<ChunkPiece>) -> Option<Vec<ChunkPiece>>;

#[test]
fn r14_silence_useless_pieces_and_crumbs_only_delay() {
    let (mut source, certificate) = source();
    let lies: [Lie; 5] = [
        |_| None,
        |_| Some(vec![]),
        |mut pieces| {
            pieces.reverse();
            pieces.pop();
            Some(pieces)
        },
        |mut pieces| {
            pieces.iter_mut().for_each(|piece| piece.bytes = Blob::default());
            Some(pieces)
        },
        |mut pieces| {
            pieces.truncate(1);
            if let Some(piece) = pieces.first_mut() {
                (piece.size, piece.bytes) = (MAX_CHUNK_BYTES, Blob::from(vec![0]));
            }
            Some(pieces)
        },
    ];
    for (number, lie) in lies.into_iter().enumerate() {
        let mut session = Session::of(&certificate, 3);
        let installed = session.run(&mut source.executor, |peer, reply| match (peer, reply) {
            (ReplicaId(2), StateReply::Chunks { sequence, part, pieces }) => {
                lie(pieces).map(|pieces| StateReply::Chunks { sequence, part, pieces })
            }
            (_, reply) => Some(reply),
        });
        World::new().executor.install(installed).unwrap();
        assert!(session.now - NOW <= Duration::from_secs(2), "lie {number} cost {:?}", session.now - NOW);
    }
}

#[test]
fn r14_crumbs_end_when_a_chunk_grows_too_slowly_whatever_size_it_claims() {
    // Each MiB may take a second, and the first one two more, however often a crumb comes.
    for (crumb, whole) in [(1, 2..=3), (1 << 20, 11..=12)] {
        let (mut source, certificate) = source();
        let mut session = Session::of(&certificate, 1);
        session.step(&mut source.executor);
        let (liar, index) = (ReplicaId(1), 0);
        let mut offset = 0;
        while let Some((_, FetchState::Chunks { offset: asked, .. })) = session.questions().pop() {
            assert_eq!(asked, offset);
            // After 10 MiB only silence.
            if offset < 10 << 20 {
                let piece = ChunkPiece { index, offset, size: MAX_CHUNK_BYTES, bytes: Blob::from(vec![0; crumb]) };
                session
                    .take(liar, StateReply::Chunks { sequence: SequenceNumber(K), part: StatePart::Service, pieces: vec![piece] });
                offset += crumb as u64;
            }
            session.now += Duration::from_secs(1);
        }
        assert!(whole.contains(&(session.now - NOW).as_secs()), "{crumb}: {:?}", session.now - NOW);
        assert!(!session.transfer.is_served());
        session.now = session.transfer.poll_timeout().unwrap();
        let again = session.questions().pop();
        assert!(matches!(again, Some((_, FetchState::Chunks { offset: 0, .. }))), "the crumbs are gone: {again:?}");
    }
}

#[test]
fn r14_who_breaks_off_is_asked_only_while_no_other_serves_whatever_the_target() {
    let (mut source, certificate) = source();
    let mut session = Session::of(&certificate, 2);
    session.step(&mut source.executor);
    let (liar, honest) = (ReplicaId(2), ReplicaId(1));
    let questions = session.questions();
    assert_eq!(questions.len(), 2);
    let Some((_, FetchState::Chunks { indices, part, .. })) = questions.into_iter().find(|(peer, _)| *peer == liar) else {
        panic!()
    };
    let piece = ChunkPiece { index: indices[0], offset: 0, size: MAX_CHUNK_BYTES, bytes: Blob::from(vec![0]) };
    session.take(liar, StateReply::Chunks { sequence: SequenceNumber(K), part, pieces: vec![piece] });
    session.now += Duration::from_secs(3);
    assert_eq!(session.questions(), [], "both rest");
    source.run(&["append a z"]);
    let newer = source.reach_stable();
    session.transfer.retarget(newer.clone());
    session.asked.clear();
    session.now += Duration::from_secs(20);
    let installed = session.run(&mut source.executor, self::honest);
    assert_eq!(installed.certificate(), &newer);
    assert!(session.asked.iter().all(|(peer, _)| *peer == honest), "{:?}", session.asked);
}

#[test]
fn r14_a_peer_that_lacks_the_state_is_passed_over() {
    let (mut source, certificate) = source();
    let newest = SequenceNumber(5 * K);
    let mut session = Session::of(&certificate, 3);
    session.run(&mut source.executor, |peer, reply| {
        Some(if peer == ReplicaId(1) { StateReply::Gone { sequence: certificate.sequence, newest } } else { reply })
    });
    assert_eq!((session.poisons.len(), session.now), (0, NOW));
}

#[test]
fn r14_questions_pause_when_no_peer_helps() {
    let (_, certificate) = source();
    let mut session = Session::of(&certificate, 3);
    let gone = StateReply::Gone { sequence: certificate.sequence, newest: SequenceNumber(0) };
    for id in 1..=3 {
        assert!(session.transfer.is_served());
        assert_eq!(session.questions(), [(ReplicaId(id), FetchState::Outline { sequence: certificate.sequence })]);
        session.take(ReplicaId(id), gone.clone());
    }
    assert!(!session.transfer.is_served());
    let second = Duration::from_secs(1);
    assert_eq!((session.questions().len(), session.transfer.poll_timeout()), (0, Some(NOW + second)));
    session.now = NOW + second;
    assert_eq!(session.questions().len(), 1);
    assert_eq!(session.transfer.poll_timeout(), Some(NOW + second + 2 * second), "patience doubles with every failure");
    assert_eq!(Session::of(&certificate, 0).questions(), []);
}

#[test]
fn r14_only_the_asked_peer_is_heard() {
    let (mut source, certificate) = source();
    let mut session = Session::of(&certificate, 3);
    let gone = StateReply::Gone { sequence: certificate.sequence, newest: SequenceNumber(0) };
    session.take(ReplicaId(1), gone.clone());
    let [(peer, question)] = &session.questions()[..] else { panic!("not one question") };
    assert_eq!(*peer, ReplicaId(1), "nobody has failed");
    session.take(ReplicaId(2), gone);
    session.take(*peer, StateReply::Gone { sequence: SequenceNumber(0), newest: SequenceNumber(0) });
    assert_eq!(session.questions(), [], "still waits for the answer");
    session.now += Duration::from_secs(1);
    assert_eq!(session.questions()[0].0, ReplicaId(2));
    session.take(*peer, source.executor.serve(question));
    assert_eq!(session.questions(), [], "a late answer does not count");
}

#[test]
fn r14_a_new_target_keeps_the_chunks_that_are_here() {
    let mut source = World::new();
    let large = "x".repeat(700_000);
    for key in ["a", "b", "c"] {
        source.run(&[&format!("append {key} {large}")]);
    }
    let first = source.reach_stable();
    let mut session = Session::of(&first, 3);
    session.step(&mut source.executor); // the outline
    session.step(&mut source.executor); // the chunks, one of them in part
    source.run(&["append c y"]);
    let second = source.reach_stable();
    session.transfer.retarget(second.clone());
    session.transfer.retarget(first);
    assert_eq!(session.transfer.target(), &second, "never back");
    let installed = session.run(&mut source.executor, honest);
    assert_eq!(installed.state().digest(), second.digest);
    let fetched: Vec<_> = session.fetched.iter().filter(|(part, _)| *part == StatePart::Service).map(|(_, index)| *index).collect();
    let count = |chunk| fetched.iter().filter(|index| **index == chunk).count();
    assert_eq!(count(chunk_of("a")), 1, "{fetched:?}");
    assert_eq!((count(chunk_of("b")), count(chunk_of("c"))), (2, 2), "one was here in part, one changed: {fetched:?}");
    let mut target = World::new();
    target.executor.install(installed).unwrap();
    assert_eq!(target.executor.local().state, source.executor.local().state);
}

#[test]
fn r14_what_a_silent_peer_was_asked_for_of_an_older_state_is_wanted_no_more() {
    let (mut source, first) = source();
    let mut session = Session::of(&first, 3);
    session.step(&mut source.executor);
    let questions = session.questions();
    assert_eq!(questions.len(), 3, "all are asked for chunks");
    let dead = questions[0].0;
    let all: Vec<String> = ('a'..='z').map(|key| format!("append {key} newer")).collect();
    source.run(&all.iter().map(String::as_str).collect::<Vec<_>>());
    let newer = source.reach_stable();
    session.transfer.retarget(newer.clone());
    for (peer, question) in &questions[1..] {
        session.take(*peer, source.executor.serve(question));
    }
    session.step(&mut source.executor); // the outline
    session.now += Duration::from_secs(5); // more than it has
    let installed = session.run(&mut source.executor, |peer, reply| (peer != dead).then_some(reply));
    assert_eq!((installed.certificate(), session.poisons), (&newer, vec![]));
}

#[test]
fn r14_a_state_that_is_here_but_for_the_certificate_needs_no_chunk() {
    let (mut source, certificate) = source();
    let local = source.executor.local();
    let mut session = Session::new(Transfer::new(certificate, peers(1), local, BTreeSet::new()));
    session.run(&mut source.executor, honest);
    assert_eq!(session.fetched, []);
}

#[test]
fn r14_a_dead_peer_does_not_stall_a_transfer_whose_target_moves() {
    let (mut source, first) = source();
    let mut session = Session::of(&first, 3);
    let (dead, _) = session.questions()[0];
    for _ in 0..3 {
        source.run(&["append c y"]);
        session.transfer.retarget(source.reach_stable());
        let questions = session.questions();
        assert!(questions.iter().all(|(peer, _)| *peer != dead) && questions.len() == 1, "{questions:?}");
        for (peer, question) in questions {
            session.take(peer, source.executor.serve(&question));
        }
    }
    session.now += Duration::from_secs(1);
    let installed = session.run(&mut source.executor, |peer, reply| (peer != dead).then_some(reply));
    World::new().executor.install(installed).unwrap();
}
