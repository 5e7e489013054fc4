//! `pbft journal verify`.

use super::{Damage, read, record};
use crate::failure::Failure;
use crate::output::{FormatOption, print_text};
use pbft_crypto::{Digest, PublicKey};
use pbft_node::ExitCode;
use pbft_storage::{Summary, TornTail};
use serde::Serialize;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Verify {
    /// A replica's folder, or the `data` in it.
    directory: PathBuf,
    #[command(flatten)]
    output: FormatOption,
}

#[derive(Debug, Serialize)]
struct Answer {
    ok: bool,
    /// Records that could be read.
    records: u64,
    /// The highest view that a record names.
    newest_view: Option<u64>,
    #[serde(flatten)]
    content: Option<Content>,
    damage: Option<Damage>,
}

/// Of a journal that is whole.
#[derive(Debug, Serialize)]
struct Content {
    cluster_id: Digest,
    replica_key: PublicKey,
    segments: u64,
    frames: u64,
    bytes: u64,
    torn_tail: Option<Torn>,
}

/// The rest of a write that a crash cut short. It was never acknowledged, and the replica's start removes it.
#[derive(Debug, Serialize)]
struct Torn {
    file: String,
    offset: u64,
    bytes: u64,
}

impl From<Summary> for Content {
    fn from(summary: Summary) -> Self {
        let torn = summary.torn.map(|TornTail { file, offset, bytes }| Torn { file, offset, bytes });
        Self {
            cluster_id: summary.identity.cluster,
            replica_key: summary.identity.owner,
            segments: summary.segments,
            frames: summary.frames,
            bytes: summary.bytes,
            torn_tail: torn,
        }
    }
}

impl Verify {
    pub fn run(self) -> ExitCode {
        let with_code = |answer: Answer| {
            let code = if answer.ok { ExitCode::Yes } else { ExitCode::No };
            (answer, code)
        };
        self.output.format.end(self.verify().map(with_code), show)
    }

    fn verify(&self) -> Result<Answer, Failure> {
        let (mut records, mut newest_view) = (0u64, None);
        let read = read(&self.directory, |_, record| {
            records = records.saturating_add(1);
            newest_view = newest_view.max(record::view(record).map(|view| view.0));
        })?;
        let (content, damage) = match read {
            Ok(summary) => (Some(summary.into()), None),
            Err(damage) => (None, Some(damage)),
        };
        Ok(Answer { ok: damage.is_none(), records, newest_view, content, damage })
    }
}

fn show(answer: &Answer) {
    let view = answer.newest_view.map_or_else(String::new, |view| format!(", newest view {view}"));
    if let Some(damage) = &answer.damage {
        print_text(&format!("DAMAGED: {}", damage.reason));
        print_text(&format!("{} records before it{view}", answer.records));
    }
    let Some(content) = &answer.content else { return };
    let Content { segments, frames, bytes, .. } = content;
    print_text(&format!("whole: replica {} of cluster {}", content.replica_key, content.cluster_id));
    print_text(&format!("{segments} segments, {frames} frames, {} records, {bytes} bytes{view}", answer.records));
    if let Some(Torn { file, offset, bytes }) = &content.torn_tail {
        print_text(&format!("torn tail, never acknowledged: {file}, offset {offset}, {bytes} bytes; the replica will cut it"));
    }
}
