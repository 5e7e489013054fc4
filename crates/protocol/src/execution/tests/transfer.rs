use super::world::*;
use crate::execution::*;
use pbft_message::*;
use std::time::Duration;

const NOW: Duration = Duration::from_secs(100);

fn peers(count: u32) -> Vec<ReplicaId> {
    (1..=count).map(ReplicaId).collect()
}

/// A transfer under way: what was asked of whom, and what the answers carried.
struct Session {
    transfer: Transfer,
    now: Duration,
    fetched: Vec<(StatePart, u32)>,
    noted: Vec<Progress>,
}

impl Session {
    fn new(transfer: Transfer) -> Self {
        Self { transfer, now: NOW, fetched: Vec::new(), noted: Vec::new() }
    }

    /// Until it completes: `answer` may change what the server says to whom; None is silence.
    fn run(
        &mut self,
        server: &mut Executor<Map>,
        mut answer: impl FnMut(ReplicaId, StateReply) -> Option<StateReply>,
    ) -> InstalledState {
        for _ in 0..10_000 {
            let Some((peer, question)) = self.transfer.poll(self.now) else {
                self.now = self.transfer.poll_timeout().expect("waits for something").max(self.now);
                continue;
            };
            let Some(reply) = answer(peer, server.serve(&question)) else { continue };
            if let StateReply::Chunks { part, pieces, .. } = &reply {
                self.fetched.extend(pieces.iter().map(|piece| (*part, piece.index)));
            }
            match self.transfer.handle(self.now, peer, reply) {
                Progress::Complete(installed) => return *installed,
                Progress::Continue => {}
                noted => self.noted.push(noted),
            }
        }
        panic!("the transfer does not end");
    }

