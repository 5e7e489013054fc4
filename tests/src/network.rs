use crate::replica::Replica;
use crate::{Links, PATIENCE, Plan, free_port, pbft, pbftd, pbftd_with_fail_points};
use pbft_client::{Client, ClientConfig};
use pbft_crypto::{SecretKey, write_secret_key};
use pbft_message::{ClientEntry, ClientId, Genesis, ReplicaEntry, ReplicaId};
use pbft_node::{ReplicaConfig, initialise_data};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use tempfile::TempDir;

/// How many clients each network has.
const CLIENTS: usize = 5;

/// A party's two keys.
#[derive(Clone, Debug)]
pub struct Keys {
    /// Signs votes or requests.
    pub signing: SecretKey,
    /// Authenticates connections.
    pub transport: SecretKey,
}

impl Keys {
    /// New ones.
    pub fn generate() -> Self {
        let key = || SecretKey::generate().expect("randomness");
        Self { signing: key(), transport: key() }
    }
}

/// A cluster of real processes, with its files in a temporary folder. Dropping it kills them.
#[derive(Debug)]
pub struct Network {
    /// What the cluster is.
    pub genesis: Arc<Genesis>,
    /// The proxies between the replicas, if the plan wanted them.
    pub links: Option<Links>,
    replicas: Vec<Replica>,
    replica_keys: Vec<Keys>,
    client_keys: Vec<Keys>,
    folder: TempDir,
}

impl Network {
    /// Writes the files. Nothing is started but the proxies.
    pub async fn new(plan: &Plan) -> Self {
        let folder = tempfile::Builder::new().prefix("pbft-test-").tempdir().unwrap();
        let keys = |count: usize| (0..count).map(|_| Keys::generate()).collect::<Vec<_>>();
        let (replica_keys, client_keys) = (keys(plan.replicas as usize), keys(CLIENTS));
        let mut genesis = plan.genesis();
        genesis.replicas = replica_keys.iter().map(replica_entry).collect();
        genesis.clients = client_keys.iter().map(client_entry).collect();
        let addresses: Vec<SocketAddr> = replica_keys.iter().map(|_| free_port()).collect();
        let links = match plan.links {
            Some(seed) => Some(Links::start(&addresses, seed).await),
            None => None,
        };
        let mut replicas = Vec::new();
        for (id, keys) in (0..plan.replicas).map(ReplicaId).zip(&replica_keys) {
            let home = folder.path().join(format!("replica-{id}"));
            let address = addresses[id.0 as usize];
            let reach = (0..plan.replicas).map(ReplicaId).zip(&addresses);
            let reach = reach.map(|(peer, address)| links.as_ref().and_then(|links| links.entrance(id, peer)).unwrap_or(*address));
            let config = ReplicaConfig {
                replica: id,
                listen: address,
                listen_clients: None,
                http: None,
                replicas: reach.map(|address| address.to_string()).collect(),
                timing: plan.timing.clone(),
                limits: plan.limits.clone(),
            };
            write_home(&home, &config, &genesis, keys);
            replicas.push(Replica::new(id, home, address));
        }
        Self { genesis: Arc::new(genesis), links, replicas, replica_keys, client_keys, folder }
    }

    /// Writes the files and starts all replicas.
    pub async fn started(plan: &Plan) -> Self {
        let mut network = Self::new(plan).await;
        for id in network.ids() {
            network.start(id);
        }
        network
    }

    /// All replicas' numbers.
    pub fn ids(&self) -> Vec<ReplicaId> {
        self.genesis.replica_ids().collect()
    }

    /// Starts `pbftd` on a replica's home.
    pub fn start(&mut self, id: ReplicaId) {
        let mut command = pbftd();
        command.arg("start").arg("--home").arg(self.home(id));
        self.replica(id).run(command);
    }

    /// Starts `pbftd` where it takes no processor from the others, as on a machine of its own.
    pub fn start_aside(&mut self, id: ReplicaId) {
        let mut command = Command::new("nice");
        command.args(["-n", "19"]).arg(pbftd().get_program()).arg("start").arg("--home").arg(self.home(id));
        self.replica(id).run(command);
    }

    /// Starts `pbftd` on a replica's home with these environment variables.
    pub fn start_with(&mut self, id: ReplicaId, variables: &[(&str, &str)]) {
        let mut command = pbftd();
        command.envs(variables.iter().copied()).arg("start").arg("--home").arg(self.home(id));
        self.replica(id).run(command);
    }

    /// Starts `pbftd` on the home of a replica that lost its journal.
    pub fn rejoin(&mut self, id: ReplicaId) {
        let mut command = pbftd();
        command.args(["start", "--rejoin", "--home"]).arg(self.home(id));
        self.replica(id).run(command);
    }

    /// Starts a `pbftd` of another build: one with fail points, none of which is reached, and with a message that others do not know.
    pub fn start_other_build(&mut self, id: ReplicaId) {
        let mut command = pbftd_with_fail_points();
        command.arg("start").arg("--home").arg(self.home(id));
        self.replica(id).run(command);
    }

    /// Starts a `pbftd` that kills itself at a fail point, "OPERATION SUBJECT VISIT", or whose disk fails there: with " error".
    pub fn start_doomed(&mut self, id: ReplicaId, fail_point: &str) {
        let mut command = pbftd_with_fail_points();
        command.env("PBFT_FAIL_POINT", fail_point).arg("start").arg("--home").arg(self.home(id));
        self.replica(id).run(command);
    }

