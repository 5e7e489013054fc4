use crate::ClassSettings;
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
}

#[derive(Debug, Default)]
struct Waiting {
    frames: VecDeque<Bytes>,
    bytes: usize,
}

impl LaneQueue {
    pub fn new(settings: &ClassSettings) -> Self {
        Self {
            waiting: Mutex::default(),
            pushed: Notify::new(),
            // A length must fit the frame's header.
            max_bytes: settings.queue_bytes.min(u32::MAX as usize),
            max_frames: settings.queue_frames,
        }
    }

    /// Whether there was room.
    #[must_use]
    pub fn push(&self, frame: Bytes) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = waiting.bytes.saturating_add(frame.len());
        if bytes > self.max_bytes || waiting.frames.len() >= self.max_frames {
            return false;
        }
        waiting.bytes = bytes;
        waiting.frames.push_back(frame);
        drop(waiting);
        self.pushed.notify_one();
        true
    }

    /// All frames that wait, or the first of them if they are many; waits for one. For one writer only.
    pub async fn next_batch(&self) -> Vec<Bytes> {
        loop {
            let batch = self.take_batch();
            if !batch.is_empty() {
                return batch;
            }
            self.pushed.notified().await;
        }
    }

    fn take_batch(&self) -> Vec<Bytes> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut batch = Vec::new();
        let mut bytes = 0usize;
        while bytes < BATCH_BYTES
            && let Some(frame) = waiting.frames.pop_front()
        {
            bytes = bytes.saturating_add(frame.len());
            batch.push(frame);
        }
        waiting.bytes = waiting.bytes.saturating_sub(bytes);
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(queue_bytes: usize, queue_frames: usize) -> LaneQueue {
        LaneQueue::new(&ClassSettings { max_frame: 1, window: 1, queue_bytes, queue_frames })
    }

    #[test]
    fn a_queue_is_bounded_in_bytes_and_in_frames_and_empties_again() {
        let queue = queue(10, 3);
        assert!(queue.push(Bytes::from_static(&[0; 9])));
        assert!(!queue.push(Bytes::from_static(&[0; 2])));
        assert!(queue.push(Bytes::from_static(&[0; 1])));
        assert_eq!(queue.take_batch().len(), 2);
        for _ in 0..3 {
            assert!(queue.push(Bytes::from_static(&[0; 1])));
        }
        assert!(!queue.push(Bytes::from_static(&[0; 1])));
        assert_eq!(queue.take_batch().len(), 3);
        assert!(queue.push(Bytes::from_static(&[0; 10])));
    }

    #[test]
    fn a_long_queue_is_taken_in_batches_in_order() {
        let queue = queue(1 << 30, 1 << 20);
        for fill in 0..10 {
            assert!(queue.push(Bytes::from(vec![fill; 100 << 10])));
        }
        let first = queue.take_batch();
        assert_eq!(first.iter().map(|frame| frame[0]).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(queue.take_batch()[0][0], 3);
    }
}
