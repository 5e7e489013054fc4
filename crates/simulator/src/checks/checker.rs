use super::accusations::Seen;
use super::floods::Asked;
use super::history::History;
use super::invariant::{Invariant, Violation};
use super::pressure::Pressure;
use super::promises::{Promises, digest_of};
use super::proposals::Proposals;
use super::reference::Reference;
use super::views::AcceptedNewView;
use super::votes::{Kind, Vote};
use super::witnesses::{Comeback, Heard};
use crate::client::strangers;
use pbft_crypto::Digest;
use pbft_message::{
    Authenticator, Batch, CheckpointState, ClientId, Domain, Genesis, NULL_DIGEST, Reply, Request, SequenceNumber, Signed,
    Timestamp, View,
};
use pbft_protocol::agreement::{Limits, Record, Replica, Unpersisted};
use pbft_protocol::execution::Ordered;
use pbft_protocol::session::Completed;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Watches all correct replicas and clients of a run, from outside: it sees what they say, record, execute and answer, and
/// works out by itself what follows from it. It stops at the first violation.
pub struct Checker {
    pub(super) genesis: Arc<Genesis>,
    pub(super) replicas: Vec<Watched>,
    /// Once only for each: who voted, in which kind, for which view and number, and for what.
    pub(super) votes: BTreeMap<(u32, Kind, View, SequenceNumber), Digest>,
    /// 1: what is committed at each number.
    committed: BTreeMap<SequenceNumber, Digest>,
    /// 2.
    pub(super) prepared: BTreeMap<(SequenceNumber, View), Digest>,
    /// 11: the lowest view in which each number is certified as committed.
    pub(super) committed_in: BTreeMap<SequenceNumber, View>,
    pub(super) new_views: BTreeMap<View, Vec<AcceptedNewView>>,
    /// 16.
    pub(super) stable: BTreeMap<SequenceNumber, Digest>,
    /// 15.
    computed: BTreeMap<SequenceNumber, Digest>,
    /// 19.
    states: BTreeMap<SequenceNumber, CheckpointState>,
    batches: BTreeMap<SequenceNumber, Option<Batch>>,
    pub(super) seen: Seen,
    pub(super) asked: Asked,
    /// All whose requests are known: those of the genesis, and the strangers.
    clients: BTreeSet<ClientId>,
    /// 18: the digests of all requests that clients signed.
    signed: BTreeSet<Digest>,
    pub(super) reference: Reference,
    history: History,
    pub(super) pressure: Pressure,
    pub(super) proposals: Proposals,
    pub(super) limits: Limits,
    /// Of replicas that came back from a disk, those that lie aside.
    pub(super) comebacks: BTreeMap<u32, Comeback>,
    pub(super) heard: Heard,
    /// What replicas asked with that came back: each time with another number.
    pub(super) asked_with: BTreeSet<(u32, u64)>,
    pub(super) authenticator: Authenticator,
    pub(super) domain: Domain,
    violation: Option<Violation>,
}

/// What became durable together.
pub struct Written {
    pub records: Vec<Record>,
    /// Behind these.
    pub base: Option<Vec<Record>>,
    pub adopts_base: bool,
}

impl Written {
    pub fn of(group: &Unpersisted) -> Self {
        let base = group.base().map(<[Record]>::to_vec);
        Self { records: group.records().to_vec(), base, adopts_base: group.adopts_base() }
    }
}

/// A replica as the checker knows it.
#[derive(Clone, Debug)]
pub struct Watched {
    pub correct: bool,
    /// What its records say, those included that are on their way to the disk.
    pub known: Promises,
    /// What is on the disk for certain.
    pub durable: Promises,
    /// What will be, once the journal begins with the base that was written last.
    pub base: Option<Promises>,
    /// All votes that ever were: of those in views that it left, a journal that begins anew keeps none.
    pub voted: BTreeSet<Vote>,
    pub view: View,
    pub low: SequenceNumber,
    pub executed: SequenceNumber,
    /// The next number to be handed to the executor.
    pub next: SequenceNumber,
    /// In which views the last ones were.
    pub ordered_in: BTreeMap<SequenceNumber, View>,
    /// It came back, and no checkpoint that it had executed has become stable since: it may hold all that its journal did (R9).
    pub replays: bool,
}

/// Of so many numbers it is known in which view they were executed: more than may be under way.
const UNDER_WAY: usize = 64;

