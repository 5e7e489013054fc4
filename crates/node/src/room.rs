use std::sync::atomic::{AtomicUsize, Ordering};

/// How many bytes of clients' requests may wait for the core, whatever their number.
pub const CLIENT_BYTES: usize = 64 << 20;

/// What is left of `CLIENT_BYTES`.
#[derive(Debug)]
pub struct Room(AtomicUsize);

impl Default for Room {
    fn default() -> Self {
        Self(AtomicUsize::new(CLIENT_BYTES))
    }
}

impl Room {
    /// Takes room for a request, if there is any.
    #[must_use]
    pub fn take(&self, bytes: usize) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes)).is_ok()
    }

    /// How many bytes are taken, and the most.
    pub fn waiting(&self) -> (usize, usize) {
        (CLIENT_BYTES.saturating_sub(self.0.load(Ordering::Relaxed)), CLIENT_BYTES)
    }

    /// The request has left the queue.
    pub fn give_back(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r19_requests_that_wait_are_bounded_in_bytes() {
        let room = Room::default();
        assert!(room.take(CLIENT_BYTES - 1) && !room.take(2) && room.take(1) && !room.take(1));
        assert_eq!(room.waiting(), (CLIENT_BYTES, CLIENT_BYTES));
        room.give_back(2);
        assert_eq!(room.waiting().0, CLIENT_BYTES - 2);
        assert!(room.take(2));
    }
}
