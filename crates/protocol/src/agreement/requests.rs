#[cfg(test)]
mod tests;

use super::delays::{Aside, RequestDelays};
use crate::execution::{Admission, RequestWindow};
use pbft_crypto::Digest;
use pbft_message::{Batch, ClientId, Domain, Genesis, Request, RequestRefusal, Signed, Timestamp, Verified};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// How long a client should wait before it tries a busy replica again, in milliseconds.
const RETRY_AFTER_MS: u64 = 100;

/// How many clients are looked at for the request that has waited longest.
const MEASURED_CLIENTS: usize = 32;

/// How many requests the primary is reminded of at a time.
const REMINDERS: usize = 256;

/// The requests that wait to be ordered, and what was ordered of each client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Requests {
    /// The clients that are authorised, each with the timestamps in committed batches (R8).
    windows: BTreeMap<ClientId, RequestWindow>,
    waiting: BTreeMap<ClientId, Waiting>,
    /// Clients with requests that are not proposed, in turn: the primary serves them round-robin (R18).
    turn: VecDeque<ClientId>,
    /// How many of all clients are not proposed.
    unproposed: usize,
    /// Since when each client's lowest watched request is watched (R10).
    watched: BTreeSet<(Duration, ClientId)>,
    count: usize,
    bytes: usize,
    limits: Bounds,
    delays: Aside<RequestDelays>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Bounds {
    per_client: usize,
    count: usize,
    bytes: usize,
}

/// One client's requests that wait to be ordered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Waiting {
    requests: BTreeMap<Timestamp, Pending>,
    unproposed: BTreeSet<Timestamp>,
    /// The lowest watched request, and since when it has been the lowest (R10).
    lowest_watched: Option<(Timestamp, Duration)>,
    /// The watched request that was sent to the primary again, and when.
    reminded: Option<(Timestamp, Duration)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pending {
    request: Verified<Signed<Request>>,
    digest: Digest,
    /// When it came.
    since: Duration,
    watched: bool,
    /// A replica passed it on.
    relayed: bool,
}

/// What became of a request that is no nonsense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It waits to be ordered, and is now watched for the first time.
    Watched,
    /// It waits to be ordered.
    Waiting,
    /// It was ordered before; the executor has the answer or will have it.
    Ordered,
}

impl Requests {
    /// How many wait to be ordered.
    pub fn count(&self) -> usize {
        self.count
    }

    pub fn new(genesis: &Genesis, count: usize, bytes: usize) -> Self {
        let per_client = genesis.parameters.requests_in_flight;
        let clients = genesis.clients.iter().chain(&genesis.operators);
        let windows = clients.map(|client| (client.signing_key, RequestWindow::new(per_client))).collect();
        Self {
            windows,
            waiting: BTreeMap::new(),
            turn: VecDeque::new(),
            unproposed: 0,
            watched: BTreeSet::new(),
            count: 0,
            bytes: 0,
            limits: Bounds { per_client, count, bytes },
            delays: Aside::default(),
        }
    }

    /// How many bytes wait to be ordered.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many clients are authorised.
    pub fn clients(&self) -> usize {
        self.windows.len()
    }

    /// What is ordered of each authorised client.
    pub fn windows(&self) -> &BTreeMap<ClientId, RequestWindow> {
        &self.windows
    }

    /// How long requests waited (R18).
    pub fn delays(&self) -> &RequestDelays {
        &self.delays.0
    }

    /// Takes a request in. `relayed`: it came from a replica, for which each client has one place that is never busy
    /// (R19). `watch`: its discharge is awaited from `now` on (R10).
    pub fn take(
        &mut self,
        request: Verified<Signed<Request>>,
        domain: &Domain,
        now: Duration,
        watch: bool,
        relayed: bool,
    ) -> Result<Taken, RequestRefusal> {
        let (client, timestamp) = (request.client, request.timestamp);
        let window = self.windows.get(&client).ok_or(RequestRefusal::UnknownClient)?;
        match window.admits(timestamp) {
            Admission::Ordered => return Ok(Taken::Ordered),
            Admission::TooOld => return Err(RequestRefusal::TooOld),
            Admission::New => {}
        }
        let digest = request.digest(domain);
        if let Some(known) = self.waiting.get_mut(&client).and_then(|waiting| waiting.requests.get_mut(&timestamp)) {
            if known.digest != digest {
                return Err(RequestRefusal::TimestampReused);
            }
            let newly_watched = watch && !known.watched;
            known.watched |= newly_watched;
            if newly_watched {
                self.watch_lowest(client, now);
                return Ok(Taken::Watched);
            }
            return Ok(Taken::Waiting);
        }
        let full = self.count >= self.limits.count || self.bytes.saturating_add(request.size()) > self.limits.bytes;
        let waiting = self.waiting.get(&client);
        let has_relayed = |waiting: &Waiting| waiting.requests.values().any(|pending| pending.relayed);
        let is_busy = full || waiting.is_some_and(|waiting| waiting.requests.len() >= self.limits.per_client);
        let is_reserved = is_busy && relayed && !waiting.is_some_and(has_relayed);
        if is_busy && !is_reserved {
            return Err(RequestRefusal::Busy { retry_after_ms: RETRY_AFTER_MS });
        }
        let waiting = self.waiting.entry(client).or_default();
        self.count = self.count.saturating_add(1);
        self.bytes = self.bytes.saturating_add(request.size());
        if waiting.unproposed.is_empty() {
            self.turn.push_back(client);
        }
        waiting.unproposed.insert(timestamp);
        self.unproposed = self.unproposed.saturating_add(1);
        waiting.requests.insert(timestamp, Pending { request, digest, since: now, watched: watch, relayed });
        if watch {
            self.watch_lowest(client, now);
            return Ok(Taken::Watched);
        }
        Ok(Taken::Waiting)
    }

