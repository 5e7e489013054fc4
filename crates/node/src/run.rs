use crate::backlog::JOURNAL_BYTES;
use crate::clock::Clock;
use crate::greeter::ReplicaGreeter;
use crate::http::{HttpError, Instruments, Running};
use crate::metered::Metered;
use crate::postman::Postman;
use crate::queues::Queue;
use crate::room::CLIENT_BYTES;
use crate::shared::Shared;
use crate::threads::{Arriving, Common, FROM_REPLICAS, QUESTIONS};
use crate::{ExitCode, Home, HomeError};
use pbft_message::{Authenticator, Genesis, Parameters, Signer, alpn};
use pbft_network::{BindError, Channels, Class, Dial, Directory, Endpoint, Settings};
use pbft_protocol::Outbound;
use pbft_protocol::agreement::Config;
use pbft_protocol::service::Service;
use pbft_replica::{ExecutionError, GROUP_BYTES, Recovered, RecoveryError, recover};
use pbft_services::kv::KeyValueStore;
use pbft_services::null::NullService;
use pbft_storage::{DiskError, FileDisk, Journal, JournalError, OpenError, SnapshotError};
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::io;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Frames of replicas and clients that wait to be decoded; a frame may be large.
const INBOUND: usize = 64;

/// Why a replica did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The home is not usable.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The service that the genesis names is not built in.
    #[error("the genesis names the service {0}, which this program does not have: kv or null")]
    UnknownService(String),
    /// The journal did not open.
    #[error(
        "the journal in {path} is not usable: {source}. If it is lost, move {path} away and start with --rejoin: the replica then \
         follows, and never votes"
    )]
    Journal {
        /// The data directory.
        path: std::path::PathBuf,
        /// Why.
        source: OpenError,
    },
    /// The disk failed while the journal was opened. Nothing is known to be lost.
    #[error("the disk under {path} failed: {source}; check it, and start again: what is durable is not lost")]
    Disk {
        /// The data directory.
        path: std::path::PathBuf,
        /// What the system said.
        source: DiskError,
    },
    /// The disk does not hold what this replica can go on from.
    #[error("cannot go on from {path}: {source}")]
    Recovery {
        /// The data directory.
        path: std::path::PathBuf,
        /// Why.
        source: RecoveryError,
    },
    /// The port.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The address for HTTP.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The disk failed while running.
    #[error("the replica ended so as not to contradict itself: {0}")]
    JournalFailed(JournalError),
    /// A snapshot could not be written.
    #[error("the replica ended, a snapshot could not be written: {0}; check the disk, a restart goes on from what is durable")]
    SnapshotFailed(SnapshotError),
    /// Execution cannot go on.
    #[error("execution cannot go on: {0}")]
    Execution(ExecutionError),
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
    /// A thread ended that should not.
    #[error("the thread {0} ended unexpectedly: a defect of this program or of the service; the log says more")]
    ThreadEnded(&'static str),
}

impl RunError {
    /// The process's exit code for this error.
    pub const fn exit_code(&self) -> ExitCode {
        match self {
            Self::Home(error) => error.exit_code(),
            // A disk that failed may be well at the next start. What is damaged or another's stays so.
            Self::UnknownService(_) | Self::Journal { .. } => ExitCode::Configuration,
            Self::Recovery { source, .. } => of_recovery(source),
            _ => ExitCode::Io,
        }
    }
}

/// Trying again helps only where the disk failed.
pub(crate) const fn of_recovery(error: &RecoveryError) -> ExitCode {
    match error {
        RecoveryError::Journal(OpenError::Disk(_))
        | RecoveryError::Fetched(_)
        | RecoveryError::Snapshot(SnapshotError::Disk(_) | SnapshotError::Full(_)) => ExitCode::Io,
        _ => ExitCode::Configuration,
    }
}

/// Runs a replica of the built-in service that its genesis names, until `stop` is cancelled.
pub async fn run_named_service(home: Home, outbound: Option<Outbound>, stop: CancellationToken) -> Result<(), RunError> {
    match home.genesis.service.name.as_str() {
        "kv" => {
            let service = KeyValueStore::new(&home.genesis.service);
            run(home, service, outbound, stop).await
        }
        "null" => run(home, NullService, outbound, stop).await,
        other => Err(RunError::UnknownService(other.to_owned())),
    }
}

