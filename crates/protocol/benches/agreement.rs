//! Agreement on a batch of a hundred requests: four replicas with all their signatures, no network, no disk, no service.

#![allow(missing_docs, clippy::unwrap_used, clippy::arithmetic_side_effects, clippy::indexing_slicing)]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use pbft_crypto::{Digest, SecretKey};
use pbft_message::*;
use pbft_protocol::Now;
use pbft_protocol::agreement::{Action, Config, Limits, Persist, Record, Replica, Timing};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;

const REPLICAS: u8 = 4;
const REQUESTS: u64 = 100;

/// Four replicas. What one sends, the others have at once.
struct Cluster {
    authenticator: Authenticator,
    replicas: Vec<Replica>,
    sent: VecDeque<(usize, usize, Message)>,
    now: Now,
    timestamp: u64,
}

/// A disk that keeps nothing.
struct Nowhere;

impl Persist for Nowhere {
    type Error = Infallible;

    fn append(&mut self, records: &[Record]) -> Result<usize, Infallible> {
        Ok(records.len())
    }

    fn begin_base(&mut self, _records: &[Record]) -> Result<(), Infallible> {
        Ok(())
    }

    fn adopt_base(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

fn key(number: u8) -> SecretKey {
    SecretKey::from_seed(&[number; 32])
}

impl Cluster {
    fn new() -> Self {
        let replica = |id| ReplicaEntry { signing_key: key(id).public(), transport_key: key(100 + id).public() };
        let client = ClientEntry { signing_key: ClientId(key(50).public()), transport_key: key(51).public() };
        let genesis = Genesis {
            name: "bench".to_owned(),
            test_network: true,
            parameters: Parameters::default(),
            service: ServiceParameters::default(),
            replicas: (0..REPLICAS).map(replica).collect(),
            operators: Vec::new(),
            clients: vec![client],
        };
        let authenticator = Authenticator::new(Arc::new(genesis));
        let config = Config { authenticator: authenticator.clone(), timing: Timing::default(), limits: Limits::default() };
        let now = Now { wall: 1_700_000_000_000_000, ..Now::default() };
        let signer = |id: u8| Signer::new(ReplicaId(id.into()), *authenticator.domain(), key(id));
        let replicas = (0..REPLICAS).map(|id| Replica::new(config.clone(), signer(id), now)).collect();
        Self { authenticator, replicas, sent: VecDeque::new(), now, timestamp: 0 }
    }

    /// Verified, as the primary's core gets them.
    fn requests(&mut self) -> Vec<Verified<Signed<Request>>> {
        let client = key(50);
        let request = |timestamp| {
            let operations = Blobs::new(&[[7; 100]]);
            let request = Request { client: ClientId(client.public()), timestamp: Timestamp(timestamp), operations };
            sign_request(request, self.authenticator.domain(), &client)
        };
        let requests = (1..=REQUESTS).map(|number| request(self.timestamp + number)).collect();
        self.timestamp += REQUESTS;
        self.authenticator.verify_requests(requests).into_iter().map(Result::unwrap).collect()
    }

    fn agree(&mut self, requests: Vec<Verified<Signed<Request>>>) {
        for request in requests {
            self.replicas[0].handle_request(self.now, request).unwrap();
        }
        let before = self.replicas[3].executed();
        self.settle(0);
        while let Some((from, to, message)) = self.sent.pop_front() {
            let sender = ReplicaId(u32::try_from(from).unwrap());
            let message = self.authenticator.verify_message(sender, message).unwrap();
            // What comes after a quorum is not wanted any more.
            let _ = self.replicas[to].handle_message(self.now, sender, message);
            self.settle(to);
        }
        assert!(self.replicas[3].executed() > before);
    }

    /// Does what a replica wants, until it wants nothing more.
    fn settle(&mut self, id: usize) {
        loop {
            let effects = self.replicas[id].poll_effects();
            if effects.is_empty() {
                return;
            }
            let (at_once, rest) = effects.split();
            let (after, position) = rest.persist(&mut Nowhere).unwrap();
            for action in at_once.into_iter().chain(after) {
                self.act(id, action);
            }
            self.replicas[id].handle_durable(self.now, position);
        }
    }

    fn act(&mut self, id: usize, action: Action) {
        match action {
            Action::Broadcast(message) => {
                let others = (0..self.replicas.len()).filter(|to| *to != id);
                self.sent.extend(others.map(|to| (id, to, message.clone())));
            }
            Action::Send(to, message) => self.sent.push_back((id, to.0 as usize, message)),
            Action::Execute(ordered) => {
                let is_checkpoint = ordered.sequence.0.is_multiple_of(Parameters::default().checkpoint_interval);
                let state = is_checkpoint.then(|| Digest::of("state", &[&ordered.sequence.0.to_le_bytes()]));
                self.replicas[id].handle_executed(self.now, ordered.sequence, state);
            }
            _ => {}
        }
    }
}

fn agreement(criterion: &mut Criterion) {
    let cluster = std::cell::RefCell::new(Cluster::new());
    let mut group = criterion.benchmark_group("agreement");
    group.throughput(Throughput::Elements(REQUESTS));
    group.bench_function("a batch of 100, four replicas", |bencher| {
        let requests = || cluster.borrow_mut().requests();
        bencher.iter_batched(requests, |requests| cluster.borrow_mut().agree(requests), BatchSize::PerIteration);
    });
    group.finish();
}

criterion_group!(benches, agreement);
criterion_main!(benches);