    /// Takes out of the queue what fits a batch, one request of each client in turn. They stay known until ordered.
    pub fn next_batch(&mut self, now: Duration, most: usize, most_bytes: usize) -> Vec<Verified<Signed<Request>>> {
        let mut batch = Vec::new();
        let mut room = most_bytes.saturating_sub(64);
        while batch.len() < most {
            let Some(client) = self.turn.pop_front() else { break };
            let Some(waiting) = self.waiting.get_mut(&client) else { continue };
            let Some(timestamp) = waiting.unproposed.first().copied() else { continue };
            let Some(pending) = waiting.requests.get(&timestamp) else { continue };
            let Some(left) = room.checked_sub(pending.request.size()) else {
                self.turn.push_front(client);
                break;
            };
            room = left;
            batch.push(pending.request.clone());
            self.delays.0.proposed.add(now.saturating_sub(pending.since));
            waiting.unproposed.remove(&timestamp);
            self.unproposed = self.unproposed.saturating_sub(1);
            if !waiting.unproposed.is_empty() {
                self.turn.push_back(client);
            }
        }
        batch
    }

    /// The request that has waited longest to be proposed, and since when; for backups (R18). Of each client the lowest counts, as
    /// it is proposed first, and of so many clients those whose turn is next.
    pub fn longest_unproposed(&self) -> Option<(&Verified<Signed<Request>>, Duration)> {
        let waiting = self.turn.iter().take(MEASURED_CLIENTS).filter_map(|client| self.waiting.get(client));
        let lowest = waiting.filter_map(|waiting| waiting.requests.get(waiting.unproposed.first()?));
        lowest.min_by_key(|pending| pending.since).map(|pending| (&pending.request, pending.since))
    }

    /// A request that is not proposed yet.
    pub fn unproposed(&self, client: ClientId, timestamp: Timestamp) -> Option<&Verified<Signed<Request>>> {
        let waiting = self.waiting.get(&client).filter(|waiting| waiting.unproposed.contains(&timestamp))?;
        waiting.requests.get(&timestamp).map(|pending| &pending.request)
    }

    pub fn is_unproposed(&self, client: ClientId, timestamp: Timestamp) -> bool {
        self.unproposed(client, timestamp).is_some()
    }

    pub fn has_unproposed(&self) -> bool {
        !self.turn.is_empty()
    }

