//! `pbft snapshot restore`.

use super::{failure, open};
use crate::failure::Failure;
use crate::output::{FormatOption, print_text};
use pbft_message::Authenticator;
use pbft_node::{ExitCode, Home};
use pbft_replica::{RestoredInto, restore_snapshot, verify_snapshot};
use pbft_storage::{FileDisk, Identity};
use serde::Serialize;
use std::fs;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Restore {
    /// The file that `pbft snapshot save` wrote, of any replica of the cluster.
    file: PathBuf,
    /// The replica's home.
    #[arg(long, env = "PBFT_HOME", value_name = "DIR")]
    home: PathBuf,
    #[command(flatten)]
    output: FormatOption,
}

#[derive(Serialize)]
struct Answer {
    ok: bool,
    replica: u32,
    sequence: u64,
    /// There is no journal: the replica may come back as a learner only (R16).
    learner: bool,
}

impl Restore {
    pub fn run(self) -> ExitCode {
        self.output.format.end(self.restore().map(|answer| (answer, ExitCode::Yes)), show)
    }

    fn restore(&self) -> Result<Answer, Failure> {
        let home = Home::load(&self.home).map_err(|error| Failure::new(error.exit_code(), "Home", error))?;
        let authenticator = Authenticator::new(home.genesis.clone());
        let (certificate, _) = verify_snapshot(open(&self.file)?, &authenticator).map_err(failure)?;
        let data = home.data();
        fs::create_dir_all(&data).map_err(|error| Failure::io(format!("cannot create {}: {error}", data.display())))?;
        let disk = FileDisk::open(&data).map_err(Failure::io)?;
        let identity = Identity { cluster: home.genesis.cluster_id(), owner: home.signing_key.public() };
        let into = restore_snapshot((disk.share(), disk), &identity, open(&self.file)?, &certificate).map_err(failure)?;
        let learner = into == RestoredInto::NoJournal;
        Ok(Answer { ok: true, replica: home.config.replica.0, sequence: certificate.sequence.0, learner })
    }
}

fn show(answer: &Answer) {
    let Answer { replica, sequence, .. } = answer;
    print_text(&format!("replica {replica} has the state at {sequence}"));
    if answer.learner {
        print_text("it has no journal, and must not vote: start it with pbftd start --rejoin");
    }
}
