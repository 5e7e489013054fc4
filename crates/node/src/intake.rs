use crate::clock::Clock;
use crate::core::ForCore;
use crate::executor::ForExecutor;
use crate::postman::is_for_executor;
use crate::queries::Queries;
use bytes::Bytes;
use crossbeam_channel::Sender;
use pbft_crypto::PublicKey;
use pbft_message::*;
use pbft_network::{ConnectionId, Inbound};
use pbft_replica::{Order, Throttle};
use rayon::prelude::*;
use std::collections::BTreeMap;
use tokio::sync::mpsc;

/// How many frames are verified together at most.
const BURST: usize = 256;
/// From how many on it is worth sharing them among the cores.
const SHARE: usize = 16;

/// Decodes and verifies all that arrives, in batches and off the core's thread. The core sees nothing unverified.
pub struct Intake {
    pub authenticator: Authenticator,
    pub replicas: BTreeMap<PublicKey, ReplicaId>,
    pub core_replicas: Sender<ForCore>,
    pub core_clients: Sender<ForCore>,
    pub executor: Sender<ForExecutor>,
    pub queries: Queries,
    pub throttle: Throttle,
    pub clock: Clock,
}

/// How long a client should wait while the core is busy, in milliseconds.
const RETRY_AFTER_MS: u64 = 100;

/// A message with the connection it came on.
type Arrived<T> = (ConnectionId, T);

impl Intake {
    /// Runs until the network or the core is gone. Replicas first.
    pub async fn run(mut self, mut replicas: mpsc::Receiver<Inbound>, mut clients: mpsc::Receiver<Inbound>) {
        loop {
            let (mut one, mut other) = (Vec::new(), Vec::new());
            tokio::select! {
                biased;
                count = replicas.recv_many(&mut one, BURST) => if count == 0 { return },
                count = clients.recv_many(&mut other, BURST) => if count == 0 { return },
            }
            let goes_on = tokio::task::block_in_place(|| self.take_replicas(one) && self.take_clients(other));
            if !goes_on {
                return;
            }
        }
    }

    fn take_replicas(&mut self, burst: Vec<Inbound>) -> bool {
        let now = self.clock.now().monotonic;
        let mut messages = Vec::with_capacity(burst.len());
        for inbound in burst {
            match inbound {
                Inbound::Up { peer, hello, .. } => {
                    let Some(from) = self.replicas.get(&peer).copied() else { continue };
                    tracing::info!(event = "peer_up", peer = %from, "connected to a replica");
                    if self.core_replicas.send(ForCore::PeerUp(from)).is_err() {
                        return false;
                    }
                    self.take_hello(from, &hello);
                }
                Inbound::Down { peer, reason, .. } => {
                    if let Some(from) = self.replicas.get(&peer) {
                        tracing::info!(event = "peer_down", peer = %from, %reason, "lost the connection to a replica");
                    }
                }
                Inbound::Frame { peer, connection, bytes, .. } => {
                    let Some(from) = self.replicas.get(&peer).copied() else { continue };
                    match codec::decode::<Message>(&bytes) {
                        Ok(message) if !self.throttle.admits(from, &message, now) => {
                            self.queries.shared.refusals.count("throttled", &from);
                        }
                        Ok(message) => {
                            self.queries.postman.received(from, &message);
                            messages.push((connection, (from, message)));
                        }
                        Err(_) => self.drop_peer(connection, "malformed_message", &from),
                    }
                }
            }
        }
        self.verify_and_pass(messages)
    }

    fn take_hello(&self, from: ReplicaId, hello: &Bytes) {
        let Ok(Hello { role: Role::Replica { status: Some(status), .. }, .. }) = codec::decode(hello) else { return };
        let message = Box::new(VerifiedMessage::Status(status));
        let _ = self.core_replicas.send(ForCore::Message { from, message });
    }

    fn verify_and_pass(&self, messages: Vec<Arrived<(ReplicaId, Message)>>) -> bool {
        let (connections, messages): (Vec<_>, Vec<_>) = messages.into_iter().unzip();
        let senders: Vec<ReplicaId> = messages.iter().map(|(from, _)| *from).collect();
        let verified = share(messages, |part| self.authenticator.verify_messages(part));
        for ((connection, from), result) in connections.into_iter().zip(senders).zip(verified) {
            match result {
                Ok(message) if is_for_executor(&message) => self.pass_to_executor(from, message),
                Ok(message) => {
                    if self.core_replicas.send(ForCore::Message { from, message: Box::new(message) }).is_err() {
                        return false;
                    }
                }
                Err(invalid) => self.drop_peer(connection, invalid.name(), &from),
            }
        }
        true
    }

