use crate::admission::Admission;
use crate::clock::Clock;
use crate::core::ForCore;
use crate::cpu::CpuClock;
use crate::executor::ForExecutor;
use crate::meters::{Meters, Stage};
use crate::postman::is_for_executor;
use crate::queries::Queries;
use crate::refusals::Source;
use bytes::Bytes;
use crossbeam_channel::Sender;
use pbft_crypto::PublicKey;
use pbft_message::*;
use pbft_network::{ConnectionId, Inbound};
use pbft_replica::{Order, Throttle};
use rayon::ThreadPool;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::mpsc;

/// How many frames are verified together at most.
const BURST: usize = 256;
/// How many a core is given at least: the fewer are verified together, the more each costs.
const SHARE: usize = 64;

/// Decodes and verifies all that arrives, in batches and off the core's thread. The core sees nothing unverified.
pub struct Intake {
    pub authenticator: Authenticator,
    pub replicas: BTreeMap<PublicKey, ReplicaId>,
    pub core_replicas: Sender<ForCore>,
    pub core_clients: Sender<ForCore>,
    pub executor: Sender<ForExecutor>,
    pub queries: Queries,
    pub throttle: Throttle,
    pub admission: Admission,
    pub pool: ThreadPool,
    pub clock: Clock,
}

/// How long a client should wait while the core is busy, in milliseconds.
const RETRY_AFTER_MS: u64 = 100;

/// A message with the connection it came on.
type Arrived<T> = (ConnectionId, T);

impl Intake {
    /// Runs until the network or the core is gone. Replicas first. It computes and blocks: it takes a thread of its own.
    pub async fn run(mut self, mut replicas: mpsc::Receiver<Inbound>, mut clients: mpsc::Receiver<Inbound>) {
        loop {
            let (mut one, mut other) = (Vec::new(), Vec::new());
            tokio::select! {
                biased;
                count = replicas.recv_many(&mut one, BURST) => if count == 0 { return },
                count = clients.recv_many(&mut other, BURST) => if count == 0 { return },
            }
            if !self.take_replicas(one) || !self.take_clients(other) {
                return;
            }
        }
    }

    fn take_replicas(&mut self, burst: Vec<Inbound>) -> bool {
        if burst.is_empty() {
            return true;
        }
        let mut cpu = CpuClock::start();
        let now = self.clock.now().monotonic;
        let mut messages = Vec::with_capacity(burst.len());
        for inbound in burst {
            match inbound {
                Inbound::Up { peer, hello, .. } => {
                    let Some(from) = self.replicas.get(&peer).copied() else { continue };
                    tracing::info!(event = "peer_up", peer = %from, "connected to a replica");
                    self.take_hello(from, &hello);
                    if self.core_replicas.send(ForCore::PeerUp(from)).is_err() {
                        return false;
                    }
                }
                Inbound::Down { peer, reason, .. } => {
                    if let Some(from) = self.replicas.get(&peer) {
                        self.queries.postman.speaks(*from, *WIRE_VERSIONS.start());
                        tracing::info!(event = "peer_down", peer = %from, %reason, "lost the connection to a replica");
                    }
                }
                Inbound::Frame { peer, connection, bytes, .. } => {
                    let Some(from) = self.replicas.get(&peer).copied() else { continue };
                    self.queries.shared.hear(from, now);
                    match codec::decode::<Message>(&bytes) {
                        Ok(message) if !self.throttle.admits(from, &message, now) => {
                            self.queries.shared.refusals.count("throttled", Source::Replica(from));
                        }
                        Ok(message) => {
                            self.meters().messages_received.add(message.name(), 1);
                            self.queries.postman.received(from, &message);
                            #[cfg(pbft_next_wire)]
                            if message == Message::Note {
                                continue;
                            }
                            messages.push((connection, (from, message)));
                        }
                        Err(_) => self.drop_peer(connection, "malformed_message", Source::Replica(from)),
                    }
                }
            }
        }
        self.meters().spend(Stage::Codec, cpu.lap());
        self.verify_and_pass(messages, &mut cpu)
    }

    fn take_hello(&self, from: ReplicaId, hello: &Bytes) {
        let Ok(Hello { wire_max, role: Role::Replica { status, .. }, .. }) = codec::decode(hello) else { return };
        self.queries.postman.speaks(from, wire_max);
        let Some(status) = status else { return };
        let message = Box::new(VerifiedMessage::Status(status));
        let _ = self.core_replicas.send(ForCore::Message { from, message });
    }

