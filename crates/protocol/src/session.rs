//! The client's side of the protocol (R2): which replica gets a request and when, and which answer is accepted.
//!
//! Upon submitting a request: send it to the primary of the view believed in, and one every so often to all replicas, so that the
//! backups can measure the primary (R18). Upon expiry of its timer, or the first refusal: send it to all replicas, again and again
//! with backoff. Upon the same answer from weak_quorum distinct replicas: it is accepted, for one of them is correct. Nothing fewer
//! of them say has any effect but this:
//!
//! - `Busy` makes the session wait before it sends the request to *that* replica again. It answers nothing, and
//!   the other replicas get the request as if it had not been said: a liar slows down no one but itself.
//! - A correct replica may change its word, from a refusal to a reply or from results to "no longer kept". So each of
//!   a replica's last few different answers counts, and none more than once.

#[cfg(test)]
mod tests;

use pbft_crypto::{Digest, SecretKey};
use pbft_message::{
    Blob, Blobs, ClientId, ClientMessage, Domain, Epoch, Genesis, Outcome, Parameters, ReplicaId, ReplicaMessage, Reply, Request,
    RequestRefusal, SequenceNumber, Signed, Timestamp, View, codec, sign_request,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// No larger request goes to all replicas at once, in bytes.
const LARGEST_SAMPLE: usize = 64 << 10;

/// How many different answers of one replica to one request count; the oldest goes first.
const ANSWERS_OF_A_REPLICA: usize = 4;

/// A request is known by its client and timestamp, never by its signature (R2).
type RequestId = (ClientId, Timestamp);

/// When a [`Session`] sends again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long the primary has, before the request goes to all replicas (300 ms). Doubles from then on.
    pub retry_initial: Duration,
    /// The longest time between two attempts, and the longest that a `Busy` replica is left alone (4 s).
    pub retry_max: Duration,
    /// The shortest that a `Busy` replica is left alone (20 ms).
    pub busy_min: Duration,
    /// From one request that goes to all replicas at once to the next (2 s): only what backups know of, they measure (R18).
    pub sample: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            retry_initial: Duration::from_millis(300),
            retry_max: Duration::from_secs(4),
            busy_min: Duration::from_millis(20),
            sample: Duration::from_secs(2),
        }
    }
}

/// One client's requests in flight.
///
/// Call, in this order:
/// 1. [`submit`](Self::submit), [`resubmit`](Self::resubmit) or [`abandon`](Self::abandon) as the user wants;
///    [`handle_message`](Self::handle_message), [`handle_connected`](Self::handle_connected) and
///    [`handle_timeout`](Self::handle_timeout) as the world wants;
/// 2. after each of them, [`poll_transmit`](Self::poll_transmit) and [`poll_completed`](Self::poll_completed) until
///    they have nothing more, then [`poll_timeout`](Self::poll_timeout) to know when to call `handle_timeout`.
///
/// `now` is any clock that never goes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    genesis: Arc<Genesis>,
    domain: Domain,
    client: ClientId,
    key: SecretKey,
    settings: Settings,
    last: Timestamp,
    /// When a request went to all replicas at once, or the first one was sent.
    sampled: Option<Duration>,
    /// The own timestamps from the lowest in flight on: more than W, and the lowest could fall out of the window (R8).
    spent: BTreeSet<Timestamp>,
    /// The highest view that each replica reported. A correct one's views only grow (R13).
    views: BTreeMap<ReplicaId, View>,
    outstanding: BTreeMap<RequestId, Outstanding>,
    /// Nothing is due before: looking through all that is in flight for each message would cost more than the message.
    wake: Option<Duration>,
    to_send: BTreeSet<(RequestId, ReplicaId)>,
    completed: VecDeque<Completed>,
}

/// A request without an accepted answer.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Outstanding {
    request: Signed<Request>,
    digest: Digest,
    /// Who said what, in the order it came: distinct pairs of a replica and the digest of its answer.
    answers: Vec<(ReplicaId, Digest)>,
    /// The only replica that has it; `None` once it went to all.
    primary: Option<ReplicaId>,
    /// How often its timer was set.
    attempts: u32,
    /// When it goes to all replicas (again).
    deadline: Duration,
    /// Replicas that are `Busy`, and until when they are left alone.
    busy: BTreeMap<ReplicaId, Duration>,
}

/// The end of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completed {
    /// The request's client.
    pub client: ClientId,
    /// Its timestamp.
    pub timestamp: Timestamp,
    /// What weak_quorum replicas agree on.
    pub result: Result<Accepted, RequestError>,
}

/// A request that took effect, and its results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The request's timestamp.
    pub timestamp: Timestamp,
    /// Where it was ordered.
    pub sequence: SequenceNumber,
    /// One result for each operation.
    pub results: Vec<Blob>,
}

