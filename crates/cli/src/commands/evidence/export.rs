//! `pbft evidence export`.

use super::list::collect;
use super::{file, lie};
use crate::client_home::{ClientOptions, Cluster};
use crate::failure::Failure;
use crate::output::print_text;
use pbft_crypto::Digest;
use pbft_message::Evidence;
use pbft_node::ExitCode;
use serde::Serialize;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Export {
    /// Which piece: the beginning of an id that `pbft evidence list` shows.
    id: String,
    /// The file to be written.
    file: PathBuf,
    #[command(flatten)]
    options: ClientOptions,
}

#[derive(Serialize)]
struct Answer {
    ok: bool,
    id: String,
    cluster_id: Digest,
    accused: u32,
    kind: &'static str,
    file: PathBuf,
    #[serde(skip)]
    lie: String,
}

impl Export {
    pub fn run(self) -> ExitCode {
        let exported = self.options.run(|cluster| self.export(cluster));
        self.options.format.end(exported.map(|answer| (answer, ExitCode::Yes)), |answer| {
            print_text(&format!("{}: {}", answer.file.display(), answer.lie));
        })
    }

    async fn export(&self, cluster: Cluster) -> Result<Answer, Failure> {
        let cluster_id = cluster.genesis.cluster_id();
        let found = collect(cluster).await?;
        let evidence = chosen(&found, &self.id)?;
        file::write(&self.file, cluster_id, evidence)?;
        Ok(Answer {
            ok: true,
            id: evidence.id().to_string(),
            cluster_id,
            accused: evidence.accused().0.0,
            kind: evidence.kind().name(),
            file: self.file.clone(),
            lie: lie(evidence),
        })
    }
}

fn chosen<'a>(found: &'a [Evidence], id: &str) -> Result<&'a Evidence, Failure> {
    let mut fitting = found.iter().filter(|evidence| evidence.id().to_string().starts_with(id));
    match (fitting.next(), fitting.next()) {
        (Some(evidence), None) => Ok(evidence),
        (None, _) => {
            let message = format!("no replica that can be reached holds evidence with the id {id}: see pbft evidence list");
            Err(Failure::new(ExitCode::No, "NoSuchEvidence", message))
        }
        (Some(_), Some(_)) => {
            Err(Failure::new(ExitCode::Usage, "Ambiguous", format!("several ids begin with {id}: give more of it")))
        }
    }
}