    fn step(&mut self, server: &mut Executor<Map>) {
        let (peer, question) = self.transfer.poll(self.now).unwrap();
        let reply = server.serve(&question);
        assert_eq!(self.transfer.handle(self.now, peer, reply), Progress::Continue);
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
    let mut session = Session::new(Transfer::new(certificate.clone(), peers(3), None));
    let installed = session.run(&mut source.executor, honest);
    assert_eq!((installed.certificate(), &session.noted), (&certificate, &vec![]));
    assert_eq!(session.transfer.poll(session.now), None, "it is over");
    assert_eq!(session.transfer.poll_timeout(), None);
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

#[test]
fn r14_only_what_differs_is_fetched() {
    let (mut source, _) = source();
    let (mut behind, _) = self::source();
    source.run(&["append a y", "append b z"]);
    let certificate = source.reach_stable();
    let mut session = Session::new(Transfer::new(certificate, peers(3), Some(behind.executor.local())));
    let installed = session.run(&mut source.executor, honest);
    let bucket = (0..CLIENT_CHUNKS)
        .find(|index| source.executor.local().clients.chunk(*index) != behind.executor.local().clients.chunk(*index));
    let mut expected = vec![(StatePart::Service, chunk_of("a")), (StatePart::Service, chunk_of("b"))];
    expected.push((StatePart::Clients, bucket.unwrap()));
    assert_eq!(session.fetched, expected);
    behind.executor.install(installed).unwrap();
    assert_eq!(behind.executor.local().state, source.executor.local().state);
    assert_eq!(behind.value("a").as_deref(), Some("012y"));
}

#[test]
fn r14_equal_chunks_are_fetched_once() {
    let (mut source, certificate) = source();
    let mut session = Session::new(Transfer::new(certificate, peers(1), None));
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
    let mut session = Session::new(Transfer::new(certificate, peers(2), None));
    let mut target = World::new();
    target.executor.install(session.run(&mut source.executor, honest)).unwrap();
    assert_eq!(session.fetched.iter().filter(|chunk| **chunk == (StatePart::Service, chunk_of("a"))).count(), 6);
    assert_eq!(target.executor.local().state, source.executor.local().state);
    assert_eq!(session.noted, []);
}

#[test]
fn r14_a_poisoned_outline_is_named_and_another_peer_helps() {
    let (mut source, certificate) = source();
    for (broken, what) in
        [Poison::Outline, Poison::Leaves(StatePart::Service), Poison::Leaves(StatePart::Clients)].iter().enumerate()
    {
        let mut session = Session::new(Transfer::new(certificate.clone(), peers(3), None));
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
        assert_eq!(session.noted, [Progress::Poisoned { peer: ReplicaId(1), what: what.clone() }]);
        assert_eq!(*installed.certificate(), certificate);
    }
}

#[test]
fn r14_a_poisoned_chunk_is_named_and_another_peer_helps() {
    let (mut source, certificate) = source();
    let mut session = Session::new(Transfer::new(certificate.clone(), peers(3), None));
    let installed = session.run(&mut source.executor, |peer, mut reply| {
        if let (StateReply::Chunks { pieces, .. }, ReplicaId(2)) = (&mut reply, peer) {
            let mut bytes = pieces[1].bytes.to_vec();
            bytes[0] ^= 1;
            pieces[1].bytes = bytes.into();
        }
        Some(reply)
    });
    let what = Poison::Chunk { part: StatePart::Service, index: session.fetched[1].1 };
    assert_eq!(session.noted, [Progress::Poisoned { peer: ReplicaId(2), what }]);
    let first = session.fetched[0];
    assert_eq!(session.fetched.iter().filter(|chunk| **chunk == first).count(), 1, "what was good before the lie is kept");
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
        let mut session = Session::new(Transfer::new(certificate.clone(), peers(3), None));
        session.run(&mut source.executor, |peer, mut reply| {
            if let (StateReply::Chunks { pieces, .. }, ReplicaId(2)) = (&mut reply, peer) {
                lie(&mut pieces[0]);
            }
            Some(reply)
        });
        let what = Poison::Piece { part: StatePart::Service, index: 0 };
        assert_eq!(session.noted, [Progress::Poisoned { peer: ReplicaId(2), what }]);
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
        let mut session = Session::new(Transfer::new(certificate.clone(), peers(3), None));
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
fn r14_crumbs_of_a_large_chunk_end_at_its_deadline() {
    let (mut source, certificate) = source();
    let mut transfer = Transfer::new(certificate, peers(2), None);
    let (peer, question) = transfer.poll(NOW).unwrap();
    transfer.handle(NOW, peer, source.executor.serve(&question));
    let mut now = NOW;
    let (liar, _) = transfer.poll(now).unwrap();
    let mut offset = 0;
    // 10 MiB may take 12 s, however often a crumb comes.
    while now <= NOW + Duration::from_secs(20) {
        let piece = ChunkPiece { index: 0, offset, size: 10 << 20, bytes: Blob::from(vec![0]) };
        let reply = StateReply::Chunks { sequence: SequenceNumber(K), part: StatePart::Service, pieces: vec![piece] };
        assert_eq!(transfer.handle(now, liar, reply), Progress::Continue);
        offset += 1;
        now += Duration::from_millis(900);
        let (peer, question) = transfer.poll(now).unwrap();
        if peer != liar {
            assert!(now >= NOW + Duration::from_secs(12));
            assert!(matches!(question, FetchState::Chunks { offset: 0, .. }), "crumbs are not mixed with another's pieces");
            return;
        }
    }
    panic!("the liar is still asked");
}

#[test]
fn r14_a_peer_that_lacks_the_state_says_so_and_the_next_is_asked() {
    let (mut source, certificate) = source();
    let newest = SequenceNumber(5 * K);
    let mut session = Session::new(Transfer::new(certificate.clone(), peers(3), None));
    session.run(&mut source.executor, |peer, reply| {
        Some(if peer == ReplicaId(1) { StateReply::Gone { sequence: certificate.sequence, newest } } else { reply })
    });
    assert_eq!(session.noted, [Progress::Gone { newest }]);
}

#[test]
fn r14_questions_pause_when_no_peer_helps() {
    let (_, certificate) = source();
    let mut transfer = Transfer::new(certificate.clone(), peers(3), None);
    let gone = StateReply::Gone { sequence: certificate.sequence, newest: SequenceNumber(0) };
    for id in 1..=3 {
        let (peer, _) = transfer.poll(NOW).unwrap();
        assert_eq!(peer, ReplicaId(id));
        assert_eq!(transfer.handle(NOW, peer, gone.clone()), Progress::Gone { newest: SequenceNumber(0) });
    }
    let second = Duration::from_secs(1);
    assert_eq!((transfer.poll(NOW), transfer.poll_timeout()), (None, Some(NOW + second)));
    assert_eq!(transfer.poll(NOW + second).map(|(peer, _)| peer), Some(ReplicaId(1)));
    assert_eq!(transfer.poll_timeout(), Some(NOW + second + 8 * second), "patience doubles with every failure");
    assert_eq!(Transfer::new(certificate, vec![], None).poll(NOW), None);
}

#[test]
fn r14_only_the_asked_peer_is_heard() {
    let (mut source, certificate) = source();
    let mut transfer = Transfer::new(certificate.clone(), peers(3), None);
    let gone = StateReply::Gone { sequence: certificate.sequence, newest: SequenceNumber(0) };
    assert_eq!(transfer.handle(NOW, ReplicaId(1), gone.clone()), Progress::Continue, "nothing was asked");
    let (peer, question) = transfer.poll(NOW).unwrap();
    assert_eq!(transfer.handle(NOW, ReplicaId(2), gone.clone()), Progress::Continue, "another was asked");
    let old = StateReply::Gone { sequence: SequenceNumber(0), newest: SequenceNumber(0) };
    assert_eq!(transfer.handle(NOW, peer, old), Progress::Continue, "of another state");
    assert_eq!(transfer.poll(NOW), None, "still waits for the answer");
    let late = NOW + Duration::from_secs(1);
    assert_eq!(transfer.poll(late).map(|(peer, _)| peer), Some(ReplicaId(2)));
    assert_eq!(transfer.handle(late, peer, source.executor.serve(&question)), Progress::Continue);
    assert_eq!(transfer.poll(late), None, "a late answer does not count");
}

#[test]
fn r14_a_new_target_keeps_the_chunks_that_are_here() {
    let mut source = World::new();
    let large = "x".repeat(700_000);
    for key in ["a", "b", "c"] {
        source.run(&[&format!("append {key} {large}")]);
    }
    let first = source.reach_stable();
    let mut session = Session::new(Transfer::new(first.clone(), peers(3), None));
    session.step(&mut source.executor); // the outline
    session.step(&mut source.executor); // chunk 0 and "a", and a piece of "b"
    source.run(&["append c y"]);
    let second = source.reach_stable();
    session.transfer.retarget(second.clone());
    session.transfer.retarget(first);
    assert_eq!(session.transfer.target(), &second, "never back");
    let installed = session.run(&mut source.executor, honest);
    assert_eq!(installed.state().digest(), second.digest);
    let fetched: Vec<_> = session.fetched.iter().filter(|(part, _)| *part == StatePart::Service).map(|(_, index)| *index).collect();
    assert!(!fetched.contains(&0) && !fetched.contains(&chunk_of("a")), "{fetched:?}");
    assert!(fetched.contains(&chunk_of("b")) && fetched.contains(&chunk_of("c")), "{fetched:?}");
    let mut target = World::new();
    target.executor.install(installed).unwrap();
    assert_eq!(target.executor.local().state, source.executor.local().state);
}

#[test]
fn r14_a_state_that_is_here_but_for_the_certificate_needs_no_chunk() {
    let (mut source, certificate) = source();
    let local = source.executor.local();
    let mut session = Session::new(Transfer::new(certificate, peers(1), Some(local)));
    session.run(&mut source.executor, honest);
    assert_eq!(session.fetched, []);
}

#[test]
fn r14_a_dead_peer_does_not_stall_a_transfer_whose_target_moves() {
    let (mut source, first) = source();
    let mut transfer = Transfer::new(first, peers(3), None);
    let (dead, _) = transfer.poll(Duration::ZERO).unwrap();
    for moved in 0..3 {
        source.run(&["append c y"]);
        transfer.retarget(source.reach_stable());
        let (asked, _) = transfer.poll(Duration::ZERO).unwrap();
        assert_eq!(asked == dead, moved == 2, "the others are asked before it is asked again");
    }
}
