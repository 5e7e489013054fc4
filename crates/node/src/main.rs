//! `pbftd`: one honest replica.

use clap::{Parser, Subcommand};
use pbft_node::{ExitCode, Home, LogFormat, run_named_service, start_logging, stop_on_signals};
use std::net::SocketAddr;
use std::path::PathBuf;

/// A replica of a Byzantine fault-tolerant service.
#[derive(Parser)]
#[command(
    version,
    after_help = "Examples:\n  pbftd check --home net/replica-0\n  pbftd start --home net/replica-0 --log-format json"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run one replica in the foreground; SIGTERM or Ctrl-C ends it cleanly.
    #[command(after_help = "Example:\n  pbftd start --home net/replica-0")]
    Start {
        #[command(flatten)]
        home: HomeArguments,
        /// How log lines on standard error look: text or json. PBFT_LOG filters them, for example PBFT_LOG=debug.
        #[arg(long, env = "PBFT_LOG_FORMAT", default_value = "text")]
        log_format: LogFormat,
    },
    /// Check a home without starting anything: configuration, genesis, keys.
    #[command(after_help = "Example:\n  pbftd check --home net/replica-0")]
    Check {
        #[command(flatten)]
        home: HomeArguments,
    },
}

#[derive(clap::Args)]
struct HomeArguments {
    /// The replica's folder, as `pbft testnet` makes it.
    #[arg(long, env = "PBFT_HOME")]
    home: PathBuf,
    /// Listen here instead of where config.toml says.
    #[arg(long, env = "PBFT_LISTEN")]
    listen: Option<SocketAddr>,
}

fn main() -> std::process::ExitCode {
    let arguments = Arguments::parse();
    let ended = match arguments.command {
        Command::Start { home, log_format } => start(&home, log_format),
        Command::Check { home } => check(&home),
    };
    ended
        .unwrap_or_else(|(message, code)| {
            eprintln!("pbftd: {message}");
            code
        })
        .into()
}

type Ended = Result<ExitCode, (String, ExitCode)>;

fn load(arguments: &HomeArguments) -> Result<Home, (String, ExitCode)> {
    let mut home = Home::load(&arguments.home).map_err(|error| (error.to_string(), error.exit_code()))?;
    if let Some(listen) = arguments.listen {
        home.config.listen = listen;
    }
    Ok(home)
}

fn check(arguments: &HomeArguments) -> Ended {
    let home = load(arguments)?;
    home.check_data().map_err(|error| (error.to_string(), error.exit_code()))?;
    let genesis = &home.genesis;
    println!(
        "replica {} of {} (f = {}), cluster {}",
        home.config.replica,
        genesis.replica_count(),
        genesis.max_faulty(),
        genesis.cluster_id()
    );
    println!("{} is in order", home.path.display());
    Ok(ExitCode::Yes)
}

fn start(arguments: &HomeArguments, log_format: LogFormat) -> Ended {
    start_logging(log_format);
    let home = load(arguments)?;
    let io_error = |error: std::io::Error| (error.to_string(), ExitCode::Io);
    let runtime = tokio::runtime::Runtime::new().map_err(io_error)?;
    runtime.block_on(async {
        let stop = stop_on_signals().map_err(io_error)?;
        run_named_service(home, None, stop).await.map_err(|error| (error.to_string(), error.exit_code()))
    })?;
    Ok(ExitCode::Yes)
}
