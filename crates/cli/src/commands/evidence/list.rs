//! `pbft evidence list`.

use super::{file, lie};
use crate::client_home::{ClientOptions, Cluster};
use crate::commands::status::GRACE;
use crate::failure::Failure;
use crate::output::{print_table, print_text};
use pbft_crypto::Digest;
use pbft_message::{Authenticator, Evidence, Lie};
use pbft_node::ExitCode;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub struct List {
    /// Where the files are written; `evidence` in the client's folder if it is left out.
    #[arg(long, value_name = "DIR")]
    output_dir: Option<PathBuf>,
    #[command(flatten)]
    options: ClientOptions,
}

#[derive(Serialize)]
struct Item {
    id: String,
    accused: u32,
    kind: &'static str,
    view: u64,
    /// Null where the lie is about no single number.
    sequence: Option<u64>,
    file: PathBuf,
    #[serde(skip)]
    lie: String,
}

impl List {
    pub fn run(self) -> ExitCode {
        let folder = self.output_dir.clone().unwrap_or_else(|| self.options.home.join("evidence"));
        let found = self.options.run(|cluster| async {
            let id = cluster.genesis.cluster_id();
            Ok((id, collect(cluster).await?))
        });
        let found = found.and_then(|(id, evidence)| write_all(&folder, id, &one_of_each(evidence)));
        self.options.format.end(found.map(|items| (items, ExitCode::Yes)), |items| show(items))
    }
}

/// The evidence that holds, of all replicas that can be reached, without repetitions.
pub async fn collect(cluster: Cluster) -> Result<Vec<Evidence>, Failure> {
    cluster.client.wait_for_quorum(cluster.timeout).await.map_err(|error| cluster.failure(&error))?;
    let authenticator = Authenticator::new(cluster.genesis.clone());
    let mut found = BTreeMap::new();
    for (replica, pieces) in cluster.client.evidence(GRACE).await {
        for piece in pieces {
            let id = piece.id();
            if found.contains_key(&id) {
                continue;
            }
            match authenticator.verify_evidence(piece.clone()) {
                Ok(_) => drop(found.insert(id, piece)),
                Err(invalid) => eprintln!("pbft: replica {replica} sent evidence that proves nothing: {invalid}"),
            }
        }
    }
    let mut evidence: Vec<Evidence> = found.into_values().collect();
    evidence.sort_by_key(Evidence::accused);
    Ok(evidence)
}

/// One pair for each lie, though replicas may hold different ones: as each of them counts, and as `pbft status` shows.
pub fn one_of_each(evidence: Vec<Evidence>) -> Vec<Evidence> {
    let mut known: BTreeSet<Lie> = BTreeSet::new();
    evidence.into_iter().filter(|piece| known.insert(piece.lie())).collect()
}

fn write_all(folder: &Path, cluster: Digest, evidence: &[Evidence]) -> Result<Vec<Item>, Failure> {
    if !evidence.is_empty() {
        fs::create_dir_all(folder).map_err(|error| Failure::io(format!("cannot create {}: {error}", folder.display())))?;
    }
    evidence.iter().map(|piece| write(folder, cluster, piece)).collect()
}

fn write(folder: &Path, cluster: Digest, evidence: &Evidence) -> Result<Item, Failure> {
    let id = evidence.id().to_string();
    let (accused, view, sequence) = evidence.accused();
    let file = folder.join(file::name(evidence));
    file::write(&file, cluster, evidence)?;
    let (kind, lie) = (evidence.kind().name(), lie(evidence));
    Ok(Item { id, accused: accused.0, kind, view: view.0, sequence: sequence.map(|sequence| sequence.0), file, lie })
}

fn show(items: &[Item]) {
    if items.is_empty() {
        return print_text("no evidence: no replica that can be reached has caught another one lying");
    }
    print_table(&["what is proven", "file"], items.iter().map(|item| [item.lie.clone(), item.file.display().to_string()]));
}
