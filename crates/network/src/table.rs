use crate::budget::Budget;
use crate::fault::Fault;
use crate::queue::LaneQueue;
use crate::usage::{Counted, Totals, Traffic, Usage};
use crate::{Class, ConnectionId, Lane, Settings};
use pbft_crypto::PublicKey;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::sync::SetOnce;

/// Connections of one replica key at a time: the one that is up, and some whose hello is awaited.
const MAX_CONNECTIONS_PER_REPLICA: usize = 4;

/// What the parts of the endpoint share about one connection.
#[derive(Debug)]
pub(crate) struct Link {
    pub id: ConnectionId,
    pub peer: PublicKey,
    pub class: Class,
    queues: [LaneQueue; 3],
    connection: quinn::Connection,
    counted: Counted,
    /// Set to close the connection.
    pub closing: SetOnce<Fault>,
    /// Set when the connection is gone and its `Down` delivered.
    pub finished: SetOnce<()>,
}

impl Link {
    pub fn new(
        id: ConnectionId,
        connection: quinn::Connection,
        (peer, class): (PublicKey, Class),
        settings: &Settings,
        budget: &Budget,
    ) -> Self {
        let queues = Lane::ALL.map(|_| LaneQueue::new(settings.of(class), budget.clone()));
        let (closing, finished) = (SetOnce::new(), SetOnce::new());
        Self { id, peer, class, queues, connection, counted: Counted::default(), closing, finished }
    }

    pub const fn queue(&self, lane: Lane) -> &LaneQueue {
        let [votes, bodies, bulk] = &self.queues;
        match lane {
            Lane::Votes => votes,
            Lane::Bodies => bodies,
            Lane::Bulk => bulk,
        }
    }

    /// Closes the connection, unless it is already being closed for another reason.
    pub fn close(&self, fault: Fault) {
        let _ = self.closing.set(fault);
    }
}

/// The connections of an endpoint: those that are up, and how many places are taken.
#[derive(Debug, Default)]
pub(crate) struct Table {
    state: RwLock<State>,
    totals: Totals,
    last_id: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    by_id: BTreeMap<ConnectionId, Arc<Link>>,
    by_peer: BTreeMap<PublicKey, Vec<Arc<Link>>>,
    /// Connections whose handshake succeeded, up or not, by key.
    admitted: BTreeMap<PublicKey, usize>,
    /// How many of them are clients'.
    clients: usize,
}

impl Table {
    pub fn next_id(&self) -> ConnectionId {
        ConnectionId(self.last_id.fetch_add(1, Ordering::Relaxed))
    }

    /// Takes a place for a connection, held until the place is dropped; `None` beyond the limits.
    pub fn admit(self: &Arc<Self>, peer: PublicKey, class: Class, settings: &Settings) -> Option<Place> {
        let mut state = self.write();
        let most = match class {
            Class::Replica => MAX_CONNECTIONS_PER_REPLICA,
            Class::Client => settings.max_connections_per_client,
        };
        let of_peer = state.admitted.get(&peer).copied().unwrap_or(0);
        let is_client = class == Class::Client;
        if of_peer >= most || (is_client && state.clients >= settings.max_client_connections) {
            return None;
        }
        state.admitted.insert(peer, of_peer.saturating_add(1));
        state.clients = state.clients.saturating_add(usize::from(is_client));
        Some(Place { table: self.clone(), peer, class })
    }

    /// Enters a connection whose hello was accepted. Returns those it replaces.
    pub fn insert(&self, link: &Arc<Link>) -> Vec<Arc<Link>> {
        let mut state = self.write();
        let replaced = match link.class {
            Class::Replica => state.by_peer.remove(&link.peer).unwrap_or_default(),
            Class::Client => Vec::new(),
        };
        for older in &replaced {
            state.by_id.remove(&older.id);
        }
        self.totals.came_up(link.peer, link.class);
        state.by_id.insert(link.id, link.clone());
        state.by_peer.entry(link.peer).or_default().push(link.clone());
        replaced
    }

    /// Removes a connection, if it is there, at its end.
    pub fn remove(&self, link: &Link) {
        self.count(link);
        let mut state = self.write();
        state.by_id.remove(&link.id);
        if let Some(links) = state.by_peer.get_mut(&link.peer) {
            links.retain(|other| other.id != link.id);
            if links.is_empty() {
                state.by_peer.remove(&link.peer);
            }
        }
    }

    pub fn get(&self, id: ConnectionId) -> Option<Arc<Link>> {
        self.read().by_id.get(&id).cloned()
    }

    /// The connections of a peer that are up.
    pub fn of_peer(&self, peer: &PublicKey) -> Vec<Arc<Link>> {
        self.read().by_peer.get(peer).cloned().unwrap_or_default()
    }

    /// The peers of a class with a connection that is up, in order.
    pub fn peers(&self, class: Class) -> Vec<PublicKey> {
        let state = self.read();
        let of_class = |links: &&Vec<Arc<Link>>| links.iter().any(|link| link.class == class);
        state.by_peer.iter().filter(|(_, links)| of_class(links)).map(|(peer, _)| *peer).collect()
    }

    /// What there is to know of a replica's connection, or with no peer of those of all clients together.
    pub fn usage(&self, peer: Option<PublicKey>) -> Usage {
        let links: Vec<Arc<Link>> = match peer {
            Some(peer) => self.of_peer(&peer),
            None => self.read().by_id.values().filter(|link| link.class == Class::Client).cloned().collect(),
        };
        links.iter().for_each(|link| self.count(link));
        let queued = |lane| links.iter().fold(0, |sum: usize, link| sum.saturating_add(link.queue(lane).bytes()));
        Usage {
            traffic: self.totals.of(peer),
            up: links.len(),
            round_trip: links.last().map(|link| link.connection.rtt()),
            queued_bytes: Lane::ALL.map(|lane| (lane, queued(lane))).to_vec(),
        }
    }

    fn count(&self, link: &Link) {
        self.totals.count(link.peer, link.class, &link.counted, || Traffic::of(&link.connection));
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place within the limits; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    table: Arc<Table>,
    peer: PublicKey,
    class: Class,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.table.write();
        if self.class == Class::Client {
            state.clients = state.clients.saturating_sub(1);
        }
        let left = state.admitted.get(&self.peer).copied().unwrap_or(0).saturating_sub(1);
        if left == 0 {
            state.admitted.remove(&self.peer);
        } else {
            state.admitted.insert(self.peer, left);
        }
    }
}
