//! `pbft client add|revoke|rotate|list`: an operator says who may use the cluster (R8).

use super::genesis::PublicKeys;
use crate::client_home::{ClientOptions, read_toml};
use crate::failure::Failure;
use crate::output::{print_table, print_text};
use clap::{Subcommand, ValueEnum};
use pbft_crypto::PublicKey;
use pbft_message::{ClientEntry, ClientId, ClientRole, MembershipError, MembershipOperation, MembershipResult, Standing};
use pbft_node::ExitCode;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Say who may use the cluster: authorise, revoke and list clients and rotate their keys, as an operator of the genesis.
#[derive(clap::Args)]
pub struct ClientCommand {
    #[command(subcommand)]
    command: ClientSubcommand,
}

#[derive(Subcommand)]
enum ClientSubcommand {
    Add(Add),
    Revoke(Revoke),
    Rotate(Rotate),
    List(List),
}

/// Authorise a client, from the next request on.
///
/// Authorise a client, from the next request on, at all replicas. KEYS is what `pbft keygen` printed at the client's.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  pbft keygen --output new > new.toml\n  pbft client add new.toml --home net/operator\n  pbft client add --role read new.toml --home net/operator"
)]
struct Add {
    /// The public halves of the client's keys.
    keys: PathBuf,
    /// What it may do: read, or read and write.
    #[arg(long, value_enum, default_value = "write")]
    role: RoleName,
    #[command(flatten)]
    client: ClientOptions,
}

/// Revoke a client, from the next request on and for good.
///
/// Revoke a client, from the next request on and for good: with other keys its owner can be added again.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  pbft client revoke 1f3a... --home net/operator")]
struct Revoke {
    /// The client's signing key, as `pbft client list` shows it.
    signing_key: PublicKey,
    #[command(flatten)]
    client: ClientOptions,
}

/// Give a client or an operator another transport key, from the next request on.
///
/// Give a client or an operator another transport key, from the next request on. KEYS is what `pbft key rotate-transport` printed there.
/// Connections with the old key end.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  pbft client rotate new.toml --home net/operator")]
struct Rotate {
    /// Its signing key, and the public half of the new transport key.
    keys: PathBuf,
    #[command(flatten)]
    client: ClientOptions,
}

/// List the clients, revoked ones included.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  pbft client list --home net/operator")]
struct List {
    #[command(flatten)]
    client: ClientOptions,
}

#[derive(Clone, Copy, ValueEnum)]
enum RoleName {
    Read,
    Write,
}

#[derive(Serialize)]
struct Done {
    ok: bool,
    client: ClientId,
}

#[derive(Serialize)]
struct Listed {
    ok: bool,
    clients: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    client: ClientId,
    /// read, write, operator or revoked.
    role: &'static str,
    transport_key: Option<PublicKey>,
}

impl ClientCommand {
    pub fn run(self) -> ExitCode {
        match self.command {
            ClientSubcommand::Add(add) => {
                let shown = |done: &Done| print_text(&format!("client {} is authorised", done.client));
                add.client.format.end(add.add(), shown)
            }
            ClientSubcommand::Revoke(revoke) => {
                let shown = |done: &Done| print_text(&format!("client {} is revoked", done.client));
                revoke.client.format.end(revoke.revoke(), shown)
            }
            ClientSubcommand::Rotate(rotate) => {
                let shown = |done: &Done| print_text(&format!("client {} has another transport key", done.client));
                rotate.client.format.end(rotate.rotate(), shown)
            }
            ClientSubcommand::List(list) => list.client.format.end(list.list(), show),
        }
    }
}

impl Add {
    fn add(&self) -> Result<(Done, ExitCode), Failure> {
        let client = entry_of(&self.keys)?;
        let name = client.signing_key;
        let role = match self.role {
            RoleName::Read => ClientRole::Read,
            RoleName::Write => ClientRole::Write,
        };
        order(&self.client, &MembershipOperation::Add { client, role })?;
        Ok((Done { ok: true, client: name }, ExitCode::Yes))
    }
}

