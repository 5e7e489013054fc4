use crate::cpu::thread_cpu;
use pbft_protocol::service::{Context, RestoreError, Service, Snapshot};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Tells execution and hashing apart: the executor asks for a service's state only to hash it, after it has executed.
pub struct Metered<S> {
    service: S,
    began: HashingBegan,
}

/// The executor thread's CPU time when hashing began; 0 for not at all.
#[derive(Clone, Debug, Default)]
pub struct HashingBegan(Arc<AtomicU64>);

impl HashingBegan {
    /// When hashing began since this was last asked.
    pub fn take(&self) -> Option<Duration> {
        Some(self.0.swap(0, Ordering::Relaxed)).filter(|nanos| *nanos > 0).map(Duration::from_nanos)
    }

    fn mark(&self) {
        if self.0.load(Ordering::Relaxed) == 0 {
            self.0.store(u64::try_from(thread_cpu().as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }
}

impl<S> Metered<S> {
    pub fn new(service: S) -> (Self, HashingBegan) {
        let began = HashingBegan::default();
        (Self { service, began: began.clone() }, began)
    }
}

impl<S: Service> Service for Metered<S> {
    fn execute(&mut self, context: &Context, operation: &[u8]) -> Vec<u8> {
        self.service.execute(context, operation)
    }

    fn is_read(&self, operation: &[u8]) -> bool {
        self.service.is_read(operation)
    }

    fn snapshot(&self) -> Arc<dyn Snapshot> {
        self.began.mark();
        self.service.snapshot()
    }

    fn changed_chunks(&mut self) -> Vec<u32> {
        self.began.mark();
        self.service.changed_chunks()
    }

    fn restore(&mut self, chunks: Vec<Vec<u8>>) -> Result<(), RestoreError> {
        self.service.restore(chunks)
    }
}
