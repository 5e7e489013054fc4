//! A cluster of replicas with a fake clock, network, disk and executor, for scenarios of ten lines. What is true of
//! every scenario is checked after every event: correct replicas never execute different batches at one number.

#![allow(dead_code, clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used, clippy::panic)]

pub mod signed;

use pbft_crypto::{Digest, SecretKey};
use pbft_message::*;
use pbft_protocol::Now;
use pbft_protocol::agreement::*;
use pbft_protocol::execution::{Ordered, RequestWindow};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

pub const MS: Duration = Duration::from_millis(1);
const WALL_AT_START: u64 = 1_700_000_000_000_000;

/// From, to and what.
pub type Delay = Box<dyn Fn(u32, u32, &Message) -> Duration>;

pub struct Cluster {
    pub genesis: Arc<Genesis>,
    pub nodes: Vec<Node>,
    pub now: Duration,
    pub config: Config,
    queue: BTreeMap<(Duration, u64), Happening>,
    serial: u64,
    /// Directed links that lose everything.
    pub cut: BTreeSet<(u32, u32)>,
    /// What a replica's message becomes on its way to another; the identity for correct ones.
    pub lie: Box<dyn FnMut(u32, u32, Message) -> Vec<Message>>,
    /// How long a message takes from one replica to another.
    pub delay: Delay,
    pub events: Vec<(u32, Event)>,
    pub rejections: Vec<(u32, Rejection)>,
    /// The states that replicas wanted to fetch.
    pub transfers: Vec<(u32, StableCertificate)>,
    pub sent: Vec<(u32, u32, Message)>,
    next_timestamp: u64,
    /// Every request made so far.
    pub asked: Vec<Verified<Signed<Request>>>,
}

pub struct Node {
    pub replica: Option<Replica>,
    pub journal: Vec<Record>,
    base: Option<usize>,
    pub executor: Chain,
    incarnation: u32,
    /// Clock error of this replica's wall clock, in microseconds.
    pub wall_offset: i64,
}

/// A service whose state is the hash of everything executed.
#[derive(Clone)]
pub struct Chain {
    pub executed: Vec<Digest>,
    pub state: Digest,
    windows: BTreeMap<ClientId, RequestWindow>,
    saved: BTreeMap<u64, Saved>,
    pub stalled: bool,
    waiting: Vec<Ordered>,
    pub requests: Vec<(ClientId, Timestamp)>,
}

/// A state at a checkpoint.
#[derive(Clone)]
struct Saved {
    executed: Vec<Digest>,
    state: Digest,
    windows: BTreeMap<ClientId, RequestWindow>,
    requests: Vec<(ClientId, Timestamp)>,
}

enum Happening {
    Message { from: u32, to: u32, message: Box<Message> },
    Durable { node: u32, incarnation: u32, rest: Unpersisted },
    Execute { node: u32 },
}

/// A journal, and where its base begins that is not adopted yet.
struct Disk<'a>(&'a mut Vec<Record>, &'a mut Option<usize>);

impl Persist for Disk<'_> {
    type Error = std::convert::Infallible;

    fn append(&mut self, records: &[Record]) -> Result<usize, Self::Error> {
        // What is written must read back the same.
        self.0.extend(records.iter().map(|record| codec::decode::<Record>(&codec::encode(record)).unwrap()));
        Ok(records.len())
    }

    fn begin_base(&mut self, records: &[Record]) -> Result<(), Self::Error> {
        *self.1 = Some(self.0.len());
        self.append(records).map(|_| ())
    }

    fn adopt_base(&mut self) -> Result<(), Self::Error> {
        self.0.drain(..self.1.take().unwrap_or(0));
        Ok(())
    }
}

/// A snapshot of the state at this number is written.
pub fn save(replica: &mut Replica, now: Now, sequence: SequenceNumber) {
    replica.handle_snapshot_started(now, sequence);
    replica.handle_snapshot(now, sequence);
}

