//! `pbft drain`.

use crate::failure::Failure;
use crate::output::{FormatOption, print_text};
use pbft_node::{ExitCode, Home};
use pbft_storage::{FileDisk, LockError};
use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How often it looks whether the replica has stopped.
const LOOK: Duration = Duration::from_millis(20);

/// Stop a replica of this machine without a pause for its clients.
///
/// Stop a replica of this machine. A primary hands over to the next one first, so that clients notice nothing; the command returns
/// once the process has ended. SIGTERM does the same. Exit code 1 if the replica does not run.
#[derive(clap::Args)]
#[command(
    after_help = "Example, a rolling restart:\n  pbft drain --home net/replica-0 && pbftd start --home net/replica-0 &\n  pbft status --home net/client-0 --wait-stable"
)]
pub struct Drain {
    /// The replica's folder.
    #[arg(long, env = "PBFT_HOME")]
    home: PathBuf,
    /// How long to wait for its end.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = crate::client_home::parse_time)]
    timeout: Duration,
    #[command(flatten)]
    output: FormatOption,
}

#[derive(Serialize)]
struct Answer {
    ok: bool,
    replica: u32,
    /// The process that was stopped; none if the replica did not run.
    pid: Option<u32>,
}

impl Drain {
    pub fn run(self) -> ExitCode {
        self.output.format.end(self.drain(), |answer| match answer.pid {
            Some(pid) => print_text(&format!("replica {} has stopped (process {pid})", answer.replica)),
            None => print_text(&format!("replica {} does not run", answer.replica)),
        })
    }

    fn drain(&self) -> Result<(Answer, ExitCode), Failure> {
        let home = Home::load(&self.home).map_err(|error| Failure::new(error.exit_code(), "Home", error))?;
        let replica = home.config.replica.0;
        let holder = || match FileDisk::holder(&home.data()) {
            Err(LockError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
            other => other.map_err(Failure::io),
        };
        let Some(pid) = holder()? else { return Ok((Answer { ok: false, replica, pid: None }, ExitCode::No)) };
        terminate(pid)?;
        let began = Instant::now();
        while matches!(holder(), Ok(Some(held)) if held == pid) {
            if began.elapsed() >= self.timeout {
                let message =
                    format!("replica {replica} (process {pid}) has not stopped after {:?}: look at its log", self.timeout);
                return Err(Failure::new(ExitCode::Unknown, "NotStopped", message));
            }
            sleep(LOOK);
        }
        Ok((Answer { ok: true, replica, pid: Some(pid) }, ExitCode::Yes))
    }
}

/// SIGTERM.
fn terminate(pid: u32) -> Result<(), Failure> {
    let process = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let process = process.ok_or_else(|| Failure::io(format!("data/LOCK names process {pid}, which cannot be")))?;
    kill_process(process, Signal::TERM).map_err(|error| Failure::io(format!("cannot stop process {pid}: {error}")))
}
