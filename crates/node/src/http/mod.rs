//! What a replica tells of itself over HTTP: to Prometheus, to whoever restarts or routes, and to people.

mod condition;
mod metrics;
mod process;
mod readiness;
mod server;
mod status;

pub use server::{HttpError, listen, serve};
pub use status::StatusPage;

use crate::Home;
use crate::clock::Clock;
use crate::queues::Queue;
use crate::shared::Shared;
use pbft_crypto::PublicKey;
use pbft_message::{Genesis, ReplicaId};
use pbft_network::{Class, Endpoint, Usage};
use pbft_protocol::agreement::Silence;
use readiness::{AWAY, Condition, Unready};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

/// All that can be looked at; nothing can be changed through it.
pub struct Instruments {
    replica: ReplicaId,
    genesis: Arc<Genesis>,
    shared: Arc<Shared>,
    clock: Clock,
    /// Where the journal is.
    data: PathBuf,
    started_at: SystemTime,
    client_connections: usize,
    clock_drift: Duration,
    /// What the replica may hold by its limits, in bytes; the service's state aside.
    memory_bound: u64,
    /// Set once the journal is read and the replica takes part.
    running: OnceLock<Running>,
}

/// What there is to look at once the replica takes part.
pub struct Running {
    pub endpoint: Endpoint,
    pub queues: Vec<Queue>,
}

impl Instruments {
    pub fn new(home: &Home, shared: Arc<Shared>, clock: Clock, memory_bound: u64) -> Self {
        Self {
            replica: home.config.replica,
            genesis: home.genesis.clone(),
            shared,
            clock,
            data: home.data(),
            started_at: SystemTime::now(),
            client_connections: home.config.limits.client_connections,
            clock_drift: home.config.timing.clock_drift,
            memory_bound,
            running: OnceLock::new(),
        }
    }

    /// The replica takes part from now on.
    pub fn started(&self, running: Running) {
        let _ = self.running.set(running);
    }

    fn queues(&self) -> &[Queue] {
        self.running.get().map_or(&[], |running| &running.queues)
    }

    /// What there is to know of a replica's connection, or with no peer of those of all clients together.
    fn usage(&self, peer: Option<PublicKey>) -> Usage {
        self.running.get().map(|running| running.endpoint.usage(peer)).unwrap_or_default()
    }

    /// The most bytes that may wait on a lane to a peer of this class.
    fn queue_bytes(&self, class: Class) -> usize {
        self.running.get().map_or(0, |running| running.endpoint.queue_bytes(class))
    }

    /// Connections that were refused or went wrong, by reason.
    fn connections_refused(&self) -> Vec<(&'static str, u64)> {
        self.running.get().map(|running| running.endpoint.counters()).unwrap_or_default()
    }

    /// The other replicas.
    fn peers(&self) -> impl Iterator<Item = (ReplicaId, PublicKey)> {
        let replicas = self.genesis.replica_ids().zip(&self.genesis.replicas);
        replicas.filter(|(id, _)| *id != self.replica).map(|(id, entry)| (id, entry.transport_key))
    }

    fn silent_for(&self, peer: ReplicaId) -> Option<Duration> {
        self.shared.silent_for(peer, self.clock.now().monotonic)
    }

    fn disk_full(&self) -> bool {
        self.shared.journal_full.load(Ordering::Relaxed)
    }

    /// Why it is not ready; none if it is.
    fn unready(&self) -> Option<Unready> {
        let standing = self.shared.standing().clone();
        let details = self.shared.details().clone().filter(|_| self.running.get().is_some());
        // Who has yet to hear its witnesses votes as soon as a quorum is there; who has not said yet may vote.
        let said = |peer| details.as_ref()?.peers.iter().find(|said| said.replica == peer)?.status.as_ref();
        let votes = |peer| said(peer).is_none_or(|status| status.votes || status.asks.is_some());
        let heard = |peer| self.silent_for(peer).is_some_and(|silent| silent < AWAY);
        let others = self.peers().filter(|(peer, _)| heard(*peer) && votes(*peer)).count();
        let own = usize::from(matches!(standing.silence, None | Some(Silence::Recovering)));
        let condition = Condition {
            now: self.clock.now().monotonic,
            standing: &standing,
            details: details.as_ref(),
            present: others.saturating_add(own),
            quorum: self.genesis.quorum(),
            disk_full: self.disk_full(),
            checkpoint_interval: self.genesis.parameters.checkpoint_interval,
        };
        condition.unready()
    }
}