impl Checker {
    pub fn new(authenticator: &Authenticator, limits: &Limits, correct: impl Iterator<Item = bool>) -> Self {
        let genesis = authenticator.genesis().clone();
        let replicas = correct.map(|correct| Watched {
            correct,
            known: Promises::default(),
            durable: Promises::default(),
            base: None,
            voted: BTreeSet::new(),
            view: View(0),
            low: SequenceNumber::GENESIS,
            executed: SequenceNumber::GENESIS,
            next: SequenceNumber(1),
            ordered_in: BTreeMap::new(),
            replays: false,
        });
        let clients = genesis.clients.iter().chain(&genesis.operators).map(|client| client.signing_key);
        let mut checker = Self {
            replicas: replicas.collect(),
            clients: clients.chain(strangers()).collect(),
            votes: BTreeMap::new(),
            committed: BTreeMap::new(),
            prepared: BTreeMap::new(),
            committed_in: BTreeMap::new(),
            new_views: BTreeMap::new(),
            stable: BTreeMap::new(),
            computed: BTreeMap::new(),
            states: BTreeMap::new(),
            batches: BTreeMap::new(),
            seen: Seen::default(),
            asked: Asked::default(),
            signed: BTreeSet::new(),
            reference: Reference::new(&genesis, *authenticator.domain()),
            history: History::default(),
            pressure: Pressure::default(),
            proposals: Proposals::default(),
            limits: limits.clone(),
            comebacks: BTreeMap::new(),
            heard: BTreeMap::new(),
            asked_with: BTreeSet::new(),
            authenticator: authenticator.clone(),
            domain: *authenticator.domain(),
            violation: None,
            genesis,
        };
        checker.check_domain();
        checker
    }

    pub const fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// Keeps the first violation.
    pub fn fail(&mut self, invariant: Invariant, detail: impl FnOnce() -> String) {
        if self.violation.is_none() {
            self.violation = Some(Violation { invariant, detail: detail() });
        }
    }

    pub fn expect(&mut self, holds: bool, invariant: Invariant, detail: impl FnOnce() -> String) {
        if !holds {
            self.fail(invariant, detail);
        }
    }

    fn take(&mut self, result: Result<(), Violation>) {
        if let Err(violation) = result {
            self.violation.get_or_insert(violation);
        }
    }

    pub fn is_correct(&self, id: u32) -> bool {
        self.replicas.get(id as usize).is_some_and(|replica| replica.correct)
    }

    /// A client signed a request.
    pub fn client_signed(&mut self, request: &Signed<Request>) {
        self.signed.insert(request.digest(&self.domain));
    }

    pub fn client_asked(&mut self, client: ClientId, timestamp: Timestamp, at: Duration) {
        self.history.asked(client, timestamp, at);
    }

    pub fn client_answered(&mut self, completed: &Completed, at: Duration) {
        let result = self.history.answered(completed, at, &self.reference);
        self.take(result);
    }

    /// A correct replica hands a batch to its executor.
    /// `latest` is the latest time that a batch may have, in microseconds since 1970 (R3).
    pub fn ordered(&mut self, id: u32, ordered: &Ordered, latest: u64) {
        let sequence = ordered.sequence;
        let expected = self.replicas[id as usize].next;
        self.expect(sequence == expected, Invariant::ExecutedOnceInOrder, || {
            format!("replica {id} executes {sequence} where {expected} is next")
        });
        let watched = &mut self.replicas[id as usize];
        watched.next = sequence.next();
        watched.ordered_in.insert(sequence, ordered.view);
        if watched.ordered_in.len() > UNDER_WAY {
            watched.ordered_in.pop_first();
        }
        self.check_lag(id, sequence);
        self.agreed(id, sequence, digest_of(ordered.body.as_deref()));
        if self.batches.contains_key(&sequence) {
            return;
        }
        let time = ordered.body.as_ref().map_or(0, |batch| batch.time());
        self.expect(time <= latest, Invariant::TimeIsNear, || {
            format!("replica {id} executes {sequence} of the time {time}, where {latest} is the latest")
        });
        for request in ordered.body.iter().flat_map(|batch| batch.requests()) {
            let digest = request.digest(&self.domain);
            // The client made it, and it still has its signature. Of one that a liar made up only that is known.
            let valid = || self.authenticator.verify_requests(vec![request.clone()]).iter().all(Result::is_ok);
            let stranger = !self.clients.contains(&request.client);
            let signed = (stranger || self.signed.contains(&digest)) && valid();
            self.expect(signed, Invariant::RequestsAreSigned, || {
                format!("at {sequence} stands a request that {} never signed", request.client)
            });
        }
        self.batches.insert(sequence, ordered.body.as_ref().map(|batch| (**batch).clone()));
        while let Some(batch) = self.batches.get(&self.reference.through().next()) {
            self.reference.execute(batch.as_ref());
        }
    }