pub fn key(number: u64) -> SecretKey {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    SecretKey::from_seed(&seed)
}

pub fn genesis(n: u64, parameters: Parameters) -> Arc<Genesis> {
    let replicas = (0..n).map(|id| ReplicaEntry { signing_key: key(id).public(), transport_key: key(1000 + id).public() });
    let clients =
        (0..3).map(|id| ClientEntry { signing_key: ClientId(key(2000 + id).public()), transport_key: key(3000 + id).public() });
    let genesis = Genesis {
        name: "scenario".into(),
        test_network: true,
        parameters,
        service: ServiceParameters::default(),
        replicas: replicas.collect(),
        operators: vec![],
        clients: clients.collect(),
    };
    genesis.check().unwrap();
    Arc::new(genesis)
}

impl Chain {
    fn new(genesis: &Genesis) -> Self {
        let windows = genesis
            .clients
            .iter()
            .map(|client| (client.signing_key, RequestWindow::new(genesis.parameters.requests_in_flight)))
            .collect();
        Self {
            executed: vec![],
            state: Digest::ZERO,
            windows,
            saved: BTreeMap::new(),
            stalled: false,
            waiting: vec![],
            requests: vec![],
        }
    }

    fn execute(&mut self, ordered: &Ordered, interval: u64) -> Option<Digest> {
        assert_eq!(ordered.sequence.0, self.executed.len() as u64 + 1, "r07: execution has no gaps and no repetitions");
        let digest = ordered.body.as_ref().map_or(NULL_DIGEST, |batch| batch.digest());
        self.executed.push(digest);
        self.state = Digest::of("chain", &[self.state.as_bytes(), digest.as_bytes()]);
        for request in ordered.body.iter().flat_map(|batch| batch.requests()) {
            self.windows.get_mut(&request.client).unwrap().insert(request.timestamp);
            self.requests.push((request.client, request.timestamp));
        }
        if !ordered.sequence.0.is_multiple_of(interval) {
            return None;
        }
        let saved = Saved {
            executed: self.executed.clone(),
            state: self.state,
            windows: self.windows.clone(),
            requests: self.requests.clone(),
        };
        self.saved.insert(ordered.sequence.0, saved);
        Some(self.state)
    }
}

impl Cluster {
    pub fn new(n: u64) -> Self {
        Self::with(n, Parameters { checkpoint_interval: 4, log_window: 16, ..Parameters::default() })
    }

    pub fn with(n: u64, parameters: Parameters) -> Self {
        Self::with_limits(n, parameters, Limits::default())
    }

    pub fn with_limits(n: u64, parameters: Parameters, limits: Limits) -> Self {
        let genesis = genesis(n, parameters);
        let authenticator = Authenticator::new(genesis.clone());
        let config = Config { authenticator, timing: Timing::default(), limits };
        let mut cluster = Self {
            nodes: Vec::new(),
            now: Duration::ZERO,
            queue: BTreeMap::new(),
            serial: 0,
            cut: BTreeSet::new(),
            lie: Box::new(|_, _, message| vec![message]),
            delay: Box::new(|_, _, _| MS),
            events: vec![],
            transfers: Vec::new(),
            rejections: vec![],
            sent: vec![],
            next_timestamp: 1,
            asked: vec![],
            config,
            genesis,
        };
        for id in 0..n {
            let replica = Replica::new(cluster.config.clone(), cluster.signer(id), cluster.clock(0));
            let executor = Chain::new(&cluster.genesis);
            cluster.nodes.push(Node {
                replica: Some(replica),
                journal: vec![],
                base: None,
                executor,
                incarnation: 0,
                wall_offset: 0,
            });
        }
        for id in 0..u32::try_from(n).unwrap() {
            cluster.settle(id);
        }
        cluster.run(20);
        cluster
    }

    pub fn signer(&self, id: u64) -> Signer {
        Signer::new(ReplicaId(u32::try_from(id).unwrap()), *self.config.authenticator.domain(), key(id))
    }

