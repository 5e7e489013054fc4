use crate::failure::Failure;
use pbft_byzantine::Lie;
use std::fs::OpenOptions;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long a replica that was asked to end may take before it is killed.
const PATIENCE: Duration = Duration::from_secs(5);

/// How a replica behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduct {
    /// As the protocol says.
    Honest,
    /// It lies.
    Lying(Lie),
}

/// A replica's process. It ends with this value, and with this program, however that ends: its standard input is a
/// pipe from us, and it stops when the pipe closes.
pub struct ReplicaProcess {
    child: Child,
    /// Closed to ask the process to end.
    lifeline: Option<ChildStdin>,
    log: PathBuf,
}

impl ReplicaProcess {
    /// Starts this program as a replica. What it says goes to `replica.log` in its home, one JSON object a line.
    pub fn start(home: &Path, conduct: Conduct) -> Result<Self, Failure> {
        let log = home.join("replica.log");
        let failed = |error| Failure::io(format!("cannot start a replica in {}: {error}", home.display()));
        let output = OpenOptions::new().create(true).append(true).open(&log).map_err(failed)?;
        let mut command = Command::new(std::env::current_exe().map_err(failed)?);
        match conduct {
            Conduct::Honest => command.arg("replica"),
            Conduct::Lying(lie) => command.args(["byzantine", "--strategy", &lie.to_string()]),
        };
        command.arg("--home").arg(home).args(["--log-format", "json", "--end-with-stdin"]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(output);
        command.process_group(0); // Ctrl-C is for us: we end the replicas
        let mut child = command.spawn().map_err(failed)?;
        let lifeline = child.stdin.take();
        Ok(Self { child, lifeline, log })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where its log is.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// How it ended, if it did.
    pub fn exit(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Why it ended, for people: how, and its last words.
    pub fn why(&self, exit: &ExitStatus) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let words = log.lines().last().unwrap_or("it said nothing");
        format!("ended by itself, {exit}: {words} (log: {})", self.log.display())
    }

    /// Asks it to end.
    pub fn ask_to_end(&mut self) {
        self.lifeline = None;
    }

    /// Asks it to end, and waits. One that does not is killed.
    pub async fn stop(mut self) {
        self.ask_to_end();
        let asked = Instant::now();
        while self.exit().is_none() && asked.elapsed() < PATIENCE {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for ReplicaProcess {
    fn drop(&mut self) {
        // Both fail only if the process is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
