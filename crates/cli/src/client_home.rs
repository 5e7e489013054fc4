//! A client's folder, and what all commands that speak to a cluster share: their options, how they connect, and what
//! becomes of their errors.

use crate::failure::Failure;
use crate::output::Format;
use crate::testnet::ClientConfig;
use pbft_client::{Client, ClientError};
use pbft_crypto::{SecretKey, read_secret_key};
use pbft_message::Genesis;
use pbft_node::{ExitCode, is_development_key, toml_mistake};
use serde::de::DeserializeOwned;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How long a name may take to resolve before its replica counts as unreachable.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(2);

/// The file of a client's transport key, in `keys/`.
const TRANSPORT_KEY: &str = "transport.key";

/// How long the replicas may take to hear that a command is done.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(100);

/// Options of every command that speaks to a cluster.
#[derive(Clone, Debug, clap::Args)]
pub struct ClientOptions {
    /// The client's folder, as `pbft testnet` makes it: config.toml, genesis.toml and keys/.
    #[arg(long, env = "PBFT_HOME", value_name = "DIR")]
    pub home: PathBuf,
    /// How long to wait for an answer, for example 500ms, 10s or 2m.
    #[arg(long, env = "PBFT_TIMEOUT", value_name = "TIME", default_value = "10s", value_parser = parse_time)]
    pub timeout: Duration,
    /// How results look: a table for people, or one JSON document for programs.
    #[arg(short = 'o', long = "format", value_enum, default_value_t)]
    pub format: Format,
}

/// A client's folder, read and checked.
#[derive(Debug)]
pub struct ClientHome {
    /// The cluster.
    pub genesis: Arc<Genesis>,
    /// Where the replicas are, `host:port`, in the order of their numbers.
    pub addresses: Vec<String>,
    signing_key: SecretKey,
    transport_key: SecretKey,
}

/// A cluster that a client has begun to connect to.
pub struct Cluster {
    /// What it is.
    pub genesis: Arc<Genesis>,
    /// Speaks to it.
    pub client: Client,
    /// How long the command may wait.
    pub timeout: Duration,
}

/// Reads a time such as `300ms` or `10m`; not 0.
pub fn parse_time(text: &str) -> Result<Duration, String> {
    let time = humantime_serde::re::humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if time.is_zero() { Err("it must be longer than 0".to_owned()) } else { Ok(time) }
}

impl ClientOptions {
    /// Connects, does the work, and closes the connections again. Ctrl-C ends it.
    pub fn run<T, F>(&self, work: impl FnOnce(Cluster) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        self.run_with(TRANSPORT_KEY, work)
    }

    /// The same, with another file in `keys/` for the transport key.
    pub fn run_with<T, F>(&self, transport_key: &str, work: impl FnOnce(Cluster) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let home = ClientHome::load_with(&self.home, transport_key)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::io)?;
        let ended = runtime.block_on(async {
            tokio::select! {
                ended = home.work(self.timeout, work) => ended,
                _ = tokio::signal::ctrl_c() => Err(interrupted()),
            }
        });
        runtime.shutdown_background(); // a name that is still being resolved holds up nobody
        ended
    }
}

impl ClientHome {
    /// Reads and checks a client's folder.
    pub fn load(path: &Path) -> Result<Self, Failure> {
        Self::load_with(path, TRANSPORT_KEY)
    }

    fn load_with(path: &Path, transport_key: &str) -> Result<Self, Failure> {
        let genesis = read_genesis(&path.join("genesis.toml"))?;
        let config_path = path.join("config.toml");
        if read_toml::<toml::Table>(&config_path)?.contains_key("listen") {
            let path = path.display();
            return Err(Failure::configuration(format!("{path} is a replica's home: give the folder of a client")));
        }
        let config: ClientConfig = read_toml(&config_path)?;
        if let Some(problem) = address_problem(&config.replicas, &genesis) {
            return Err(Failure::configuration(format!("{}: {problem}", config_path.display())));
        }
        let signing_key = read_key(path, "signing.key", &genesis)?;
        let transport_key = read_key(path, transport_key, &genesis)?;
        Ok(Self { genesis: Arc::new(genesis), addresses: config.replicas, signing_key, transport_key })
    }

    async fn work<T, F>(self, time: Duration, work: impl FnOnce(Cluster) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let client = self.connect(time).await?;
        let ended = work(Cluster { genesis: self.genesis, client: client.clone(), timeout: time }).await;
        let _ = timeout(CLOSE_TIMEOUT, client.close()).await;
        ended
    }

    /// Resolves the replicas' names, and starts to connect to them. A request may take so long.
    pub async fn connect(&self, time: Duration) -> Result<Client, Failure> {
        let lookups: Vec<_> = self.addresses.iter().map(|address| tokio::spawn(resolve(address.clone()))).collect();
        let mut addresses = Vec::new();
        for lookup in lookups {
            addresses.push(lookup.await.map_err(Failure::io)?);
        }
        let keys = (self.signing_key.clone(), self.transport_key.clone());
        let mut config = pbft_client::ClientConfig::new(self.genesis.clone(), keys.0, keys.1, addresses);
        config.timeout = time;
        Client::connect(config).map_err(|error| failure(&error))
    }
}

