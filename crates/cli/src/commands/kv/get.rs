//! `pbft get`.

use super::text::{EntryText, KeyText};
use super::{No, Place, RequestOptions, bytes, unexpected};
use crate::failure::Failure;
use crate::output::print_bytes;
use pbft_node::ExitCode;
use pbft_services::kv::{Entry, KvResult, Operation, StepResult};
use serde::Serialize;

/// Read a key.
///
/// The read is ordered like a write, so it sees every write that was answered before it. A missing key is the answer no:
/// exit code 1.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  pbft get --home net/client-0 colour\n  pbft get colour > picture.png\n  pbft get -o json colour"
)]
pub struct Get {
    /// The key.
    key: String,
    /// KEY is base64 of the bytes that are meant.
    #[arg(long)]
    key_base64: bool,
    #[command(flatten)]
    options: RequestOptions,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Answer {
    Found {
        ok: bool,
        #[serde(flatten)]
        text: EntryText,
        revision: u64,
        #[serde(flatten)]
        place: Place,
        #[serde(skip)]
        entry: Entry,
    },
    Missing {
        ok: bool,
        #[serde(flatten)]
        key: KeyText,
        revision: u64,
        #[serde(flatten)]
        place: Place,
        error: No,
    },
}

impl Get {
    pub fn run(self) -> ExitCode {
        self.options.client.format.end(self.get(), show)
    }

    fn get(&self) -> Result<(Answer, ExitCode), Failure> {
        let key = bytes("KEY", &self.key, self.key_base64)?;
        let (result, place) = self.options.execute(&Operation::get(&key))?;
        let KvResult::Step(StepResult::Get { revision, entry }) = result else { return Err(unexpected()) };
        if let Some(entry) = entry {
            let text = EntryText::from(&entry);
            return Ok((Answer::Found { ok: true, text, revision, place, entry }, ExitCode::Yes));
        }
        let error = No { code: "NoSuchKey", message: "there is no such key" };
        let key = KeyText::from(key.as_slice());
        Ok((Answer::Missing { ok: false, key, revision, place, error }, ExitCode::No))
    }
}

fn show(answer: &Answer) {
    match answer {
        Answer::Found { entry, .. } => print_bytes(&entry.value),
        Answer::Missing { error, .. } => eprintln!("pbft: {}", error.message),
    }
}
