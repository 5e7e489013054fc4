//! The least that an operation can cost where every request is signed once and verified by every replica.

use super::report::rounded;
use pbft_crypto::{Digest, SecretKey, SignedDigest, verify_all};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use std::time::{Duration, Instant};

/// What signatures cost on this machine with all its cores at work, in microseconds of one core.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SignatureCost {
    /// How many different keys signed.
    pub keys: usize,
    /// How many signatures are verified together.
    pub batch: usize,
    /// To sign once.
    pub sign_us: f64,
    /// To verify one of a batch.
    pub verify_us: f64,
}

impl SignatureCost {
    /// Measures for this long, on all cores at once. The best round counts: whatever disturbs makes one longer.
    pub fn measure(keys: usize, batch: usize, time: Duration) -> Self {
        let measured: Vec<(f64, f64)> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..cores()).map(|_| scope.spawn(move || best_rounds(keys, batch, time))).collect();
            threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
        });
        let mean = |of: fn(&(f64, f64)) -> f64| measured.iter().map(of).sum::<f64>() / measured.len() as f64;
        Self { keys, batch, sign_us: mean(|cost| cost.0), verify_us: mean(|cost| cost.1) }
    }

    /// For people and programs to read.
    pub fn rounded(self) -> Self {
        Self { sign_us: rounded(self.sign_us), verify_us: rounded(self.verify_us), ..self }
    }

    /// Operations a second on so many cores, if clients and replicas did nothing but sign and verify.
    pub fn floor(&self, cores: usize, replicas: usize, operations_per_request: f64) -> f64 {
        let request = self.verify_us.mul_add(replicas as f64, self.sign_us);
        cores as f64 * 1e6 * operations_per_request / request
    }
}

/// How many cores this machine has for us.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get)
}

/// The least microseconds to sign once, and to verify one of a batch.
fn best_rounds(keys: usize, batch: usize, time: Duration) -> (f64, f64) {
    let keys: Vec<SecretKey> = (0..keys.max(1) as u64).map(|number| SecretKey::from_seed(&seed(number))).collect();
    let digests: Vec<Digest> = (0..batch.max(1) as u64).map(|number| Digest::of("pbft bench", &[&number.to_le_bytes()])).collect();
    let sign = || -> Vec<SignedDigest> {
        let signed =
            |(key, digest): (&SecretKey, &Digest)| SignedDigest { key: key.public(), digest: *digest, signature: key.sign(digest) };
        keys.iter().cycle().zip(&digests).map(signed).collect()
    };
    let claims = sign();
    let started = Instant::now();
    let (mut signing, mut verifying) = (f64::INFINITY, f64::INFINITY);
    while started.elapsed() < time {
        signing = signing.min(micros_each(claims.len(), || drop(sign())));
        verifying = verifying.min(micros_each(claims.len(), || drop(verify_all(&claims))));
    }
    (signing, verifying)
}

fn micros_each(count: usize, work: impl FnOnce()) -> f64 {
    let started = thread_time();
    work();
    thread_time().saturating_sub(started).as_secs_f64() * 1e6 / count as f64
}

/// The CPU time of this thread: what else runs on the machine takes none of it.
pub fn thread_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap_or_default()
}

fn seed(number: u64) -> [u8; 32] {
    *Digest::of("pbft bench key", &[&number.to_le_bytes()]).as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_is_one_signature_and_n_verifications_a_request() {
        let cost = SignatureCost { keys: 4, batch: 256, sign_us: 17.5, verify_us: 6.7 };
        assert_eq!(cost.floor(2, 4, 1.0).round(), 45_147.0);
        assert_eq!(cost.floor(2, 4, 100.0).round(), 4_514_673.0);
        assert_eq!(cost.floor(4, 7, 1.0).round(), (4e6_f64 / (17.5 + 7.0 * 6.7)).round());
    }
}
