use crate::ClassSettings;
use crate::budget::Budget;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use tokio::sync::Notify;

/// A writer takes about this many bytes at a time: enough that a write costs nothing per frame, little enough that
/// what it holds hardly adds to the queue's bound.
const BATCH_BYTES: usize = 256 << 10;

/// Frames that wait for the writer of one lane. Bounded; pushing never blocks and needs no runtime.
#[derive(Debug)]
pub(crate) struct LaneQueue {
    waiting: Mutex<Waiting>,
    pushed: Notify,
    max_bytes: usize,
    max_frames: usize,
    budget: Budget,
}

#[derive(Debug, Default)]
struct Waiting {
    frames: VecDeque<Bytes>,
    bytes: usize,
}

/// What a writer hands to QUIC at a time; its bytes count until it is dropped.
#[derive(Debug)]
pub(crate) struct Batch {
    pub frames: Vec<Bytes>,
    bytes: usize,
    budget: Budget,
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

impl LaneQueue {
    pub fn new(settings: &ClassSettings, budget: Budget) -> Self {
        Self {
            waiting: Mutex::default(),
            pushed: Notify::new(),
            // A length must fit the frame's header.
            max_bytes: settings.queue_bytes.min(u32::MAX as usize),
            max_frames: settings.queue_frames,
            budget,
        }
    }

    /// Whether there was room.
    #[must_use]
    pub fn push(&self, frame: Bytes) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = waiting.bytes.saturating_add(frame.len());
        if bytes > self.max_bytes || waiting.frames.len() >= self.max_frames || !self.budget.take(frame.len()) {
            return false;
        }
        waiting.bytes = bytes;
        waiting.frames.push_back(frame);
        drop(waiting);
        self.pushed.notify_one();
        true
    }

    /// How many bytes wait.
    pub fn bytes(&self) -> usize {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).bytes
    }

    /// All frames that wait, or the first of them if they are many; waits for one. For one writer only.
    pub async fn next_batch(&self) -> Batch {
        loop {
            let batch = self.take_batch();
            if !batch.frames.is_empty() {
                return batch;
            }
            self.pushed.notified().await;
        }
    }

    fn take_batch(&self) -> Batch {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut frames = Vec::new();
        let mut bytes = 0usize;
        while bytes < BATCH_BYTES
            && let Some(frame) = waiting.frames.pop_front()
        {
            bytes = bytes.saturating_add(frame.len());
            frames.push(frame);
        }
        waiting.bytes = waiting.bytes.saturating_sub(bytes);
        Batch { frames, bytes, budget: self.budget.clone() }
    }
}

impl Drop for LaneQueue {
    fn drop(&mut self) {
        let waiting = self.waiting.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.budget.give_back(waiting.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(queue_bytes: usize, queue_frames: usize) -> LaneQueue {
        LaneQueue::new(&ClassSettings { max_frame: 1, window: 1, queue_bytes, queue_frames }, Budget::NONE)
    }

    #[test]
    fn a_queue_is_bounded_in_bytes_and_in_frames_and_empties_again() {
        let queue = queue(10, 3);
        assert!(queue.push(Bytes::from_static(&[0; 9])));
        assert!(!queue.push(Bytes::from_static(&[0; 2])));
        assert!(queue.push(Bytes::from_static(&[0; 1])));
        assert_eq!(queue.take_batch().frames.len(), 2);
        for _ in 0..3 {
            assert!(queue.push(Bytes::from_static(&[0; 1])));
        }
        assert!(!queue.push(Bytes::from_static(&[0; 1])));
        assert_eq!(queue.take_batch().frames.len(), 3);
        assert!(queue.push(Bytes::from_static(&[0; 10])));
    }

    #[test]
    fn a_long_queue_is_taken_in_batches_in_order() {
        let queue = queue(1 << 30, 1 << 20);
        for fill in 0..10 {
            assert!(queue.push(Bytes::from(vec![fill; 100 << 10])));
        }
        let first = queue.take_batch();
        assert_eq!(first.frames.iter().map(|frame| frame[0]).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(queue.take_batch().frames[0][0], 3);
    }
}
