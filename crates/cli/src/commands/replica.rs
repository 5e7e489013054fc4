//! `pbft replica` and `pbft byzantine`: one replica in the foreground.

use super::strategies::strategies;
use crate::failure::Failure;
use crate::output::Format;
use pbft_byzantine::{Context, Lie};
use pbft_message::{Authenticator, Signer};
use pbft_node::{ExitCode, Home, LogFormat, run_named_service, runtime, start_logging, stop_on_signals};
use pbft_protocol::Outbound;
use std::path::PathBuf;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long a replica may take to stop once standard input has ended.
const GRACE: Duration = Duration::from_secs(10);

/// Run one honest replica in the foreground, as pbftd does.
///
/// Run one honest replica in the foreground.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  pbft replica --home net/replica-0")]
pub struct Replica {
    /// The replica's folder, as `pbft testnet` makes it.
    #[arg(long, env = "PBFT_HOME")]
    home: PathBuf,
    /// How log lines on standard error look: text or json.
    #[arg(long, env = "PBFT_LOG_FORMAT", default_value = "text")]
    log_format: LogFormat,
    /// End when standard input closes, as it does when the program that started this one is gone.
    #[arg(long, hide = true)]
    end_with_stdin: bool,
}

/// Run a lying replica in a test network.
///
/// Run a lying replica. Only a genesis that is marked as a test network is accepted.
#[derive(clap::Args)]
#[command(after_help = format!("{}\n\nExample:\n  pbft byzantine --home net/replica-0 --strategy equivocate", strategies()))]
pub struct Byzantine {
    /// The replica's folder, as `pbft testnet` makes it.
    #[arg(long, env = "PBFT_HOME")]
    home: PathBuf,
    /// How it lies: NAME, or intermittent:NAME to lie only after a view change. The names are below.
    #[arg(long, value_name = "NAME")]
    strategy: Lie,
    /// How log lines on standard error look: text or json.
    #[arg(long, env = "PBFT_LOG_FORMAT", default_value = "text")]
    log_format: LogFormat,
    /// End when standard input closes, as it does when the program that started this one is gone.
    #[arg(long, hide = true)]
    end_with_stdin: bool,
}

impl Replica {
    pub fn run(self) -> ExitCode {
        start_logging(self.log_format);
        end(load(&self.home).and_then(|home| run_until_signal(home, None, self.end_with_stdin)))
    }
}

impl Byzantine {
    pub fn run(self) -> ExitCode {
        start_logging(self.log_format);
        end(load(&self.home).and_then(|home| {
            let outbound = lying(&home, self.strategy)?;
            run_until_signal(home, Some(outbound), self.end_with_stdin)
        }))
    }
}

fn lying(home: &Home, lie: Lie) -> Result<Outbound, Failure> {
    if !home.genesis.test_network {
        let message = "this genesis is not marked as a test network (test_network = true): no replica may lie in it";
        return Err(Failure::new(ExitCode::Configuration, "NotATestNetwork", message));
    }
    let authenticator = Authenticator::new(home.genesis.clone());
    let signer = Signer::new(home.config.replica, *authenticator.domain(), home.signing_key.clone());
    tracing::warn!(event = "lying", strategy = %lie, "this replica lies");
    let seed = u64::from(signer.replica().0);
    Ok(lie.outbound(&Context { authenticator, signer, seed }))
}

fn load(path: &std::path::Path) -> Result<Home, Failure> {
    Home::load(path).map_err(|error| Failure::new(error.exit_code(), "Home", error))
}

fn run_until_signal(home: Home, outbound: Option<Outbound>, end_with_stdin: bool) -> Result<(), Failure> {
    let runtime = runtime().map_err(Failure::io)?;
    runtime.block_on(async {
        let stop = stop_on_signals().map_err(Failure::io)?;
        if end_with_stdin {
            watch_stdin(stop.clone())?;
        }
        run_named_service(home, outbound, stop).await.map_err(|error| Failure::new(error.exit_code(), "Replica", error))
    })
}

/// Stops the replica when standard input ends. One that then does not stop ends all the same: nobody is left to kill it.
fn watch_stdin(stop: CancellationToken) -> Result<(), Failure> {
    let watch = move || {
        // An error is an end too.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        stop.cancel();
        std::thread::sleep(GRACE);
        std::process::exit(i32::from(ExitCode::Io as u8));
    };
    std::thread::Builder::new().name("stdin".to_owned()).spawn(watch).map(drop).map_err(Failure::io)
}

fn end(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::Yes,
        Err(failure) => Format::Table.fail(&failure),
    }
}
