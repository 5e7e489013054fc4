use super::history::History;
use super::invariant::{Invariant, Violation};
use super::promises::{Promises, digest_of};
use super::reference::Reference;
use super::views::AcceptedNewView;
use super::votes::{Kind, Vote};
use pbft_crypto::Digest;
use pbft_message::{
    Authenticator, Batch, CheckpointState, ClientId, Domain, Epoch, Genesis, NULL_DIGEST, Reply, Request, SequenceNumber, Signed,
    Timestamp, View,
};
use pbft_protocol::agreement::{Alarm, Record, Replica};
use pbft_protocol::execution::Ordered;
use pbft_protocol::session::Completed;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Watches all correct replicas and clients of a run, from outside: it sees what they say, record, execute and answer,
/// and trusts nothing that they compute. It stops at the first violation.
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
    /// 18: the digests of all requests that clients signed.
    signed: BTreeSet<Digest>,
    reference: Reference,
    history: History,
    authenticator: Authenticator,
    domain: Domain,
    violation: Option<Violation>,
}

/// A replica as the checker knows it.
#[derive(Clone, Debug)]
pub struct Watched {
    pub correct: bool,
    /// What its records say, those included that are on their way to the disk.
    pub known: Promises,
    /// What is on the disk for certain.
    pub durable: Promises,
    /// All votes that ever were: of those in views that it left, a journal that begins anew keeps none.
    pub voted: BTreeSet<Vote>,
    pub view: View,
    pub low: SequenceNumber,
    pub executed: SequenceNumber,
    /// The next number to be handed to the executor.
    pub next: SequenceNumber,
}

impl Checker {
    pub fn new(authenticator: &Authenticator, correct: impl Iterator<Item = bool>) -> Self {
        let genesis = authenticator.genesis().clone();
        let replicas = correct.map(|correct| Watched {
            correct,
            known: Promises::default(),
            durable: Promises::default(),
            voted: BTreeSet::new(),
            view: View(0),
            low: SequenceNumber::GENESIS,
            executed: SequenceNumber::GENESIS,
            next: SequenceNumber(1),
        });
        let mut checker = Self {
            replicas: replicas.collect(),
            votes: BTreeMap::new(),
            committed: BTreeMap::new(),
            prepared: BTreeMap::new(),
            committed_in: BTreeMap::new(),
            new_views: BTreeMap::new(),
            stable: BTreeMap::new(),
            computed: BTreeMap::new(),
            states: BTreeMap::new(),
            batches: BTreeMap::new(),
            signed: BTreeSet::new(),
            reference: Reference::new(&genesis, *authenticator.domain()),
            history: History::default(),
            authenticator: authenticator.clone(),
            domain: *authenticator.domain(),
            violation: None,
            genesis,
        };
        checker.check_domain();
        checker
    }

    /// The same bytes in another cluster or epoch, or as another type, are signed otherwise (R1). Nobody in the run could
    /// tell: there, all would compute the same.
    fn check_domain(&mut self) {
        let here = self.domain;
        let cluster = Domain { cluster: Digest::of("another cluster", &[here.cluster.as_bytes()]), ..here };
        let epoch = Domain { epoch: Epoch(here.epoch.0 + 1), ..here };
        let others = [cluster.digest(1, b"body"), epoch.digest(1, b"body"), here.digest(2, b"body"), here.digest(1, b"other")];
        self.expect(!others.contains(&here.digest(1, b"body")), Invariant::NothingForeign, || {
            "a signature does not tell its cluster, epoch, type and body".to_owned()
        });
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

    pub(super) fn expect(&mut self, holds: bool, invariant: Invariant, detail: impl FnOnce() -> String) {
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
    pub fn ordered(&mut self, id: u32, ordered: &Ordered) {
        let sequence = ordered.sequence;
        let expected = self.replicas[id as usize].next;
        self.expect(sequence == expected, Invariant::ExecutedOnceInOrder, || {
            format!("replica {id} executes {sequence} where {expected} is next")
        });
        self.replicas[id as usize].next = sequence.next();
        self.agreed(id, sequence, digest_of(ordered.body.as_deref()));
        if self.batches.contains_key(&sequence) {
            return;
        }
        for request in ordered.body.iter().flat_map(|batch| batch.requests()) {
            let digest = request.digest(&self.domain);
            // The client made it, and it still has its signature.
            let valid = || self.authenticator.verify_requests(vec![request.clone()]).iter().all(Result::is_ok);
            let signed = self.signed.contains(&digest) && valid();
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

    /// A correct replica answers a client.
    pub fn replied(&mut self, id: u32, reply: &Reply) {
        // A state that was fetched answers for numbers that nobody executed under the checker's eyes yet.
        if reply.sequence > self.reference.through() {
            return self
                .fail(Invariant::AnswersAreRight, || format!("replica {id} answers from {}, which is not known", reply.sequence));
        }
        let result = self.reference.check_reply(reply);
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
            self.alarm(id, alarm);
        }
    }

    /// The costlier look, from time to time.
    pub fn inspect(&mut self, id: u32, replica: &Replica) {
        for evidence in replica.evidence() {
            let accused = evidence.accused().0.0;
            let lies = !self.is_correct(accused);
            self.expect(lies, Invariant::OnlyLiarsAreAccused, || {
                format!("replica {id} holds evidence of {:?} against the correct replica {accused}", evidence.kind())
            });
        }
        if let Some(excess) = replica.held().beyond(replica.bounds()) {
            self.fail(Invariant::Bounded, || format!("replica {id} holds {excess}"));
        }
    }

    /// A correct replica is alarmed.
    pub fn alarm(&mut self, id: u32, alarm: Alarm) {
        self.fail(Invariant::NoAlarm, || format!("replica {id}: {alarm}"));
    }

    /// A correct replica wants these records to be made durable. `low` is its h.
    pub fn recorded(&mut self, id: u32, records: &[Record], rebase: bool, replica: &Replica) {
        if rebase {
            let anew = Promises::of(id, records);
            let lost = self.replicas[id as usize].known.lost_in(&anew);
            if let Some(lost) = lost {
                self.fail(Invariant::TransferForgetsNothing, || format!("replica {id}'s journal begins anew, and {lost}"));
            }
            self.replicas[id as usize].known = anew;
            return;
        }
        for record in records {
            self.record(id, record, replica);
            self.replicas[id as usize].known.extend(id, std::slice::from_ref(record));
        }
    }

    /// They are durable.
    pub fn durable(&mut self, id: u32, records: &[Record], rebase: bool) {
        let watched = &mut self.replicas[id as usize];
        if rebase {
            watched.durable = Promises::default();
        }
        watched.durable.extend(id, records);
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
        (watched.view, watched.low, watched.executed) = (view, low, executed);
        watched.next = executed.next();
    }

    /// A correct replica installed a state.
    pub fn installed(&mut self, id: u32, sequence: SequenceNumber) {
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
