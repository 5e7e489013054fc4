use crate::failure::Failure;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, mpsc};
use tokio::time::Instant;

/// When a client's operations are due, whatever became of those before. Clones share them: each is taken once.
#[derive(Clone)]
pub struct Due(Arc<Mutex<mpsc::UnboundedReceiver<Instant>>>);

impl Due {
    /// As they come from the channel.
    pub fn from_channel(instants: mpsc::UnboundedReceiver<Instant>) -> Self {
        Self(Arc::new(Mutex::new(instants)))
    }

    /// Waits for the next one; `None` if there will be no more.
    pub async fn next(&self) -> Option<Instant> {
        self.0.lock().await.recv().await
    }

    /// What is due by now and nobody took.
    pub async fn left(&self) -> Vec<Instant> {
        let mut instants = self.0.lock().await;
        instants.close();
        std::iter::from_fn(|| instants.try_recv().ok()).collect()
    }
}

/// Makes `rate` operations a second due, in equal distances and for the clients in turn, until nobody waits any more.
///
/// It does so on a thread of its own: the runtime's timers are a millisecond coarse.
pub fn start(rate: f64, clients: usize) -> Result<Vec<Due>, Failure> {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..clients).map(|_| mpsc::unbounded_channel()).unzip();
    let tell = move || {
        let started = Instant::now();
        for (number, client) in (0u64..).zip(senders.iter().cycle()) {
            let Some(due) = due(started, number, rate) else { return };
            let early = due.saturating_duration_since(Instant::now());
            if !early.is_zero() {
                std::thread::sleep(early);
            }
            if client.send(due).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new().name("pace".to_owned()).spawn(tell).map_err(Failure::io)?;
    Ok(receivers.into_iter().map(Due::from_channel).collect())
}

fn due(started: Instant, number: u64, rate: f64) -> Option<Instant> {
    let after = Duration::try_from_secs_f64(number as f64 / rate).ok()?;
    started.checked_add(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_does_not_drift() {
        let started = Instant::now();
        let after = |number| due(started, number, 3_000.0).unwrap().duration_since(started);
        assert_eq!(after(0), Duration::ZERO);
        assert_eq!(after(3_000), Duration::from_secs(1));
        assert_eq!(after(30_000_000), Duration::from_secs(10_000));
        assert_eq!(due(started, 1, 0.0), None);
    }
}
