//! A network of real replica processes on this machine: what `pbft demo` and `pbft devnet` share.

mod ports;
mod process;
mod standing;

pub use ports::{consecutive_ports, free_ports};
pub use process::Conduct;
pub use standing::{Standing, wait_until};

use crate::failure::Failure;
use crate::testnet::{self, Network, Plan, Service};
use pbft_client::{Client, ClientConfig};
use pbft_crypto::{SecretKey, read_secret_key};
use pbft_message::ReplicaId;
use process::ReplicaProcess;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a client of the cluster waits for an answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// A network's files, and the replicas of it that run. Dropping it kills them.
pub struct Cluster {
    /// The files.
    pub network: Network,
    /// Where the replicas listen, in the order of their numbers.
    pub addresses: Vec<SocketAddr>,
    running: BTreeMap<ReplicaId, ReplicaProcess>,
}

impl Cluster {
    /// Makes the files of a network below `output`, which must not exist or be empty. Nothing is started.
    pub fn make(output: &Path, addresses: Vec<SocketAddr>, clients: u32, service: Service) -> Result<Self, Failure> {
        let reach: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
        let plan = Plan {
            replicas: u32::try_from(addresses.len()).map_err(Failure::configuration)?,
            clients,
            listen: addresses.clone(),
            listen_clients: None,
            reach: reach.clone(),
            reach_clients: reach,
            service,
        };
        Ok(Self { network: testnet::make(output, &plan)?, addresses, running: BTreeMap::new() })
    }

    /// The replicas, running or not.
    pub fn replicas(&self) -> impl Iterator<Item = ReplicaId> + use<> {
        self.network.genesis.replica_ids()
    }

    /// A replica's folder.
    pub fn home(&self, replica: ReplicaId) -> PathBuf {
        self.network.replicas.get(replica.0 as usize).cloned().unwrap_or_default()
    }

    /// Starts a replica's process on its home, with the keys and the journal that are there.
    pub fn start(&mut self, replica: ReplicaId, conduct: Conduct) -> Result<(), Failure> {
        let process = ReplicaProcess::start(&self.home(replica), conduct)?;
        self.running.insert(replica, process);
        Ok(())
    }

    /// Ends a replica's process as a power cut would: kill -9.
    pub fn kill(&mut self, replica: ReplicaId) {
        self.running.remove(&replica);
    }

    /// Asks a replica's process to end, and waits for it.
    pub async fn stop(&mut self, replica: ReplicaId) {
        if let Some(process) = self.running.remove(&replica) {
            process.stop().await;
        }
    }

    /// Asks all to end, and waits for them.
    pub async fn stop_all(&mut self) {
        let mut processes = std::mem::take(&mut self.running);
        processes.values_mut().for_each(ReplicaProcess::ask_to_end);
        for process in processes.into_values() {
            process.stop().await;
        }
    }

    /// The process id of a replica that was started and not ended by us.
    pub fn pid(&self, replica: ReplicaId) -> Option<u32> {
        self.running.get(&replica).map(ReplicaProcess::pid)
    }

    /// A replica whose process ended by itself, and why. It no longer counts as running.
    pub fn take_exited(&mut self) -> Option<(ReplicaId, String)> {
        let ended = |(id, process): (&ReplicaId, &mut ReplicaProcess)| process.exit().map(|exit| (*id, exit));
        let (replica, exit) = self.running.iter_mut().find_map(ended)?;
        let process = self.running.remove(&replica)?;
        Some((replica, process.why(&exit)))
    }

    /// A client of the cluster, with the keys in its home.
    pub fn client(&self, number: usize) -> Result<Client, Failure> {
        let [signing, transport] = self.client_keys(number)?;
        self.client_with(signing, transport)
    }

    /// A client with keys of the caller's choice.
    pub fn client_with(&self, signing: SecretKey, transport: SecretKey) -> Result<Client, Failure> {
        let genesis = Arc::new(self.network.genesis.clone());
        let mut config = ClientConfig::new(genesis, signing, transport, self.addresses.clone());
        config.timeout = REQUEST_TIMEOUT;
        Client::connect(config).map_err(Failure::io)
    }

    /// A client's signing and transport key.
    pub fn client_keys(&self, number: usize) -> Result<[SecretKey; 2], Failure> {
        let missing = || Failure::configuration(format!("the network has no client {number}"));
        let keys = self.network.clients.get(number).ok_or_else(missing)?.join("keys");
        let key = |name| read_secret_key(&keys.join(name)).map_err(Failure::configuration);
        Ok([key("signing.key")?, key("transport.key")?])
    }

    /// Waits until the processes of all running replicas answer, or one of them ends.
    pub async fn wait_until_up(&mut self, client: &Client, time: Duration) -> Result<(), Failure> {
        let started = Instant::now();
        loop {
            if let Some((replica, why)) = self.take_exited() {
                return Err(Failure::io(format!("replica {replica} {why}")));
            }
            let standing = Standing::ask(client).await;
            let down: Vec<_> = self.running.iter().filter(|(id, process)| standing.pid(**id) != Some(process.pid())).collect();
            if down.is_empty() {
                return Ok(());
            }
            if started.elapsed() >= time {
                let names: Vec<String> =
                    down.iter().map(|(id, process)| format!("{id} (log: {})", process.log().display())).collect();
                return Err(Failure::io(format!("no answer within {time:?} from replica {}", names.join(", replica "))));
            }
        }
    }
}
