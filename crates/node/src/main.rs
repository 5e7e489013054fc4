//! `pbftd`: one honest replica.

use clap::Parser;
use pbft_node::arguments::{Arguments, Command, HomeArguments};
use pbft_node::{
    ExitCode, Home, LogFormat, healthcheck, rejoin, repair, run_named_service, runtime, start_logging, stop_on_signals,
};
use std::io::Write;
use tikv_jemallocator::Jemalloc;

// Faster than that of glibc, and holds less (docs/performance.md).
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> std::process::ExitCode {
    let arguments = Arguments::parse();
    let ended = match arguments.command {
        Command::Start { home, rejoin, log_format } => start(&home, rejoin, log_format),
        Command::Repair { home, from_certificate: _ } => mend(&home),
        Command::Healthcheck { home } => ask(&home),
        Command::Check { home } => check(&home),
    };
    ended
        .unwrap_or_else(|(message, code)| {
            // Standard error may be gone, or full: the code says enough.
            let _ = writeln!(std::io::stderr(), "pbftd: {message}");
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
    if arguments.listen_clients.is_some() {
        home.config.listen_clients = arguments.listen_clients;
    }
    if arguments.http.is_some() {
        home.config.http = arguments.http;
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

fn ask(arguments: &HomeArguments) -> Ended {
    let address = load(arguments)?.config.http_address();
    let failed = |error| (format!("nobody answers at http://{address}/readyz: {error}"), ExitCode::No);
    let (is_ready, words) = healthcheck(address).map_err(failed)?;
    println!("{words}");
    Ok(if is_ready { ExitCode::Yes } else { ExitCode::No })
}

fn mend(arguments: &HomeArguments) -> Ended {
    let alarm = repair(&load(arguments)?).map_err(|error| (error.to_string(), error.exit_code()))?;
    println!("was halted: {alarm}");
    println!("the next start fetches the state of the newest stable checkpoint; votes follow once that is on the disk");
    Ok(ExitCode::Yes)
}

fn start(arguments: &HomeArguments, as_learner: bool, log_format: LogFormat) -> Ended {
    start_logging(log_format);
    let home = load(arguments)?;
    if as_learner {
        rejoin(&home).map_err(|error| (error.to_string(), error.exit_code()))?;
        tracing::warn!(
            event = "rejoin",
            replica = home.config.replica.0,
            "the journal is lost: this replica follows, and never votes"
        );
    }
    let io_error = |error: std::io::Error| (error.to_string(), ExitCode::Io);
    let runtime = runtime().map_err(io_error)?;
    runtime.block_on(async {
        let stop = stop_on_signals().map_err(io_error)?;
        run_named_service(home, None, stop).await.map_err(|error| (error.to_string(), error.exit_code()))
    })?;
    Ok(ExitCode::Yes)
}
