//! State transfer (R14): whatever peers answer, only the certified state is ever installed, in bounded memory, and one
//! honest answer after the other still completes it.

use crate::allocation::within;
use crate::cluster::{CHECKPOINT_INTERVAL, Cluster, cluster};
use crate::input::Input;
use pbft_crypto::Digest;
use pbft_message::*;
use pbft_protocol::execution::{Executor, FrozenState, Ordered, Transfer};
use pbft_protocol::service::{Context, RestoreError, Service, Snapshot};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};
use std::time::Duration;

/// A service of a few chunks: an operation's bytes go to the chunk that the first of them chooses.
#[derive(Default)]
struct Chunks(Vec<Vec<u8>>);

impl Service for Chunks {
    fn execute(&mut self, _: &Context, operation: &[u8]) -> Vec<u8> {
        self.0.resize(8, Vec::new());
        let chunk = usize::from(operation[0]) % 8;
        self.0[chunk].extend(operation);
        Vec::new()
    }

    fn snapshot(&self) -> Arc<dyn Snapshot> {
        Arc::new(Frozen(self.0.clone()))
    }

    fn restore(&mut self, chunks: Vec<Vec<u8>>) -> Result<(), RestoreError> {
        self.0 = chunks;
        Ok(())
    }
}

struct Frozen(Vec<Vec<u8>>);

impl Snapshot for Frozen {
    fn chunk_count(&self) -> u32 {
        8
    }

    fn chunk(&self, index: u32) -> Vec<u8> {
        self.0.get(index as usize).cloned().unwrap_or_default()
    }
}

/// An honest executor with two stable states, and their certificates.
pub struct Source {
    executor: Executor<Chunks>,
    certificates: Vec<Verified<StableCertificate>>,
}

static SOURCE: LazyLock<Mutex<Source>> = LazyLock::new(|| Mutex::new(Source::new(cluster())));

/// The one source; made once.
pub fn source() -> MutexGuard<'static, Source> {
    SOURCE.lock().expect("no target goes on after a panic")
}

impl Source {
    fn new(cluster: &Cluster) -> Self {
        let mut executor = Executor::new(cluster.genesis.clone(), Chunks::default());
        let mut certificates = Vec::new();
        for number in 1..=2 * CHECKPOINT_INTERVAL {
            let batch = cluster.batch(number, 100 * number, &[(number % 3, number, 1)]);
            let ordered = Ordered { view: View(0), sequence: SequenceNumber(number), body: Some(batch) };
            if let Some(digest) = executor.execute(&ordered).expect("in order").checkpoint {
                let certificate = cluster.stable(SequenceNumber(number), digest);
                let certificate = cluster.authenticator.verify_stable(certificate).expect("a quorum signed it");
                executor.stable(certificate.clone());
                certificates.push(certificate);
            }
        }
        Self { executor, certificates }
    }

    /// The first stable state with its certificate.
    pub fn frozen(&self) -> (FrozenState, StableCertificate) {
        self.executor.frozen(SequenceNumber(CHECKPOINT_INTERVAL)).expect("kept")
    }
}

/// The largest chunk here is far below; a peer that claims more must send it.
const MEMORY: usize = 4 << 20;

pub fn run(data: &[u8]) {
    let mut source = source();
    let target = source.certificates[usize::from(data.first().is_some_and(|byte| byte % 2 == 1))].clone();
    let nothing = || Executor::new(cluster().genesis.clone(), Chunks::default()).local();
    let local = if data.first().is_some_and(|byte| byte % 4 > 1) { source.frozen().0 } else { nothing() };
    let transfer = Transfer::new(target, (1..4).map(ReplicaId), local, BTreeSet::new());
    let mut run = Run { transfer, now: Duration::ZERO, asked: VecDeque::new(), kept: BTreeMap::new() };
    let mut input = Input(data.get(1..).unwrap_or_default());
    within(MEMORY + 16 * data.len(), || run.all(&mut source, &mut input));
}

struct Run {
    transfer: Transfer,
    now: Duration,
    /// Questions without an answer.
    asked: VecDeque<(ReplicaId, FetchState)>,
    kept: BTreeMap<Digest, Vec<u8>>,
}

