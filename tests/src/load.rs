use crate::{Answer, History, Network, PATIENCE, Random};
use pbft_client::{Accepted, Client, ClientError};
use pbft_services::kv::{Compare, Expected, Operation, Relation, Step, Target};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// How many clients work.
const CLIENTS: usize = 3;
/// How many requests each has under way.
const IN_FLIGHT: usize = 2;
/// Between an answer and the next request, so that a small machine has time for the replicas.
const PAUSE: Duration = Duration::from_millis(4);
/// When a client asks again about a request.
const FIRST_ATTEMPT: Duration = Duration::from_secs(10);
/// All write the same keys, and so meet each other's effects.
const KEYS: u64 = 60;

/// Clients that write and read without end.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    count: watch::Receiver<usize>,
    workers: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    stop: AtomicBool,
    /// The highest revision in any answer.
    highest: AtomicU64,
    answers: Mutex<Vec<Answer>>,
    count: watch::Sender<usize>,
}

impl Load {
    /// Starts it. What is asked follows from the seed.
    pub fn start(network: &Network, seed: u64) -> Self {
        let (counter, count) = watch::channel(0);
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            highest: AtomicU64::new(0),
            answers: Mutex::default(),
            count: counter,
        });
        let mut random = Random::new(seed);
        let mut workers = Vec::new();
        for number in 0..CLIENTS {
            let client = network.client(number);
            for _ in 0..IN_FLIGHT {
                workers.push(tokio::spawn(work(client.clone(), shared.clone(), Random::new(random.draw()))));
            }
        }
        Self { shared, count, workers }
    }

    /// Waits until so many more requests have been answered.
    pub async fn goes_on(&mut self, more: usize) {
        let goal = *self.count.borrow() + more;
        let mut count = self.count.clone();
        let reached = timeout(PATIENCE, count.wait_for(|count| *count >= goal)).await;
        if !matches!(reached, Ok(Ok(_))) {
            let ended = self.workers.iter().filter(|worker| worker.is_finished()).count();
            panic!("{} of {goal} requests were answered in time; {ended} workers failed", *self.count.borrow());
        }
    }

    /// Waits for the answers to all requests that are under way, and ends.
    pub async fn finish(self) -> History {
        self.shared.stop.store(true, Ordering::Relaxed);
        for worker in self.workers {
            timeout(2 * PATIENCE, worker).await.expect("a request is answered").expect("a client works");
        }
        let answers = std::mem::take(&mut *self.shared.answers.lock().unwrap());
        History { answers }
    }
}

async fn work(client: Client, shared: Arc<Shared>, mut random: Random) {
    while !shared.stop.load(Ordering::Relaxed) {
        let operations: Vec<Operation> = (0..=random.below(3)).map(|_| operation(&mut random)).collect();
        let floor = shared.highest.load(Ordering::SeqCst);
        let accepted = insist(&client, &operations).await;
        let answer = Answer::new(operations, &accepted, floor);
        shared.highest.fetch_max(answer.revision(), Ordering::SeqCst);
        shared.answers.lock().unwrap().push(answer);
        shared.count.send_modify(|count| *count += 1);
        sleep(PAUSE).await;
    }
}

/// Asks until there is an answer; an unknown outcome is asked about with the timestamp it had.
async fn insist(client: &Client, operations: &[Operation]) -> Accepted {
    let encoded: Vec<Vec<u8>> = operations.iter().map(Operation::encode).collect();
    let answered = match client.request_with_timeout(encoded.clone(), FIRST_ATTEMPT).await {
        Err(ClientError::OutcomeUnknown { timestamp } | ClientError::NoQuorum { timestamp: Some(timestamp), .. }) => {
            client.retry(timestamp, encoded).await
        }
        Err(ClientError::NotSent | ClientError::NoQuorum { timestamp: None, .. }) => client.request(encoded).await,
        answered => answered,
    };
    answered.unwrap_or_else(|error| panic!("a request of the load failed: {error}"))
}

fn operation(random: &mut Random) -> Operation {
    match random.below(10) {
        0..5 => put(random).into(),
        5 => Operation::get(key(random)),
        6 => Operation::delete(key(random)),
        7 => Operation::compare_and_swap(key(random), Expected::Absent, value(random)),
        8 => Operation::compare_and_swap(key(random), Expected::ModRevision(random.below(400)), value(random)),
        _ => {
            let compare = Compare { key: key(random).into(), relation: Relation::Greater, target: Target::Version(2) };
            let (success, failure) = (vec![put(random), Step::get(key(random))], vec![Step::get(key(random)), put(random)]);
            Operation::Transaction { compare: vec![compare], success, failure }
        }
    }
}

fn put(random: &mut Random) -> Step {
    Step::put(key(random), value(random))
}

fn key(random: &mut Random) -> Vec<u8> {
    format!("key {}", random.below(KEYS)).into_bytes()
}

fn value(random: &mut Random) -> Vec<u8> {
    let length = if random.happens(2) { 5_000 } else { random.below(100) };
    (0..length).map(|at| (at as u8).wrapping_mul(31)).collect()
}
