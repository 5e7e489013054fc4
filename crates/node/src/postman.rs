use crate::clock::Clock;
use crate::shared::Shared;
use bytes::Bytes;
use pbft_crypto::PublicKey;
use pbft_message::{ClientId, Genesis, Message, ReplicaId, ReplicaMessage, Reply, VerifiedMessage, WIRE_VERSIONS, codec};
use pbft_network::{Class, ConnectionId, Directory, Endpoint, Lane};
use pbft_protocol::{Outbound, Outgoing, Traffic};
use pbft_storage::fail_point;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// Sends messages, from any thread, without ever waiting: what a peer's queue has no room for is dropped and counted by
/// the network, and asked for again (R23).
#[derive(Clone)]
pub struct Postman(Arc<Inner>);

struct Inner {
    endpoint: Endpoint,
    clock: Clock,
    others: BTreeMap<ReplicaId, PublicKey>,
    /// The highest wire version that each of them speaks; the lowest where it is not known.
    versions: RwLock<BTreeMap<ReplicaId, u16>>,
    replicas: Vec<PublicKey>,
    clients: RwLock<BTreeMap<ClientId, PublicKey>>,
    directory: Directory,
    outbound: Option<Mutex<Outbound>>,
    shared: Arc<Shared>,
    /// How many bytes of replies share a frame.
    reply_frame: usize,
}

impl Postman {
    pub fn new(
        endpoint: Endpoint,
        clock: Clock,
        own: ReplicaId,
        genesis: &Genesis,
        outbound: Option<Outbound>,
        (directory, shared): (Directory, Arc<Shared>),
    ) -> Self {
        let replicas = genesis.replica_ids().zip(&genesis.replicas).map(|(id, entry)| (id, entry.transport_key));
        let outbound = outbound.map(Mutex::new);
        let others = replicas.filter(|(id, _)| *id != own).collect();
        let replicas = genesis.replicas.iter().map(|entry| entry.transport_key).collect();
        let reply_frame = genesis.service.max_result_bytes;
        Self(Arc::new(Inner {
            endpoint,
            clock,
            others,
            versions: RwLock::default(),
            replicas,
            clients: RwLock::default(),
            directory,
            outbound,
            shared,
            reply_frame,
        }))
    }

    /// From now on these clients may connect and are answered, and no others (R8).
    pub fn authorise(&self, clients: BTreeMap<ClientId, PublicKey>) {
        let keys: BTreeSet<PublicKey> = clients.values().copied().collect();
        let replicas = self.0.replicas.iter().map(|key| (*key, Class::Replica));
        self.0.directory.replace(replicas.chain(keys.iter().map(|key| (*key, Class::Client))));
        *self.0.clients.write().unwrap_or_else(PoisonError::into_inner) = clients;
        for key in self.0.endpoint.connected(Class::Client) {
            if !keys.contains(&key) {
                self.0.endpoint.close_all(&key, "this client is no longer authorised");
            }
        }
    }

    /// A replica has said which wire version it speaks.
    pub fn speaks(&self, replica: ReplicaId, version: u16) {
        self.0.versions.write().unwrap_or_else(PoisonError::into_inner).insert(replica, version);
    }

    /// Whether a replica knows a message of this wire version.
    fn knows(&self, replica: ReplicaId, version: u16) -> bool {
        let spoken = || self.0.versions.read().unwrap_or_else(PoisonError::into_inner).get(&replica).copied();
        version <= *WIRE_VERSIONS.start() || spoken().is_some_and(|spoken| version <= spoken)
    }

    pub fn broadcast(&self, message: Message) {
        #[cfg(pbft_next_wire)]
        if matches!(message, Message::Status(_)) {
            self.broadcast(Message::Note);
        }
        if self.0.outbound.is_some() {
            return self.0.others.keys().for_each(|to| self.send(*to, message.clone()));
        }
        let frame = Bytes::from(codec::encode(&message));
        let mut sent: u64 = 0;
        for (_, key) in self.0.others.iter().filter(|(id, _)| self.knows(**id, message.wire_version())) {
            sent = sent.saturating_add(1);
            let _ = self.0.endpoint.send(key, lane(&message), frame.clone());
        }
        self.0.shared.meters.messages_sent.add(message.name(), sent);
        fail_point("send", "broadcast");
    }

