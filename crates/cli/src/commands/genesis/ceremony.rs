//! `pbft genesis add` and `finalise`: the key ceremony.

use super::Answer;
use crate::client_home::{read_genesis, read_toml};
use crate::failure::Failure;
use crate::output::{FormatOption, print_text};
use clap::ValueEnum;
use pbft_crypto::PublicKey;
use pbft_message::{ClientEntry, ClientId, Genesis, Parameters, ReplicaEntry, ServiceParameters};
use pbft_node::ExitCode;
use serde::{Deserialize, Serialize};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub struct Add {
    /// The draft; it is made if it does not exist.
    draft: PathBuf,
    /// Whose keys.
    #[arg(value_enum)]
    who: Who,
    /// What `pbft keygen` printed there: the public halves of the keys.
    keys: PathBuf,
    #[command(flatten)]
    output: FormatOption,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Who {
    /// Replicas are numbered from 0 in the order in which they are added.
    Replica,
    Client,
    /// Authorises and revokes clients: `pbft client`.
    Operator,
}

#[derive(clap::Args)]
pub struct Finalise {
    /// The draft.
    draft: PathBuf,
    /// The genesis to make; it must not exist.
    genesis: PathBuf,
    #[command(flatten)]
    output: FormatOption,
}

/// What `pbft keygen` prints.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublicKeys {
    pub signing_key: PublicKey,
    pub transport_key: PublicKey,
}

#[derive(Serialize)]
struct Added {
    ok: bool,
    /// A replica's number; the place of a client or operator in their list.
    number: usize,
}

impl Add {
    pub fn run(self) -> ExitCode {
        let added = self.add().map(|number| (Added { ok: true, number }, ExitCode::Yes));
        self.output.format.end(added, |added| {
            let who = self.who.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
            print_text(&format!("added {who} {} to {}", added.number, self.draft.display()));
        })
    }

    fn add(&self) -> Result<usize, Failure> {
        let keys: PublicKeys = read_toml(&self.keys)?;
        let mut draft: Genesis = if self.draft.exists() { read_toml(&self.draft)? } else { empty() };
        let failed = |problem: String| Failure::configuration(format!("{}: {problem}", self.keys.display()));
        for key in [keys.signing_key, keys.transport_key] {
            key.check().map_err(|_| failed(format!("{key} is no key that can be used")))?;
            if holds(&draft, key) {
                return Err(failed(format!("the key {key} is in {} already", self.draft.display())));
            }
        }
        let client = || ClientEntry { signing_key: ClientId(keys.signing_key), transport_key: keys.transport_key };
        let number = match self.who {
            Who::Replica => {
                draft.replicas.push(ReplicaEntry { signing_key: keys.signing_key, transport_key: keys.transport_key });
                draft.replicas.len()
            }
            Who::Client => {
                draft.clients.push(client());
                draft.clients.len()
            }
            Who::Operator => {
                draft.operators.push(client());
                draft.operators.len()
            }
        };
        replace(&self.draft, &draft)?;
        Ok(number.saturating_sub(1))
    }
}

impl Finalise {
    pub fn run(self) -> ExitCode {
        let made = self.finalise().map(|genesis| (Answer::from(&genesis), ExitCode::Yes));
        self.output.format.end(made, |answer| {
            super::print(answer);
            print_text("\nSend the file to all. Each compares the cluster id and its own fingerprints, by telephone, before the first start.");
        })
    }

    fn finalise(&self) -> Result<Genesis, Failure> {
        let genesis = read_genesis(&self.draft)?;
        let failed = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => {
                let message = format!("{} exists: a genesis is made once; choose another name", self.genesis.display());
                Failure::new(ExitCode::Io, "Exists", message)
            }
            _ => Failure::io(format!("cannot write {}: {error}", self.genesis.display())),
        };
        let mut file = OpenOptions::new().write(true).create_new(true).open(&self.genesis).map_err(failed)?;
        file.write_all(text(&genesis)?.as_bytes()).map_err(failed)?;
        Ok(genesis)
    }
}

fn empty() -> Genesis {
    Genesis {
        name: "cluster".to_owned(),
        test_network: false,
        parameters: Parameters::default(),
        service: ServiceParameters::default(),
        replicas: Vec::new(),
        operators: Vec::new(),
        clients: Vec::new(),
    }
}

fn holds(genesis: &Genesis, key: PublicKey) -> bool {
    let replicas = genesis.replicas.iter().flat_map(|entry| [entry.signing_key, entry.transport_key]);
    let clients = genesis.clients.iter().chain(&genesis.operators).flat_map(|entry| [entry.signing_key.0, entry.transport_key]);
    replicas.chain(clients).any(|other| other == key)
}

fn text(genesis: &Genesis) -> Result<String, Failure> {
    toml::to_string_pretty(genesis).map_err(Failure::configuration)
}

/// Whole or not at all: a draft holds what many have sent.
fn replace(path: &Path, genesis: &Genesis) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::io(format!("cannot write {}: {error}", path.display()));
    let aside = path.with_extension("new");
    fs::write(&aside, text(genesis)?).and_then(|()| fs::rename(&aside, path)).map_err(failed)
}
