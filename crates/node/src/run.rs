use crate::clock::Clock;
use crate::core::{Core, Wake};
use crate::executor::{ExecutorThread, ForExecutor};
use crate::greeter::ReplicaGreeter;
use crate::intake::Intake;
use crate::postman::Postman;
use crate::queries::Queries;
use crate::room::CLIENT_BYTES;
use crate::shared::Shared;
use crate::snapshots::SnapshotWriter;
use crate::{ExitCode, Home, HomeError};
use crossbeam_channel::bounded;
use pbft_message::{Authenticator, Genesis, ReplicaId, Signer, alpn};
use pbft_network::{BindError, Channels, Class, Dial, Directory, Endpoint, Settings};
use pbft_protocol::Outbound;
use pbft_protocol::agreement::Config;
use pbft_protocol::service::Service;
use pbft_replica::{Execution, ExecutionError, Recovered, RecoveryError, SnapshotPolicy, Throttle, recover};
use pbft_services::kv::KeyValueStore;
use pbft_services::null::NullService;
use pbft_storage::{FileDisk, JournalError, OpenError, SnapshotError};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// What the core and the executor have told each other and not yet taken: more than `execution_lag` of batches.
const QUEUE: usize = 1024;
/// Verified messages of replicas that wait for the core.
const FROM_REPLICAS: usize = 128;
/// Verified requests of clients that wait for the core; their bytes are bounded too.
const FROM_CLIENTS: usize = 4096;
/// Effects that wait for the journal. The bodies in them are those that the core holds.
const FOR_JOURNAL: usize = 512;
/// Questions that wait for the executor.
const QUESTIONS: usize = 64;
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
    #[error("the journal in {path} is not usable: {source}")]
    Journal {
        /// The data directory.
        path: std::path::PathBuf,
        /// Why.
        source: OpenError,
    },
    /// The disk does not hold what this replica can go on from.
    #[error(transparent)]
    Recovery(RecoveryError),
    /// The port.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// An address in the configuration does not resolve.
    #[error("cannot resolve {address}, the address of replica {replica}: {source}")]
    Resolve {
        /// The replica.
        replica: ReplicaId,
        /// Its address.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// The disk failed while running.
    #[error("the journal failed, and the replica ended so as not to contradict itself: {0}")]
    JournalFailed(JournalError),
    /// A snapshot could not be written.
    #[error("a snapshot could not be written: {0}")]
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
            Self::UnknownService(_)
            | Self::Journal { source: OpenError::Empty | OpenError::Foreign { .. } | OpenError::Format { .. }, .. }
            | Self::Recovery(RecoveryError::Recover(_))
            | Self::Resolve { .. } => ExitCode::Configuration,
            _ => ExitCode::Io,
        }
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
pub async fn run<S: Service>(home: Home, service: S, outbound: Option<Outbound>, stop: CancellationToken) -> Result<(), RunError> {
    let clock = Clock::start();
    let shared = Arc::new(Shared::default());
    let authenticator = Authenticator::new(home.genesis.clone());
    let recovered = open(&home, service, &authenticator, clock)?;
    let (channels, from_replicas, from_clients) = channels();
    let greeter = Arc::new(ReplicaGreeter::new(home.config.replica, &home.genesis, shared.clone()));
    let endpoint = Endpoint::bind(settings(&home), directory(&home.genesis), greeter, channels)?;
    let postman = Postman::new(endpoint.clone(), clock, home.config.replica, &home.genesis, outbound);
    let threads = start_threads(&home, recovered, &authenticator, clock, &shared, &postman, (from_replicas, from_clients))?;
    let _dials = dial_others(&home, &endpoint).await?;
    let listen = home.config.listen;
    tracing::info!(
        event = "ready",
        replica = home.config.replica.0,
        cluster = %home.genesis.cluster_id(),
        %listen,
        memory_bound_mb = memory_bound(&home) >> 20,
        "replica ready"
    );
    let ended = threads.wait(stop).await;
    endpoint.shutdown().await;
    tracing::info!(event = "stopped", replica = home.config.replica.0, "replica stopped");
    ended
}

