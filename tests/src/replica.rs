use pbft_message::ReplicaId;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// One replica: its home, and the process that runs it, if one does.
#[derive(Debug)]
pub(crate) struct Replica {
    pub id: ReplicaId,
    pub home: PathBuf,
    pub address: SocketAddr,
    process: Option<Child>,
    starts: u32,
}

impl Replica {
    pub const fn new(id: ReplicaId, home: PathBuf, address: SocketAddr) -> Self {
        Self { id, home, address, process: None, starts: 0 }
    }

    /// Runs a command on this home; its log goes to a file of its own.
    pub fn run(&mut self, mut command: Command) {
        assert!(self.process.is_none(), "replica {} runs already", self.id);
        self.starts += 1;
        let log = File::create(self.log_path()).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.process = Some(command.spawn().expect("the replica's process starts"));
    }

    /// The newest process's log.
    pub fn log_path(&self) -> PathBuf {
        self.home.join(format!("log-{}", self.starts))
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    pub fn process_id(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    pub fn runs(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| process.try_wait().unwrap().is_none())
    }

    /// kill -9.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let id = self.process_id().expect("the replica runs").to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status().expect("the program kill runs");
        assert!(sent.success(), "cannot send {name} to replica {}", self.id);
    }

    /// Waits for the process's end: its exit code, or none if a signal ended it.
    pub fn wait(&mut self) -> Option<i32> {
        self.process.take().expect("the replica was started").wait().unwrap().code()
    }

    /// SIGTERM, and the exit code.
    pub fn stop(&mut self) -> Option<i32> {
        self.signal("TERM");
        self.wait()
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        let runs = self.runs();
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(25).collect();
            let lines: Vec<&str> = tail.into_iter().rev().collect();
            let state = if runs { "ran" } else { "did not run" };
            println!("--- replica {} (start {}, {state}), the log's end:\n{}", self.id, self.starts, lines.join("\n"));
        }
    }
}