/// A request without results.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// It has no effect. After `TooOld` it may have had one when it was sent before.
    #[error("{0}")]
    Refused(RequestRefusal),
    /// It took effect once, but its results are no longer kept (R8).
    #[error("the request took effect at sequence number {0}, but its results are no longer kept")]
    ResultGone(SequenceNumber),
}

/// Why a request was not even sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// W requests are in flight, or were sent since the oldest of those in flight (R8).
    #[error("a client may send no more than {0} requests until the oldest of them has completed: wait for that one")]
    TooManyInFlight(usize),
    /// The same client and timestamp is in flight.
    #[error("the request with timestamp {0} is already in flight: wait for it to complete or abandon it")]
    AlreadyInFlight(Timestamp),
    /// It breaks a limit of the genesis: no replica would take it.
    #[error("{0}")]
    Refused(RequestRefusal),
    /// No higher timestamp exists.
    #[error("the client has used the highest timestamp there is: use another client key")]
    NoTimestampLeft,
}

impl Session {
    /// A session of the client whose signing key this is, in the first epoch of the genesis.
    pub fn new(genesis: Arc<Genesis>, key: SecretKey, settings: Settings) -> Self {
        Self {
            domain: Domain { cluster: genesis.cluster_id(), epoch: Epoch(0) },
            client: ClientId(key.public()),
            genesis,
            key,
            settings,
            last: Timestamp(0),
            sampled: None,
            spent: BTreeSet::new(),
            views: BTreeMap::new(),
            outstanding: BTreeMap::new(),
            wake: None,
            to_send: BTreeSet::new(),
            completed: VecDeque::new(),
        }
    }

    /// Signs a request with the next timestamp, max(last + 1, wall clock in microseconds since 1970), and starts sending it.
    pub fn submit(&mut self, now: Duration, wall_micros: u64, operations: Vec<Blob>) -> Result<Timestamp, SubmitError> {
        self.check_room()?;
        let timestamp = self.next_timestamp(wall_micros).ok_or(SubmitError::NoTimestampLeft)?;
        let request = self.sign(timestamp, operations)?;
        let primary = self.genesis.primary(self.view());
        let sampled = *self.sampled.get_or_insert(now);
        let is_sample = now >= sampled.saturating_add(self.settings.sample) && request.size() <= LARGEST_SAMPLE;
        self.insert(now, request, (!is_sample).then_some(primary))?;
        if is_sample {
            self.sampled = Some(now);
        }
        Ok(timestamp)
    }

    /// The timestamp that [`submit`](Self::submit) would give; none if none is left.
    pub fn next_timestamp(&self, wall_micros: u64) -> Option<Timestamp> {
        self.last.0.checked_add(1).map(|next| Timestamp(next.max(wall_micros)))
    }

    /// Signs a request with a timestamp of the caller's choice, to be given to [`resubmit`](Self::resubmit).
    /// Fails with [`SubmitError::Refused`] if it breaks a limit of the genesis.
    pub fn sign(&self, timestamp: Timestamp, operations: Vec<Blob>) -> Result<Signed<Request>, SubmitError> {
        let request =
            sign_request(Request { client: self.client, timestamp, operations: Blobs::new(&operations) }, &self.domain, &self.key);
        self.genesis.parameters.check_request(&request).map_err(SubmitError::Refused)?;
        Ok(request)
    }

    /// Sends a request that is signed already, to all replicas at once: those that executed it answer from their
    /// reply caches. It is not checked, and may be of any client.
    pub fn resubmit(&mut self, now: Duration, request: Signed<Request>) -> Result<(), SubmitError> {
        self.check_room()?;
        self.insert(now, request, None)
    }

    /// Stops sending a request and forgets it. It may take effect all the same.
    pub fn abandon(&mut self, client: ClientId, timestamp: Timestamp) {
        self.remove((client, timestamp));
    }

    /// Takes what a replica said on its authenticated connection. Answers to questions that are not requests
    /// are not the session's and have no effect.
    pub fn handle_message(&mut self, now: Duration, from: ReplicaId, message: ReplicaMessage) {
        if self.genesis.replica(from).is_none() {
            return;
        }
        match message {
            ReplicaMessage::Replies(replies) => replies.into_iter().for_each(|reply| self.on_reply(now, from, reply)),
            ReplicaMessage::Refused { client, timestamp, view, refusal } => {
                self.on_refused(now, from, (client, timestamp), view, refusal);
            }
            ReplicaMessage::RequestStatus { .. } | ReplicaMessage::Report { .. } | ReplicaMessage::Evidence { .. } => {}
        }
    }

