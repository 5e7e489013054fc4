//! `pbft`: the toolbox. Makes networks, runs replicas, honest and lying, and speaks to clusters.

mod bench;
mod client_home;
mod cluster;
mod commands;
mod demo;
mod failure;
mod output;
mod testnet;
mod usage;

use clap::{Parser, Subcommand};
use commands::*;
use tikv_jemallocator::Jemalloc;

// Faster than that of glibc, and holds less (docs/performance.md).
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Make, run and use Byzantine fault-tolerant clusters.
#[derive(Parser)]
#[command(name = "pbft", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Demo(commands::demo::Demo),
    Devnet(devnet::Devnet),
    Testnet(testnet_command::Testnet),
    Keygen(keygen::Keygen),
    Genesis(genesis::GenesisCommand),
    Put(kv::Put),
    Get(kv::Get),
    Delete(kv::Delete),
    Cas(kv::Cas),
    Range(kv::Range),
    Txn(kv::Txn),
    Request(request::RequestCommand),
    Client(commands::client::ClientCommand),
    Key(commands::key::KeyCommand),
    Status(status::Status),
    Doctor(doctor::Doctor),
    Drain(drain::Drain),
    Top(top::Top),
    Evidence(evidence::EvidenceCommand),
    Journal(journal::JournalCommand),
    Audit(audit::AuditCommand),
    Snapshot(snapshot::SnapshotCommand),
    Replica(replica::Replica),
    Byzantine(replica::Byzantine),
    Sim(sim::Sim),
    Bench(commands::bench::Bench),
    Man(manual::Man),
    Completions(manual::Completions),
    Version(version::Version),
}

fn main() -> std::process::ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return usage::end(&error).into(),
    };
    let ended = match arguments.command {
        Command::Demo(command) => command.run(),
        Command::Devnet(command) => command.run(),
        Command::Testnet(command) => command.run(),
        Command::Keygen(command) => command.run(),
        Command::Genesis(command) => command.run(),
        Command::Put(command) => command.run(),
        Command::Get(command) => command.run(),
        Command::Delete(command) => command.run(),
        Command::Cas(command) => command.run(),
        Command::Range(command) => command.run(),
        Command::Txn(command) => command.run(),
        Command::Request(command) => command.run(),
        Command::Client(command) => command.run(),
        Command::Key(command) => command.run(),
        Command::Status(command) => command.run(),
        Command::Doctor(command) => command.run(),
        Command::Drain(command) => command.run(),
        Command::Top(command) => command.run(),
        Command::Evidence(command) => command.run(),
        Command::Journal(command) => command.run(),
        Command::Audit(command) => command.run(),
        Command::Snapshot(command) => command.run(),
        Command::Replica(command) => command.run(),
        Command::Byzantine(command) => command.run(),
        Command::Sim(command) => command.run(),
        Command::Bench(command) => command.run(),
        Command::Man(command) => command.run(),
        Command::Completions(command) => command.run(),
        Command::Version(command) => command.run(),
    };
    ended.into()
}
