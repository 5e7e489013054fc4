//! The files of a network: one genesis, a home for each replica and each client.

use crate::failure::Failure;
use clap::ValueEnum;
use pbft_crypto::{SecretKey, write_secret_key};
use pbft_message::{ClientEntry, ClientId, Genesis, Parameters, ReplicaEntry, ReplicaId, ServiceParameters};
use pbft_node::{LimitsConfig, ReplicaConfig, TimingConfig, initialise_data};
use serde::{Deserialize, Serialize};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// What a network is to be.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many replicas.
    pub replicas: u32,
    /// How many clients.
    pub clients: u32,
    /// Where replica i listens, in their order.
    pub listen: Vec<SocketAddr>,
    /// Where replica i listens for clients, if they have ports of their own.
    pub listen_clients: Option<Vec<SocketAddr>>,
    /// Where replicas reach replica i, in their order: `host:port`.
    pub reach: Vec<String>,
    /// Where clients do.
    pub reach_clients: Vec<String>,
    /// What is replicated.
    pub service: Service,
}

/// What a network replicates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Service {
    /// The key-value store.
    #[default]
    Kv,
    /// A service that does nothing, for measuring.
    Null,
}

impl Service {
    /// Its name in the genesis.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kv => "kv",
            Self::Null => "null",
        }
    }
}

/// The files of a network.
#[derive(Clone, Debug)]
pub struct Network {
    /// What they share.
    pub genesis: Genesis,
    /// The replicas' homes, in the order of their numbers.
    pub replicas: Vec<PathBuf>,
    /// The clients' homes.
    pub clients: Vec<PathBuf>,
}

/// `config.toml` of a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientConfig {
    /// Where each replica is reached, in the order of their numbers: `host:port`.
    pub replicas: Vec<String>,
}

struct Keys {
    signing: SecretKey,
    transport: SecretKey,
}

impl Keys {
    fn generate() -> Result<Self, Failure> {
        let key = || SecretKey::generate().map_err(|error| Failure::io(format!("no randomness: {error}")));
        Ok(Self { signing: key()?, transport: key()? })
    }

    fn write(&self, home: &Path) -> Result<(), Failure> {
        let folder = home.join("keys");
        make_folder(&folder)?;
        write_secret_key(&folder.join("signing.key"), &self.signing).map_err(Failure::io)?;
        write_secret_key(&folder.join("transport.key"), &self.transport).map_err(Failure::io)
    }
}

/// Makes all files of a network below `output`, which must not exist or be empty.
pub fn make(output: &Path, plan: &Plan) -> Result<Network, Failure> {
    let keys = |count: u32| (0..count).map(|_| Keys::generate()).collect::<Result<Vec<_>, _>>();
    let (replica_keys, client_keys, operator_keys) = (keys(plan.replicas)?, keys(plan.clients)?, Keys::generate()?);
    let replica = |keys: &Keys| ReplicaEntry { signing_key: keys.signing.public(), transport_key: keys.transport.public() };
    let client = |keys: &Keys| ClientEntry { signing_key: ClientId(keys.signing.public()), transport_key: keys.transport.public() };
    let genesis = Genesis {
        name: "testnet".to_owned(),
        test_network: true,
        parameters: Parameters::default(),
        service: ServiceParameters { name: plan.service.name().to_owned(), ..ServiceParameters::default() },
        replicas: replica_keys.iter().map(replica).collect(),
        operators: vec![client(&operator_keys)],
        clients: client_keys.iter().map(client).collect(),
    };
    genesis.check().map_err(Failure::configuration)?;
    make_empty_folder(output)?;
    write_toml(&output.join("genesis.toml"), &genesis)?;
    let mut network = Network { genesis, replicas: Vec::new(), clients: Vec::new() };
    let mut clients = Vec::new();
    for ((number, keys), listen) in (0..).zip(&replica_keys).zip(&plan.listen) {
        let home = output.join(format!("replica-{number}"));
        let config = ReplicaConfig {
            replica: ReplicaId(number),
            listen: *listen,
            listen_clients: plan.listen_clients.as_ref().and_then(|listen| listen.get(number as usize).copied()),
            http: None,
            replicas: plan.reach.clone(),
            timing: TimingConfig::default(),
            limits: LimitsConfig::default(),
        };
        keys.write(&home)?;
        write_toml(&home.join("config.toml"), &config)?;
        write_toml(&home.join("genesis.toml"), &network.genesis)?;
        initialise_data(&home, network.genesis.cluster_id(), keys.signing.public()).map_err(Failure::io)?;
        network.replicas.push(home);
    }
    let client_home = |home: &Path, keys: &Keys| {
        keys.write(home)?;
        write_toml(&home.join("config.toml"), &ClientConfig { replicas: plan.reach_clients.clone() })?;
        write_toml(&home.join("genesis.toml"), &network.genesis)
    };
    for (number, keys) in client_keys.iter().enumerate() {
        let home = output.join(format!("client-{number}"));
        client_home(&home, keys)?;
        clients.push(home);
    }
    client_home(&output.join("operator"), &operator_keys)?;
    network.clients = clients;
    Ok(network)
}

fn make_empty_folder(path: &Path) -> Result<(), Failure> {
    let occupied = fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
    if occupied || path.is_file() {
        let message = format!("{} exists and is not empty: keys are never overwritten; choose another folder", path.display());
        return Err(Failure::new(pbft_node::ExitCode::Io, "Exists", message));
    }
    make_folder(path)
}

fn make_folder(path: &Path) -> Result<(), Failure> {
    fs::create_dir_all(path).map_err(|error| Failure::io(format!("cannot create {}: {error}", path.display())))
}

fn write_toml(path: &Path, value: &impl Serialize) -> Result<(), Failure> {
    let text = toml::to_string_pretty(value).map_err(Failure::configuration)?;
    fs::write(path, text).map_err(|error| Failure::io(format!("cannot write {}: {error}", path.display())))
}