    fn clock(&self, offset: i64) -> Now {
        Now { monotonic: self.now, wall: self.wall().saturating_add_signed(offset) }
    }

    /// The time of day, in microseconds since 1970.
    pub fn wall(&self) -> u64 {
        WALL_AT_START + u64::try_from(self.now.as_micros()).unwrap()
    }

    pub fn replica(&self, id: u32) -> &Replica {
        self.nodes[id as usize].replica.as_ref().unwrap()
    }

    pub fn replica_is_up(&self, id: u32) -> bool {
        self.nodes[id as usize].replica.is_some()
    }

    pub fn alive(&self) -> Vec<u32> {
        (0..self.nodes.len()).filter(|id| self.nodes[*id].replica.is_some()).map(|id| u32::try_from(id).unwrap()).collect()
    }

    /// The views of those that are up.
    pub fn views(&self) -> Vec<u64> {
        self.alive().into_iter().map(|id| self.replica(id).view().0).collect()
    }

    /// Hands something to a replica and carries out what it wants.
    pub fn with_replica<R>(&mut self, id: u32, act: impl FnOnce(&mut Replica, Now) -> R) -> Option<R> {
        let now = self.clock(self.nodes[id as usize].wall_offset);
        let result = act(self.nodes[id as usize].replica.as_mut()?, now);
        self.settle(id);
        Some(result)
    }

    fn settle(&mut self, id: u32) {
        loop {
            let Some(replica) = self.nodes[id as usize].replica.as_mut() else { return };
            let effects = replica.poll_effects();
            if effects.is_empty() {
                break;
            }
            let (at_once, rest) = effects.split();
            if !rest.is_empty() {
                let incarnation = self.nodes[id as usize].incarnation;
                self.enqueue(Duration::from_micros(200), Happening::Durable { node: id, incarnation, rest });
            }
            for action in at_once {
                self.act(id, action);
            }
        }
        self.agree();
    }

    fn act(&mut self, id: u32, action: Action) {
        match action {
            Action::Broadcast(message) => {
                for to in 0..u32::try_from(self.nodes.len()).unwrap() {
                    if to != id {
                        self.send(id, to, message.clone());
                    }
                }
            }
            Action::Send(to, message) => self.send(id, to.0, message),
            Action::Execute(ordered) => {
                self.nodes[id as usize].executor.waiting.push(ordered);
                self.enqueue(Duration::ZERO, Happening::Execute { node: id });
            }
            Action::TransferState(certificate) => {
                self.transfers.push((id, (*certificate).clone()));
                if !self.nodes[id as usize].executor.stalled {
                    self.transfer(id, &certificate);
                }
            }
            Action::Stable(_) | Action::Answer(..) => {}
            Action::Tell(event) => self.events.push((id, event)),
        }
    }

    pub fn execute_waiting(&mut self, id: u32) {
        let interval = self.genesis.parameters.checkpoint_interval;
        let executor = &mut self.nodes[id as usize].executor;
        if executor.stalled {
            return;
        }
        let done: Vec<_> =
            std::mem::take(&mut executor.waiting).iter().map(|o| (o.sequence, executor.execute(o, interval))).collect();
        for (sequence, checkpoint) in done {
            self.with_replica(id, |replica, now| replica.handle_executed(now, sequence, checkpoint));
        }
    }

    /// State transfer as a copy from whoever has the certified state.
    pub fn transfer(&mut self, id: u32, certificate: &StableCertificate) {
        let saved = self.nodes.iter().find_map(|node| {
            node.executor.saved.get(&certificate.sequence.0).filter(|saved| saved.state == certificate.digest).cloned()
        });
        let Some(Saved { executed, state, windows, requests }) = saved else { return };
        let executor = &mut self.nodes[id as usize].executor;
        executor.executed = executed;
        executor.state = state;
        executor.windows = windows.clone();
        executor.requests = requests;
        executor.waiting.clear();
        self.with_replica(id, |replica, now| replica.handle_installed(now, certificate.sequence, windows));
    }

