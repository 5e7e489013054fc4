use crate::testnet::Service;
use pbft_services::kv::{KvResult, Operation};
use std::sync::atomic::{AtomicU64, Ordering};

/// Makes operations: puts that reach all keys evenly, or just bytes for the null service.
#[derive(Debug)]
pub struct Operations {
    service: Service,
    payload: usize,
    keys: u64,
    made: AtomicU64,
}

impl Operations {
    /// Values of `payload` bytes, under `keys` keys.
    pub const fn new(service: Service, payload: usize, keys: u64) -> Self {
        Self { service, payload, keys, made: AtomicU64::new(0) }
    }

    /// The next operation, encoded.
    pub fn next(&self) -> Vec<u8> {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let [byte, ..] = number.to_le_bytes();
        let payload = vec![byte; self.payload];
        match self.service {
            Service::Kv => Operation::put(key(number, self.keys), payload).encode(),
            Service::Null => payload,
        }
    }

    /// Whether a result is what the operation should come to.
    pub fn is_result(&self, result: &[u8]) -> bool {
        match self.service {
            Service::Kv => matches!(KvResult::decode(result), Ok(KvResult::Step(_))),
            Service::Null => result.is_empty(),
        }
    }
}

/// The key of the n-th operation: scattered, but the same in every run.
fn key(number: u64, keys: u64) -> String {
    let scattered = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16;
    format!("key-{:08}", scattered.checked_rem(keys).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn keys_are_reached_evenly() {
        let reached: BTreeSet<String> = (0..2_000).map(|number| key(number, 100)).collect();
        assert_eq!(reached.len(), 100);
        assert_eq!(key(7, 100), key(7, 100));
    }

    #[test]
    fn an_operation_carries_the_payload_and_knows_its_result() {
        let null = Operations::new(Service::Null, 100, 1);
        assert_eq!((null.next().len(), null.is_result(b""), null.is_result(b"x")), (100, true, false));
        let kv = Operations::new(Service::Kv, 100, 10);
        assert!(kv.next().len() > 100 && !kv.is_result(b""));
    }
}