    fn verify_and_pass(&self, messages: Vec<Arrived<(ReplicaId, Message)>>, cpu: &mut CpuClock) -> bool {
        if messages.is_empty() {
            return true;
        }
        let (connections, messages): (Vec<_>, Vec<_>) = messages.into_iter().unzip();
        let senders: Vec<ReplicaId> = messages.iter().map(|(from, _)| *from).collect();
        let verified = self.share(messages, cpu, |part| self.authenticator.verify_messages(part));
        self.meters().verified.add("message", verified.iter().filter(|result| result.is_ok()).count() as u64);
        for ((connection, from), result) in connections.into_iter().zip(senders).zip(verified) {
            match result {
                Ok(message) if is_for_executor(&message) => self.pass_to_executor(from, message),
                Ok(message) => {
                    if self.core_replicas.send(ForCore::Message { from, message: Box::new(message) }).is_err() {
                        return false;
                    }
                }
                Err(invalid) => self.drop_peer(connection, invalid.name(), Source::Replica(from)),
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
    fn drop_peer(&self, connection: ConnectionId, reason: &'static str, from: Source) {
        self.queries.shared.refusals.count(reason, from);
        self.queries.postman.close(connection, reason);
    }

    fn take_clients(&mut self, burst: Vec<Inbound>) -> bool {
        if burst.is_empty() {
            return true;
        }
        let mut cpu = CpuClock::start();
        let now = self.clock.now().monotonic;
        let mut requests = Vec::with_capacity(burst.len());
        for inbound in burst {
            let (peer, connection, bytes) = match inbound {
                Inbound::Frame { peer, connection, bytes, .. } => (peer, connection, bytes),
                Inbound::Down { peer, .. } => {
                    self.admission.forget(&peer, now);
                    continue;
                }
                Inbound::Up { .. } => continue,
            };
            let admitted = self.admission.admit(peer, now);
            match codec::decode::<ClientMessage>(&bytes) {
                Ok(ClientMessage::Request(request)) => match admitted {
                    Ok(()) => requests.push((connection, request)),
                    Err(wait) => self.refuse_for_now(connection, &request, wait),
                },
                // Whoever asks that often asks again.
                Ok(_) if admitted.is_err() => self.queries.shared.refusals.count("throttled", Source::Key(peer)),
                Ok(ClientMessage::Report { query }) => self.queries.report(connection, query),
                Ok(ClientMessage::Evidence { query }) => self.queries.evidence(connection, query),
                Ok(ClientMessage::RequestStatus { query, client, timestamp }) => {
                    // Dropped when the executor is busy: the client asks again.
                    let _ = self.executor.try_send(ForExecutor::RequestStatus { connection, query, client, timestamp });
                }
                Err(_) => self.drop_peer(connection, "malformed_message", Source::Key(peer)),
            }
        }
        self.meters().spend(Stage::Codec, cpu.lap());
        self.verify_requests(requests, &mut cpu)
    }

    fn refuse_for_now(&self, connection: ConnectionId, request: &Request, wait: Duration) {
        let (client, timestamp) = (request.client, request.timestamp);
        let retry_after_ms = u64::try_from(wait.as_millis()).unwrap_or(RETRY_AFTER_MS).saturating_add(1);
        self.refuse(connection, (client, timestamp), RequestRefusal::Busy { retry_after_ms });
    }

    fn refuse(&self, connection: ConnectionId, (client, timestamp): (ClientId, Timestamp), refusal: RequestRefusal) {
        self.queries.shared.refusals.count(refusal.name(), Source::Client(client, timestamp));
        let view = self.queries.shared.standing().view;
        self.queries.postman.answer(connection, &ReplicaMessage::Refused { client, timestamp, view, refusal });
    }

    fn verify_requests(&self, requests: Vec<Arrived<Signed<Request>>>, cpu: &mut CpuClock) -> bool {
        if requests.is_empty() {
            return true;
        }
        let (connections, requests): (Vec<_>, Vec<_>) = requests.into_iter().unzip();
        let names: Vec<(ClientId, Timestamp)> = requests.iter().map(|request| (request.client, request.timestamp)).collect();
        self.meters().requests_received.inc_by(requests.len() as u64);
        let verified = self.share(requests, cpu, |part| self.authenticator.verify_requests(part));
        self.meters().verified.add("request", verified.iter().filter(|result| result.is_ok()).count() as u64);
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
            self.refuse(connection, (client, timestamp), refusal);
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

    fn meters(&self) -> &Meters {
        &self.queries.shared.meters
    }

    /// Shares work among the cores where there is enough of it. The results are in order.
    fn share<T: Send, R: Send>(
        &self,
        mut work: Vec<T>,
        cpu: &mut CpuClock,
        verify: impl Fn(Vec<T>) -> Vec<R> + Send + Sync,
    ) -> Vec<R> {
        let meters = self.meters();
        let parts = (work.len() / SHARE).min(self.pool.current_num_threads());
        if parts < 2 {
            let verified = verify(work);
            meters.spend(Stage::Verify, cpu.lap());
            meters.verify_bursts.inc();
            return verified;
        }
        let size = work.len().div_ceil(parts);
        let mut shares = Vec::with_capacity(parts);
        while !work.is_empty() {
            let rest = work.split_off(size.min(work.len()));
            shares.push(std::mem::replace(&mut work, rest));
        }
        let verify = |part| {
            let mut cpu = CpuClock::start();
            let verified = verify(part);
            meters.spend(Stage::Verify, cpu.lap());
            meters.verify_bursts.inc();
            verified
        };
        self.pool.install(|| shares.into_par_iter().flat_map_iter(verify).collect())
    }
}

/// Why a request was not passed to the core.
enum NotPassed {
    Full,
    CoreGone,
}
