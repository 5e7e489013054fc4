//! A replica with its journal and executor, and what must be true of it whatever happens.

use crate::cluster::{CHECKPOINT_INTERVAL, LOG_WINDOW, cluster};
use pbft_crypto::Digest;
use pbft_message::*;
use pbft_protocol::Now;
use pbft_protocol::agreement::*;
use pbft_protocol::execution::{Ordered, RequestWindow};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::time::Duration;

/// What names a promise: kind, view and number. A replica makes one of each.
type Promise = (&'static str, View, SequenceNumber);

pub struct Driver {
    pub id: ReplicaId,
    pub replica: Replica,
    now: Duration,
    journal: Vec<Record>,
    base: Option<usize>,
    unpersisted: VecDeque<Unpersisted>,
    executor: Executor,
    /// Every own promise that ever left, with the digest of its content.
    promised: BTreeMap<Promise, Digest>,
    /// Every own promise that was ever durable.
    durable: BTreeSet<(Promise, Digest)>,
    verified: BTreeSet<Digest>,
    /// Of the current start.
    view: View,
    low: SequenceNumber,
}

/// A service whose state is the hash of everything executed.
#[derive(Clone)]
struct Executor {
    executed: SequenceNumber,
    state: Digest,
    windows: BTreeMap<ClientId, RequestWindow>,
    waiting: VecDeque<Ordered>,
    /// States at checkpoints, as they can be saved.
    saved: BTreeMap<SequenceNumber, (Digest, BTreeMap<ClientId, RequestWindow>)>,
    /// The newest durable snapshot.
    snapshot: SequenceNumber,
    transfer: Option<Verified<StableCertificate>>,
    stable: BTreeSet<SequenceNumber>,
}

struct Disk<'a> {
    journal: &'a mut Vec<Record>,
    /// Where its base begins that is not adopted yet.
    base: &'a mut Option<usize>,
    durable: &'a mut BTreeSet<(Promise, Digest)>,
    id: ReplicaId,
}

impl Persist for Disk<'_> {
    type Error = Infallible;

    fn append(&mut self, records: &[Record]) -> Result<usize, Infallible> {
        for record in records {
            self.durable.extend(promise_of_record(record));
            let read: Record = codec::decode(&codec::encode(record)).expect("what is written reads back");
            assert_eq!(&read, record, "replica {:?}", self.id);
            self.journal.push(read);
        }
        Ok(records.len())
    }

    fn begin_base(&mut self, records: &[Record]) -> Result<(), Infallible> {
        *self.base = Some(self.journal.len());
        self.append(records).map(|_| ())
    }

    fn adopt_base(&mut self) -> Result<(), Infallible> {
        self.journal.drain(..self.base.take().unwrap_or(0));
        Ok(())
    }
}

fn promise_of_record(record: &Record) -> Option<(Promise, Digest)> {
    match record {
        Record::PrePrepare(header) => Some((("pre-prepare", header.view, header.sequence), header.digest)),
        Record::Prepare(vote) => Some((("prepare", vote.view, vote.sequence), vote.digest)),
        Record::Commit(vote) => Some((("commit", vote.view, vote.sequence), vote.digest)),
        Record::Checkpoint(vote) => Some((("checkpoint", View(0), vote.sequence), vote.digest)),
        Record::ViewChange(change) => Some((("view-change", change.view, SequenceNumber(0)), whole(&**change))),
        Record::NewView(new_view) => Some((("new-view", new_view.view, SequenceNumber(0)), whole(&**new_view))),
        _ => None,
    }
}

fn promise_of_message(message: &Message) -> Option<(ReplicaId, Promise, Digest)> {
    let (signer, record) = match message {
        Message::PrePrepare { header, .. } => (header.replica, Record::PrePrepare(header.clone())),
        Message::Prepare { prepare, .. } => (prepare.replica, Record::Prepare(prepare.clone())),
        Message::Commit(commit) => (commit.replica, Record::Commit(commit.clone())),
        Message::Checkpoint(checkpoint) => (checkpoint.replica, Record::Checkpoint(checkpoint.clone())),
        Message::ViewChange(change) => (change.replica, Record::ViewChange(change.clone())),
        Message::NewView(new_view) => (new_view.replica, Record::NewView(new_view.clone())),
        _ => return None,
    };
    promise_of_record(&record).map(|(promise, digest)| (signer, promise, digest))
}

fn whole<T: serde::Serialize>(value: &T) -> Digest {
    Digest::of("whole", &[&codec::encode(value)])
}

impl Executor {
    fn new() -> Self {
        let genesis = &cluster().genesis;
        let window = || RequestWindow::new(genesis.parameters.requests_in_flight);
        Self {
            executed: SequenceNumber::GENESIS,
            state: Digest::ZERO,
            windows: genesis.clients.iter().map(|client| (client.signing_key, window())).collect(),
            waiting: VecDeque::new(),
            saved: BTreeMap::new(),
            snapshot: SequenceNumber::GENESIS,
            transfer: None,
            stable: BTreeSet::new(),
        }
    }