/// Runs one replica of `service` until `stop` is cancelled. `outbound` stands between it and the network; an honest
/// replica has none. Needs a multi-threaded tokio runtime.
///
/// A daemon of your own service is little more than this; `service.name` in the genesis is for it to compare:
///
/// ```no_run
/// use pbft_node::{Home, LogFormat, run, runtime, start_logging, stop_on_signals};
/// # use pbft_services::null::NullService as YourService;
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     start_logging(LogFormat::Text);
///     let home = Home::load("net/replica-0".as_ref())?;
///     runtime()?.block_on(async { Ok(run(home, YourService, None, stop_on_signals()?).await?) })
/// }
/// ```
pub async fn run<S: Service>(home: Home, service: S, outbound: Option<Outbound>, stop: CancellationToken) -> Result<(), RunError> {
    let clock = Clock::start();
    // Whoever starts a replica twice is told that, and not that its ports are in use.
    home.check_data()?;
    let disk = FileDisk::open(&home.data()).map_err(HomeError::Lock)?;
    let shared = Arc::new(Shared::new(home.genesis.replica_count()));
    let instruments = Arc::new(Instruments::new(&home, shared.clone(), clock, memory_bound(&home)));
    let http = home.config.http_address();
    // Before the journal is read, which may take long: whoever asks then hears that the replica is starting.
    let mut watching = JoinSet::new();
    watching.spawn(crate::http::serve(crate::http::listen(http)?, instruments.clone()));
    watching.spawn(crate::log::report_left_out_regularly());

    let (service, hashing) = Metered::new(service);
    let authenticator = Authenticator::new(home.genesis.clone());
    let pool = verification_pool()?;
    let recovered = open((&home, disk), service, &authenticator, clock, &pool)?;
    let (channels, from_replicas, from_clients) = channels();
    let of_network = |(name, sender)| Queue::of_tasks(name, sender);
    let mut queues: Vec<Queue> =
        [("intake_replicas", &channels.replicas), ("intake_clients", &channels.clients)].map(of_network).into();
    let greeter = Arc::new(ReplicaGreeter::new(home.config.replica, &home.genesis, shared.clone()));
    let directory = directory(&home.genesis);
    let endpoint = Endpoint::bind(settings(&home), directory.clone(), greeter, channels)?;
    let postman = Postman::new(endpoint.clone(), clock, home.config.replica, &home.genesis, outbound, (directory, shared.clone()));
    let common = Common { authenticator, pool, clock, shared, instruments: instruments.clone(), postman };
    let threads = crate::threads::start(&home, (recovered, hashing), common, (from_replicas, from_clients), &mut queues)?;
    let _dials = dial_others(&home, &endpoint)?;
    instruments.started(Running { endpoint: endpoint.clone(), queues });
    drop(instruments);
    let listen = home.config.listen;
    tracing::info!(
        event = "ready",
        replica = home.config.replica.0,
        cluster = %home.genesis.cluster_id(),
        %listen,
        %http,
        memory_bound_mb = memory_bound(&home) >> 20,
        "replica ready"
    );
    let ended = threads.wait(stop).await;
    watching.shutdown().await;
    endpoint.shutdown().await;
    tracing::info!(event = "stopped", replica = home.config.replica.0, "replica stopped");
    ended
}

/// Journal, newest snapshot, core and executor as they were.
fn open<S: Service>(
    (home, disk): (&Home, FileDisk),
    service: S,
    authenticator: &Authenticator,
    clock: Clock,
    pool: &ThreadPool,
) -> Result<Recovered<FileDisk, S>, RunError> {
    let disk_error = |source| RunError::Disk { path: home.data(), source };
    Journal::bind(disk.share(), &home.identity()).map_err(disk_error)?;
    let config =
        Config { authenticator: authenticator.clone(), timing: home.config.timing.timing(), limits: home.config.limits.limits() };
    let signer = Signer::new(home.config.replica, *authenticator.domain(), home.signing_key.clone());
    tracing::info!(event = "recovering", data = %home.data().display(), "reading the journal and the newest snapshot");
    let disks = (disk.share(), disk.share(), disk);
    let verify = |records| pool.install(|| crate::recovery::verify(authenticator, records));
    let recovered = recover(disks, &home.identity(), service, config, signer, clock.now(), verify);
    let recovered = recovered.map_err(|error| match error {
        RecoveryError::Journal(OpenError::Disk(source)) | RecoveryError::Fetched(source) => disk_error(source),
        RecoveryError::Snapshot(SnapshotError::Disk(source)) => disk_error(source),
        RecoveryError::Journal(source) => RunError::Journal { path: home.data(), source },
        source => RunError::Recovery { path: home.data(), source },
    })?;
    if let Some(torn) = &recovered.torn {
        tracing::warn!(
            event = "torn_tail",
            file = torn.file,
            offset = torn.offset,
            bytes = torn.bytes,
            "cut a torn tail that was never acknowledged"
        );
    }
    if let Some(damaged) = &recovered.damaged {
        tracing::error!(event = "damaged_snapshot", error = %damaged, "a snapshot is damaged, check the disk: going on from an older state, by the journal or by what the others have");
    }
    Ok(recovered)
}

