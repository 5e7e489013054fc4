use super::history::{Answer, History};
use super::operations;
use crate::failure::Failure;
use pbft_client::{Accepted, Client, ClientError};
use pbft_message::Timestamp;
use pbft_node::ExitCode;
use pbft_services::kv::{KvResult, Operation};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long a request may stay without an answer before the demo gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// One of the demo's clients. Whatever it has answered goes into the history. Clones are the same client.
#[derive(Clone)]
pub struct Writer {
    /// The client.
    pub client: Client,
    number: u64,
    asked: Arc<AtomicU64>,
    history: History,
}

impl Writer {
    pub fn new(client: Client, number: u64, history: History) -> Self {
        Self { client, number, asked: Arc::default(), history }
    }

    /// Sends a request until it is answered: a request whose outcome is unknown is sent again with its timestamp.
    pub async fn send(&self, operations: Vec<Operation>) -> Result<Answer, Failure> {
        let asked = Instant::now();
        let bytes: Vec<Vec<u8>> = operations.iter().map(Operation::encode).collect();
        let accepted = self.accepted(&bytes, asked).await?;
        let (timestamp, sequence, results) = (accepted.timestamp, accepted.sequence, accepted.results);
        let answer = Answer { client: self.client.id(), timestamp, operations, sequence, results, asked, accepted: Instant::now() };
        self.history.push(answer.clone());
        Ok(answer)
    }

    /// Sends this client's next request of the mix.
    pub async fn send_next(&self) -> Result<Answer, Failure> {
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        self.send(operations::request(self.number, number)).await
    }

    /// The store's revision, read like any other answer.
    pub async fn revision(&self) -> Result<u64, Failure> {
        let answer = self.send(vec![Operation::get("no such key")]).await?;
        let result = answer.results.first().and_then(|bytes| KvResult::decode(bytes).ok());
        let revision = result.as_ref().and_then(super::history::revision);
        revision.ok_or_else(|| Failure::new(ExitCode::No, "Answer", "a read was answered without a revision"))
    }

    async fn accepted(&self, operations: &[Vec<u8>], asked: Instant) -> Result<Accepted, Failure> {
        let mut unknown: Option<Timestamp> = None;
        loop {
            let sent = match unknown {
                None => self.client.request(operations.to_vec()).await,
                Some(timestamp) => self.client.retry(timestamp, operations.to_vec()).await,
            };
            let error = match sent {
                Ok(accepted) => return Ok(accepted),
                Err(error) => error,
            };
            match &error {
                ClientError::OutcomeUnknown { timestamp } => unknown = Some(*timestamp),
                ClientError::NoQuorum { timestamp, .. } => unknown = timestamp.or(unknown),
                ClientError::NotSent => {}
                _ => return Err(Failure::new(ExitCode::Refused, "Refused", format!("a request was refused: {error}"))),
            }
            if asked.elapsed() >= PATIENCE {
                return Err(Failure::new(ExitCode::Unknown, "Unknown", format!("a request was not answered: {error}")));
            }
        }
    }
}

/// Clients at work in the background. Dropping it ends the work where it stands.
pub struct Load {
    lanes: JoinSet<Result<(), Failure>>,
    stop: CancellationToken,
}

impl Load {
    /// Each client sends `count` requests, as fast as they are answered, with `lanes` of them in flight.
    pub fn burst(writers: &[Writer], lanes: usize, count: u64) -> Self {
        Self::start(writers, lanes, count, Duration::ZERO)
    }

    /// Each client sends requests until it is stopped, with two in flight and a pause after each.
    pub fn steady(writers: &[Writer]) -> Self {
        Self::start(writers, 2, u64::MAX, Duration::from_millis(5))
    }

    fn start(writers: &[Writer], lanes: usize, count: u64, pause: Duration) -> Self {
        let mut load = Self { lanes: JoinSet::new(), stop: CancellationToken::new() };
        for writer in writers {
            let left = Arc::new(AtomicU64::new(count));
            for _ in 0..lanes {
                load.lanes.spawn(lane(writer.clone(), left.clone(), load.stop.clone(), pause));
            }
        }
        load
    }

    /// Waits until all that was to be sent is answered.
    pub async fn finish(mut self) -> Result<(), Failure> {
        while let Some(ended) = self.lanes.join_next().await {
            ended.map_err(Failure::io)??;
        }
        Ok(())
    }

    /// Sends nothing more, and waits for the answers that are missing.
    pub async fn stop(self) -> Result<(), Failure> {
        self.stop.cancel();
        self.finish().await
    }
}

async fn lane(writer: Writer, left: Arc<AtomicU64>, stop: CancellationToken, pause: Duration) -> Result<(), Failure> {
    let take = |left: u64| left.checked_sub(1);
    while !stop.is_cancelled() && left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
        writer.send_next().await?;
        tokio::time::sleep(pause).await;
    }
    Ok(())
}
