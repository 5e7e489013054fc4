use pbft_crypto::PublicKey;
use std::collections::HashMap;
use std::time::Duration;

/// What a client may send before it is held to its rate, as time at that rate.
const BURST: Duration = Duration::from_secs(1);

/// Beyond so many buckets those that are full are dropped.
const MOST: usize = 4096;

/// A token bucket for each client (R19): what it sends a replica beyond its rate costs that replica no signature check. What others
/// pass on is not counted.
///
/// A bucket is kept as the time at which it will be full again.
#[derive(Debug)]
pub struct Admission {
    interval: Duration,
    full_at: HashMap<PublicKey, Duration>,
}

impl Admission {
    /// So many messages a second of each client; at least one.
    pub fn new(per_second: u32) -> Self {
        Self { interval: BURST.checked_div(per_second).unwrap_or(BURST), full_at: HashMap::new() }
    }

    /// Takes a token, if there is one; otherwise tells how long to wait for the next.
    pub fn admit(&mut self, client: PublicKey, now: Duration) -> Result<(), Duration> {
        let full_at = self.full_at.entry(client).or_insert(now);
        let next = now.max(*full_at).saturating_add(self.interval);
        let wait = next.saturating_sub(now).saturating_sub(BURST);
        if wait > Duration::ZERO {
            return Err(wait);
        }
        *full_at = next;
        Ok(())
    }

    /// A connection of it is gone: its bucket stays until it is full.
    pub fn forget(&mut self, client: &PublicKey, now: Duration) {
        if self.full_at.get(client).is_some_and(|full_at| *full_at <= now) {
            self.full_at.remove(client);
        }
        if self.full_at.len() > MOST {
            self.full_at.retain(|_, full_at| *full_at > now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pbft_crypto::SecretKey;

    #[test]
    fn r19_a_client_has_a_burst_and_then_its_rate_and_costs_no_other_client_anything() {
        let [one, other] = [1, 2].map(|seed| SecretKey::from_seed(&[seed; 32]).public());
        let mut admission = Admission::new(100);
        let mut count =
            |client, millis| (0..1000).take_while(|_| admission.admit(client, Duration::from_millis(millis)).is_ok()).count();
        assert_eq!(count(one, 0), 100);
        assert_eq!(count(one, 9), 0);
        assert_eq!(count(one, 35), 3);
        assert_eq!(count(other, 35), 100);
        assert_eq!(count(one, 60_000), 100);
        assert_eq!(admission.admit(one, Duration::from_millis(60_004)), Err(Duration::from_millis(6)));
        admission.forget(&one, Duration::from_millis(60_004));
        assert!(admission.admit(one, Duration::from_millis(60_004)).is_err(), "who comes back has no new bucket");
        admission.forget(&one, Duration::from_millis(62_000));
        assert_eq!(admission.full_at.len(), 1);
    }
}
