//! `pbft`: the toolbox. Makes networks, runs replicas, honest and lying, and speaks to clusters.

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

/// Make, run and use Byzantine fault-tolerant clusters.
#[derive(Parser)]
#[command(name = "pbft", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// See a cluster survive a dead and a lying primary, in a minute and with nothing prepared.
    Demo(commands::demo::Demo),
    /// Run a local cluster in the foreground, to play with.
    Devnet(devnet::Devnet),
    /// Make the files of a test network: genesis, and a home for each replica and client.
    Testnet(testnet_command::Testnet),
    /// Make a key pair.
    Keygen(keygen::Keygen),
    /// Look at a genesis: what organisations compare by telephone.
    Genesis(genesis::GenesisCommand),
    /// Set a key.
    Put(kv::Put),
    /// Read a key.
    Get(kv::Get),
    /// Delete a key.
    Delete(kv::Delete),
    /// Set a key only if it still is as expected.
    Cas(kv::Cas),
    /// Read many keys.
    Range(kv::Range),
    /// Run a transaction: compare, then one list of operations or another.
    Txn(kv::Txn),
    /// Ask what became of a request.
    Request(request::RequestCommand),
    /// Show where every replica stands.
    Status(status::Status),
    /// Show and verify the proofs of lies.
    Evidence(evidence::EvidenceCommand),
    /// Run one honest replica in the foreground, as pbftd does.
    Replica(replica::Replica),
    /// Run a lying replica in a test network.
    Byzantine(replica::Byzantine),
    /// Simulate whole clusters, with lies, crashes and bad networks, from seeds.
    Sim(sim::Sim),
    /// Show the versions of this program, its wire format and its protocol.
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
        Command::Status(command) => command.run(),
        Command::Evidence(command) => command.run(),
        Command::Replica(command) => command.run(),
        Command::Byzantine(command) => command.run(),
        Command::Sim(command) => command.run(),
        Command::Version(command) => command.run(),
    };
    ended.into()
}
