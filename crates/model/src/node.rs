//! One correct replica with its driver: the real core, a journal, and what the checker remembers of its past.

use crate::scenario::{Driver, Scenario};
use crate::table::{MessageId, Table};
use crate::world::{REPLICAS, World};
use pbft_crypto::Digest;
use pbft_message::*;
use pbft_protocol::agreement::{Action, Alarm, JournalPosition, Persist, Record, Replica, Unpersisted, verify_records};
use pbft_protocol::execution::Ordered;
use std::collections::{BTreeMap, BTreeSet};

/// What may happen to one replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Happening {
    /// The network brings a message.
    Deliver(MessageId),
    /// A client asks for a value.
    Request(usize),
    /// The next group of records becomes durable.
    Durable,
    /// The timers that wait for the primary expire.
    Timeout,
    /// kill -9, when so many of the records that wait are on disk already.
    Crash(usize),
    /// It starts again from its journal.
    Recover,
}

/// A rule that one replica broke all by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Broken {
    /// It executed another batch than before the restart, or left out what its journal has as committed.
    ReplayDiffers,
    /// It came back in a lower view than one that it had durably left.
    ViewWentBack,
    /// It voted in a view that it had left.
    VotedInLeftView,
}

/// What a message promises: its type, view and number.
pub type Promise = (&'static str, View, SequenceNumber);

/// One replica's part of a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub id: u32,
    /// None between a crash and the restart.
    pub replica: Option<Replica>,
    pub expired: u8,
    pub may_crash: bool,
    /// Groups of records that are not durable, with what waits for them.
    pub unpersisted: Vec<Group>,
    /// What a restart would find; not kept once no crash is to come.
    pub journal: Vec<Record>,
    /// All that ever left: the network may bring it to anyone, any number of times.
    pub sent: BTreeSet<MessageId>,
    /// What it ever let leave or made durable, over all restarts.
    pub promises: BTreeMap<Promise, BTreeSet<Digest>>,
    /// What ever prepared here.
    pub prepared: BTreeMap<(View, SequenceNumber), BTreeSet<Digest>>,
    /// What it ever executed, and the view that it was in then.
    pub executed: BTreeMap<SequenceNumber, (Digest, View)>,
    /// The highest view that it said it wants to enter.
    pub wanted: View,
    pub crashed: bool,
    pub broken: BTreeSet<Broken>,
}

/// Records that become durable together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub records: Vec<Record>,
    after: Vec<Action>,
    position: JournalPosition,
}

/// Takes records down without making them durable: the model decides when they are.
#[derive(Default)]
struct Waiting(Vec<Record>);

impl Persist for Waiting {
    type Error = std::convert::Infallible;

    fn append(&mut self, records: &[Record]) -> Result<usize, Self::Error> {
        self.0.extend_from_slice(records);
        Ok(records.len())
    }

    fn begin_base(&mut self, _: &[Record]) -> Result<(), Self::Error> {
        panic!("the model reaches no checkpoint, so no journal begins anew")
    }

    fn adopt_base(&mut self) -> Result<(), Self::Error> {
        panic!("the model reaches no checkpoint, so no journal begins anew")
    }
}

/// What a node needs to take a step.
pub struct Surroundings<'a> {
    pub world: &'a World,
    pub scenario: &'a Scenario,
    pub table: &'a mut Table,
}

impl Node {
    pub fn new(id: u32, around: &mut Surroundings<'_>) -> Self {
        let replica = Replica::new(around.world.config.clone(), around.world.signer(id), World::now(0));
        let mut node = Self {
            id,
            replica: Some(replica),
            expired: 0,
            may_crash: around.scenario.crashes.contains(&id),
            unpersisted: Vec::new(),
            journal: Vec::new(),
            sent: BTreeSet::new(),
            promises: BTreeMap::new(),
            prepared: BTreeMap::new(),
            executed: BTreeMap::new(),
            wanted: View(0),
            crashed: false,
            broken: BTreeSet::new(),
        };
        node.settle(around);
        while !node.unpersisted.is_empty() {
            node.persist(around);
        }
        node
    }

    /// The state after the happening; none if it cannot happen.
    pub fn step(&self, happening: Happening, around: &mut Surroundings<'_>) -> Option<Self> {
        let mut next = self.clone();
        let now = World::now(self.expired);
        match happening {
            Happening::Deliver(id) => {
                let entry = around.table.get(id);
                // What the core rejects, the driver counts and drops.
                let _ = next.replica.as_mut()?.handle_message(now, ReplicaId(entry.from), entry.verified.clone());
            }
            Happening::Request(index) => {
                next.replica.as_mut()?.handle_request(now, around.world.requests[index].clone()).ok()?;
            }
            Happening::Durable => {
                if self.unpersisted.is_empty() || self.replica.is_none() {
                    return None;
                }
                next.persist(around);
            }
            Happening::Timeout => next.expire(around)?,
            Happening::Crash(durable) => next.crash(durable, around)?,
            Happening::Recover => next.recover(around)?,
        }
        next.settle(around);
        if !next.may_crash {
            next.journal.clear();
        }
        Some(next)
    }

