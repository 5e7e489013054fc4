//! `pbft delete`.

use super::{No, Place, RequestOptions, bytes, unexpected};
use crate::failure::Failure;
use crate::output::print_text;
use pbft_node::ExitCode;
use pbft_services::kv::{KvResult, Operation, StepResult};
use serde::Serialize;

/// Delete a key.
///
/// If there was no such key nothing changes, and the answer is no: exit code 1.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  pbft delete --home net/client-0 colour\n  pbft delete -o json colour")]
pub struct Delete {
    /// The key.
    key: String,
    /// KEY is base64 of the bytes that are meant.
    #[arg(long)]
    key_base64: bool,
    #[command(flatten)]
    options: RequestOptions,
}

#[derive(Serialize)]
struct Answer {
    ok: bool,
    revision: u64,
    deleted: u64,
    #[serde(flatten)]
    place: Place,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<No>,
}

impl Delete {
    pub fn run(self) -> ExitCode {
        self.options.client.format.end(self.delete(), show)
    }

    fn delete(&self) -> Result<(Answer, ExitCode), Failure> {
        let key = bytes("KEY", &self.key, self.key_base64)?;
        let (result, place) = self.options.execute(&Operation::delete(key))?;
        let KvResult::Step(StepResult::Delete { revision, deleted }) = result else { return Err(unexpected()) };
        if deleted > 0 {
            return Ok((Answer { ok: true, revision, deleted, place, error: None }, ExitCode::Yes));
        }
        let error = Some(No { code: "NoSuchKey", message: "there is no such key: nothing was deleted" });
        Ok((Answer { ok: false, revision, deleted, place, error }, ExitCode::No))
    }
}

fn show(answer: &Answer) {
    match answer.error {
        None => print_text(&format!("deleted; revision {}", answer.revision)),
        Some(error) => eprintln!("pbft: {}", error.message),
    }
}
