//! `pbft genesis`: make one together, and look at it.

mod ceremony;

pub use ceremony::PublicKeys;

use crate::client_home::read_genesis;
use crate::failure::Failure;
use crate::output::{FormatOption, print_table, print_text};
use pbft_crypto::{Digest, PublicKey};
use pbft_message::{ClientEntry, Genesis, ReplicaEntry};
use pbft_node::ExitCode;
use serde::Serialize;
use std::path::PathBuf;

/// Make a genesis with others, and look at it: what organisations compare by telephone.
///
/// Make a genesis from the public keys of many organisations, and look at it: what they compare by telephone.
#[derive(clap::Args)]
pub struct GenesisCommand {
    #[command(subcommand)]
    command: GenesisSubcommand,
}

#[derive(clap::Subcommand)]
enum GenesisSubcommand {
    /// Add the public keys of a replica, client or operator to a draft.
    ///
    /// Each party makes its own keys and sends what `pbft keygen` printed. Replicas get their numbers in the order in which they
    /// are added. The draft is a text file: name and parameters may be edited until it is finalised.
    #[command(
        after_help = "Examples:\n  pbft keygen --replica --output home > alpha.toml\n  pbft genesis add draft.toml replica alpha.toml\n  pbft genesis add draft.toml client shop.toml"
    )]
    Add(ceremony::Add),
    /// Make the genesis of a draft: checks that it describes a cluster, and shows what all are to compare.
    #[command(after_help = "Example:\n  pbft genesis finalise draft.toml genesis.toml")]
    Finalise(ceremony::Finalise),
    /// Show the cluster id, how many liars the cluster survives, and the fingerprints of all keys.
    ///
    /// The cluster id is a hash of the whole document: those for whom it is the same have the same genesis.
    #[command(after_help = "Examples:\n  pbft genesis show net/genesis.toml\n  pbft genesis show --home net/client-0 -o json")]
    Show(Show),
}

#[derive(clap::Args)]
struct Show {
    #[command(flatten)]
    source: GenesisSource,
    #[command(flatten)]
    output: FormatOption,
}

#[derive(clap::Args)]
struct GenesisSource {
    /// The genesis file.
    #[arg(required_unless_present = "home")]
    file: Option<PathBuf>,
    /// A replica's or client's folder with a genesis.toml.
    #[arg(long, env = "PBFT_HOME", value_name = "DIR")]
    home: Option<PathBuf>,
}

#[derive(Serialize)]
struct Answer {
    ok: bool,
    cluster_id: Digest,
    name: String,
    test_network: bool,
    n: usize,
    f: usize,
    quorum: usize,
    service: String,
    replicas: Vec<Keys>,
    clients: Vec<Keys>,
    operators: Vec<Keys>,
}

#[derive(Serialize)]
struct Keys {
    #[serde(skip_serializing_if = "Option::is_none")]
    replica: Option<u32>,
    signing_key: PublicKey,
    transport_key: PublicKey,
    signing_fingerprint: String,
    transport_fingerprint: String,
}

impl GenesisCommand {
    pub fn run(self) -> ExitCode {
        match self.command {
            GenesisSubcommand::Add(add) => add.run(),
            GenesisSubcommand::Finalise(finalise) => finalise.run(),
            GenesisSubcommand::Show(show) => {
                show.output.format.end(show.source.read().map(|genesis| (Answer::from(&genesis), ExitCode::Yes)), print)
            }
        }
    }
}

impl GenesisSource {
    fn read(&self) -> Result<Genesis, Failure> {
        let in_home = self.home.as_ref().map(|home| home.join("genesis.toml"));
        let path = self.file.clone().or(in_home);
        read_genesis(&path.ok_or_else(|| Failure::configuration("give a genesis file, or --home"))?)
    }
}

impl From<&Genesis> for Answer {
    fn from(genesis: &Genesis) -> Self {
        let replica = |(number, entry): (u32, &ReplicaEntry)| Keys::new(Some(number), entry.signing_key, entry.transport_key);
        let client = |entry: &ClientEntry| Keys::new(None, entry.signing_key.0, entry.transport_key);
        Self {
            ok: true,
            cluster_id: genesis.cluster_id(),
            name: genesis.name.clone(),
            test_network: genesis.test_network,
            n: genesis.replica_count(),
            f: genesis.max_faulty(),
            quorum: genesis.quorum(),
            service: genesis.service.name.clone(),
            replicas: (0..).zip(&genesis.replicas).map(replica).collect(),
            clients: genesis.clients.iter().map(client).collect(),
            operators: genesis.operators.iter().map(client).collect(),
        }
    }
}

impl Keys {
    fn new(replica: Option<u32>, signing_key: PublicKey, transport_key: PublicKey) -> Self {
        let (signing_fingerprint, transport_fingerprint) = (fingerprint(signing_key), fingerprint(transport_key));
        Self { replica, signing_key, transport_key, signing_fingerprint, transport_fingerprint }
    }
}

/// The first half of a key in groups that can be read aloud: 128 bits are enough that nobody finds another such key.
fn fingerprint(key: PublicKey) -> String {
    let digits = key.to_string();
    grouped(digits.get(..32).unwrap_or(&digits))
}

fn grouped(digits: &str) -> String {
    let digits: Vec<char> = digits.chars().collect();
    digits.chunks(4).map(String::from_iter).collect::<Vec<_>>().join(" ")
}

fn print(answer: &Answer) {
    let Answer { name, n, f, quorum, service, .. } = answer;
    let network = if answer.test_network { "a TEST network: development keys and liars are allowed" } else { "not a test network" };
    print_text(&format!("cluster id  {}", grouped(&answer.cluster_id.to_string())));
    print_text(&format!("name        {}, {network}", name.escape_debug()));
    print_text(&format!("replicas    n = {n}, f = {f} may lie, a quorum is {quorum}"));
    print_text(&format!("service     {}", service.escape_debug()));
    let replicas = answer.replicas.iter().map(|keys| (format!("replica {}", keys.replica.unwrap_or_default()), keys));
    let clients = answer.clients.iter().enumerate().map(|(number, keys)| (format!("client {number}"), keys));
    let row = |(who, keys): (String, &Keys)| [who, keys.signing_fingerprint.clone(), keys.transport_fingerprint.clone()];
    let operators = answer.operators.iter().enumerate().map(|(number, keys)| (format!("operator {number}"), keys));
    print_table(&["who", "signing key", "transport key"], replicas.chain(clients).chain(operators).map(row));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_the_beginning_of_the_key_in_groups() {
        let key = PublicKey::from_bytes([0xab; 32]);
        assert_eq!(fingerprint(key), "abab abab abab abab abab abab abab abab");
        assert_eq!(grouped("12345"), "1234 5");
    }
}