    /// How many records a crash could find on disk that nobody was told of.
    pub fn records_waiting(&self) -> usize {
        self.unpersisted.iter().map(|group| group.records.len()).sum()
    }

    fn expire(&mut self, around: &Surroundings<'_>) -> Option<()> {
        let later = World::now(self.expired + 1);
        let replica = self.replica.as_mut()?;
        if self.expired >= around.scenario.timeouts || replica.poll_timeout()? > later.monotonic {
            return None;
        }
        self.expired += 1;
        replica.handle_timeout(later);
        Some(())
    }

    fn crash(&mut self, durable: usize, around: &Surroundings<'_>) -> Option<()> {
        if !self.may_crash {
            return None;
        }
        self.replica.take()?;
        let waiting: Vec<Record> = std::mem::take(&mut self.unpersisted).into_iter().flat_map(|group| group.records).collect();
        for record in waiting.into_iter().take(durable) {
            self.write(record);
        }
        if around.scenario.driver == Driver::LosesVotes {
            let vote = |record: &Record| {
                matches!(record, Record::PrePrepare(_) | Record::Prepare(_) | Record::Prepared(_) | Record::Commit(_))
            };
            self.journal.retain(|record| !vote(record));
        }
        self.crashed = true;
        Some(())
    }

    fn recover(&mut self, around: &mut Surroundings<'_>) -> Option<()> {
        if self.replica.is_some() {
            return None;
        }
        self.may_crash = false;
        let (world, now) = (around.world, World::now(self.expired));
        let restored = (SequenceNumber::GENESIS, world.windows());
        let records = std::mem::take(&mut self.journal);
        let left = records.iter().filter_map(left_for).max().unwrap_or_default();
        let replayable = replayable(&records);
        let records = verify_records(&world.config.authenticator, records).unwrap();
        let mut replica = Replica::recover(world.config.clone(), world.signer(self.id), now, restored, records);
        // No disk here is ever rolled back: the others have nothing to say against this one (R16).
        if let Some(asked) = replica.status().asks {
            for peer in (0..REPLICAS).filter(|peer| *peer != self.id).map(ReplicaId) {
                let nothing = Message::Witness(Box::new(Witness { asked, votes: Votes::default() }));
                let verified = world.config.authenticator.verify_message(peer, nothing).unwrap();
                replica.handle_message(now, peer, verified).unwrap();
            }
        }
        if replica.view() < left {
            self.broken.insert(Broken::ViewWentBack);
        }
        self.replica = Some(replica);
        self.settle(around);
        let replica = self.replica.as_mut()?;
        if replica.executed() < replayable {
            self.broken.insert(Broken::ReplayDiffers);
        }
        // A peer that has nothing tells its status: what was durable but never left is sent now (R15, R23).
        let status = Status {
            view: replica.view(),
            active: true,
            low_watermark: SequenceNumber::GENESIS,
            executed: replica.executed(),
            oldest_served: SequenceNumber(1),
            prepared: Vec::new(),
            committed: Vec::new(),
            asks: None,
            votes: true,
        };
        let peer = (0..REPLICAS).find(|peer| *peer != self.id)?;
        replica.handle_message(now, ReplicaId(peer), VerifiedMessage::Status(status)).unwrap();
        Some(())
    }

    /// Lets due timers expire and carries out what the replica wants, until it wants nothing more.
    fn settle(&mut self, around: &mut Surroundings<'_>) {
        let now = World::now(self.expired);
        loop {
            let Some(replica) = self.replica.as_mut() else { return };
            if replica.poll_timeout().is_some_and(|due| due <= now.monotonic) {
                replica.handle_timeout(now);
            }
            let effects = replica.poll_effects();
            if effects.is_empty() {
                return;
            }
            let (at_once, rest) = effects.split();
            self.take_down(rest, around);
            for action in at_once {
                self.act(action, around);
            }
            if !self.may_crash {
                while !self.unpersisted.is_empty() {
                    self.persist(around);
                }
            }
        }
    }

    fn take_down(&mut self, rest: Unpersisted, around: &mut Surroundings<'_>) {
        if rest.is_empty() {
            return;
        }
        let mut waiting = Waiting::default();
        let Ok((mut after, position)) = rest.persist(&mut waiting);
        for record in &waiting.0 {
            if let Record::Prepared(entry) = record {
                self.prepared.entry((entry.view, entry.sequence)).or_default().insert(entry.digest);
            }
        }
        if around.scenario.driver == Driver::SendsBeforePersisting {
            for action in std::mem::take(&mut after) {
                self.act(action, around);
            }
        }
        self.unpersisted.push(Group { records: waiting.0, after, position });
    }