    fn send(&mut self, from: u32, to: u32, message: Message) {
        if self.cut.contains(&(from, to)) {
            return;
        }
        for message in (self.lie)(from, to, message) {
            self.sent.push((from, to, message.clone()));
            self.enqueue((self.delay)(from, to, &message), Happening::Message { from, to, message: Box::new(message) });
        }
    }

    /// Puts a message on the wire as if `from` had sent it.
    pub fn inject(&mut self, from: u32, to: u32, message: Message) {
        self.enqueue(MS, Happening::Message { from, to, message: Box::new(message) });
    }

    fn enqueue(&mut self, delay: Duration, happening: Happening) {
        self.serial += 1;
        self.queue.insert((self.now + delay, self.serial), happening);
    }

    /// Runs for so many milliseconds.
    pub fn run(&mut self, milliseconds: u64) {
        let end = self.now + Duration::from_millis(milliseconds);
        while self.step(end) {}
        self.now = end;
    }

    /// Runs until the condition holds; fails after so many milliseconds.
    pub fn run_until(&mut self, milliseconds: u64, condition: impl Fn(&Self) -> bool) {
        let end = self.now + Duration::from_millis(milliseconds);
        while !condition(self) {
            assert!(self.step(end), "the condition does not hold after {milliseconds} ms: {}", self.describe());
        }
    }

    pub fn describe(&self) -> String {
        let one = |id: u32| {
            let replica = self.replica(id);
            format!(
                "[{id}: view {}{} h {} executed {}]",
                replica.view(),
                if replica.is_active() { "" } else { "?" },
                replica.low_watermark(),
                replica.executed()
            )
        };
        self.alive().into_iter().map(one).collect::<Vec<_>>().join(" ")
    }

    fn step(&mut self, end: Duration) -> bool {
        let timeout = self.alive().into_iter().filter_map(|id| Some((self.replica(id).poll_timeout()?, id))).min();
        let arrival = self.queue.first_key_value().map(|(key, _)| *key);
        let timer_first = match (timeout, arrival) {
            (Some((at, _)), Some((arrives, _))) => at < arrives,
            (timer, _) => timer.is_some(),
        };
        if timer_first {
            let Some((at, id)) = timeout.filter(|(at, _)| *at <= end) else { return false };
            self.now = self.now.max(at);
            self.with_replica(id, |replica, now| replica.handle_timeout(now));
            return true;
        }
        let Some(key) = arrival.filter(|(at, _)| *at <= end) else { return false };
        self.now = self.now.max(key.0);
        match self.queue.remove(&key).unwrap() {
            Happening::Message { from, to, message } => self.deliver(from, to, *message),
            Happening::Execute { node } => self.execute_waiting(node),
            Happening::Durable { node, incarnation, rest } => self.make_durable(node, incarnation, rest),
        }
        true
    }

    fn deliver(&mut self, from: u32, to: u32, message: Message) {
        if self.nodes[to as usize].replica.is_none() {
            return;
        }
        let message: Message = codec::decode(&codec::encode(&message)).unwrap();
        let Ok(verified) = self.config.authenticator.verify_message(ReplicaId(from), message) else { return };
        let result = self.with_replica(to, |replica, now| replica.handle_message(now, ReplicaId(from), verified));
        if let Some(Err(rejection)) = result {
            self.rejections.push((to, rejection));
        }
    }

    fn make_durable(&mut self, id: u32, incarnation: u32, rest: Unpersisted) {
        let node = &mut self.nodes[id as usize];
        if node.incarnation != incarnation || node.replica.is_none() {
            return;
        }
        let Ok((actions, position)) = rest.persist(&mut Disk(&mut node.journal, &mut node.base));
        for action in actions {
            self.act(id, action);
        }
        self.with_replica(id, |replica, now| replica.handle_durable(now, position));
    }

