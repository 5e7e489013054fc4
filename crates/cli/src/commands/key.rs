//! `pbft key rotate-transport`.

use super::keygen::random_key;
use crate::client_home::{ClientHome, ClientOptions, Cluster};
use crate::failure::Failure;
use crate::output::print_text;
use pbft_crypto::{PublicKey, read_secret_key, write_secret_key};
use pbft_node::ExitCode;
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};

/// The new transport key, until the cluster knows it.
const NEXT: &str = "transport.next.key";

/// Change keys.
#[derive(clap::Args)]
pub struct KeyCommand {
    #[command(subcommand)]
    command: KeySubcommand,
}

#[derive(clap::Subcommand)]
enum KeySubcommand {
    RotateTransport(RotateTransport),
}

/// Make a new transport key for a client or operator, or take it into use.
///
/// Make a new transport key for a client or operator, or take it into use. Its signing key, and so its name, stay.
///
/// First it makes keys/transport.next.key and prints the public halves for an operator, who orders `pbft client rotate`. From then on
/// only the new key connects; with --finish it is tried against the cluster, and replaces keys/transport.key. A replica's transport
/// key is part of the genesis, whose hash names the cluster, and cannot change.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  pbft key rotate-transport --home net/client-0 > new.toml\n  pbft client rotate new.toml --home net/operator\n  pbft key rotate-transport --home net/client-0 --finish"
)]
struct RotateTransport {
    /// Take the new key into use, once an operator has ordered it.
    #[arg(long)]
    finish: bool,
    #[command(flatten)]
    client: ClientOptions,
}

#[derive(Serialize)]
struct Answer {
    ok: bool,
    signing_key: PublicKey,
    transport_key: PublicKey,
    /// Where the new key's secret half is.
    file: PathBuf,
    /// Whether it is in use.
    finished: bool,
}

impl KeyCommand {
    pub fn run(self) -> ExitCode {
        let KeySubcommand::RotateTransport(rotate) = self.command;
        let format = rotate.client.format;
        format.end(rotate.rotate().map(|answer| (answer, ExitCode::Yes)), show)
    }
}

impl RotateTransport {
    fn rotate(self) -> Result<Answer, Failure> {
        let home = self.client.home.clone();
        if home.join("data").is_dir() {
            let message = "this is a replica's home: its transport key is part of the genesis, whose hash names the cluster, and cannot change";
            return Err(Failure::new(ExitCode::Configuration, "Replica", message));
        }
        if self.finish { self.take_into_use(&home) } else { begin(&home) }
    }

    fn take_into_use(self, home: &Path) -> Result<Answer, Failure> {
        let (next, file) = (home.join("keys").join(NEXT), home.join("keys/transport.key"));
        if !next.exists() {
            let message = format!("{} does not exist: begin without --finish", next.display());
            return Err(Failure::new(ExitCode::Io, "NotBegun", message));
        }
        let timeout = self.client.timeout;
        self.client.run_with(NEXT, async move |cluster: Cluster| {
            cluster.client.wait_for_quorum(timeout).await.map_err(|error| cluster.failure(&error))
        })?;
        fs::rename(&next, &file).map_err(|error| Failure::io(format!("cannot replace {}: {error}", file.display())))?;
        answer(home, file, true)
    }
}

/// Begun twice, it is the same key: an operator may have it already.
fn begin(home: &Path) -> Result<Answer, Failure> {
    ClientHome::load(home)?;
    let file = home.join("keys").join(NEXT);
    if !file.exists() {
        write_secret_key(&file, &random_key()?).map_err(Failure::io)?;
    }
    answer(home, file, false)
}

fn answer(home: &Path, file: PathBuf, finished: bool) -> Result<Answer, Failure> {
    let public = |path: &Path| read_secret_key(path).map(|key| key.public()).map_err(Failure::configuration);
    let (signing_key, transport_key) = (public(&home.join("keys/signing.key"))?, public(&file)?);
    Ok(Answer { ok: true, signing_key, transport_key, file, finished })
}

fn show(answer: &Answer) {
    if answer.finished {
        return print_text(&format!("transport key {} is in use", answer.transport_key));
    }
    print_text(&format!("signing_key   = \"{}\"\ntransport_key = \"{}\"", answer.signing_key, answer.transport_key));
    eprintln!("The secret half is in {}: keep it private.", answer.file.display());
    eprintln!("Have an operator order `pbft client rotate` with these lines in a file, then give --finish.");
}
