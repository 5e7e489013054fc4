use super::folder::Durability;
use super::process::Consumption;
use crate::client_home::ClientHome;
use crate::cluster::{Cluster, Conduct, Standing, free_ports};
use crate::failure::Failure;
use crate::testnet::Service;
use clap::ValueEnum;
use pbft_byzantine::Lie;
use pbft_client::Client;
use pbft_message::{Genesis, ReplicaId, ReplicaReport};
use pbft_node::ExitCode;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Longer than the replicas take to start and to find each other, unless they hang.
const START: Duration = Duration::from_secs(30);
/// How long the replicas have to say where they stand while they are busy.
const ANSWER: Duration = Duration::from_secs(5);
/// How long a request may take before it counts as an error.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// A cluster that is to be started.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many replicas.
    pub replicas: u32,
    /// How many clients.
    pub clients: u32,
    /// What executes operations.
    pub service: Service,
    /// Where the replicas' homes are.
    pub durability: Durability,
    /// The replicas that lie, and how.
    pub liars: BTreeMap<ReplicaId, Lie>,
}

/// The cluster that is measured, and its clients.
pub struct Target {
    /// What it is.
    pub genesis: Arc<Genesis>,
    /// What executes operations.
    pub service: Service,
    /// Where the replicas' homes are, if they are ours.
    pub durability: Option<Durability>,
    /// Those that are at work.
    pub clients: Vec<Client>,
    /// The replicas that lie, and how.
    pub liars: BTreeMap<ReplicaId, Lie>,
    /// Asks the replicas where they stand.
    watcher: Client,
    /// The replicas' processes, if they are ours.
    own: Option<Cluster>,
}

impl Target {
    /// Starts a cluster, whose files are made below `folder`, and connects clients to it.
    pub async fn start(folder: &Path, plan: &Plan) -> Result<Self, Failure> {
        // One client more, who watches.
        let count = plan.clients.saturating_add(1);
        let mut cluster = Cluster::make(folder, free_ports(plan.replicas)?, count, plan.service)?;
        for replica in cluster.replicas() {
            let conduct = plan.liars.get(&replica).map_or(Conduct::Honest, |lie| Conduct::Lying(*lie));
            cluster.start(replica, conduct)?;
        }
        let watcher = cluster.client(plan.clients as usize)?;
        cluster.wait_until_up(&watcher, START).await?;
        let others = cluster.replicas().count().saturating_sub(1);
        let met = |standing: &Standing| standing.0.values().all(|report| report.active && report.peers_up.len() >= others);
        Standing::until(&watcher, START, met).await;
        let clients = (0..plan.clients as usize).map(|number| cluster.client(number)).collect::<Result<Vec<_>, _>>()?;
        wait_for_quorum(&clients).await?;
        let genesis = Arc::new(cluster.network.genesis.clone());
        let (service, durability, liars) = (plan.service, Some(plan.durability), plan.liars.clone());
        Ok(Self { genesis, service, durability, clients, liars, watcher, own: Some(cluster) })
    }

    /// Connects the clients with these folders to the cluster that they belong to.
    pub async fn connect(homes: &[PathBuf]) -> Result<Self, Failure> {
        let homes = homes.iter().map(|home| ClientHome::load(home)).collect::<Result<Vec<_>, _>>()?;
        let mut clients = Vec::new();
        for home in &homes {
            clients.push(home.connect(REQUEST_TIMEOUT).await?);
        }
        let (Some(first), Some(watcher)) = (homes.first(), clients.first().cloned()) else {
            return Err(Failure::configuration("a client's home is needed"));
        };
        let genesis = first.genesis.clone();
        if homes.iter().any(|home| home.genesis != genesis) {
            return Err(Failure::configuration("the clients' homes are of different clusters"));
        }
        let service = Service::from_str(&genesis.service.name, false).map_err(|_| {
            let name = &genesis.service.name;
            let message = format!("this cluster replicates the service {name:?}: only kv and null can be measured");
            Failure::new(ExitCode::Configuration, "WrongService", message)
        })?;
        wait_for_quorum(&clients).await?;
        Ok(Self { genesis, service, durability: None, clients, liars: BTreeMap::new(), watcher, own: None })
    }

    /// Whether the replicas are processes of ours.
    pub const fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// What each replica used so far, as far as that is known.
    pub fn consumption(&self) -> BTreeMap<ReplicaId, Consumption> {
        let own = self.own.iter();
        own.flat_map(|cluster| cluster.replicas().filter_map(|id| Some((id, Consumption::of(cluster.pid(id)?)?)))).collect()
    }

    /// Where each replica's metrics are to be had, if it has any.
    pub fn metrics(&self) -> impl Iterator<Item = (ReplicaId, SocketAddr)> {
        self.own.iter().flat_map(|cluster| cluster.replicas().zip(cluster.addresses.iter().copied()))
    }

    /// Each replica's word on where it stands.
    pub async fn reports(&self) -> BTreeMap<ReplicaId, ReplicaReport> {
        let reports = self.watcher.reports(ANSWER).await;
        reports.into_iter().filter_map(|(replica, report)| Some((replica, report?))).collect()
    }

    /// Fails if a replica of ours has ended.
    pub fn check(&mut self) -> Result<(), Failure> {
        match self.own.as_mut().and_then(Cluster::take_exited) {
            Some((replica, why)) => Err(Failure::io(format!("replica {replica} {why}"))),
            None => Ok(()),
        }
    }

    /// Closes the connections, and ends the replicas that are ours.
    pub async fn stop(self) {
        for client in self.clients {
            client.close().await;
        }
        if let Some(mut cluster) = self.own {
            cluster.stop_all().await;
        }
    }
}

async fn wait_for_quorum(clients: &[Client]) -> Result<(), Failure> {
    for client in clients {
        client.wait_for_quorum(START).await.map_err(|error| Failure::new(ExitCode::Unknown, error.name(), error))?;
    }
    Ok(())
}