    /// Starts a lying replica on an honest one's home.
    pub fn start_lying(&mut self, id: ReplicaId, strategy: &str) {
        let mut command = pbft();
        command.args(["byzantine", "--strategy", strategy, "--home"]).arg(self.home(id));
        self.replica(id).run(command);
    }

    /// kill -9.
    pub fn kill(&mut self, id: ReplicaId) {
        self.replica(id).kill();
    }

    /// SIGTERM, and the exit code.
    pub fn stop(&mut self, id: ReplicaId) -> Option<i32> {
        self.replica(id).stop()
    }

    /// `pbft drain`, and the exit code of the replica.
    pub fn drain(&mut self, id: ReplicaId) -> Option<i32> {
        let drained = pbft().args(["drain", "--home"]).arg(self.home(id)).status().expect("pbft runs");
        assert!(drained.success(), "pbft drain: {drained}");
        self.replica(id).wait()
    }

    /// SIGSTOP.
    pub fn pause(&mut self, id: ReplicaId) {
        self.replica(id).signal("STOP");
    }

    /// SIGCONT.
    pub fn resume(&mut self, id: ReplicaId) {
        self.replica(id).signal("CONT");
    }

    /// Takes leave of a process that ended on its own: its exit code, or none if a signal ended it.
    pub fn bury(&mut self, id: ReplicaId) -> Option<i32> {
        assert!(!self.runs(id), "replica {id} lives");
        self.replica(id).wait()
    }

    /// Whether the replica's process lives.
    pub fn runs(&mut self, id: ReplicaId) -> bool {
        self.replica(id).runs()
    }

    /// What the replica's newest process logged.
    pub fn log(&self, id: ReplicaId) -> String {
        self.replicas[id.0 as usize].log()
    }

    /// A replica's folder.
    pub fn home(&self, id: ReplicaId) -> PathBuf {
        self.replicas[id.0 as usize].home.clone()
    }

    /// Where a replica listens.
    pub fn address(&self, id: ReplicaId) -> SocketAddr {
        self.replicas[id.0 as usize].address
    }

    /// A replica's keys.
    pub fn replica_keys(&self, id: ReplicaId) -> &Keys {
        &self.replica_keys[id.0 as usize]
    }

    /// A client's keys.
    pub fn client_keys(&self, number: usize) -> &Keys {
        &self.client_keys[number]
    }

    /// Connects a client of the genesis.
    pub fn client(&self, number: usize) -> Client {
        self.client_with(self.client_keys[number].clone())
    }

    /// Connects a client with any keys.
    pub fn client_with(&self, keys: Keys) -> Client {
        let addresses = self.replicas.iter().map(|replica| replica.address).collect();
        let mut config = ClientConfig::new(self.genesis.clone(), keys.signing, keys.transport, addresses);
        config.timeout = PATIENCE;
        Client::connect(config).expect("a client can be made")
    }

    /// Writes the home of a client of the genesis, for the toolbox.
    pub fn client_home(&self, number: usize) -> PathBuf {
        let home = self.folder.path().join(format!("client-{number}"));
        write_keys(&home, &self.client_keys[number]);
        self.write_addresses(&home, &self.replicas.iter().map(|replica| replica.address).collect::<Vec<_>>());
        write_toml(&home.join("genesis.toml"), &*self.genesis);
        home
    }

    /// Tells a client's home where the replicas are.
    pub fn write_addresses(&self, home: &Path, addresses: &[SocketAddr]) {
        let replicas: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
        write_toml(&home.join("config.toml"), &BTreeMap::from([("replicas", replicas)]));
    }

    /// The memory that a replica's process occupies, in bytes.
    pub fn memory(&self, id: ReplicaId) -> u64 {
        let process = self.replicas[id.0 as usize].process_id().expect("the replica runs");
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a resident size");
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    }

    fn replica(&mut self, id: ReplicaId) -> &mut Replica {
        &mut self.replicas[id.0 as usize]
    }
}

fn replica_entry(keys: &Keys) -> ReplicaEntry {
    ReplicaEntry { signing_key: keys.signing.public(), transport_key: keys.transport.public() }
}

fn client_entry(keys: &Keys) -> ClientEntry {
    ClientEntry { signing_key: ClientId(keys.signing.public()), transport_key: keys.transport.public() }
}

fn write_keys(home: &Path, keys: &Keys) {
    let folder = home.join("keys");
    fs::create_dir_all(&folder).unwrap();
    write_secret_key(&folder.join("signing.key"), &keys.signing).unwrap();
    write_secret_key(&folder.join("transport.key"), &keys.transport).unwrap();
}

fn write_home(home: &Path, config: &ReplicaConfig, genesis: &Genesis, keys: &Keys) {
    write_keys(home, keys);
    write_toml(&home.join("config.toml"), config);
    write_toml(&home.join("genesis.toml"), genesis);
    initialise_data(home, genesis.cluster_id(), keys.signing.public()).unwrap();
}

/// Writes a file as TOML.
pub fn write_toml(path: &Path, value: &impl Serialize) {
    fs::write(path, toml::to_string_pretty(value).unwrap()).unwrap();
}
