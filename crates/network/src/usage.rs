use crate::{Class, Lane};
use pbft_crypto::PublicKey;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What has passed since the endpoint was bound: UDP payloads, QUIC's own part included. Grows only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes that left.
    pub sent_bytes: u64,
    /// Bytes that came.
    pub received_bytes: u64,
    /// Packets that were sent and are believed lost.
    pub lost_packets: u64,
    /// Connections that came up.
    pub connections: u64,
}

/// What there is to know of a replica's connection, or of those of all clients together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Over all connections, past ones included.
    pub traffic: Traffic,
    /// Connections that are up.
    pub up: usize,
    /// The time to the peer and back, of the newest connection that is up.
    pub round_trip: Option<Duration>,
    /// Bytes that wait to be sent, by lane.
    pub queued_bytes: Vec<(Lane, usize)>,
}

impl Traffic {
    pub(crate) fn of(connection: &quinn::Connection) -> Self {
        let stats = connection.stats();
        Self {
            sent_bytes: stats.udp_tx.bytes,
            received_bytes: stats.udp_rx.bytes,
            lost_packets: stats.path.lost_packets,
            connections: 0,
        }
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            sent_bytes: self.sent_bytes.saturating_add(other.sent_bytes),
            received_bytes: self.received_bytes.saturating_add(other.received_bytes),
            lost_packets: self.lost_packets.saturating_add(other.lost_packets),
            connections: self.connections.saturating_add(other.connections),
        }
    }

    fn minus(self, earlier: Self) -> Self {
        Self {
            sent_bytes: self.sent_bytes.saturating_sub(earlier.sent_bytes),
            received_bytes: self.received_bytes.saturating_sub(earlier.received_bytes),
            lost_packets: self.lost_packets.saturating_sub(earlier.lost_packets),
            connections: self.connections.saturating_sub(earlier.connections),
        }
    }
}

/// How much of a connection's traffic is in the totals.
#[derive(Debug, Default)]
pub(crate) struct Counted(Mutex<Traffic>);

/// The totals: each replica's, and the clients'. A connection's traffic is added piece by piece, so that no total falls when
/// the connection ends.
#[derive(Debug, Default)]
pub(crate) struct Totals(Mutex<BTreeMap<Option<PublicKey>, Traffic>>);

impl Totals {
    /// Adds what a connection has carried since it was last counted.
    pub fn count(&self, peer: PublicKey, class: Class, counted: &Counted, now: impl FnOnce() -> Traffic) {
        let mut before = counted.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = now();
        self.add(peer, class, now.minus(*before));
        *before = now;
    }

    /// A connection came up.
    pub fn came_up(&self, peer: PublicKey, class: Class) {
        self.add(peer, class, Traffic { connections: 1, ..Traffic::default() });
    }

    /// A replica's total, or with no peer that of all clients.
    pub fn of(&self, peer: Option<PublicKey>) -> Traffic {
        self.lock().get(&peer).copied().unwrap_or_default()
    }

    fn add(&self, peer: PublicKey, class: Class, more: Traffic) {
        let mut totals = self.lock();
        let total = totals.entry((class == Class::Replica).then_some(peer)).or_default();
        *total = total.plus(more);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Option<PublicKey>, Traffic>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pbft_crypto::SecretKey;

    const fn traffic(sent_bytes: u64) -> Traffic {
        Traffic { sent_bytes, received_bytes: 0, lost_packets: 0, connections: 0 }
    }

    #[test]
    fn what_a_connection_carried_is_counted_once_and_clients_together() {
        let totals = Totals::default();
        let [replica, one, other] = [1, 2, 3].map(|seed| SecretKey::from_seed(&[seed; 32]).public());
        let (first, second) = (Counted::default(), Counted::default());
        totals.count(replica, Class::Replica, &first, || traffic(10));
        totals.count(replica, Class::Replica, &first, || traffic(15));
        totals.count(replica, Class::Replica, &second, || traffic(7));
        totals.count(one, Class::Client, &Counted::default(), || traffic(1));
        totals.count(other, Class::Client, &Counted::default(), || traffic(2));
        totals.came_up(other, Class::Client);
        assert_eq!(totals.of(Some(replica)), traffic(22));
        assert_eq!(totals.of(None), Traffic { connections: 1, ..traffic(3) });
        assert_eq!(totals.of(Some(one)), Traffic::default());
    }
}