    /// A connection to a replica is up; what was sent to it before may be lost. Sends it again.
    pub fn handle_connected(&mut self, replica: ReplicaId) {
        let meant = |outstanding: &Outstanding| outstanding.primary.is_none_or(|primary| primary == replica);
        let ids = self.outstanding.iter().filter(|(_, outstanding)| meant(outstanding)).map(|(id, _)| (*id, replica));
        self.to_send.extend(ids);
    }

    /// Sends again what is due.
    pub fn handle_timeout(&mut self, now: Duration) {
        for (id, outstanding) in &mut self.outstanding {
            let due = outstanding.busy.iter().filter(|(_, until)| **until <= now).map(|(replica, _)| *replica);
            self.to_send.extend(due.map(|replica| (*id, replica)));
            outstanding.busy.retain(|_, until| *until > now);
            if outstanding.deadline <= now {
                let delay = self.settings.delay(*id, outstanding.attempts);
                outstanding.send_to_all(&self.genesis, *id, &mut self.to_send);
                outstanding.set_timer(now, delay);
            }
        }
        self.wake = self.outstanding.values().map(Outstanding::due).min();
    }

    /// When to call [`handle_timeout`](Self::handle_timeout): when something is due, or may have been if it was not answered since.
    pub const fn poll_timeout(&self) -> Option<Duration> {
        self.wake
    }

    /// The next message to send, and to whom.
    pub fn poll_transmit(&mut self) -> Option<(ReplicaId, ClientMessage)> {
        loop {
            let (id, replica) = self.to_send.pop_first()?;
            if let Some(outstanding) = self.outstanding.get(&id) {
                return Some((replica, ClientMessage::Request(outstanding.request.clone())));
            }
        }
    }

    /// The next request that came to its end.
    pub fn poll_completed(&mut self) -> Option<Completed> {
        self.completed.pop_front()
    }

    /// The client.
    pub const fn client(&self) -> ClientId {
        self.client
    }

    /// The view believed in: the (f+1)-th highest reported, so that f liars cannot raise it (R2).
    pub fn view(&self) -> View {
        let mut views: Vec<View> = self.views.values().copied().collect();
        views.sort_unstable_by(|one, other| other.cmp(one));
        views.get(self.genesis.max_faulty()).copied().unwrap_or_default()
    }

    /// The limits that requests must keep to.
    pub fn parameters(&self) -> &Parameters {
        &self.genesis.parameters
    }

    /// How many requests have no accepted answer yet.
    pub fn in_flight(&self) -> usize {
        self.outstanding.len()
    }

    /// Whether another request may be sent now: otherwise it would fail with [`SubmitError::TooManyInFlight`].
    pub fn has_room(&self) -> bool {
        self.outstanding.len().max(self.spent.len()) < self.genesis.parameters.requests_in_flight
    }

    fn check_room(&self) -> Result<(), SubmitError> {
        if self.has_room() { Ok(()) } else { Err(SubmitError::TooManyInFlight(self.genesis.parameters.requests_in_flight)) }
    }

    fn insert(&mut self, now: Duration, request: Signed<Request>, primary: Option<ReplicaId>) -> Result<(), SubmitError> {
        let id = (request.client, request.timestamp);
        if self.outstanding.contains_key(&id) {
            return Err(SubmitError::AlreadyInFlight(id.1));
        }
        let digest = request.digest(&self.domain);
        let (answers, busy) = (Vec::new(), BTreeMap::new());
        let mut outstanding = Outstanding { request, digest, answers, primary, attempts: 0, deadline: now, busy };
        match primary {
            Some(primary) => _ = self.to_send.insert((id, primary)),
            None => outstanding.send_to_all(&self.genesis, id, &mut self.to_send),
        }
        outstanding.set_timer(now, self.settings.delay(id, 0));
        self.wake_by(outstanding.deadline);
        self.outstanding.insert(id, outstanding);
        if id.0 == self.client {
            self.spent.insert(id.1);
            self.last = self.last.max(id.1);
        }
        Ok(())
    }

    fn on_reply(&mut self, now: Duration, from: ReplicaId, reply: Reply) {
        let id = (reply.client, reply.timestamp);
        self.learn_view(from, reply.view);
        let Some(outstanding) = self.outstanding.get_mut(&id) else { return };
        if reply.request != outstanding.digest {
            // The timestamp belongs to another request, so ours can never run (R8).
            return self.on_refused(now, from, id, reply.view, RequestRefusal::TimestampReused);
        }
        let reply = Reply { view: View(0), ..reply }; // all but the view must match (R2)
        let answer = Digest::of("pbft reply", &[&codec::encode(&reply)]);
        if outstanding.count(from, answer) < self.genesis.weak_quorum() {
            return;
        }
        let result = match reply.outcome {
            Outcome::Executed(results) => Ok(Accepted { timestamp: id.1, sequence: reply.sequence, results: results.parts() }),
            Outcome::Refused(refusal) => Err(RequestError::Refused(refusal)),
            Outcome::ExecutedResultGone => Err(RequestError::ResultGone(reply.sequence)),
        };
        self.complete(id, result);
    }