    /// How many requests are not proposed, and about how many bytes they have.
    pub fn size_unproposed(&self) -> (usize, usize) {
        let each = self.bytes.checked_div(self.count).unwrap_or(0);
        (self.unproposed, self.unproposed.saturating_mul(each))
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// All requests of a batch are ordered and committed, as is everything before it (R10: discharged).
    pub fn ordered(&mut self, batch: &Batch, now: Duration) {
        for request in batch.requests() {
            if let Some(window) = self.windows.get_mut(&request.client) {
                window.insert(request.timestamp);
            }
            if let Some(since) = self.remove(request.client, request.timestamp, now) {
                self.delays.0.committed.add(now.saturating_sub(since));
            }
            self.forget_too_old(request.client, now);
        }
    }

    /// What has fallen below its client's window will never take effect: it is discharged too (R10).
    fn forget_too_old(&mut self, client: ClientId, now: Duration) {
        loop {
            let lowest = self.waiting.get(&client).and_then(|waiting| waiting.requests.keys().next().copied());
            let Some(lowest) = lowest else { return };
            if self.windows.get(&client).is_some_and(|window| window.admits(lowest) == Admission::New) {
                return;
            }
            self.remove(client, lowest, now);
        }
    }

    /// What was ordered of each client is replaced by what a fetched or restored state says.
    pub fn restore(&mut self, windows: BTreeMap<ClientId, RequestWindow>, now: Duration) {
        self.windows = windows;
        let waiting: Vec<(ClientId, Timestamp)> = self
            .waiting
            .iter()
            .flat_map(|(client, waiting)| waiting.requests.keys().map(|timestamp| (*client, *timestamp)))
            .collect();
        for (client, timestamp) in waiting {
            if self.windows.get(&client).is_none_or(|window| window.admits(timestamp) != Admission::New) {
                self.remove(client, timestamp, now);
            }
        }
    }

    /// Returns since when it was there.
    fn remove(&mut self, client: ClientId, timestamp: Timestamp, now: Duration) -> Option<Duration> {
        let waiting = self.waiting.get_mut(&client)?;
        let pending = waiting.requests.remove(&timestamp)?;
        self.count = self.count.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(pending.request.size());
        if waiting.unproposed.remove(&timestamp) {
            self.unproposed = self.unproposed.saturating_sub(1);
            if waiting.unproposed.is_empty() {
                self.turn.retain(|other| *other != client);
            }
        }
        if waiting.lowest_watched.is_some_and(|(lowest, _)| lowest == timestamp) {
            self.watch_lowest(client, now);
        }
        if self.waiting.get(&client).is_some_and(|waiting| waiting.requests.is_empty()) {
            self.waiting.remove(&client);
        }
        Some(pending.since)
    }

    /// The clock of a client's lowest watched request starts when it becomes the lowest (R10: serving others does not
    /// save a primary that leaves one out; and a client that sends ever lower timestamps harms only itself).
    fn watch_lowest(&mut self, client: ClientId, now: Duration) {
        let Some(waiting) = self.waiting.get_mut(&client) else { return };
        let lowest = waiting.requests.iter().find(|(_, pending)| pending.watched).map(|(timestamp, _)| *timestamp);
        if waiting.lowest_watched.map(|(timestamp, _)| timestamp) == lowest {
            return;
        }
        if let Some((_, since)) = waiting.lowest_watched.take() {
            self.watched.remove(&(since, client));
        }
        if let Some(timestamp) = lowest {
            waiting.lowest_watched = Some((timestamp, now));
            self.watched.insert((now, client));
        }
    }

    /// The lowest watched requests that have been so for longer than `patience`, each again after as long: the primary
    /// may never have got them, or had no room for them.
    pub fn reminders(&mut self, now: Duration, patience: Duration) -> Vec<Verified<Signed<Request>>> {
        let since = now.saturating_sub(patience);
        let late: Vec<ClientId> =
            self.watched.iter().take_while(|(at, _)| *at < since).map(|(_, client)| *client).take(REMINDERS).collect();
        let mut requests = Vec::new();
        for client in late {
            let Some(waiting) = self.waiting.get_mut(&client) else { continue };
            let Some((timestamp, _)) = waiting.lowest_watched else { continue };
            if waiting.reminded.is_some_and(|(known, at)| known == timestamp && at >= since) {
                continue;
            }
            waiting.reminded = Some((timestamp, now));
            requests.extend(waiting.requests.get(&timestamp).map(|pending| pending.request.clone()));
        }
        requests
    }

    /// Since when the longest watched of all clients' lowest requests has been watched.
    pub fn watched_since(&self) -> Option<Duration> {
        self.watched.first().map(|(since, _)| *since)
    }

    /// A new view begins (R10): every request that waits is to be proposed again, is watched, and its clock starts
    /// again.
    pub fn requeue(&mut self, now: Duration) {
        self.turn = self.waiting.keys().copied().collect();
        self.unproposed = self.count;
        self.watched = self.waiting.keys().map(|client| (now, *client)).collect();
        for waiting in self.waiting.values_mut() {
            waiting.unproposed = waiting.requests.keys().copied().collect();
            waiting.requests.values_mut().for_each(|pending| pending.watched = true);
            waiting.lowest_watched = waiting.requests.keys().next().map(|lowest| (*lowest, now));
            waiting.reminded = None;
        }
    }

    /// These requests are in a proposal already.
    pub fn proposed(&mut self, batch: &Batch, now: Duration) {
        let mut emptied = false;
        for request in batch.requests() {
            let Some(waiting) = self.waiting.get_mut(&request.client) else { continue };
            if !waiting.unproposed.remove(&request.timestamp) {
                continue;
            }
            self.unproposed = self.unproposed.saturating_sub(1);
            if let Some(pending) = waiting.requests.get(&request.timestamp) {
                self.delays.0.proposed.add(now.saturating_sub(pending.since));
            }
            emptied |= waiting.unproposed.is_empty();
        }
        if emptied {
            let waiting = &self.waiting;
            self.turn.retain(|client| waiting.get(client).is_some_and(|waiting| !waiting.unproposed.is_empty()));
        }
    }

    /// All that waits, for relaying to a new primary.
    pub fn waiting(&self) -> impl Iterator<Item = &Verified<Signed<Request>>> {
        self.waiting.values().flat_map(|waiting| waiting.requests.values().map(|pending| &pending.request))
    }
}