    /// Everybody who says what is committed at a number says the same.
    pub(super) fn agreed(&mut self, id: u32, sequence: SequenceNumber, digest: Digest) {
        let agreed = *self.committed.entry(sequence).or_insert(digest);
        self.expect(agreed == digest, Invariant::Agreement, || {
            format!("replica {id} has {} committed at {sequence}, another one {}", digest.short(), agreed.short())
        });
    }

    pub(super) fn agreed_digest(&self, sequence: SequenceNumber) -> Option<Digest> {
        self.committed.get(&sequence).copied()
    }

    /// The last number at which a batch with requests is committed.
    pub fn last_with_requests(&self) -> SequenceNumber {
        let last = self.committed.iter().rev().find(|(_, digest)| **digest != NULL_DIGEST);
        last.map(|(sequence, _)| *sequence).unwrap_or_default()
    }

    /// A correct replica that has executed all up to a number answers a client.
    pub fn replied(&mut self, id: u32, reply: &Reply, executed: SequenceNumber) {
        let watched = &self.replicas[id as usize];
        let views = watched.ordered_in.get(&executed).copied().unwrap_or_default()..=watched.view;
        self.expect(reply.epoch == self.domain.epoch && views.contains(&reply.view), Invariant::AnswersAreRight, || {
            format!("replica {id} answers from view {} and epoch {}; its views were {views:?}", reply.view, reply.epoch.0)
        });
        // A state that was fetched answers for numbers that nobody executed under the checker's eyes yet.
        if reply.sequence > self.reference.through() {
            return self
                .fail(Invariant::AnswersAreRight, || format!("replica {id} answers from {}, which is not known", reply.sequence));
        }
        let result = self.reference.check_reply(reply, executed);
        self.take(result);
    }

    /// A correct replica's executor came to this state at a checkpoint.
    pub fn computed(&mut self, id: u32, sequence: SequenceNumber, digest: Digest) {
        let known = *self.computed.entry(sequence).or_insert(digest);
        self.expect(known == digest, Invariant::SameState, || {
            format!("replica {id} computes {} at {sequence}, another one {}", digest.short(), known.short())
        });
    }

    /// A stable state that a correct replica computed or fetched.
    pub fn state(&mut self, state: &CheckpointState) {
        let before = self.states.range(..state.sequence).next_back().map(|(_, before)| before.clone());
        if let Some(before) = before {
            let between = self.committed.range(before.sequence.next()..=state.sequence);
            let nothing = between.clone().count() as u64 == state.sequence.above(before.sequence)
                && between.into_iter().all(|(_, digest)| *digest == NULL_DIGEST);
            let same =
                (state.service_root, state.clients_root, state.time) == (before.service_root, before.clients_root, before.time);
            self.expect(!nothing || same, Invariant::NullChangesNothing, || {
                format!("from {} to {} only null requests were executed, and the state changed", before.sequence, state.sequence)
            });
        }
        if let Some(time) = self.reference.time_at(state.sequence) {
            self.expect(state.time == time, Invariant::SameState, || {
                format!("the state at {} has time {}, where the batches give {time}", state.sequence, state.time)
            });
        }
        self.states.insert(state.sequence, state.clone());
    }

    /// After every event of a correct replica.
    pub fn observe(&mut self, id: u32, replica: &Replica) {
        let watched = &mut self.replicas[id as usize];
        let (view, low, executed) = (replica.view(), replica.low_watermark(), replica.executed());
        let went_back = view < watched.view || low < watched.low || executed < watched.executed;
        let before = (watched.view, watched.low, watched.executed);
        let moved = low != watched.low;
        (watched.view, watched.low, watched.executed) = (view, low, executed);
        self.expect(!went_back, Invariant::NothingGoesBack, || {
            format!("replica {id} is at view {view}, h {low}, executed {executed} after {before:?}")
        });
        if moved {
            let proven = replica.stable_certificate().map_or(SequenceNumber::GENESIS, |stable| stable.sequence);
            self.expect(proven == low, Invariant::WatermarksFollowCertificates, || {
                format!("replica {id} has h {low} with a certificate for {proven}")
            });
        }
        if let Some(alarm) = replica.halted() {
            self.alarm(id, view, alarm);
        }
    }

