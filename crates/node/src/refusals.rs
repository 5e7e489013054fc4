use pbft_crypto::PublicKey;
use pbft_message::{ClientId, ReplicaId, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Who sent what was refused.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// A replica.
    Replica(ReplicaId),
    /// A client, with the timestamp of its request.
    Client(ClientId, Timestamp),
    /// Whoever has this transport key.
    Key(PublicKey),
}

/// Senders are counted one by one if they are replicas, together otherwise: clients are many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    Replica(ReplicaId),
    Client,
    Key,
}

impl Origin {
    /// The kind of sender.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Replica(_) => "replica",
            Self::Client => "client",
            Self::Key => "connection",
        }
    }
}

/// What was refused, by who sent it and by reason. Each is logged at most once a second: a flood must not fill the disk.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<BTreeMap<(Origin, &'static str), Counter>>);

#[derive(Debug)]
struct Counter {
    count: u64,
    logged: Option<Instant>,
}

impl Refusals {
    /// Counts a refusal of something that `from` sent.
    pub fn count(&self, reason: &'static str, from: Source) {
        let origin = match from {
            Source::Replica(replica) => Origin::Replica(replica),
            Source::Client(..) => Origin::Client,
            Source::Key(_) => Origin::Key,
        };
        let mut table = self.lock();
        let counter = table.entry((origin, reason)).or_insert(Counter { count: 0, logged: None });
        counter.count = counter.count.saturating_add(1);
        if counter.logged.is_some_and(|logged| logged.elapsed() <= Duration::from_secs(1)) {
            return;
        }
        counter.logged = Some(Instant::now());
        let count = counter.count;
        drop(table);
        match from {
            Source::Replica(from) => tracing::warn!(event = "refused", reason, from = from.0, count, "refused a replica"),
            Source::Client(from, timestamp) => {
                tracing::warn!(event = "refused", reason, %from, request = timestamp.0, count, "refused a request");
            }
            Source::Key(from) => tracing::warn!(event = "refused", reason, %from, count, "refused a connection"),
        }
    }

    /// How often what was refused, by reason.
    pub fn by_reason(&self) -> BTreeMap<&'static str, u64> {
        self.sums(|_, reason| Some(reason))
    }

    /// The same, told apart by the kind of sender.
    pub fn by_kind(&self) -> BTreeMap<(&'static str, &'static str), u64> {
        self.sums(|origin, reason| Some((origin.name(), reason)))
    }

    /// How much of each replica was refused.
    pub fn by_replica(&self) -> BTreeMap<ReplicaId, u64> {
        self.sums(|origin, _| match origin {
            Origin::Replica(replica) => Some(replica),
            Origin::Client | Origin::Key => None,
        })
    }

    fn sums<K: Ord>(&self, key: impl Fn(Origin, &'static str) -> Option<K>) -> BTreeMap<K, u64> {
        let mut sums = BTreeMap::new();
        for ((origin, reason), counter) in self.lock().iter() {
            let Some(key) = key(*origin, reason) else { continue };
            let sum: &mut u64 = sums.entry(key).or_default();
            *sum = sum.saturating_add(counter.count);
        }
        sums
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(Origin, &'static str), Counter>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pbft_crypto::SecretKey;

    #[test]
    fn refusals_are_summed_by_reason_by_kind_of_sender_and_by_replica() {
        let refusals = Refusals::default();
        let key = SecretKey::from_seed(&[1; 32]).public();
        refusals.count("malformed_message", Source::Replica(ReplicaId(1)));
        refusals.count("malformed_message", Source::Replica(ReplicaId(2)));
        refusals.count("throttled", Source::Replica(ReplicaId(2)));
        refusals.count("malformed_message", Source::Key(key));
        refusals.count("Busy", Source::Client(ClientId(key), Timestamp(1)));
        assert_eq!(refusals.by_reason(), BTreeMap::from([("Busy", 1), ("malformed_message", 3), ("throttled", 1)]));
        assert_eq!(refusals.by_replica(), BTreeMap::from([(ReplicaId(1), 1), (ReplicaId(2), 2)]));
        assert_eq!(refusals.by_kind().get(&("replica", "malformed_message")), Some(&2));
        assert_eq!(refusals.by_kind().get(&("connection", "malformed_message")), Some(&1));
    }
}