    fn on_refused(&mut self, now: Duration, from: ReplicaId, id: RequestId, view: View, refusal: RequestRefusal) {
        self.learn_view(from, view);
        let Some(outstanding) = self.outstanding.get_mut(&id) else { return };
        if let RequestRefusal::Busy { retry_after_ms } = refusal {
            let pause = Duration::from_millis(retry_after_ms).min(self.settings.retry_max).max(self.settings.busy_min);
            outstanding.busy.insert(from, now.saturating_add(pause));
            return self.wake_by(now.saturating_add(pause));
        }
        let answer = Digest::of("pbft refusal", &[&codec::encode(&refusal)]);
        if outstanding.count(from, answer) >= self.genesis.weak_quorum() {
            return self.complete(id, Err(RequestError::Refused(refusal)));
        }
        if outstanding.primary.is_some() {
            let delay = self.settings.delay(id, outstanding.attempts);
            outstanding.send_to_all(&self.genesis, id, &mut self.to_send);
            outstanding.set_timer(now, delay);
            self.wake_by(now.saturating_add(delay));
        }
    }

    fn wake_by(&mut self, due: Duration) {
        self.wake = Some(self.wake.map_or(due, |wake| wake.min(due)));
    }

    fn complete(&mut self, id: RequestId, result: Result<Accepted, RequestError>) {
        self.remove(id);
        self.completed.push_back(Completed { client: id.0, timestamp: id.1, result });
    }

    fn remove(&mut self, id: RequestId) {
        self.outstanding.remove(&id);
        let own = self.outstanding.keys().filter(|(client, _)| *client == self.client);
        match own.map(|(_, timestamp)| *timestamp).next() {
            Some(lowest) => {
                while self.spent.first().is_some_and(|first| *first < lowest) {
                    self.spent.pop_first();
                }
            }
            None => self.spent.clear(),
        }
        if self.outstanding.is_empty() {
            self.wake = None;
        }
    }

    fn learn_view(&mut self, from: ReplicaId, view: View) {
        let highest = self.views.entry(from).or_default();
        *highest = view.max(*highest);
    }
}

impl Outstanding {
    /// Notes an answer, and returns how many distinct replicas gave it.
    fn count(&mut self, from: ReplicaId, answer: Digest) -> usize {
        if !self.answers.contains(&(from, answer)) {
            let oldest = self.answers.iter().position(|(replica, _)| *replica == from);
            let given = self.answers.iter().filter(|(replica, _)| *replica == from).count();
            if let Some(oldest) = oldest.filter(|_| given >= ANSWERS_OF_A_REPLICA) {
                self.answers.remove(oldest);
            }
            self.answers.push((from, answer));
        }
        self.answers.iter().filter(|(_, given)| *given == answer).count()
    }

    /// When it is to be sent again, to all or to a replica that was `Busy`.
    fn due(&self) -> Duration {
        self.busy.values().copied().fold(self.deadline, Duration::min)
    }

    fn send_to_all(&mut self, genesis: &Genesis, id: RequestId, to_send: &mut BTreeSet<(RequestId, ReplicaId)>) {
        self.primary = None;
        let busy = &self.busy;
        to_send.extend(genesis.replica_ids().filter(|replica| !busy.contains_key(replica)).map(|replica| (id, replica)));
    }

    fn set_timer(&mut self, now: Duration, delay: Duration) {
        self.attempts = self.attempts.saturating_add(1);
        self.deadline = now.saturating_add(delay);
    }
}

impl Settings {
    /// How long the n-th attempt has, counted from 0: from three quarters to the whole of the doubled and capped time,
    /// so that many clients do not return together. The same for the same request, so that a run can be repeated.
    fn delay(&self, (client, timestamp): RequestId, attempt: u32) -> Duration {
        let whole = self.retry_initial.saturating_mul(2_u32.saturating_pow(attempt)).min(self.retry_max);
        let parts: [&[u8]; 3] = [client.0.as_bytes(), &timestamp.0.to_le_bytes(), &attempt.to_le_bytes()];
        let [random, ..] = *Digest::of("pbft retry", &parts).as_bytes();
        let jitter = whole.checked_div(1024).unwrap_or_default().saturating_mul(u32::from(random));
        whole.saturating_sub(jitter)
    }
}