/// Journal, newest snapshot, core and executor as they were.
fn open<S: Service>(
    home: &Home,
    service: S,
    authenticator: &Authenticator,
    clock: Clock,
) -> Result<Recovered<FileDisk, S>, RunError> {
    home.check_data()?;
    let disk = FileDisk::open(&home.data()).map_err(HomeError::Lock)?;
    let config =
        Config { authenticator: authenticator.clone(), timing: home.config.timing.timing(), limits: home.config.limits.limits() };
    let signer = Signer::new(home.config.replica, *authenticator.domain(), home.signing_key.clone());
    let recovered = recover((disk.share(), disk), &home.identity(), service, config, signer, clock.now());
    let recovered = recovered.map_err(|error| match error {
        RecoveryError::Journal(source) => RunError::Journal { path: home.data(), source },
        error => RunError::Recovery(error),
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
    Ok(recovered)
}

type Channel = mpsc::Receiver<pbft_network::Inbound>;

fn channels() -> (Channels, Channel, Channel) {
    let (replicas, from_replicas) = mpsc::channel(INBOUND);
    let (clients, from_clients) = mpsc::channel(INBOUND);
    (Channels { replicas, clients }, from_replicas, from_clients)
}

fn settings(home: &Home) -> Settings {
    let mut settings = Settings::new(home.transport_key.clone(), &alpn());
    let frame = |bytes: usize| u32::try_from(bytes.saturating_add(64 << 10)).unwrap_or(u32::MAX);
    settings.listen = Some(home.config.listen);
    settings.replicas.max_frame = frame(home.genesis.max_message_bytes());
    settings.replicas.queue_bytes = home.genesis.max_message_bytes().saturating_mul(4);
    // Room for a request beyond its limit, so that its client hears TooLarge.
    settings.clients.max_frame = frame(home.genesis.parameters.max_request_bytes.saturating_mul(2));
    settings.clients.queue_bytes = home.genesis.service.max_result_bytes.saturating_mul(2).max(home.genesis.max_message_bytes());
    settings.max_client_connections = home.config.limits.client_connections;
    settings
}

fn directory(genesis: &Genesis) -> Directory {
    let replicas = genesis.replicas.iter().map(|entry| (entry.transport_key, Class::Replica));
    let clients = genesis.clients.iter().map(|entry| (entry.transport_key, Class::Client));
    Directory::new(replicas.chain(clients))
}

/// Of two replicas the one with the lower number dials.
async fn dial_others(home: &Home, endpoint: &Endpoint) -> Result<Vec<Dial>, RunError> {
    let own = home.config.replica;
    let mut dials = Vec::new();
    for ((replica, entry), address) in home.genesis.replica_ids().zip(&home.genesis.replicas).zip(&home.config.replicas) {
        if replica > own {
            let resolved = resolve(address).await;
            let resolved = resolved.map_err(|source| RunError::Resolve { replica, address: address.clone(), source })?;
            dials.push(endpoint.dial(entry.transport_key, resolved)?);
        }
    }
    Ok(dials)
}

async fn resolve(address: &str) -> io::Result<SocketAddr> {
    tokio::net::lookup_host(address).await?.next().ok_or_else(|| io::Error::other("the name has no address"))
}

/// What follows from the limits, in bytes: requests and batches, frames on their way in, connections. The service's own
/// state comes on top.
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
    (held as u64).saturating_add(settings.memory_bound(others)).saturating_add(inbound)
}

/// The threads of a running replica.
struct Threads {
    stop_core: crossbeam_channel::Sender<()>,
    executor: crossbeam_channel::Sender<ForExecutor>,
    threads: Vec<JoinHandle<()>>,
    failed: mpsc::Receiver<RunError>,
}

impl Threads {
    /// Waits for the end: the caller's word, or a failure.
    async fn wait(mut self, stop: CancellationToken) -> Result<(), RunError> {
        let ended = tokio::select! {
            () = stop.cancelled() => Ok(()),
            error = self.failed.recv() => Err(error.unwrap_or(RunError::ThreadEnded("unknown"))),
        };
        let _ = self.stop_core.try_send(());
        let _ = self.executor.send_timeout(ForExecutor::Stop, Duration::from_secs(1));
        drop((self.stop_core, self.executor));
        let joined = tokio::task::spawn_blocking(move || self.threads.into_iter().for_each(|thread| drop(thread.join())));
        let _ = tokio::time::timeout(Duration::from_secs(5), joined).await;
        ended
    }
}

fn start_threads<S: Service>(
    home: &Home,
    recovered: Recovered<FileDisk, S>,
    authenticator: &Authenticator,
    clock: Clock,
    shared: &Arc<Shared>,
    postman: &Postman,
    (from_replicas, from_clients): (Channel, Channel),
) -> Result<Threads, RunError> {
    let Recovered { journal, snapshots, executor, replica, torn: _ } = recovered;
    let (fail, failed) = mpsc::channel(8);
    let (for_core_replicas, core_replicas) = bounded(FROM_REPLICAS);
    let (for_core_clients, core_clients) = bounded(FROM_CLIENTS);
    let (for_core, from_executor) = bounded(QUEUE);
    let (for_executor, executor_inbox) = bounded(QUEUE);
    let (for_journal, journal_inbox) = bounded(FOR_JOURNAL);
    let (for_questions, questions) = bounded(QUESTIONS);
    let (stop_core, stop) = bounded(1);
    let (wake, nudged) = Wake::new();
    let others: Vec<ReplicaId> = home.genesis.replica_ids().filter(|id| *id != home.config.replica).collect();

    let policy = SnapshotPolicy { journal_bytes: home.config.limits.journal_bytes };
    let failure = fail.clone();
    let on_failure = move |error| drop(failure.try_send(RunError::SnapshotFailed(error)));
    let (snapshots, snapshot_thread) =
        SnapshotWriter::start(snapshots, policy, shared.clone(), for_core.clone(), on_failure).map_err(RunError::Thread)?;

    let core = Core {
        replica,
        clock,
        from_replicas: core_replicas,
        from_clients: core_clients,
        from_executor,
        wake: wake.clone(),
        nudged,
        stop,
        journal: for_journal,
        executor: for_executor.clone(),
        questions: for_questions.clone(),
        postman: postman.clone(),
        shared: shared.clone(),
    };
    let execution = ExecutorThread {
        execution: Execution::new(executor, others),
        inbox: executor_inbox,
        questions,
        core: for_core,
        postman: postman.clone(),
        snapshots,
        shared: shared.clone(),
        clock,
    };
    let queries =
        Queries { replica: home.config.replica, genesis: home.genesis.clone(), shared: shared.clone(), postman: postman.clone() };
    let replicas = home.genesis.replica_ids().zip(&home.genesis.replicas).map(|(id, entry)| (entry.transport_key, id)).collect();
    let intake = Intake {
        authenticator: authenticator.clone(),
        replicas,
        core_replicas: for_core_replicas,
        core_clients: for_core_clients,
        executor: for_questions,
        queries,
        throttle: Throttle::default(),
        clock,
    };
    tokio::spawn(intake.run(from_replicas, from_clients));
    let (journal_postman, journal_shared) = (postman.clone(), shared.clone());
    let write = move || {
        crate::journal::run(journal, &journal_inbox, &journal_postman, &wake, &journal_shared).map_err(RunError::JournalFailed)
    };
    let threads = vec![
        spawn("core", &fail, move || {
            core.run();
            Ok(())
        })?,
        spawn("journal", &fail, write)?,
        spawn("executor", &fail, move || execution.run().map_err(RunError::Execution))?,
        snapshot_thread,
    ];
    Ok(Threads { stop_core, executor: for_executor, threads, failed })
}

/// Starts a thread whose end, for whatever reason, ends the replica.
fn spawn(
    name: &'static str,
    fail: &mpsc::Sender<RunError>,
    work: impl FnOnce() -> Result<(), RunError> + Send + 'static,
) -> Result<JoinHandle<()>, RunError> {
    let fail = fail.clone();
    let guarded = move || {
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        let error = match ended {
            Ok(Err(error)) => error,
            Ok(Ok(())) | Err(_) => RunError::ThreadEnded(name),
        };
        let _ = fail.try_send(error);
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(guarded).map_err(RunError::Thread)
}