impl Revoke {
    fn revoke(&self) -> Result<(Done, ExitCode), Failure> {
        let client = ClientId(self.signing_key);
        order(&self.client, &MembershipOperation::Revoke { client })?;
        Ok((Done { ok: true, client }, ExitCode::Yes))
    }
}

impl Rotate {
    fn rotate(&self) -> Result<(Done, ExitCode), Failure> {
        let client = entry_of(&self.keys)?;
        let name = client.signing_key;
        order(&self.client, &MembershipOperation::Rotate { client })?;
        Ok((Done { ok: true, client: name }, ExitCode::Yes))
    }
}

impl List {
    fn list(&self) -> Result<(Listed, ExitCode), Failure> {
        let mut rows = Vec::new();
        let mut after = None;
        loop {
            let MembershipResult::Clients { clients, more } = order(&self.client, &MembershipOperation::List { after })? else {
                return Err(unexpected());
            };
            after = clients.last().map(|(client, _)| *client);
            rows.extend(clients.into_iter().map(|(client, standing)| Row::new(client, standing)));
            if !more || after.is_none() {
                return Ok((Listed { ok: true, clients: rows }, ExitCode::Yes));
            }
        }
    }
}

impl Row {
    const fn new(client: ClientId, standing: Standing) -> Self {
        let role = match standing {
            Standing::Client { role: ClientRole::Read, .. } => "read",
            Standing::Client { role: ClientRole::Write, .. } => "write",
            Standing::Operator { .. } => "operator",
            Standing::Revoked => "revoked",
        };
        Self { client, role, transport_key: standing.transport_key() }
    }
}

/// What a client's owner gave an operator.
fn entry_of(file: &Path) -> Result<ClientEntry, Failure> {
    let keys: PublicKeys = read_toml(file)?;
    Ok(ClientEntry { signing_key: ClientId(keys.signing_key), transport_key: keys.transport_key })
}

/// Has an operator's operation ordered and executed.
fn order(options: &ClientOptions, operation: &MembershipOperation) -> Result<MembershipResult, Failure> {
    let operations = vec![operation.encode()];
    options.run(|cluster| async move {
        let own = cluster.client.id();
        if !cluster.genesis.operators.iter().any(|operator| operator.signing_key == own) {
            let message = "these keys are no operator's of the genesis: give an operator's folder (--home)";
            return Err(Failure::new(ExitCode::Configuration, "NotAnOperator", message));
        }
        let accepted = cluster.client.request(operations).await.map_err(|error| cluster.failure(&error))?;
        let result = accepted.results.first().ok_or_else(unexpected)?;
        match MembershipResult::decode(result).map_err(|_| unexpected())? {
            MembershipResult::Refused(error) => Err(Failure::new(ExitCode::Refused, error_name(&error), error)),
            result => Ok(result),
        }
    })
}

/// The error's name, for programs.
const fn error_name(error: &MembershipError) -> &'static str {
    match error {
        MembershipError::Malformed => "Malformed",
        MembershipError::BadKey(_) => "BadKey",
        MembershipError::KeyInUse(_) => "KeyInUse",
        MembershipError::AlreadyAuthorised(_) => "AlreadyAuthorised",
        MembershipError::Revoked(_) => "Revoked",
        MembershipError::Unknown(_) => "UnknownClient",
        MembershipError::IsOperator(_) => "IsOperator",
        MembershipError::TooManyClients { .. } => "TooManyClients",
    }
}

fn unexpected() -> Failure {
    let message = "the cluster's answer is no result of this operation: compare `pbft version`";
    Failure::new(ExitCode::Refused, "UnexpectedResult", message)
}

fn show(listed: &Listed) {
    let key = |key: Option<PublicKey>| key.map_or_else(String::new, |key| key.to_string());
    let rows = listed.clients.iter().map(|row| [row.client.to_string(), row.role.to_owned(), key(row.transport_key)]);
    print_table(&["client", "role", "transport key"], rows);
}