    fn execute(&mut self, ordered: &Ordered) -> Option<Digest> {
        assert_eq!(ordered.sequence, self.executed.next(), "r07: execution has no gaps and no repetitions");
        let digest = ordered.body.as_ref().map_or(NULL_DIGEST, |batch| batch.digest());
        self.executed = ordered.sequence;
        self.state = Digest::of("chain", &[self.state.as_bytes(), digest.as_bytes()]);
        for request in ordered.body.iter().flat_map(|batch| batch.requests()) {
            self.windows.get_mut(&request.client).expect("a client of the genesis").insert(request.timestamp);
        }
        if !self.executed.0.is_multiple_of(CHECKPOINT_INTERVAL) {
            return None;
        }
        self.saved.insert(self.executed, (self.state, self.windows.clone()));
        Some(self.state)
    }

    /// As after a crash: the newest snapshot, and nothing else.
    fn restart(&mut self) {
        let snapshot = self.saved.remove_entry(&self.snapshot);
        let sequence = self.snapshot;
        *self = Self::new();
        if let Some((_, (state, windows))) = snapshot {
            self.saved.insert(sequence, (state, windows.clone()));
            (self.executed, self.snapshot, self.state, self.windows) = (sequence, sequence, state, windows);
        }
    }
}

fn config() -> Config {
    Config { authenticator: cluster().authenticator.clone(), timing: Timing::default(), limits: Limits::default() }
}

impl Driver {
    pub fn new(id: ReplicaId) -> Self {
        let replica = Replica::new(config(), cluster().signer(id).clone(), Now::default());
        let mut driver = Self {
            id,
            replica,
            now: Duration::ZERO,
            journal: Vec::new(),
            base: None,
            unpersisted: VecDeque::new(),
            executor: Executor::new(),
            promised: BTreeMap::new(),
            durable: BTreeSet::new(),
            verified: BTreeSet::new(),
            view: View(0),
            low: SequenceNumber::GENESIS,
        };
        driver.settle();
        driver
    }

    /// The own state at a checkpoint, if it was executed.
    pub fn state_at(&self, sequence: SequenceNumber) -> Option<Digest> {
        self.executor.saved.get(&sequence).map(|(state, _)| *state)
    }

    fn clock(&self) -> Now {
        Now { monotonic: self.now, wall: 1_700_000_000_000_000 + self.now.as_micros() as u64 }
    }

    /// A message comes in; one that does not verify is dropped, as in the node.
    pub fn hear(&mut self, from: ReplicaId, message: Message) {
        let message: Message = codec::decode(&codec::encode(&message)).expect("made here");
        let Ok(verified) = cluster().authenticator.verify_message(from, message) else { return };
        if from != self.id {
            let _ = self.replica.handle_message(self.clock(), from, verified);
            self.settle();
        }
    }

    pub fn accuse(&mut self, evidence: Evidence) {
        let accuser = ReplicaId((self.id.0 + 1) % 4);
        self.hear(accuser, Message::Evidence(evidence));
    }

    pub fn request(&mut self, request: Signed<Request>) {
        if let Some(Ok(request)) = cluster().authenticator.verify_requests(vec![request]).pop() {
            let _ = self.replica.handle_request(self.clock(), request);
            self.settle();
        }
    }

    pub fn timeout(&mut self) {
        self.now = self.replica.poll_timeout().map_or(self.now, |at| at.max(self.now));
        self.replica.handle_timeout(self.clock());
        self.settle();
    }

    pub fn wait(&mut self, milliseconds: u64) {
        self.now += Duration::from_millis(milliseconds);
        self.replica.handle_timeout(self.clock());
        self.settle();
    }

    pub fn peer_up(&mut self, peer: ReplicaId) {
        if peer != self.id {
            self.replica.handle_peer_up(self.clock(), peer);
            self.settle();
        }
    }

    /// The journal gets through so many groups.
    pub fn become_durable(&mut self, mut groups: usize) {
        while let Some(rest) = (groups > 0).then(|| self.unpersisted.pop_front()).flatten() {
            groups -= 1;
            let mut disk = Disk { journal: &mut self.journal, base: &mut self.base, durable: &mut self.durable, id: self.id };
            let Ok((actions, position)) = rest.persist(&mut disk);
            actions.into_iter().for_each(|action| self.act(action));
            self.replica.handle_durable(self.clock(), position);
            self.settle();
        }
    }

    pub fn execute(&mut self, mut batches: usize) {
        while let Some(ordered) = (batches > 0).then(|| self.executor.waiting.pop_front()).flatten() {
            batches -= 1;
            // Overtaken by an installed state, which the node's executor would have told first.
            if ordered.sequence <= self.executor.executed {
                continue;
            }
            let checkpoint = self.executor.execute(&ordered);
            self.replica.handle_executed(self.clock(), ordered.sequence, checkpoint);
            self.settle();
        }
    }