    /// A correct replica wants these records to be made durable. `low` is its h.
    pub fn recorded(&mut self, id: u32, rest: &Unpersisted, replica: &Replica) {
        for record in rest.records() {
            self.record(id, record, replica);
            self.replicas[id as usize].known.extend(id, std::slice::from_ref(record));
        }
        let Some(base) = rest.base() else { return };
        let anew = Promises::of(id, base);
        let lost = self.replicas[id as usize].known.lost_in(&anew);
        if let Some(lost) = lost {
            self.fail(Invariant::TransferForgetsNothing, || format!("replica {id}'s journal is to begin anew, and {lost}"));
        }
        self.replicas[id as usize].known = anew;
    }

    /// They are durable.
    pub fn durable(&mut self, id: u32, written: &Written) {
        let records = &written.records;
        let watched = &mut self.replicas[id as usize];
        watched.durable.extend(id, records);
        if let Some(base) = &mut watched.base {
            base.extend(id, records);
        }
        if let Some(base) = &written.base {
            watched.base = Some(Promises::of(id, base));
        }
        if written.adopts_base
            && let Some(base) = watched.base.take()
        {
            watched.durable = base;
        }
        let votes: Vec<Vote> = Promises::of(id, records).votes.into_iter().collect();
        votes.into_iter().for_each(|vote| self.voted(id, vote));
        for record in records {
            if let Record::Committed(certificate) = record {
                self.check_holders(id, certificate.sequence, certificate.digest);
            }
        }
    }

    fn voted(&mut self, id: u32, vote: Vote) {
        self.replicas[id as usize].voted.insert(vote);
        self.vote(id, vote);
    }

    /// No replica votes twice.
    pub(super) fn vote(&mut self, id: u32, vote: Vote) {
        let known = *self.votes.entry((id, vote.kind, vote.view, vote.sequence)).or_insert(vote.digest);
        self.expect(known == vote.digest, Invariant::NoContradiction, || {
            format!(
                "replica {id} signs {:?} in view {} at {} for {} and for {}",
                vote.kind,
                vote.view,
                vote.sequence,
                known.short(),
                vote.digest.short()
            )
        });
    }

    /// A correct replica came back with these records on its disk, and these numbers.
    pub fn recovered(&mut self, id: u32, records: &[Record], replica: &Replica, executed: SequenceNumber) {
        self.seen.forget(id);
        self.proposals.restarted(id);
        let anew = Promises::of(id, records);
        let watched = &self.replicas[id as usize];
        if let Some(lost) = watched.durable.lost_in(&anew) {
            self.fail(Invariant::Recovers, || format!("replica {id} comes back, and {lost}"));
        }
        anew.votes.iter().for_each(|vote| self.voted(id, *vote));
        let view = replica.view();
        let promised = anew.view();
        self.expect(view >= promised, Invariant::NothingGoesBack, || {
            format!("replica {id} comes back in view {view}, though it promised {promised}")
        });
        let (low, stable) = (replica.low_watermark(), anew.stable);
        self.expect(low >= stable, Invariant::NothingGoesBack, || {
            format!("replica {id} comes back with h {low}, though {stable} was stable")
        });
        let watched = &mut self.replicas[id as usize];
        watched.known = anew.clone();
        watched.durable = anew;
        watched.base = None;
        (watched.view, watched.low, watched.executed) = (view, low, executed);
        watched.next = executed.next();
        watched.replays = true;
    }

    /// A correct replica installed a state.
    pub fn installed(&mut self, id: u32, sequence: SequenceNumber) {
        *self.pressure.installs.entry(id).or_default() += 1;
        let next = self.replicas[id as usize].next;
        self.expect(sequence >= next, Invariant::TransferForgetsNothing, || {
            format!("replica {id} installs the state at {sequence}, though {next} is next")
        });
        self.replicas[id as usize].next = sequence.next();
    }

    /// The end of the run.
    pub fn finish(&mut self) {
        let result = self.history.check(&self.reference);
        self.take(result);
    }
}