    /// Makes the next group durable, then lets go what waited for it (R15).
    fn persist(&mut self, around: &mut Surroundings<'_>) {
        let Group { records, after, position } = self.unpersisted.remove(0);
        for record in records {
            self.write(record);
        }
        for action in after {
            self.act(action, around);
        }
        if let Some(replica) = self.replica.as_mut() {
            replica.handle_durable(World::now(self.expired), position);
        }
    }

    fn write(&mut self, record: Record) {
        match &record {
            Record::Prepare(vote) => self.promise(("prepare", vote.view, vote.sequence), vote.digest),
            Record::Commit(vote) => self.promise(("commit", vote.view, vote.sequence), vote.digest),
            _ => {}
        }
        if self.may_crash {
            // What is written must read back the same.
            self.journal.push(codec::decode(&codec::encode(&record)).unwrap());
        }
    }

    fn promise(&mut self, promise: Promise, digest: Digest) {
        let new = self.promises.entry(promise).or_default().insert(digest);
        if new && promise.1 < self.wanted {
            self.broken.insert(Broken::VotedInLeftView);
        }
    }

    fn act(&mut self, action: Action, around: &mut Surroundings<'_>) {
        match action {
            Action::Broadcast(message) => self.send(None, &message, around),
            Action::Send(to, message) => self.send(Some(to.0), &message, around),
            Action::Execute(ordered) => self.execute(&ordered),
            // No checkpoint is reached and no client listens.
            Action::Stable(_) | Action::TransferState(_) | Action::Answer(..) | Action::Tell(_) => {}
        }
    }

    fn send(&mut self, to: Option<u32>, message: &Message, around: &mut Surroundings<'_>) {
        let digest_of = |bytes: Vec<u8>| Digest::of("promise", &[&bytes]);
        // What is sent to one replica because it asked could have been asked for by any.
        let to = match message {
            Message::PrePrepare { header, .. } => {
                self.promise(("pre-prepare", header.view, header.sequence), header.digest);
                None
            }
            Message::Prepare { prepare, .. } => {
                self.promise(("prepare", prepare.view, prepare.sequence), prepare.digest);
                None
            }
            Message::Commit(commit) => {
                self.promise(("commit", commit.view, commit.sequence), commit.digest);
                None
            }
            Message::ViewChange(change) => {
                self.promise(("view-change", change.view, SequenceNumber(0)), digest_of(codec::encode(change)));
                self.wanted = self.wanted.max(change.view);
                None
            }
            Message::NewView(new_view) => {
                if new_view.replica.0 == self.id {
                    self.promise(("new-view", new_view.view, SequenceNumber(0)), digest_of(codec::encode(new_view)));
                }
                None
            }
            Message::Committed { .. } => None,
            Message::Suspect { .. } if around.scenario.suspicion => None,
            Message::Evidence(_) if around.scenario.gossip => None,
            Message::Body(_) => to,
            _ => return,
        };
        let id = around.table.intern(around.world, self.id, to, message);
        self.sent.insert(id.expect("what a correct replica sends verifies"));
    }

    /// Executes, and remembers what over all restarts.
    fn execute(&mut self, ordered: &Ordered) {
        let digest = ordered.body.as_ref().map_or(NULL_DIGEST, |batch| batch.digest());
        let (known, _) = *self.executed.entry(ordered.sequence).or_insert((digest, ordered.view));
        if known != digest {
            self.broken.insert(Broken::ReplayDiffers);
        }
        if let Some(replica) = self.replica.as_mut() {
            replica.handle_executed(World::now(self.expired), ordered.sequence, None);
        }
    }

    /// Whether it stopped voting for good: with at most f liars no correct replica ever has to.
    pub fn halted(&self) -> Option<Alarm> {
        self.replica.as_ref().and_then(Replica::halted)
    }

    pub fn view(&self) -> View {
        self.replica.as_ref().map_or(self.wanted, Replica::view)
    }
}

/// The view that a record binds its replica to.
fn left_for(record: &Record) -> Option<View> {
    match record {
        Record::ViewChange(change) => Some(change.view),
        Record::NewView(new_view) => Some(new_view.view),
        _ => None,
    }
}

/// Up to which number a journal has everything that execution needs.
fn replayable(records: &[Record]) -> SequenceNumber {
    let body = |record: &Record| match record {
        Record::Body(body) => Some(batch_digest(body)),
        _ => None,
    };
    let bodies: BTreeSet<Digest> = records.iter().filter_map(body).chain([NULL_DIGEST]).collect();
    let committed = |record: &Record| match record {
        Record::Committed(entry) => Some((entry.sequence, entry.digest)),
        _ => None,
    };
    let committed: BTreeMap<SequenceNumber, Digest> = records.iter().filter_map(committed).collect();
    let mut last = SequenceNumber::GENESIS;
    while committed.get(&last.next()).is_some_and(|digest| bodies.contains(digest)) {
        last = last.next();
    }
    last
}
