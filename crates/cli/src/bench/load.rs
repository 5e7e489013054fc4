use super::lane::Lane;
use super::meter::{Meter, Readings};
use super::operations::Operations;
use super::pace::{self, Due};
use super::workload::{Grouping, Workload};
use crate::failure::Failure;
use crate::testnet::Service;
use pbft_client::Client;
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Clients at work. Dropping it ends the work where it stands.
pub struct Load {
    lanes: JoinSet<()>,
    stop: CancellationToken,
    meters: Vec<Arc<Meter>>,
    /// When each client's operations are due, if there is a rate.
    due: Vec<Due>,
    /// How many operations are due at a time.
    operations: u64,
}

/// Who asks for a lane, and how.
enum Asker {
    /// Requests of so many operations.
    Requests { client: Client, operations: usize },
    /// Operations one by one, which the client joins.
    Operations { client: Client },
}

impl Load {
    /// Each client has as much in flight as the workload says, from now on.
    pub fn start(clients: &[Client], service: Service, workload: &Workload) -> Result<Self, Failure> {
        let content = Arc::new(Operations::new(service, workload.payload, workload.keys));
        let (lanes, operations) = workload.lanes();
        let due = match workload.rate {
            Some(rate) => pace::start(rate / operations as f64, clients.len())?,
            None => Vec::new(),
        };
        let mut load =
            Self { lanes: JoinSet::new(), stop: CancellationToken::new(), meters: Vec::new(), due, operations: operations as u64 };
        for (number, client) in clients.iter().enumerate() {
            let client = client.clone();
            let asker = Arc::new(match workload.grouping {
                Grouping::Fixed(_) => Asker::Requests { client, operations },
                Grouping::Auto => Asker::Operations { client },
            });
            let meter = Arc::new(Meter::new()?);
            for _ in 0..lanes {
                let lane = Lane { due: load.due.get(number).cloned(), operations: load.operations, meter: meter.clone() };
                let (asker, content, stop) = (asker.clone(), content.clone(), load.stop.clone());
                load.lanes.spawn(lane.run(stop, move || ask(asker.clone(), content.clone())));
            }
            load.meters.push(meter);
        }
        Ok(load)
    }

    /// Takes what all clients saw since the last time.
    pub fn take(&self) -> Result<Readings, Failure> {
        let mut sum = Readings::new()?;
        for meter in &self.meters {
            sum.add(&meter.take()?);
        }
        Ok(sum)
    }

    /// How many operations were answered since readings were last taken.
    pub fn answered(&self) -> u64 {
        self.meters.iter().map(|meter| meter.readings().operations).sum()
    }

    /// Sends nothing more, and gives up what is under way. Returns what was still seen; what was due and had no answer
    /// counts as unanswered, with the age it has.
    pub async fn stop(mut self) -> Result<Readings, Failure> {
        self.stop.cancel();
        while self.lanes.join_next().await.is_some() {}
        let mut readings = self.take()?;
        for due in &self.due {
            for instant in due.left().await {
                readings.add_unanswered(self.operations, instant.elapsed());
            }
        }
        Ok(readings)
    }
}

async fn ask(asker: Arc<Asker>, content: Arc<Operations>) -> Result<(), &'static str> {
    let (count, answer) = match &*asker {
        Asker::Requests { client, operations } => {
            let request = (0..*operations).map(|_| content.next()).collect();
            let answer = client.request(request).await;
            (*operations, answer.map(|accepted| accepted.results).map_err(|error| error.name()))
        }
        Asker::Operations { client } => {
            let answer = client.operation(content.next()).await;
            (1, answer.map(|executed| vec![executed.result]).map_err(|error| error.name()))
        }
    };
    let results = answer?;
    let right = results.len() == count && results.iter().all(|result| content.is_result(result));
    if right { Ok(()) } else { Err("UnexpectedResult") }
}
