//! `pbft put`.

use super::{Place, RequestOptions, bytes, unexpected, value_bytes};
use crate::failure::Failure;
use crate::output::print_text;
use pbft_node::ExitCode;
use pbft_services::kv::{KvResult, Operation, StepResult};
use serde::Serialize;

/// Set a key.
///
/// Set a key to a value. The answer is accepted once f + 1 replicas, so at least one honest one, agree on it.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  pbft put --home net/client-0 colour blue\n  pbft put colour - < picture.png\n  pbft put -o json colour blue"
)]
pub struct Put {
    /// The key.
    key: String,
    /// The value; `-` reads it from standard input.
    #[arg(allow_hyphen_values = true)]
    value: String,
    /// KEY is base64 of the bytes that are meant.
    #[arg(long)]
    key_base64: bool,
    /// VALUE is base64 of the bytes that are meant.
    #[arg(long)]
    value_base64: bool,
    #[command(flatten)]
    options: RequestOptions,
}

#[derive(Serialize)]
struct Answer {
    ok: bool,
    revision: u64,
    /// The revision at which the replaced value was set; null if there was none.
    previous_revision: Option<u64>,
    #[serde(flatten)]
    place: Place,
}

impl Put {
    pub fn run(self) -> ExitCode {
        let found = self.put().map(|answer| (answer, ExitCode::Yes));
        self.options.client.format.end(found, |answer| print_text(&format!("revision {}", answer.revision)))
    }

    fn put(&self) -> Result<Answer, Failure> {
        let key = bytes("KEY", &self.key, self.key_base64)?;
        let value = value_bytes(&self.value, self.value_base64)?;
        match self.options.execute(&Operation::put(key, value))? {
            (KvResult::Step(StepResult::Put { revision, previous }), place) => {
                Ok(Answer { ok: true, revision, previous_revision: previous, place })
            }
            _ => Err(unexpected()),
        }
    }
}