    /// What is asked of the executor beside batches: the state it fetches comes, or its newest stable state is saved.
    pub fn snapshot_or_install(&mut self) {
        if let Some(certificate) = self.executor.transfer.take() {
            return self.install(&certificate);
        }
        let newest = self.executor.stable.iter().rev().find(|sequence| self.executor.saved.contains_key(sequence)).copied();
        let Some(sequence) = newest.filter(|sequence| *sequence > self.executor.snapshot) else { return };
        self.replica.handle_snapshot_started(self.clock(), sequence);
        self.settle();
        self.executor.snapshot = sequence;
        self.replica.handle_snapshot(self.clock(), sequence);
        self.settle();
    }

    fn install(&mut self, certificate: &StableCertificate) {
        let sequence = certificate.sequence;
        if sequence <= self.executor.executed {
            self.replica.handle_transfer_failed(self.clock());
            return self.settle();
        }
        self.executor.waiting.clear();
        (self.executor.executed, self.executor.state) = (sequence, certificate.digest);
        let windows = self.executor.windows.clone();
        self.executor.saved.insert(sequence, (certificate.digest, windows.clone()));
        self.replica.handle_installed(self.clock(), sequence, windows);
        self.settle();
        self.executor.stable.insert(sequence);
        self.snapshot_or_install();
    }

    /// kill -9 and a start: what is not durable is lost, what is durable is all there is.
    pub fn restart(&mut self) {
        self.unpersisted.clear();
        self.executor.restart();
        let restored = (self.executor.executed, self.executor.windows.clone());
        let signer = cluster().signer(self.id).clone();
        self.base = None;
        let records = verify_records(&config().authenticator, self.journal.clone());
        let records = records.expect("an own journal is recovered from");
        self.replica = Replica::recover(config(), signer, self.clock(), restored, records);
        let said = self.promised.keys().map(|(_, view, _)| *view).max().unwrap_or_default();
        assert!(self.replica.view() >= said, "r15: back in {}, having spoken in {said}", self.replica.view());
        let stable = self.journal.iter().filter_map(|record| match record {
            Record::Stable(certificate) => Some(certificate.sequence),
            _ => None,
        });
        let stable = stable.max().unwrap_or_default();
        assert!(self.replica.low_watermark() >= stable, "r15: h went back across a restart");
        (self.view, self.low) = (self.replica.view(), self.replica.low_watermark());
        self.settle();
        // Nobody holds more of its votes than it does: those that bear its name here were made by others (R16).
        let asked = self.replica.status().asks.expect("it asks for witnesses");
        let own = self.id;
        for peer in (0..4).map(ReplicaId).filter(|peer| *peer != own) {
            self.hear(peer, Message::Witness(Box::new(Witness { asked, votes: Votes::default() })));
        }
    }

    fn settle(&mut self) {
        loop {
            let effects = self.replica.poll_effects();
            let (view, low) = (self.replica.view(), self.replica.low_watermark());
            assert!(view >= self.view && low >= self.low, "view and h never go back");
            (self.view, self.low) = (view, low);
            if effects.is_empty() {
                return;
            }
            let (at_once, rest) = effects.split();
            if !rest.is_empty() {
                self.unpersisted.push_back(rest);
            }
            at_once.into_iter().for_each(|action| self.act(action));
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Broadcast(message) | Action::Send(_, message) => self.leave(message),
            Action::Execute(ordered) => self.executor.waiting.push_back(ordered),
            Action::TransferState(certificate) => self.executor.transfer = Some(certificate),
            Action::Stable(certificate) => drop(self.executor.stable.insert(certificate.sequence)),
            Action::Answer(..) | Action::Tell(_) => {}
        }
    }

    /// A message leaves: it is valid, it contradicts no other, and what it promises is durable.
    fn leave(&mut self, message: Message) {
        if let Some((signer, promise, digest)) = promise_of_message(&message)
            && signer == self.id
        {
            let known = *self.promised.entry(promise).or_insert(digest);
            assert_eq!(known, digest, "two different messages for {promise:?}");
            let at_once = promise.0 == "pre-prepare";
            assert!(at_once || self.durable.contains(&(promise, digest)), "r15: {promise:?} left before it was durable");
            let opened = || self.journal.iter().any(|record| matches!(record, Record::Opened(view) if *view == promise.1));
            let entered = || self.durable.iter().any(|((kind, view, _), _)| (*kind, *view) == ("new-view", promise.1));
            assert!(!at_once || opened() || entered(), "r15: a proposal in a view that is not durably opened");
            assert!(promise.2 <= self.low.plus(LOG_WINDOW), "a promise beyond H");
        }
        let encoded = codec::encode(&message);
        if self.verified.insert(Digest::of("sent", &[&encoded])) {
            let verdict = cluster().authenticator.verify_message(self.id, message.clone());
            assert!(verdict.is_ok(), "an own {} does not verify: {:?}", message.name(), verdict.err());
        }
    }
}
