//! The commands of the key-value service: one request with one operation, and what came of it.

mod cas;
mod delete;
mod get;
mod put;
mod range;
mod text;
mod txn;

pub use cas::Cas;
pub use delete::Delete;
pub use get::Get;
pub use put::Put;
pub use range::Range;
pub use text::result_json;
pub use txn::Txn;

use crate::client_home::{ClientOptions, Cluster};
use crate::failure::Failure;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use pbft_message::Timestamp;
use pbft_node::ExitCode;
use pbft_services::kv::{KvError, KvResult, Operation};
use serde::Serialize;
use std::fs;
use std::io::Read;

/// Options of every command that has something ordered.
#[derive(Clone, Debug, clap::Args)]
pub struct RequestOptions {
    #[command(flatten)]
    client: ClientOptions,
    /// Repeat the request that had this timestamp: it takes effect once at most. Give the same arguments as before.
    #[arg(long, value_name = "T")]
    timestamp: Option<u64>,
}

/// Where a request was ordered.
#[derive(Clone, Copy, Debug, Serialize)]
struct Place {
    sequence: u64,
    timestamp: u64,
}

/// Why the answer is no, in the form of errors.
#[derive(Clone, Copy, Debug, Serialize)]
struct No {
    code: &'static str,
    message: &'static str,
}

impl RequestOptions {
    /// Has an operation ordered and executed.
    fn execute(&self, operation: &Operation) -> Result<(KvResult, Place), Failure> {
        let operations = vec![operation.encode()];
        self.client.run(|cluster| self.request(cluster, operations))
    }

    async fn request(&self, cluster: Cluster, operations: Vec<Vec<u8>>) -> Result<(KvResult, Place), Failure> {
        let service = &cluster.genesis.service.name;
        if service != "kv" {
            let message = format!("this cluster replicates the service {service:?}, not the key-value store (kv)");
            return Err(Failure::new(ExitCode::Configuration, "WrongService", message));
        }
        let accepted = match self.timestamp {
            Some(timestamp) => cluster.client.retry(Timestamp(timestamp), operations).await,
            None => cluster.client.request(operations).await,
        };
        let accepted = accepted.map_err(|error| cluster.failure(&error))?;
        let place = Place { sequence: accepted.sequence.0, timestamp: accepted.timestamp.0 };
        let result = accepted.results.first().ok_or_else(unexpected)?;
        match KvResult::decode(result).map_err(|_| unexpected())? {
            KvResult::Error(error) => Err(Failure::new(ExitCode::Refused, error_name(&error), error)),
            result => Ok((result, place)),
        }
    }
}

/// The error's name, for programs.
const fn error_name(error: &KvError) -> &'static str {
    match error {
        KvError::Malformed => "Malformed",
        KvError::EmptyKey => "EmptyKey",
        KvError::DuplicateKey => "DuplicateKey",
        KvError::TooLarge { .. } => "TooLarge",
    }
}

/// The replicas agree on a result that is none of the operation's.
fn unexpected() -> Failure {
    Failure::new(
        ExitCode::Refused,
        "UnexpectedResult",
        "the cluster's answer is no result of this operation: compare `pbft version`",
    )
}

fn usage(message: impl ToString) -> Failure {
    Failure::new(ExitCode::Usage, "Usage", message)
}

/// The bytes that an argument stands for.
fn bytes(name: &str, text: &str, is_base64: bool) -> Result<Vec<u8>, Failure> {
    if !is_base64 {
        return Ok(text.as_bytes().to_vec());
    }
    BASE64.decode(text).map_err(|error| usage(format!("{name} is not valid base64: {error}")))
}

/// The bytes of a value; `-` reads them from standard input.
fn value_bytes(text: &str, is_base64: bool) -> Result<Vec<u8>, Failure> {
    if text != "-" {
        return bytes("VALUE", text, is_base64);
    }
    let input = read_input("-")?;
    if !is_base64 {
        return Ok(input);
    }
    let text = String::from_utf8(input).map_err(|_| usage("standard input is not valid base64"))?;
    bytes("standard input", text.trim(), true)
}

/// A file's content, or standard input's for `-`.
fn read_input(path: &str) -> Result<Vec<u8>, Failure> {
    if path != "-" {
        return fs::read(path).map_err(|error| Failure::io(format!("cannot read {path}: {error}")));
    }
    let mut input = Vec::new();
    std::io::stdin().read_to_end(&mut input).map_err(|error| Failure::io(format!("cannot read standard input: {error}")))?;
    Ok(input)
}
