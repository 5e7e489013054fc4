//! The command line of `pbftd`. Here, so that man pages and completions can be made of it.

use crate::LogFormat;
use clap::{Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;

/// A replica of a Byzantine fault-tolerant service.
#[derive(Parser)]
#[command(
    name = "pbftd",
    version,
    after_help = "Examples:\n  pbftd check --home net/replica-0\n  pbftd start --home net/replica-0 --log-format json"
)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What `pbftd` can do.
#[derive(Subcommand)]
pub enum Command {
    /// Run one replica in the foreground; SIGTERM or Ctrl-C ends it cleanly, a primary after it handed over.
    #[command(after_help = "Examples:\n  pbftd start --home net/replica-0\n  pbftd start --home net/replica-0 --rejoin")]
    Start {
        /// Which.
        #[command(flatten)]
        home: HomeArguments,
        /// Come back after the disk was lost, as a learner: it follows and serves, and never votes under this key again. Only where
        /// data/ holds no journal; later starts need it no more.
        #[arg(long)]
        rejoin: bool,
        /// How log lines on standard error look: text or json. PBFT_LOG filters them, for example PBFT_LOG=debug.
        #[arg(long, env = "PBFT_LOG_FORMAT", default_value = "text")]
        log_format: LogFormat,
    },
    /// Let a replica that stopped voting over its state fetch a certified one: when it next starts, it takes the state of the newest
    /// stable checkpoint from the others, and votes again once that is on its disk. What it signed stays remembered; the state that
    /// differed stays in data/. The replica must not run.
    #[command(after_help = "Example:\n  pbftd repair --from-certificate --home net/replica-0")]
    Repair {
        /// Which.
        #[command(flatten)]
        home: HomeArguments,
        /// The operator's word: the own state is given up for the one that a quorum certified.
        #[arg(long, required = true)]
        from_certificate: bool,
    },
    /// Ask a replica that runs whether it is ready, as `/readyz` tells: exit code 0 if it is, otherwise 1, with the reason. For
    /// containers, which have no curl.
    #[command(after_help = "Example:\n  pbftd healthcheck --home net/replica-0")]
    Healthcheck {
        /// Which.
        #[command(flatten)]
        home: HomeArguments,
    },
    /// Check a home without starting anything: configuration, genesis, keys.
    #[command(after_help = "Example:\n  pbftd check --home net/replica-0")]
    Check {
        /// Which.
        #[command(flatten)]
        home: HomeArguments,
    },
}

/// Which home, and where it listens.
#[derive(clap::Args)]
pub struct HomeArguments {
    /// The replica's folder, as `pbft testnet` makes it.
    #[arg(long, env = "PBFT_HOME")]
    pub home: PathBuf,
    /// Listen here instead of where config.toml says.
    #[arg(long, env = "PBFT_LISTEN")]
    pub listen: Option<SocketAddr>,
    /// Listen here for clients instead of where config.toml says.
    #[arg(long, env = "PBFT_LISTEN_CLIENTS")]
    pub listen_clients: Option<SocketAddr>,
    /// Tell over HTTP here how the replica is, instead of where config.toml says.
    #[arg(long, env = "PBFT_HTTP")]
    pub http: Option<SocketAddr>,
}