    /// As before a stop: whether it may stop now.
    pub fn hand_over(&mut self, id: u32) -> bool {
        self.with_replica(id, |replica, now| replica.hand_over(now)).unwrap()
    }

    /// kill -9: everything that is not durable is lost.
    pub fn crash(&mut self, id: u32) {
        let node = &mut self.nodes[id as usize];
        node.replica = None;
        node.incarnation += 1;
        node.base = None;
        node.executor = Chain::new(&self.genesis);
    }

    /// Starts again from the journal.
    pub fn restart(&mut self, id: u32) {
        self.restart_from(id, Chain::new(&self.genesis));
    }

    /// Starts again from a snapshot and the journal.
    pub fn restart_from(&mut self, id: u32, executor: Chain) {
        let restored = (SequenceNumber(executor.executed.len() as u64), executor.windows.clone());
        let records = verify_records(&self.config.authenticator, self.nodes[id as usize].journal.clone()).unwrap();
        let now = self.clock(0);
        let replica = Replica::recover(self.config.clone(), self.signer(u64::from(id)), now, restored, records);
        let node = &mut self.nodes[id as usize];
        node.executor = executor;
        node.replica = Some(replica);
        self.settle(id);
    }

    /// Cuts a replica off, in both directions, or joins it again.
    pub fn isolate(&mut self, id: u32, cut: bool) {
        for other in (0..u32::try_from(self.nodes.len()).unwrap()).filter(|other| *other != id) {
            for link in [(id, other), (other, id)] {
                if cut {
                    self.cut.insert(link);
                } else {
                    self.cut.remove(&link);
                }
            }
        }
    }

    pub fn request(&mut self, client: u64, text: &str) -> Verified<Signed<Request>> {
        let timestamp = self.next_timestamp;
        self.next_timestamp += 1;
        self.request_at(client, timestamp, text)
    }

    pub fn request_at(&mut self, client: u64, timestamp: u64, text: &str) -> Verified<Signed<Request>> {
        let timestamp = Timestamp(timestamp);
        let client_key = key(2000 + client);
        let request = Request { client: ClientId(client_key.public()), timestamp, operations: Blobs::new(&[text]) };
        let signed = sign_request(request, self.config.authenticator.domain(), &client_key);
        let request = self.config.authenticator.verify_requests(vec![signed]).pop().unwrap().unwrap();
        self.asked.push(request.clone());
        request
    }

    /// A client's request to one replica.
    pub fn submit(&mut self, to: u32, text: &str) -> Result<(), RequestRefusal> {
        let request = self.request(0, text);
        self.with_replica(to, |replica, now| replica.handle_request(now, request)).unwrap()
    }

    /// A client's request to all replicas, as after its timer expired.
    pub fn submit_to_all(&mut self, text: &str) {
        let request = self.request(0, text);
        for id in self.alive() {
            let _ = self.with_replica(id, |replica, now| replica.handle_request(now, request.clone()));
        }
    }

    /// The number of requests that a replica executed.
    pub fn served(&self, id: u32) -> usize {
        self.nodes[id as usize].executor.requests.len()
    }

    pub fn all_served(&self, count: usize) -> bool {
        self.alive().into_iter().all(|id| self.served(id) >= count)
    }

    pub fn told(&self, id: u32, wanted: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|(from, event)| *from == id && wanted(event)).count()
    }

    pub fn evidence(&self, id: u32) -> Vec<(u32, EvidenceKind)> {
        self.replica(id).evidence().iter().map(|evidence| (evidence.accused().0.0, evidence.kind())).collect()
    }

    /// Of any two correct replicas, one has executed a prefix of what the other has.
    fn agree(&self) {
        let longest = self.nodes.iter().max_by_key(|node| node.executor.executed.len()).unwrap();
        for node in &self.nodes {
            assert!(longest.executor.executed.starts_with(&node.executor.executed), "replicas executed different batches");
        }
    }
}
