//! What all clients together may make this endpoint hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The budget is counted in pieces of this many bytes on the way in.
const PIECE: usize = 1 << 10;

/// A share of the budget for one frame; given back when dropped.
pub(crate) type Share = OwnedSemaphorePermit;

/// A bound over many connections; none for replicas, whose connections are few and bounded one by one.
#[derive(Clone, Debug)]
pub(crate) struct Budget(Option<Arc<Bounds>>);

#[derive(Debug)]
struct Bounds {
    inbound: Arc<Semaphore>,
    outbound_left: AtomicUsize,
}

impl Budget {
    pub const NONE: Self = Self(None);

    /// So many bytes on the way in, and as many on the way out.
    pub fn new(bytes: usize) -> Self {
        let inbound = Arc::new(Semaphore::new((bytes / PIECE).clamp(1, Semaphore::MAX_PERMITS)));
        Self(Some(Arc::new(Bounds { inbound, outbound_left: AtomicUsize::new(bytes) })))
    }

    /// Waits for room for a frame on its way in; meanwhile its stream is not read, and the peer slows down.
    pub async fn share(&self, bytes: usize) -> Option<Share> {
        let pieces = u32::try_from(bytes.div_ceil(PIECE)).unwrap_or(u32::MAX);
        // Closed only if dropped, which it is not while this waits.
        self.0.as_ref()?.inbound.clone().acquire_many_owned(pieces).await.ok()
    }

    /// Takes room for a frame on its way out, if there is any.
    #[must_use]
    pub fn take(&self, bytes: usize) -> bool {
        let Some(bounds) = &self.0 else { return true };
        let less = |left: usize| left.checked_sub(bytes);
        bounds.outbound_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }

    /// Gives back what `take` took.
    pub fn give_back(&self, bytes: usize) {
        if let Some(bounds) = &self.0 {
            bounds.outbound_left.fetch_add(bytes, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_on_the_way_out_is_bounded_and_comes_back() {
        let budget = Budget::new(10);
        assert!(budget.take(7) && !budget.take(4) && budget.clone().take(3));
        budget.give_back(4);
        assert!(budget.take(4) && !budget.take(1));
        assert!(Budget::NONE.take(usize::MAX));
    }

    #[tokio::test]
    async fn a_frame_on_its_way_in_waits_until_another_is_handed_over() {
        let budget = Budget::new(8 * PIECE);
        let first = budget.share(6 * PIECE).await;
        let second = budget.share(3 * PIECE);
        tokio::pin!(second);
        tokio::select! {
            biased;
            _ = &mut second => panic!("there was no room"),
            () = std::future::ready(()) => {}
        }
        drop(first);
        assert!(second.await.is_some());
    }
}