fn channels() -> (Channels, Arriving, Arriving) {
    let (replicas, from_replicas) = mpsc::channel(INBOUND);
    let (clients, from_clients) = mpsc::channel(INBOUND);
    (Channels { replicas, clients }, from_replicas, from_clients)
}

fn settings(home: &Home) -> Settings {
    let mut settings = Settings::new(home.transport_key.clone(), alpn());
    let frame = |bytes: usize| u32::try_from(bytes.saturating_add(64 << 10)).unwrap_or(u32::MAX);
    settings.listen = Some(home.config.listen);
    settings.listen_clients = home.config.listen_clients;
    settings.replicas.max_frame = frame(home.genesis.max_message_bytes());
    settings.replicas.queue_bytes = home.genesis.max_message_bytes().saturating_mul(4);
    // Room for a request beyond its limit, so that its client hears TooLarge.
    settings.clients.max_frame = frame(home.genesis.parameters.max_request_bytes.saturating_mul(2));
    settings.clients.queue_bytes = home.genesis.service.max_result_bytes.saturating_mul(2).max(home.genesis.max_message_bytes());
    settings.max_client_connections = home.config.limits.client_connections;
    settings
}

/// The replicas. Who the clients are, the state says, and the executor tells (R8).
fn directory(genesis: &Genesis) -> Directory {
    let replicas = genesis.replicas.iter().map(|entry| (entry.transport_key, Class::Replica));
    Directory::new(replicas)
}

/// Named `pbft-verify-N`, one thread a core.
fn verification_pool() -> Result<ThreadPool, RunError> {
    let pool = ThreadPoolBuilder::new().thread_name(|number| format!("pbft-verify-{number}")).build();
    pool.map_err(|error| RunError::Thread(io::Error::other(error)))
}

/// Of two replicas the one with the lower number dials.
fn dial_others(home: &Home, endpoint: &Endpoint) -> Result<Vec<Dial>, RunError> {
    let replicas = home.genesis.replica_ids().zip(&home.genesis.replicas).zip(&home.config.replicas);
    let others = replicas.filter(|((replica, _), _)| *replica > home.config.replica);
    others.map(|((_, entry), address)| Ok(endpoint.dial(entry.transport_key, address)?)).collect()
}

/// What a vote or a remembered request takes at most, with its place in a map.
const ENTRY: usize = 256;

/// What agreement and the table of clients hold beside bodies and results (R8, R9).
fn kept(genesis: &Genesis) -> usize {
    let replicas = genesis.replica_count();
    let window = usize::try_from(genesis.parameters.log_window).unwrap_or(usize::MAX);
    // For each number two votes of everybody, and two certificates; commit certificates also one window below h and one above.
    let slots = window.saturating_mul(replicas).saturating_mul(6).saturating_mul(ENTRY);
    // Everybody's view-change, the new-view of this view, and the own one of the next.
    let view_changes = genesis.max_message_bytes().saturating_mul(2);
    let Parameters { max_clients, requests_in_flight, .. } = genesis.parameters;
    // The executor's, and what the core keeps of it.
    let clients = max_clients.saturating_mul(requests_in_flight).saturating_mul(ENTRY);
    slots.saturating_add(view_changes).saturating_add(clients)
}

/// What follows from the limits, in bytes: requests and batches, what is signed and not settled, the clients' table, frames on
/// their way in, connections. Evidence and the service's own state come on top.
fn memory_bound(home: &Home) -> u64 {
    let settings = settings(home);
    let limits = &home.config.limits;
    let others = (home.genesis.replica_count() as u64).saturating_sub(1);
    let from_replicas = INBOUND.saturating_add(FROM_REPLICAS).saturating_add(QUESTIONS) as u64;
    let frames = from_replicas.saturating_mul(u64::from(settings.replicas.max_frame));
    let requests = (INBOUND as u64).saturating_mul(u64::from(settings.clients.max_frame)).saturating_add(CLIENT_BYTES as u64);
    let inbound = frames.saturating_add(requests);
    let held =
        limits.pending_bytes.saturating_add(limits.body_bytes).saturating_add(home.genesis.parameters.max_cached_result_bytes);
    let held = held.saturating_add(JOURNAL_BYTES).saturating_add(GROUP_BYTES).saturating_add(kept(&home.genesis));
    (held as u64).saturating_add(settings.memory_bound(others)).saturating_add(inbound)
}
