use crossbeam_channel::Receiver;
use std::fmt;
use std::sync::Arc;
use tokio::sync::mpsc;

/// A bounded queue between threads, looked at from outside. It does not keep the queue alive: whoever sends still learns when
/// nobody takes any more.
pub struct Queue {
    pub name: &'static str,
    pub limit: usize,
    length: Box<dyn Fn() -> Option<usize> + Send + Sync>,
}

impl Queue {
    /// A queue between threads; the taker has the receiver.
    pub fn of_threads<T: Send + 'static>(name: &'static str, taker: &Arc<Receiver<T>>) -> Self {
        let (limit, taker) = (taker.capacity().unwrap_or(usize::MAX), Arc::downgrade(taker));
        Self { name, limit, length: Box::new(move || Some(taker.upgrade()?.len())) }
    }

    /// A queue between tasks.
    pub fn of_tasks<T: Send + 'static>(name: &'static str, sender: &mpsc::Sender<T>) -> Self {
        let (limit, sender) = (sender.max_capacity(), sender.downgrade());
        Self { name, limit, length: Box::new(move || sender.upgrade().map(|sender| limit.saturating_sub(sender.capacity()))) }
    }

    /// How many wait in it; none once both ends are gone.
    pub fn length(&self) -> usize {
        (self.length)().unwrap_or(0)
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}/{}", self.name, self.length(), self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_of_threads_is_measured_and_its_end_is_still_noticed() {
        let (sender, receiver) = crossbeam_channel::bounded(3);
        let taker = Arc::new(receiver);
        let queue = Queue::of_threads("core", &taker);
        sender.send(()).unwrap();
        sender.send(()).unwrap();
        assert_eq!((queue.length(), queue.limit), (2, 3));
        drop(taker);
        assert!(sender.send(()).is_err());
        assert_eq!(queue.length(), 0);
    }

    #[test]
    fn a_queue_of_tasks_is_measured_and_its_end_is_still_noticed() {
        let (sender, mut receiver) = mpsc::channel(2);
        let queue = Queue::of_tasks("network", &sender);
        sender.try_send(()).unwrap();
        assert_eq!((queue.length(), queue.limit), (1, 2));
        drop(sender);
        assert_eq!(receiver.try_recv(), Ok(()));
        assert_eq!(receiver.try_recv(), Err(mpsc::error::TryRecvError::Disconnected));
    }
}
