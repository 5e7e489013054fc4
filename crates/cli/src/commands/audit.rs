//! `pbft audit`.

use super::data::open_to_read;
use super::evidence::{file, lie};
use crate::client_home::read_genesis;
use crate::failure::Failure;
use crate::output::{FormatOption, print_table, print_text};
use pbft_crypto::Digest;
use pbft_message::{Authenticator, Evidence, Genesis, codec};
use pbft_node::ExitCode;
use pbft_protocol::agreement::Record;
use pbft_replica::Audit;
use pbft_storage::Journal;
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Compare the journals of replicas, and name those that contradicted themselves.
///
/// Compare the journals of several replicas, and name those that contradicted themselves, with the proof.
///
/// Only reads. Whose journals they are does not matter, nor whether those replicas are honest: every signature is checked,
/// and an honest replica is never named. A journal that is damaged is read up to the damage; one of another cluster or format is
/// told and counts for nothing. Exit code 0 if nobody is named, 1 if somebody is, 6 if nobody is and not all of every journal could
/// be read.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  pbft audit net/replica-1 net/replica-2 net/replica-3 --genesis net/genesis.toml\n  pbft audit copies/* --genesis net/genesis.toml --export proofs -o json"
)]
pub struct AuditCommand {
    /// Homes or data directories of replicas that do not run, or copies of them.
    #[arg(required = true, value_name = "DIR")]
    directories: Vec<PathBuf>,
    /// The genesis of the cluster.
    #[arg(long, value_name = "FILE")]
    genesis: PathBuf,
    /// Where the proofs are written, one file each, for `pbft evidence verify`.
    #[arg(long, value_name = "DIR")]
    export: Option<PathBuf>,
    #[command(flatten)]
    output: FormatOption,
}

#[derive(Serialize)]
struct Answer {
    /// Nobody is named, and all journals were read to their end.
    ok: bool,
    cluster_id: Digest,
    journals: Vec<Source>,
    /// How many different signed statements were compared.
    statements: usize,
    lies: Vec<Item>,
    /// Who signed two states for one checkpoint.
    diverged: Vec<Divergence>,
}

/// A journal that was read.
#[derive(Serialize)]
struct Source {
    directory: PathBuf,
    /// Null if its owner is none of the cluster's replicas.
    replica: Option<u32>,
    records: u64,
    /// Where and how it is damaged; null if it is whole.
    damage: Option<String>,
}

#[derive(Serialize)]
struct Item {
    id: String,
    accused: u32,
    kind: &'static str,
    view: u64,
    /// Null where the lie is about no single number.
    sequence: Option<u64>,
    /// Null without --export.
    file: Option<PathBuf>,
    #[serde(skip)]
    lie: String,
}

#[derive(Serialize)]
struct Divergence {
    replica: u32,
    sequence: u64,
}

impl AuditCommand {
    pub fn run(self) -> ExitCode {
        let with_code = |answer: Answer| {
            let code = match answer.names_somebody() {
                true => ExitCode::No,
                false if answer.ok => ExitCode::Yes,
                false => ExitCode::Io,
            };
            (answer, code)
        };
        self.output.format.end(self.audit().map(with_code), show)
    }

    fn audit(&self) -> Result<Answer, Failure> {
        let genesis = Arc::new(read_genesis(&self.genesis)?);
        let mut audit = Audit::new(Authenticator::new(genesis.clone()));
        let journals = self.directories.iter().map(|directory| read(directory, &genesis, &mut audit));
        let journals: Vec<Source> = journals.collect::<Result<_, _>>()?;
        let lies = audit.lies().map(|evidence| self.item(&genesis, evidence)).collect::<Result<Vec<_>, _>>()?;
        let diverged = audit.diverged().map(|(replica, sequence)| Divergence { replica: replica.0, sequence: sequence.0 });
        let diverged: Vec<_> = diverged.collect();
        Ok(Answer {
            ok: lies.is_empty() && diverged.is_empty() && journals.iter().all(|source| source.damage.is_none()),
            cluster_id: genesis.cluster_id(),
            journals,
            statements: audit.statements(),
            lies,
            diverged,
        })
    }

    fn item(&self, genesis: &Genesis, evidence: &Evidence) -> Result<Item, Failure> {
        let (accused, view, sequence) = evidence.accused();
        let file = self.export.as_ref().map(|folder| export(folder, genesis.cluster_id(), evidence)).transpose()?;
        Ok(Item {
            id: evidence.id().to_string(),
            accused: accused.0,
            kind: evidence.kind().name(),
            view: view.0,
            sequence: sequence.map(|sequence| sequence.0),
            file,
            lie: lie(evidence),
        })
    }
}

impl Answer {
    fn names_somebody(&self) -> bool {
        !self.lies.is_empty() || !self.diverged.is_empty()
    }
}

/// A liar must not hinder the audit, whatever it gives for a journal: what stands before the damage counts. Only a directory that
/// cannot be opened at all is the user's mistake.
fn read(directory: &Path, genesis: &Genesis, audit: &mut Audit) -> Result<Source, Failure> {
    let (mut undecoded, mut records) = (None, 0_u64);
    let read = Journal::read(open_to_read(directory)?, |place, bytes| match codec::decode::<Record>(bytes) {
        Ok(record) => {
            records = records.saturating_add(1);
            audit.read(record);
        }
        Err(_) => drop(undecoded.get_or_insert_with(|| format!("{}, offset {}", place.file, place.offset))),
    });
    let summary = match read {
        Ok(summary) => summary,
        Err(error) => {
            let damage = Some(error.to_string());
            return Ok(Source { directory: directory.to_owned(), replica: None, records, damage });
        }
    };
    let foreign = (summary.identity.cluster != genesis.cluster_id())
        .then(|| format!("it is the journal of {}: another cluster, so nothing in it counts", summary.identity));
    let undecoded = undecoded.map(|at| format!("{at}: the record does not decode; it was written by another version, or altered"));
    let damage = foreign.or(undecoded);
    let owner = genesis.replica_ids().find(|id| genesis.replica(*id).is_some_and(|e| e.signing_key == summary.identity.owner));
    Ok(Source { directory: directory.to_owned(), replica: owner.map(|id| id.0), records, damage })
}

fn export(folder: &Path, cluster: Digest, evidence: &Evidence) -> Result<PathBuf, Failure> {
    fs::create_dir_all(folder).map_err(|error| Failure::io(format!("cannot create {}: {error}", folder.display())))?;
    let path = folder.join(file::name(evidence));
    file::write(&path, cluster, evidence)?;
    Ok(path)
}

fn show(answer: &Answer) {
    let records: u64 = answer.journals.iter().fold(0, |sum, source| sum.saturating_add(source.records));
    let (journals, statements) = (answer.journals.len(), answer.statements);
    print_text(&format!("{journals} journals, {records} records, {statements} different statements"));
    for source in &answer.journals {
        if let Some(damage) = &source.damage {
            eprintln!("pbft: {}: {damage}. What stands before that was read; ask for another copy.", source.directory.display());
        }
    }
    if !answer.names_somebody() {
        return print_text("nobody contradicted itself");
    }
    if !answer.lies.is_empty() {
        let file = |item: &Item| item.file.as_ref().map_or_else(String::new, |file| file.display().to_string());
        print_table(&["what is proven", "file"], answer.lies.iter().map(|item| [item.lie.clone(), file(item)]));
    }
    for Divergence { replica, sequence } in &answer.diverged {
        print_text(&format!("replica {replica} signed two states for the checkpoint at {sequence}: it diverged"));
    }
}
