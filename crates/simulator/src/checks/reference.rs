use super::invariant::{Invariant, Violation};
use super::members::Members;
use pbft_crypto::Digest;
use pbft_message::{Batch, Blob, ClientId, Domain, Genesis, Outcome, Reply, RequestRefusal, SequenceNumber, Timestamp};
use pbft_services::kv::{Model, Operation};
use std::collections::{BTreeMap, BTreeSet};

/// What must come of the agreed order: the model of the store, and R8 in its simplest form.
pub struct Reference {
    domain: Domain,
    model: Model,
    members: Members,
    window: usize,
    clients: BTreeMap<ClientId, BTreeSet<Timestamp>>,
    executed: BTreeMap<(ClientId, Timestamp), Executed>,
    /// Requests that were ordered and had no effect, by where.
    refused: BTreeSet<(ClientId, Timestamp, SequenceNumber, RequestRefusal)>,
    /// All numbers up to this one are in.
    through: SequenceNumber,
    /// The state's time after each number (R3).
    times: BTreeMap<SequenceNumber, u64>,
    /// The results that are still cached, oldest first, with what they count for, and the most bytes that may be (R8).
    cached: BTreeMap<(SequenceNumber, usize), (ClientId, Timestamp, usize)>,
    most_cached: usize,
    /// At which number a result was evicted.
    evicted: BTreeMap<(ClientId, Timestamp), SequenceNumber>,
}

/// What even an empty result counts for, in bytes.
const RESULT: usize = 32;

/// A request that took effect.
pub struct Executed {
    pub request: Digest,
    /// Its number, and its place in the batch.
    pub position: (SequenceNumber, usize),
    pub results: Vec<Blob>,
}

impl Reference {
    pub fn new(genesis: &Genesis, domain: Domain) -> Self {
        Self {
            domain,
            model: Model::new(&genesis.service),
            members: Members::new(genesis),
            window: genesis.parameters.requests_in_flight,
            clients: BTreeMap::new(),
            executed: BTreeMap::new(),
            refused: BTreeSet::new(),
            through: SequenceNumber::GENESIS,
            times: BTreeMap::new(),
            cached: BTreeMap::new(),
            most_cached: genesis.parameters.max_cached_result_bytes,
            evicted: BTreeMap::new(),
        }
    }

    pub const fn through(&self) -> SequenceNumber {
        self.through
    }

    /// Executes the next number's batch.
    pub fn execute(&mut self, batch: Option<&Batch>) {
        let time = self.time_at(self.through).unwrap_or(0);
        self.through = self.through.next();
        self.times.insert(self.through, batch.map_or(time, |batch| batch.time().max(time + 1)));
        for (place, request) in batch.into_iter().flat_map(|batch| batch.requests()).enumerate() {
            let (client, timestamp) = (request.client, request.timestamp);
            let digest = request.digest(&self.domain);
            let mut refuse = |refusal| _ = self.refused.insert((client, timestamp, self.through, refusal));
            if !self.members.is_authorised(client) {
                refuse(RequestRefusal::UnknownClient);
                continue;
            }
            let remembered = self.clients.entry(client).or_default();
            if remembered.contains(&timestamp) {
                if self.executed[&(client, timestamp)].request != digest {
                    refuse(RequestRefusal::TimestampReused);
                }
                continue;
            }
            if remembered.len() >= self.window && remembered.first().is_some_and(|lowest| timestamp <= *lowest) {
                refuse(RequestRefusal::TooOld);
                continue;
            }
            let may_ask = self.members.may_ask(client, request.operations.each());
            if !may_ask {
                refuse(RequestRefusal::ReadOnly);
            }
            remembered.insert(timestamp);
            let forgotten = if remembered.len() > self.window { remembered.pop_first() } else { None };
            if let Some(forgotten) = forgotten {
                self.cached.remove(&self.executed[&(client, forgotten)].position);
            }
            let operates = self.members.is_operator(client);
            let results = request.operations.each().filter(|_| may_ask).map(|operation| match Operation::decode(operation) {
                _ if operates => Blob::from(self.members.apply(operation).encode()),
                Ok(operation) => Blob::from(self.model.apply(&operation).encode()),
                Err(_) => Blob::default(),
            });
            let results: Vec<Blob> = results.collect();
            // Whoever is revoked has no results any more.
            self.cached.retain(|_, (client, ..)| self.members.is_authorised(*client));
            let executed = Executed { request: digest, position: (self.through, place), results };
            let bytes = executed.results.iter().map(|result| result.len() + RESULT).sum();
            if may_ask {
                self.cached.insert(executed.position, (client, timestamp, bytes));
            }
            self.executed.insert((client, timestamp), executed);
            self.evict();
        }
    }

    /// The oldest results go, until the rest is within its bound.
    fn evict(&mut self) {
        let mut bytes: usize = self.cached.values().map(|(.., bytes)| bytes).sum();
        while bytes > self.most_cached {
            let Some((_, (client, timestamp, of_this))) = self.cached.pop_first() else { return };
            bytes -= of_this;
            self.evicted.insert((client, timestamp), self.through);
        }
    }

    /// Whether who has executed all up to this number has the result of a request no more. With the number itself it may be
    /// told once, when it comes of it.
    fn is_gone(&self, id: (ClientId, Timestamp), executed: SequenceNumber) -> bool {
        self.evicted.get(&id).is_some_and(|at| *at < executed)
    }

    /// Whether the result may be gone for who has executed as much.
    pub fn may_be_gone(&self, id: (ClientId, Timestamp), executed: SequenceNumber) -> bool {
        self.evicted.get(&id).is_some_and(|at| *at <= executed)
    }

    /// None where the number is not in yet.
    pub fn time_at(&self, sequence: SequenceNumber) -> Option<u64> {
        self.times.get(&sequence).copied()
    }

    pub fn executed(&self, client: ClientId, timestamp: Timestamp) -> Option<&Executed> {
        self.executed.get(&(client, timestamp))
    }

    /// Whether a correct replica may say this that has executed all up to a number.
    pub fn check_reply(&self, reply: &Reply, through: SequenceNumber) -> Result<(), Violation> {
        let wrong = |what: String| {
            let detail = format!("the reply to {} of {} at {}: {what}", reply.timestamp.0, reply.client, reply.sequence);
            Err(Violation { invariant: Invariant::AnswersAreRight, detail })
        };
        if let Outcome::Refused(refusal) = &reply.outcome {
            let known = (reply.client, reply.timestamp, reply.sequence, refusal.clone());
            return if self.refused.contains(&known) { Ok(()) } else { wrong(format!("{refusal}, which is not so")) };
        }
        let Some(executed) = self.executed(reply.client, reply.timestamp) else {
            return wrong("it was not executed".to_owned());
        };
        if executed.request != reply.request || executed.position.0 != reply.sequence {
            return wrong(format!("another request was executed at {}", executed.position.0));
        }
        let id = (reply.client, reply.timestamp);
        match &reply.outcome {
            Outcome::Executed(results) if executed.results.is_empty() || results.parts() != executed.results => {
                wrong("the results are not the model's".to_owned())
            }
            Outcome::Executed(_) if self.is_gone(id, through) => wrong("the results were evicted".to_owned()),
            Outcome::ExecutedResultGone if !self.may_be_gone(id, through) => wrong("the results were not evicted".to_owned()),
            _ => Ok(()),
        }
    }
}
