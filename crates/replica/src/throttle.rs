use pbft_message::{Message, ReplicaId};
use std::collections::BTreeMap;
use std::time::Duration;

/// How many tokens one replica has at most, and how often it gets one more.
const BURST: u64 = 640;
const INTERVAL: Duration = Duration::from_millis(5);

/// A token bucket for each replica (R19). View-changes, new-views and evidence hold hundreds of signatures; a question
/// for a body or for state may be answered with megabytes; a liar could send either without end. What is lost here is
/// sent again by whoever means it.
#[derive(Debug, Default)]
pub struct Throttle(BTreeMap<ReplicaId, Bucket>);

/// How many tokens a message costs. A correct replica stays far below the rate: a body or a piece of state is asked for
/// one after the other, a view-change is sent five times a second.
const fn cost(message: &Message) -> u64 {
    match message {
        Message::ViewChange(_) | Message::NewView(_) | Message::Evidence(_) => 10,
        Message::FetchBody { .. }
        | Message::FetchState(_)
        | Message::State(_)
        | Message::Body(_)
        | Message::Committed { .. }
        | Message::Stable(_)
        | Message::Witness(_) => 1,
        _ => 0,
    }
}

#[derive(Debug)]
struct Bucket {
    tokens: u64,
    filled_at: Duration,
}

impl Throttle {
    /// Whether a message may pass at this time, on the monotonic clock.
    pub fn admits(&mut self, from: ReplicaId, message: &Message, now: Duration) -> bool {
        let cost = cost(message);
        if cost == 0 {
            return true;
        }
        let bucket = self.0.entry(from).or_insert(Bucket { tokens: BURST, filled_at: now });
        let intervals = now.saturating_sub(bucket.filled_at).as_millis().checked_div(INTERVAL.as_millis()).unwrap_or(0);
        if intervals > 0 {
            bucket.tokens = bucket.tokens.saturating_add(u64::try_from(intervals).unwrap_or(BURST)).min(BURST);
            bucket.filled_at = now;
        }
        let left = bucket.tokens.checked_sub(cost);
        bucket.tokens = left.unwrap_or(bucket.tokens);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pbft_crypto::SecretKey;
    use pbft_message::{Domain, Epoch, Signer, View, ViewChange};

    #[test]
    fn r19_costly_messages_pass_in_a_burst_and_then_at_a_steady_rate_for_each_sender() {
        let domain = Domain { cluster: pbft_crypto::Digest::ZERO, epoch: Epoch(0) };
        let signer = Signer::new(ReplicaId(1), domain, SecretKey::from_seed(&[1; 32]));
        let change = ViewChange { view: View(1), stable: None, prepared: vec![], replica: ReplicaId(1) };
        let costly = Message::ViewChange(signer.sign(change).into_inner());
        let mut throttle = Throttle::default();
        let mut count =
            |from: u32, at: u64| (0..1000).filter(|_| throttle.admits(ReplicaId(from), &costly, Duration::from_millis(at))).count();
        assert_eq!(count(1, 0), 64);
        assert_eq!(count(1, 49), 0);
        assert_eq!(count(1, 500), 9);
        assert_eq!(count(2, 500), 64, "each sender has its own bucket");
        assert_eq!((501..=1000).map(|at| count(2, at)).sum::<usize>(), 10, "to ask in between costs no token");
        assert!(throttle.admits(ReplicaId(1), &Message::Suspect { view: View(0) }, Duration::from_millis(500)));
    }
}
