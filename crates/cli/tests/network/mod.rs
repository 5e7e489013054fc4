//! A network of real replica processes, and the toolbox as a user runs it.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use serde_json::Value;
use std::io::Write;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Ended {
    /// Standard output, which must be exactly one JSON document.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|error| panic!("not one JSON document: {error}: {self:?}"))
    }

    pub fn text(&self) -> &str {
        str::from_utf8(&self.stdout).expect("text")
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        Self { code: output.status.code().expect("ended by itself"), stdout: output.stdout, stderr }
    }
}

/// The toolbox, without what the environment may say.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pbft"));
    command.env_remove("PBFT_HOME").env_remove("PBFT_TIMEOUT").stdin(Stdio::null());
    command
}

/// Runs the toolbox.
pub fn pbft(arguments: &[&str]) -> Ended {
    command().args(arguments).output().expect("pbft runs").into()
}

/// Runs the toolbox with standard input.
pub fn pbft_with_input(arguments: &[&str], input: &[u8]) -> Ended {
    let mut command = command();
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("pbft runs");
    child.stdin.take().expect("piped").write_all(input).expect("it reads");
    child.wait_with_output().expect("pbft ends").into()
}

pub fn path(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// Four replicas' processes, which are killed when this is dropped, and a client's folder.
pub struct Network {
    folder: TempDir,
    replicas: Vec<Child>,
}

impl Network {
    /// Makes a network and starts its replicas; the first one lies if `liar` says how.
    pub fn start(liar: Option<&str>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let base_port = free_ports(4).to_string();
        let output = folder.path().join("net");
        let made = pbft(&["testnet", "--replicas", "4", "--clients", "2", "--output", path(&output), "--base-port", &base_port]);
        assert_eq!(made.code, 0, "{made:?}");
        let replicas = (0..4).map(|replica| start(&output, replica, liar)).collect();
        let network = Self { folder, replicas };
        let stable = network.pbft(&["status", "--wait-stable", "--timeout", "60s"]);
        assert_eq!(stable.code, 0, "{stable:?}");
        network
    }

    /// Ends a replica as a power cut would.
    pub fn kill(&mut self, replica: usize) {
        let child = &mut self.replicas[replica];
        child.kill().expect("it runs");
        child.wait().expect("it ends");
    }

    /// Ends a replica as a power cut would, if it runs, and starts it again.
    pub fn restart(&mut self, replica: usize) {
        let child = &mut self.replicas[replica];
        // Both fail only if it is gone already.
        let _ = child.kill();
        let _ = child.wait();
        let number = u32::try_from(replica).expect("a replica's number");
        self.replicas[replica] = start(&self.folder.path().join("net"), number, None);
    }

    pub fn client(&self) -> PathBuf {
        self.folder.path().join("net/client-0")
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn home(&self, replica: usize) -> PathBuf {
        self.folder.path().join(format!("net/replica-{replica}"))
    }

    pub fn genesis(&self) -> PathBuf {
        self.folder.path().join("net/genesis.toml")
    }

    /// Runs a client command.
    pub fn pbft(&self, arguments: &[&str]) -> Ended {
        command().args(arguments).env("PBFT_HOME", self.client()).output().expect("pbft runs").into()
    }

    /// Runs a client command with `-o json`: its exit code and its document.
    pub fn json(&self, arguments: &[&str]) -> (i32, Value) {
        let ended = self.pbft(&[arguments, &["-o", "json"]].concat());
        (ended.code, ended.json())
    }

    /// The evidence, as soon as a replica has two proposals for one number.
    pub fn evidence(&self) -> Vec<Value> {
        let started = Instant::now();
        loop {
            let (code, found) = self.json(&["evidence", "list"]);
            assert_eq!(code, 0, "{found}");
            let items = found.as_array().expect("a list").clone();
            if items.iter().any(|item| item["kind"] == "two_pre_prepares") || started.elapsed() > Duration::from_secs(30) {
                return items;
            }
        }
    }

    /// Runs a client command that reads standard input, with `-o json`.
    pub fn json_with_input(&self, arguments: &[&str], input: &[u8]) -> (i32, Value) {
        let home = self.client();
        let ended = pbft_with_input(&[arguments, &["--home", path(&home), "-o", "json"]].concat(), input);
        (ended.code, ended.json())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for child in &mut self.replicas {
            // Both fail only if it is gone already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn start(output: &Path, replica: u32, liar: Option<&str>) -> Child {
    let mut command = command();
    match liar {
        Some(strategy) if replica == 0 => command.args(["byzantine", "--strategy", strategy]),
        _ => command.arg("replica"),
    };
    command.arg("--home").arg(output.join(format!("replica-{replica}")));
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a replica starts")
}

/// The first of so many free UDP ports in a row.
fn free_ports(count: u16) -> u16 {
    let bind = |port| UdpSocket::bind((Ipv4Addr::LOCALHOST, port));
    for _ in 0..100 {
        let first = bind(0).expect("a port");
        let base = first.local_addr().expect("an address").port();
        let others: Option<Vec<UdpSocket>> = (1..count).map(|number| bind(base.checked_add(number)?).ok()).collect();
        if others.is_some() {
            return base;
        }
    }
    panic!("no {count} free UDP ports in a row");
}