    /// A full queue loses the message: state transfer asks again.
    fn pass_to_executor(&self, from: ReplicaId, message: VerifiedMessage) {
        let _ = match message {
            VerifiedMessage::FetchState(question) => self.executor.try_send(ForExecutor::Do(Order::Fetch { from, question })),
            VerifiedMessage::State(reply) => self.executor.try_send(ForExecutor::Do(Order::State { from, reply: Box::new(reply) })),
            _ => Ok(()),
        };
    }

    /// A replica that sends what no correct one sends loses its connection; it may come back and start afresh.
    fn drop_peer(&self, connection: ConnectionId, reason: &'static str, from: &dyn std::fmt::Display) {
        self.queries.shared.refusals.count(reason, from);
        self.queries.postman.close(connection, reason);
    }

    fn take_clients(&self, burst: Vec<Inbound>) -> bool {
        let mut requests = Vec::with_capacity(burst.len());
        for inbound in burst {
            let Inbound::Frame { peer, connection, bytes, .. } = inbound else { continue };
            match codec::decode::<ClientMessage>(&bytes) {
                Ok(ClientMessage::Request(request)) => requests.push((connection, request)),
                Ok(ClientMessage::Report { query }) => self.queries.report(connection, query),
                Ok(ClientMessage::Evidence { query }) => self.queries.evidence(connection, query),
                Ok(ClientMessage::RequestStatus { query, client, timestamp }) => {
                    // Dropped when the executor is busy: the client asks again.
                    let _ = self.executor.try_send(ForExecutor::RequestStatus { connection, query, client, timestamp });
                }
                Err(_) => self.drop_peer(connection, "malformed_message", &peer),
            }
        }
        self.verify_requests(requests)
    }

    fn verify_requests(&self, requests: Vec<Arrived<Signed<Request>>>) -> bool {
        let (connections, requests): (Vec<_>, Vec<_>) = requests.into_iter().unzip();
        let names: Vec<(ClientId, Timestamp)> = requests.iter().map(|request| (request.client, request.timestamp)).collect();
        let verified = share(requests, |part| self.authenticator.verify_requests(part));
        for ((connection, (client, timestamp)), result) in connections.into_iter().zip(names).zip(verified) {
            let refusal = match result {
                Ok(request) => match self.pass_request(connection, request) {
                    Ok(()) => continue,
                    // Clients wait for the core, never replicas behind clients (R19).
                    Err(NotPassed::Full) => RequestRefusal::Busy { retry_after_ms: RETRY_AFTER_MS },
                    Err(NotPassed::CoreGone) => return false,
                },
                Err(refusal) => refusal,
            };
            self.queries.shared.refusals.count(refusal.name(), &client);
            let view = self.queries.shared.standing().view;
            self.queries.postman.answer(connection, &ReplicaMessage::Refused { client, timestamp, view, refusal });
        }
        true
    }

    fn pass_request(&self, connection: ConnectionId, request: Verified<Signed<Request>>) -> Result<(), NotPassed> {
        let (size, room) = (request.size(), &self.queries.shared.client_room);
        if !room.take(size) {
            return Err(NotPassed::Full);
        }
        self.core_clients.try_send(ForCore::Request { connection, request: Box::new(request) }).map_err(|error| {
            room.give_back(size);
            if error.is_full() { NotPassed::Full } else { NotPassed::CoreGone }
        })
    }
}

/// Why a request was not passed to the core.
enum NotPassed {
    Full,
    CoreGone,
}

/// Shares work among the cores where there is enough of it. The results are in order.
fn share<T: Send, R: Send>(mut work: Vec<T>, verify: impl Fn(Vec<T>) -> Vec<R> + Send + Sync) -> Vec<R> {
    if work.len() < SHARE {
        return verify(work);
    }
    let parts = rayon::current_num_threads().max(1);
    let size = work.len().div_ceil(parts).max(1);
    let mut shares = Vec::with_capacity(parts);
    while !work.is_empty() {
        let rest = work.split_off(size.min(work.len()));
        shares.push(std::mem::replace(&mut work, rest));
    }
    shares.into_par_iter().flat_map_iter(verify).collect()
}