impl Cluster {
    /// What an error means for the user: which exit code, and what to do.
    pub fn failure(&self, error: &ClientError) -> Failure {
        let mut failure = failure(error);
        let timestamp = match error {
            ClientError::OutcomeUnknown { timestamp } => Some(timestamp),
            ClientError::NoQuorum { timestamp, .. } => timestamp.as_ref(),
            _ => None,
        };
        if let Some(timestamp) = timestamp.filter(|_| failure.exit == ExitCode::Unknown) {
            let client = self.client.id();
            let advice =
                format!(": `pbft request status {client} {timestamp}`, or the same command with `--timestamp {timestamp}`");
            failure.message.push_str(&advice);
        }
        failure
    }
}

fn failure(error: &ClientError) -> Failure {
    let exit = match error {
        ClientError::Genesis(_) | ClientError::AddressCount { .. } => ExitCode::Configuration,
        ClientError::Network(_) | ClientError::Closed => ExitCode::Io,
        ClientError::NoQuorum { connected: 0, refused: 1.., .. } => return not_accepted(),
        ClientError::NotSent | ClientError::OutcomeUnknown { .. } | ClientError::NoQuorum { .. } | ClientError::NoAgreement => {
            ExitCode::Unknown
        }
        ClientError::Refused(_) | ClientError::ResultGone(_) | ClientError::AlreadyInFlight(_) | ClientError::NoTimestampLeft => {
            ExitCode::Refused
        }
    };
    Failure::new(exit, error.name(), error)
}

/// No replica is connected, and some refuse to be: so nothing was sent to anyone.
fn not_accepted() -> Failure {
    let message = "the replicas refuse to speak to this client, so nothing was sent: they know no client with the transport key in \
                   its home, or belong to another cluster than its genesis";
    Failure::new(ExitCode::Refused, "ConnectionRefused", message)
}

fn interrupted() -> Failure {
    Failure::new(ExitCode::Interrupted, "Interrupted", "interrupted: a request that was under way may take effect all the same")
}

/// A name that does not resolve, as that of a container that is gone, is a replica that is not reachable and no more:
/// the others may be enough.
async fn resolve(address: String) -> SocketAddr {
    let problem = match timeout(RESOLVE_TIMEOUT, tokio::net::lookup_host(&address)).await {
        Ok(Ok(mut found)) => match found.next() {
            Some(found) => return found,
            None => "the name has no address".to_owned(),
        },
        Ok(Err(error)) => error.to_string(),
        Err(_) => "no answer in time".to_owned(),
    };
    eprintln!("pbft: cannot resolve {address}: {problem}");
    SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))
}

/// Reads a genesis and checks that it describes a cluster.
pub fn read_genesis(path: &Path) -> Result<Genesis, Failure> {
    let genesis: Genesis = read_toml(path)?;
    genesis.check().map_err(|error| Failure::configuration(format!("{}: {error}", path.display())))?;
    Ok(genesis)
}

/// Reads a TOML file; the error names the line.
pub fn read_toml<T: DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    let failure = |problem: String| Failure::configuration(format!("{}: {problem}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| failure(format!("cannot be read: {error}")))?;
    toml::from_str(&text).map_err(|error| failure(toml_mistake(&text, &error)))
}

fn address_problem(addresses: &[String], genesis: &Genesis) -> Option<String> {
    let is_address =
        |text: &&String| text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if addresses.len() != genesis.replica_count() {
        let (found, expected) = (addresses.len(), genesis.replica_count());
        return Some(format!("replicas lists {found} addresses, the genesis has {expected} replicas"));
    }
    let wrong = addresses.iter().find(|text| !is_address(text))?;
    Some(format!("{wrong:?} in replicas is not host:port"))
}

fn read_key(home: &Path, name: &str, genesis: &Genesis) -> Result<SecretKey, Failure> {
    let path = home.join("keys").join(name);
    let key = read_secret_key(&path).map_err(Failure::configuration)?;
    if is_development_key(&key) && !genesis.test_network {
        let path = path.display();
        let message = format!("{path} is a published development key, and this genesis is no test network: use pbft keygen");
        return Err(Failure::new(ExitCode::Configuration, "DevelopmentKey", message));
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pbft_message::{RequestRefusal, Timestamp};

    #[test]
    fn every_client_error_has_the_exit_code_of_the_issue() {
        let no_quorum = |connected, refused| ClientError::NoQuorum { timestamp: Some(Timestamp(7)), connected, quorum: 3, refused };
        let exit = |error: ClientError| failure(&error).exit;
        assert_eq!(exit(ClientError::Refused(RequestRefusal::TooOld)), ExitCode::Refused);
        assert_eq!(exit(ClientError::OutcomeUnknown { timestamp: Timestamp(7) }), ExitCode::Unknown);
        assert_eq!(exit(no_quorum(0, 0)), ExitCode::Unknown);
        assert_eq!(exit(no_quorum(2, 1)), ExitCode::Unknown);
        assert_eq!(exit(no_quorum(0, 4)), ExitCode::Refused);
        assert_eq!(exit(ClientError::AddressCount { found: 1, expected: 4 }), ExitCode::Configuration);
    }

    #[test]
    fn a_time_is_written_for_people() {
        assert_eq!(parse_time("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_time("2m"), Ok(Duration::from_secs(120)));
        assert!(parse_time("0s").is_err() && parse_time("10").is_err() && parse_time("").is_err());
    }
}
