use crate::cluster::{client_entry, client_key};
use crate::plan::Plan;
use crate::random::Random;
use pbft_message::{
    Authenticator, Blob, Blobs, ClientEntry, ClientId, ClientMessage, ClientRole, MembershipOperation, ReplicaId, Request, Signed,
    Timestamp, sign_request,
};
use pbft_protocol::session::{Session, Settings};
use pbft_services::kv::{Compare, Expected, Operation, RangeEnd, Relation, Step, Target};
use std::time::Duration;

/// Microseconds since 1970 when a run begins.
pub const WALL_AT_START: u64 = 1_700_000_000_000_000;

/// Those that operators authorise and revoke have numbers from here on, and so many are they.
const STRANGERS: u32 = 1000;
const STRANGER_COUNT: u64 = 8;

/// Whom operators authorise and revoke.
pub fn strangers() -> impl Iterator<Item = ClientId> {
    (STRANGERS..).take(STRANGER_COUNT as usize).map(|id| ClientId(client_key(id).public()))
}

/// A client with its real session, or a liar with a real key.
pub struct Client {
    pub id: u32,
    pub name: ClientId,
    pub session: Session,
    pub lies: bool,
    operates: bool,
    /// How many requests it still wants to send.
    pub left: u64,
    /// It waits before it sends the next one.
    pub thinking: bool,
    random: Random,
    operations: u64,
    keys: u64,
    value_bytes: usize,
    written: u64,
}

impl Client {
    pub fn new(id: u32, plan: &Plan, authenticator: &Authenticator, random: Random) -> Self {
        let key = client_key(id);
        let lies = (plan.clients - plan.lying_clients..plan.clients).contains(&id);
        let operates = id >= plan.clients;
        Self {
            id,
            name: ClientId(key.public()),
            session: Session::new(authenticator.genesis().clone(), key, Settings::default()),
            lies,
            operates,
            left: if lies || operates { plan.requests.min(30) } else { plan.requests },
            thinking: false,
            random,
            operations: plan.operations,
            keys: plan.keys,
            value_bytes: plan.value_bytes,
            written: 0,
        }
    }

    /// The operations of the next request.
    pub fn next_operations(&mut self) -> Vec<Blob> {
        let count = self.random.between(1, self.operations);
        let encoded = |client: &mut Self| if client.operates { client.order().encode() } else { client.operation().encode() };
        (0..count).map(|_| encoded(self).into()).collect()
    }

    /// What an operator orders, whether or not it makes sense.
    fn order(&mut self) -> MembershipOperation {
        let mut stranger = || client_entry(STRANGERS + self.random.below(STRANGER_COUNT) as u32);
        let (client, other) = (stranger(), stranger());
        let role = if self.random.percent(50) { ClientRole::Read } else { ClientRole::Write };
        match self.random.below(4) {
            0 | 1 => MembershipOperation::Add { client, role },
            2 => MembershipOperation::Revoke { client: client.signing_key },
            _ => MembershipOperation::Rotate { client: ClientEntry { transport_key: other.transport_key, ..client } },
        }
    }

    /// A request of one of those whom an operator authorises and revokes, who may not be authorised, or only to read.
    pub fn of_a_stranger(&mut self, authenticator: &Authenticator, timestamp: Timestamp) -> Option<Signed<Request>> {
        if !self.operates {
            return None;
        }
        let key = client_key(STRANGERS + self.random.below(STRANGER_COUNT) as u32);
        let operations: Vec<Vec<u8>> = (0..self.random.between(1, 3)).map(|_| self.operation().encode()).collect();
        let request = Request { client: ClientId(key.public()), timestamp, operations: Blobs::new(&operations) };
        Some(sign_request(request, authenticator.domain(), &key))
    }

    fn operation(&mut self) -> Operation {
        let key = self.key();
        self.written += 1;
        let value = format!("{}-{:-<2$}", self.id, self.written, self.value_bytes);
        match self.random.below(10) {
            0..=3 => Operation::put(key, value),
            4 | 5 => Operation::get(key),
            6 => Operation::delete(key),
            7 => Operation::range("", RangeEnd::Last, 0),
            8 => {
                let expected = match self.random.below(2) {
                    0 => Expected::Absent,
                    _ => Expected::ModRevision(self.random.between(1, 60)),
                };
                Operation::compare_and_swap(key, expected, value)
            }
            _ => {
                // Several times the long value would be too much for a request.
                let short = format!("{}-{}", self.id, self.written);
                let compare = vec![self.comparison(&short)];
                Operation::Transaction { compare, success: self.steps(&short), failure: self.steps(&short) }
            }
        }
    }

    fn comparison(&mut self, value: &str) -> Compare {
        let relation = self.random.pick(&[Relation::Equal, Relation::NotEqual, Relation::Greater, Relation::Less]);
        let target = match self.random.below(4) {
            0 => Target::Version(self.random.below(4)),
            1 => Target::CreateRevision(self.random.below(60)),
            2 => Target::ModRevision(self.random.below(60)),
            _ => Target::Value(value.as_bytes().into()),
        };
        Compare::new(self.key(), relation, target)
    }

    /// One after the other, each sees what those before it did.
    fn steps(&mut self, value: &str) -> Vec<Step> {
        let step = |client: &mut Self| match client.random.below(4) {
            0 => Step::put(client.key(), value),
            1 => Step::get(client.key()),
            2 => Step::delete(client.key()),
            _ => Step::range("", RangeEnd::Last, 0),
        };
        (0..self.random.between(1, 3)).map(|_| step(self)).collect()
    }

    fn key(&mut self) -> String {
        format!("k{}", self.random.below(self.keys))
    }

    /// What a lying client sends next: to whom, and what. All of it is signed with its own key, more or less.
    pub fn lie(&mut self, authenticator: &Authenticator, now: Duration) -> Vec<(ReplicaId, ClientMessage)> {
        let replicas: Vec<ReplicaId> = authenticator.genesis().replica_ids().collect();
        let timestamp = WALL_AT_START + now.as_micros() as u64 + self.written;
        let mood = self.random.below(6);
        let timestamp = match mood {
            0 => u64::MAX - self.written,
            1 => self.written,
            _ => timestamp,
        };
        let one = self.signed(authenticator, timestamp);
        let other = self.signed(authenticator, timestamp);
        let mut sends = Vec::new();
        for replica in &replicas {
            let request = match mood {
                // Different bodies for one timestamp.
                2 | 3 if replica.0 % 2 == 1 => &other,
                _ => &one,
            };
            // Some replicas only.
            if mood == 4 && self.random.percent(60) {
                continue;
            }
            sends.push((*replica, ClientMessage::Request(request.clone())));
        }
        if mood == 5 {
            sends.push((replicas[0], ClientMessage::Request(self.forged(authenticator, timestamp))));
        }
        sends
    }

    fn signed(&mut self, authenticator: &Authenticator, timestamp: u64) -> Signed<Request> {
        let operations = Blobs::new(&self.next_operations());
        let request = Request { client: self.name, timestamp: Timestamp(timestamp), operations };
        sign_request(request, authenticator.domain(), &client_key(self.id))
    }

    /// In the name of another client.
    fn forged(&mut self, authenticator: &Authenticator, timestamp: u64) -> Signed<Request> {
        let victim = ClientId(client_key(0).public());
        let operations = Blobs::new(&[Operation::put("stolen", "goods").encode()]);
        let request = Request { client: victim, timestamp: Timestamp(timestamp), operations };
        sign_request(request, authenticator.domain(), &client_key(self.id))
    }
}
