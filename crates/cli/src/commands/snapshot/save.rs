//! `pbft snapshot save`.

use super::{failure, folder_and_name};
use crate::client_home::read_genesis;
use crate::commands::data::data_directory;
use crate::failure::Failure;
use crate::output::{FormatOption, print_text};
use pbft_crypto::Digest;
use pbft_message::{Authenticator, Genesis, StableCertificate};
use pbft_node::ExitCode;
use pbft_protocol::execution::FrozenState;
use pbft_replica::{BackupError, newest_stable_state};
use pbft_services::{kv::KeyValueStore, null::NullService};
use pbft_storage::{FileDisk, Identity, Journal, LockError, write_snapshot};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A running replica's journal may begin anew while it is read: then it is read again, no more often than this.
const ATTEMPTS: usize = 5;

#[derive(clap::Args)]
pub struct Save {
    /// The replica's home.
    #[arg(value_name = "DIR")]
    home: PathBuf,
    /// The file to be written.
    file: PathBuf,
    #[command(flatten)]
    output: FormatOption,
}

#[derive(Serialize)]
struct Answer {
    ok: bool,
    cluster_id: Digest,
    sequence: u64,
    state_root: Digest,
    file: PathBuf,
}

impl Save {
    pub fn run(self) -> ExitCode {
        self.output.format.end(self.save().map(|answer| (answer, ExitCode::Yes)), |answer| {
            print_text(&format!("{}: the state at {}", answer.file.display(), answer.sequence));
        })
    }

    fn save(&self) -> Result<Answer, Failure> {
        let genesis = Arc::new(read_genesis(&self.home.join("genesis.toml"))?);
        let (identity, (state, certificate)) = read(&data_directory(&self.home), &genesis)?;
        let (mut folder, name) = folder_and_name(&self.file)?;
        let whose = (&identity, certificate.sequence.0);
        write_snapshot(&mut folder, name, whose, &state.header(&certificate), state.chunks().map(Ok))
            .map_err(|error| failure(error.into()))?;
        Ok(Answer {
            ok: true,
            cluster_id: genesis.cluster_id(),
            sequence: certificate.sequence.0,
            state_root: certificate.digest,
            file: self.file.clone(),
        })
    }
}

type Found = (Identity, (FrozenState, StableCertificate));

/// What a running replica changes meanwhile shows as a contradiction in its files; what comes of them in the end is the
/// certified state, or nothing.
fn read(data: &Path, genesis: &Arc<Genesis>) -> Result<Found, Failure> {
    match FileDisk::open_to_read(data) {
        Ok(disk) => newest(disk, genesis),
        Err(LockError::Locked { .. }) => {
            let read = || newest(FileDisk::open_unlocked(data).map_err(Failure::io)?, genesis);
            let mut found = read();
            for _ in 1..ATTEMPTS {
                found = found.or_else(|_| read());
            }
            found
        }
        Err(error) => Err(Failure::io(error)),
    }
}

fn newest(disk: FileDisk, genesis: &Arc<Genesis>) -> Result<Found, Failure> {
    let authenticator = Authenticator::new(genesis.clone());
    let identity = Journal::read(disk.share(), |_, _| {}).map_err(|error| failure(error.into()))?.identity;
    if identity.cluster != genesis.cluster_id() {
        return Err(Failure::configuration(format!("the journal is of {identity}, not of the cluster of this genesis")));
    }
    let disks = (disk.share(), disk);
    let found: Result<_, BackupError> = match genesis.service.name.as_str() {
        "kv" => newest_stable_state(disks, KeyValueStore::new(&genesis.service), &authenticator),
        "null" => newest_stable_state(disks, NullService, &authenticator),
        other => return Err(Failure::configuration(format!("the genesis names the service {other}: kv and null are built in"))),
    };
    Ok((identity, found.map_err(failure)?))
}
