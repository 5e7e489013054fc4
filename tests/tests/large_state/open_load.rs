//! Load that comes whether it is answered or not.

use crate::{key, keys, percentile, value};
use pbft_client::Client;
use pbft_services::kv::Operation;
use pbft_tests::Random;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::time::{interval, sleep};

const PATIENCE: Duration = Duration::from_secs(60);

/// Writes random keys at a rate, from several clients in turn.
pub struct OpenLoad {
    shared: Arc<Shared>,
    generator: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    sent: AtomicU64,
    failed: AtomicU64,
    latencies: Mutex<Vec<Duration>>,
}

/// What clients saw while something went on.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    pub sent_per_second: f64,
    pub answered_per_second: f64,
    pub failed: u64,
    pub p99: Duration,
}

impl OpenLoad {
    pub fn start(clients: Vec<Client>, per_second: u64) -> Self {
        let shared = Arc::new(Shared::default());
        let sharing = shared.clone();
        let generator = tokio::spawn(async move {
            let mut random = Random::new(3);
            let (began, mut sent) = (Instant::now(), 0);
            let mut tick = interval(Duration::from_millis(5));
            loop {
                tick.tick().await;
                while sent < began.elapsed().as_millis() as u64 * per_second / 1000 {
                    let client = clients[sent as usize % clients.len()].clone();
                    tokio::spawn(write(client, random.draw(), sharing.clone()));
                    sent += 1;
                }
            }
        });
        Self { shared, generator }
    }

    /// Lets it go on until something has happened, and tells the rate of answers and the latencies meanwhile.
    pub async fn during(&self, what: &str, happens: impl Future<Output = ()>) -> Seen {
        self.shared.latencies.lock().unwrap().clear();
        let (sent, failed, began) =
            (self.shared.sent.load(Ordering::Relaxed), self.shared.failed.load(Ordering::Relaxed), Instant::now());
        happens.await;
        let seconds = began.elapsed().as_secs_f64();
        let mut latencies = std::mem::take(&mut *self.shared.latencies.lock().unwrap());
        latencies.sort();
        let [median, p99, longest] = [50, 99, 100].map(|hundredths| percentile(&latencies, hundredths));
        let sent = self.shared.sent.load(Ordering::Relaxed) - sent;
        let failed = self.shared.failed.load(Ordering::Relaxed) - failed;
        let [sent_per_second, answered_per_second] = [sent as f64, latencies.len() as f64].map(|count| count / seconds);
        println!(
            "{what}: {seconds:.1} s, sent {sent_per_second:.0}/s, answered {answered_per_second:.0}/s, {failed} failed; \
             median {median:.1?}, p99 {p99:.1?}, longest {longest:.1?}"
        );
        Seen { sent_per_second, answered_per_second, failed, p99 }
    }

    pub fn stop(self) {
        self.generator.abort();
    }
}

async fn write(client: Client, seed: u64, shared: Arc<Shared>) {
    let began = Instant::now();
    shared.sent.fetch_add(1, Ordering::Relaxed);
    let operation = Operation::put(key(seed % keys()), value(seed)).encode();
    match client.request_with_timeout(vec![operation], PATIENCE).await {
        Ok(_) => shared.latencies.lock().unwrap().push(began.elapsed()),
        Err(_) => _ = shared.failed.fetch_add(1, Ordering::Relaxed),
    }
}

/// How many writes a second are answered when as many as fit are under way.
pub async fn peak(clients: &[Client], time: Duration) -> u64 {
    let answered = Arc::new(AtomicU64::new(0));
    let mut workers = Vec::new();
    for (number, client) in (0..64).flat_map(|_| clients).cloned().enumerate() {
        let answered = answered.clone();
        workers.push(tokio::spawn(async move {
            let mut random = Random::new(number as u64);
            loop {
                let operation = Operation::put(key(random.below(keys())), value(random.draw())).encode();
                if client.request_with_timeout(vec![operation], PATIENCE).await.is_ok() {
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            }
        }));
    }
    sleep(Duration::from_secs(2)).await;
    let before = answered.load(Ordering::Relaxed);
    sleep(time).await;
    let rate = (answered.load(Ordering::Relaxed) - before) / time.as_secs();
    workers.into_iter().for_each(|worker| worker.abort());
    rate
}

/// Writes so many operations as fast as they are taken, many in a request: the keys in their order, from the first on.
pub async fn fill(clients: &[Client], operations: u64) {
    let next = Arc::new(AtomicU64::new(0));
    let mut workers = Vec::new();
    for client in clients.iter().flat_map(|client| [client.clone(), client.clone()]) {
        let next = next.clone();
        workers.push(tokio::spawn(async move {
            loop {
                let first = next.fetch_add(500, Ordering::Relaxed);
                if first >= operations {
                    return;
                }
                let numbers = first..first + 500;
                let encoded = numbers.map(|number| Operation::put(key(number % keys()), value(number)).encode()).collect();
                client.request_with_timeout(encoded, PATIENCE).await.expect("the state is filled");
            }
        }));
    }
    for worker in workers {
        worker.await.unwrap();
    }
}