impl Run {
    fn all(&mut self, source: &mut Source, input: &mut Input<'_>) {
        while !input.is_empty() {
            self.step(source, input);
            if self.is_over(source) {
                return;
            }
        }
        for _ in 0..64 {
            self.answer(source, |_| {});
            if self.is_over(source) {
                return;
            }
        }
        panic!("honest answers do not complete the transfer");
    }

    fn step(&mut self, source: &mut Source, input: &mut Input<'_>) {
        match input.byte() % 8 {
            0 => self.answer(source, |_| {}),
            1..=3 => self.answer(source, |reply| spoil(input, reply)),
            4 => self.now += Duration::from_millis(u64::from(input.byte()) * 50),
            5 => self.transfer.retarget(source.certificates[input.below(2)].clone()),
            6 => {
                let from = ReplicaId(u32::from(input.byte() % 5));
                let sequence = SequenceNumber(u64::from(input.byte() % 3) * CHECKPOINT_INTERVAL);
                let newest = SequenceNumber(input.number());
                self.take(from, StateReply::Gone { sequence, newest });
            }
            _ => {
                let length = usize::from(input.u16());
                let from = self.asked.front().map_or(ReplicaId(1), |(peer, _)| *peer);
                if let Ok(reply) = codec::decode(input.take(length)) {
                    self.take(from, reply);
                }
            }
        }
    }

    fn answer(&mut self, source: &mut Source, spoil: impl FnOnce(&mut StateReply)) {
        self.asked.extend(std::iter::from_fn(|| self.transfer.poll(self.now)));
        if self.asked.is_empty() {
            self.now = self.transfer.poll_timeout().map_or(self.now, |at| at.max(self.now));
            self.asked.extend(std::iter::from_fn(|| self.transfer.poll(self.now)));
        }
        let Some((peer, question)) = self.asked.pop_front() else { return };
        let mut reply = source.executor.serve(&question);
        spoil(&mut reply);
        self.take(peer, reply);
    }

    fn take(&mut self, from: ReplicaId, reply: StateReply) {
        self.kept.extend(self.transfer.handle(self.now, from, reply).chunks);
    }

    /// Whether the state is here; then it is the certified one.
    fn is_over(&mut self, source: &Source) -> bool {
        let read = |digest: &Digest| Ok::<_, Infallible>(self.kept.get(digest).cloned());
        let Ok(Some(installed)) = self.transfer.finish(read) else { return false };
        let target = self.transfer.target();
        assert_eq!((installed.certificate(), installed.state().digest()), (target, target.digest));
        let (certified, _) = source.executor.frozen(target.sequence).expect("kept");
        let mut executor = Executor::new(cluster().genesis.clone(), Chunks::default());
        executor.install(installed).expect("a certified state can be installed");
        let local = executor.local();
        assert_eq!((&local.state, local.service_leaves), (&certified.state, certified.service_leaves));
        assert!(local.clients_leaves == certified.clients_leaves, "another client table");
        true
    }
}

/// One lie about an honest answer.
fn spoil(input: &mut Input<'_>, reply: &mut StateReply) {
    match reply {
        StateReply::Outline { state, service, clients } => match input.byte() % 8 {
            0 => state.time ^= input.number(),
            1 => service.reverse(),
            2 => service.truncate(input.below(9)),
            3 => drop(clients.pop()),
            4 => clients.extend(service.first().copied()),
            5 => clients.swap(0, 1),
            6 => state.sequence = SequenceNumber(input.number()),
            _ => {}
        },
        StateReply::Chunks { part, pieces, sequence } => {
            let place = input.below(pieces.len());
            let Some(piece) = pieces.get_mut(place) else { return };
            match input.byte() % 12 {
                0 => piece.index = input.number() as u32,
                1 => piece.offset = input.number(),
                2 => piece.size = input.number(),
                3 => piece.size = 255 << 20,
                4 => piece.bytes = Blob::default(),
                5 | 6 => {
                    let mut bytes = piece.bytes.to_vec();
                    input.damage(&mut bytes);
                    piece.bytes = bytes.into();
                }
                7 => pieces.truncate(place),
                8 => pieces.reverse(),
                9 => pieces.extend_from_within(..),
                10 => *part = if *part == StatePart::Service { StatePart::Clients } else { StatePart::Service },
                _ => *sequence = SequenceNumber(input.number()),
            }
        }
        StateReply::Gone { newest, .. } => *newest = SequenceNumber(input.number()),
    }
}
