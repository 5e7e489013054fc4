//! `pbft range`.

use super::text::{EntryText, cells};
use super::{Place, RequestOptions, bytes, unexpected};
use crate::failure::Failure;
use crate::output::{print_table, print_text};
use pbft_node::ExitCode;
use pbft_services::kv::{Entry, KvResult, Operation, RangeEnd};
use serde::Serialize;

/// Read many keys.
///
/// Read many keys, in the order of their bytes and as of one moment. The cluster limits how many come at once: with
/// `more`, go on after the last key.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  pbft range --home net/client-0 --all\n  pbft range user/ --prefix --limit 10\n  pbft range -o json a --to n"
)]
pub struct Range {
    /// The first key, or the prefix; from the very first if it is left out.
    #[arg(required_unless_present_any = ["all", "prefix", "to"], default_value = "", hide_default_value = true)]
    start: String,
    /// All keys that begin with START.
    #[arg(long, conflicts_with_all = ["to", "all"])]
    prefix: bool,
    /// From START up to this key, which is not included.
    #[arg(long, value_name = "END", conflicts_with = "all")]
    to: Option<String>,
    /// From START to the last key of all.
    #[arg(long)]
    all: bool,
    /// The most entries; 0 for as many as the cluster gives at once.
    #[arg(long, value_name = "N", default_value_t = 0)]
    limit: u64,
    /// START and END are base64 of the bytes that are meant.
    #[arg(long)]
    key_base64: bool,
    #[command(flatten)]
    options: RequestOptions,
}

#[derive(Serialize)]
struct Answer {
    ok: bool,
    kvs: Vec<EntryText>,
    more: bool,
    revision: u64,
    #[serde(flatten)]
    place: Place,
    #[serde(skip)]
    entries: Vec<Entry>,
}

impl Range {
    pub fn run(self) -> ExitCode {
        let found = self.read().map(|answer| (answer, ExitCode::Yes));
        self.options.client.format.end(found, show)
    }

    fn read(&self) -> Result<Answer, Failure> {
        let start = bytes("START", &self.start, self.key_base64)?;
        let operation = Operation::range(start, self.end()?, self.limit);
        let (result, place) = self.options.execute(&operation)?;
        let KvResult::Step(pbft_services::kv::StepResult::Range { revision, entries, more }) = result else {
            return Err(unexpected());
        };
        let kvs = entries.iter().map(EntryText::from).collect();
        Ok(Answer { ok: true, kvs, more, revision, place, entries })
    }

    fn end(&self) -> Result<RangeEnd, Failure> {
        if let Some(end) = &self.to {
            return Ok(RangeEnd::before(bytes("END", end, self.key_base64)?));
        }
        Ok(match (self.prefix, self.all) {
            (true, _) => RangeEnd::Prefix,
            (_, true) => RangeEnd::Last,
            _ => RangeEnd::Start,
        })
    }
}

fn show(answer: &Answer) {
    print_table(&["key", "value", "create_revision", "mod_revision", "version"], answer.entries.iter().map(cells));
    if answer.more {
        print_text("There are more: go on after the last key.");
    }
}
