//! `pbft cas`.

use super::text::{EntryText, line};
use super::{No, Place, RequestOptions, bytes, unexpected, value_bytes};
use crate::failure::Failure;
use crate::output::print_text;
use pbft_node::ExitCode;
use pbft_services::kv::{Entry, Expected, KvResult, Operation};
use serde::Serialize;

/// Set a key only if it still is as expected.
///
/// Compare and swap: set a key only if it still is as expected, in one step that nothing comes between. If it is not,
/// nothing changes, and the answer is no: exit code 1, and what was found instead.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  pbft cas --home net/client-0 lock alice --expect-absent\n  pbft cas colour red --expect-value blue\n  pbft cas -o json colour red --expect-revision 17"
)]
pub struct Cas {
    /// The key.
    key: String,
    /// The new value; `-` reads it from standard input.
    #[arg(allow_hyphen_values = true)]
    value: String,
    #[command(flatten)]
    expectation: Expectation,
    /// KEY is base64 of the bytes that are meant.
    #[arg(long)]
    key_base64: bool,
    /// VALUE, and that of --expect-value, are base64 of the bytes that are meant.
    #[arg(long)]
    value_base64: bool,
    #[command(flatten)]
    options: RequestOptions,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Expectation {
    /// Swap only if this value stands there.
    #[arg(long, value_name = "V", allow_hyphen_values = true)]
    expect_value: Option<String>,
    /// Swap only if there is no such key.
    #[arg(long)]
    expect_absent: bool,
    /// Swap only if the key was last changed at this revision (its mod_revision); 0 is an absent key.
    #[arg(long, value_name = "R")]
    expect_revision: Option<u64>,
}

#[derive(Serialize)]
struct Answer {
    ok: bool,
    revision: u64,
    swapped: bool,
    /// What was found instead; null if the key is absent, or the value was swapped.
    #[serde(rename = "current")]
    text: Option<EntryText>,
    #[serde(flatten)]
    place: Place,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<No>,
    #[serde(skip)]
    current: Option<Entry>,
}

impl Cas {
    pub fn run(self) -> ExitCode {
        self.options.client.format.end(self.swap(), show)
    }

    fn swap(&self) -> Result<(Answer, ExitCode), Failure> {
        let key = bytes("KEY", &self.key, self.key_base64)?;
        let value = value_bytes(&self.value, self.value_base64)?;
        let expected = self.expectation.expected(self.value_base64)?;
        let (result, place) = self.options.execute(&Operation::compare_and_swap(key, expected, value))?;
        let KvResult::CompareAndSwap { revision, swapped, current } = result else { return Err(unexpected()) };
        let error = (!swapped).then_some(No { code: "Mismatch", message: "the key is not as expected: nothing was changed" });
        let text = current.as_ref().map(EntryText::from);
        let code = if swapped { ExitCode::Yes } else { ExitCode::No };
        Ok((Answer { ok: swapped, revision, swapped, text, place, error, current }, code))
    }
}

impl Expectation {
    fn expected(&self, is_base64: bool) -> Result<Expected, Failure> {
        if let Some(value) = &self.expect_value {
            return Ok(Expected::Value(bytes("--expect-value", value, is_base64)?.into()));
        }
        Ok(self.expect_revision.map_or(Expected::Absent, Expected::ModRevision))
    }
}

fn show(answer: &Answer) {
    let Some(error) = answer.error else { return print_text(&format!("swapped; revision {}", answer.revision)) };
    let found = match &answer.current {
        Some(entry) => format!("it is {} since revision {}", line(&entry.value), entry.mod_revision),
        None => "it is absent".to_owned(),
    };
    eprintln!("pbft: {} ({found})", error.message);
}