    pub fn send(&self, to: ReplicaId, message: Message) {
        self.pass(Traffic::Leaving { to, message: Box::new(message) });
    }

    /// Lets the outbound see what has come.
    pub fn received(&self, from: ReplicaId, message: &Message) {
        if self.0.outbound.is_some() {
            self.pass(Traffic::Received { from, message });
        }
    }

    fn pass(&self, traffic: Traffic<'_>) {
        let leaving = match &self.0.outbound {
            Some(outbound) => {
                let mut outbound = outbound.lock().unwrap_or_else(PoisonError::into_inner);
                outbound(self.0.clock.now(), traffic)
            }
            None => traffic.unchanged(),
        };
        for outgoing in leaving {
            if matches!(&outgoing, Outgoing::Replica(to, message) if !self.knows(*to, message.wire_version())) {
                continue;
            }
            let client = if let Outgoing::Client(message) = &outgoing { self.client(message) } else { None };
            let (key, lane, frame) = match &outgoing {
                Outgoing::Replica(to, message) => (self.0.others.get(to), lane(message), codec::encode(message)),
                Outgoing::Client(message) => (client.as_ref(), Lane::Votes, codec::encode(message)),
            };
            let Some(key) = key else { continue };
            match &outgoing {
                Outgoing::Replica(_, message) => self.0.shared.meters.messages_sent.add(message.name(), 1),
                Outgoing::Client(ReplicaMessage::Replies(replies)) => {
                    self.0.shared.meters.replies_sent.inc_by(replies.len() as u64);
                }
                Outgoing::Client(_) => {}
            }
            let _ = self.0.endpoint.send(key, lane, frame.into());
        }
        fail_point("send", "message");
    }

    /// The client that replies or a refusal are for.
    fn client(&self, message: &ReplicaMessage) -> Option<PublicKey> {
        let client = match message {
            ReplicaMessage::Replies(replies) => replies.first()?.client,
            ReplicaMessage::Refused { client, .. } => *client,
            _ => return None,
        };
        self.0.clients.read().unwrap_or_else(PoisonError::into_inner).get(&client).copied()
    }

    /// Replies go to every connection of their client; those of one client share frames.
    pub fn reply(&self, replies: Vec<Reply>) {
        let mut by_client: BTreeMap<ClientId, Vec<Reply>> = BTreeMap::new();
        for reply in replies {
            by_client.entry(reply.client).or_default().push(reply);
        }
        for replies in by_client.into_values().flat_map(|replies| self.frames(replies)) {
            self.pass(Traffic::Answering { message: Box::new(ReplicaMessage::Replies(replies)) });
        }
    }

    fn frames(&self, replies: Vec<Reply>) -> Vec<Vec<Reply>> {
        let mut frames = vec![Vec::new()];
        let mut room = self.0.reply_frame;
        for reply in replies {
            let size = codec::encode(&reply).len();
            if let (Some(left), Some(last)) = (room.checked_sub(size), frames.last_mut()) {
                room = left;
                last.push(reply);
            } else {
                room = self.0.reply_frame.saturating_sub(size);
                frames.push(vec![reply]);
            }
        }
        frames.retain(|frame| !frame.is_empty());
        frames
    }

    /// Answers on the connection that a question came on; a refusal passes the outbound, if there is one.
    pub fn answer(&self, connection: ConnectionId, message: &ReplicaMessage) {
        if self.0.outbound.is_some() && matches!(message, ReplicaMessage::Refused { .. }) {
            return self.pass(Traffic::Answering { message: Box::new(message.clone()) });
        }
        let _ = self.0.endpoint.send_to(connection, Lane::Votes, codec::encode(message).into());
    }

    pub fn close(&self, connection: ConnectionId, reason: &str) {
        self.0.endpoint.close(connection, reason);
    }

    pub fn endpoint(&self) -> &Endpoint {
        &self.0.endpoint
    }
}

/// Votes before bodies, bodies before state.
const fn lane(message: &Message) -> Lane {
    match message {
        Message::PrePrepare { .. } | Message::Body(_) | Message::Committed { .. } => Lane::Bodies,
        Message::State(_) => Lane::Bulk,
        _ => Lane::Votes,
    }
}

/// Whether a message belongs to state transfer, which the executor handles.
pub fn is_for_executor(message: &VerifiedMessage) -> bool {
    matches!(message, VerifiedMessage::FetchState(_) | VerifiedMessage::State(_))
}
