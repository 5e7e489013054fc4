//! `pbft snapshot verify`.

use super::{failure, open};
use crate::client_home::read_genesis;
use crate::failure::Failure;
use crate::output::{FormatOption, print_text};
use pbft_crypto::Digest;
use pbft_message::Authenticator;
use pbft_node::ExitCode;
use pbft_replica::verify_snapshot;
use serde::Serialize;
use std::path::PathBuf;
use std::sync::Arc;

#[derive(clap::Args)]
pub struct Verify {
    /// The file that `pbft snapshot save` wrote.
    file: PathBuf,
    /// The genesis of the cluster.
    #[arg(long, value_name = "FILE")]
    genesis: PathBuf,
    #[command(flatten)]
    output: FormatOption,
}

#[derive(Serialize)]
struct Answer {
    ok: bool,
    cluster_id: Digest,
    sequence: u64,
    state_root: Digest,
    /// Whose signatures certify the state.
    signers: Vec<u32>,
}

impl Verify {
    pub fn run(self) -> ExitCode {
        self.output.format.end(self.verify().map(|answer| (answer, ExitCode::Yes)), |answer| {
            let Answer { sequence, signers, state_root, .. } = answer;
            print_text(&format!("valid: the state at {sequence}, {}, certified by the replicas {signers:?}", state_root.short()));
        })
    }

    fn verify(&self) -> Result<Answer, Failure> {
        let genesis = Arc::new(read_genesis(&self.genesis)?);
        let cluster_id = genesis.cluster_id();
        let (certificate, _) = verify_snapshot(open(&self.file)?, &Authenticator::new(genesis)).map_err(failure)?;
        let signers = certificate.checkpoints.iter().map(|(signer, _)| signer.0).collect();
        Ok(Answer { ok: true, cluster_id, sequence: certificate.sequence.0, state_root: certificate.digest, signers })
    }
}
