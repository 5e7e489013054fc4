use crate::admission::Admission;
use crate::backlog::Backlog;
use crate::clock::Clock;
use crate::core::{Core, HAND_OVER, Moved, Stopping, Wake};
use crate::executor::{ExecutorThread, ForExecutor};
use crate::http::Instruments;
use crate::intake::Intake;
use crate::metered::HashingBegan;
use crate::postman::Postman;
use crate::queries::Queries;
use crate::queues::Queue;
use crate::shared::Shared;
use crate::snapshots::SnapshotWriter;
use crate::{Home, RunError};
use crossbeam_channel::{Receiver, Sender, bounded};
use pbft_message::{Authenticator, ReplicaId};
use pbft_protocol::service::Service;
use pbft_replica::{Execution, Recovered, SnapshotPolicy, Throttle};
use pbft_storage::FileDisk;
use rayon::ThreadPool;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// What the core and the executor have told each other and not yet taken: more than `execution_lag` of batches.
const QUEUE: usize = 1024;
/// Verified messages of replicas that wait for the core.
pub const FROM_REPLICAS: usize = 128;
/// Verified requests of clients that wait for the core; their bytes are bounded too.
const FROM_CLIENTS: usize = 4096;
/// Effects that wait for the journal; their bytes are bounded too.
const FOR_JOURNAL: usize = 512;
/// Questions that wait for the executor.
pub const QUESTIONS: usize = 64;
/// How much longer than it may the core may take to hand over.
const LEEWAY: Duration = Duration::from_secs(1);

/// What arrives from the network, from one class of peers.
pub type Arriving = mpsc::Receiver<pbft_network::Inbound>;

/// What all threads of a replica use.
pub struct Common {
    pub authenticator: Authenticator,
    pub pool: ThreadPool,
    pub clock: Clock,
    pub shared: Arc<Shared>,
    pub instruments: Arc<Instruments>,
    pub postman: Postman,
}

/// The threads of a running replica.
pub struct Threads {
    stop_core: Sender<()>,
    stop_intake: CancellationToken,
    executor: Sender<ForExecutor>,
    threads: Vec<JoinHandle<()>>,
    failed: mpsc::Receiver<RunError>,
}

impl Threads {
    /// Waits for the end: the caller's word, or a failure.
    pub async fn wait(mut self, stop: CancellationToken) -> Result<(), RunError> {
        let ended = tokio::select! {
            () = stop.cancelled() => Ok(()),
            error = self.failed.recv() => Err(error.unwrap_or(RunError::ThreadEnded("unknown"))),
        };
        let _ = self.stop_core.try_send(());
        if ended.is_ok() {
            // Its own end is what the core tells, once it has handed over.
            let _ = tokio::time::timeout(HAND_OVER.saturating_add(LEEWAY), self.failed.recv()).await;
        }
        self.stop_intake.cancel();
        let _ = self.executor.send_timeout(ForExecutor::Stop, Duration::from_secs(1));
        drop((self.stop_core, self.executor));
        let joined = tokio::task::spawn_blocking(move || self.threads.into_iter().for_each(|thread| drop(thread.join())));
        let _ = tokio::time::timeout(Duration::from_secs(5), joined).await;
        ended
    }
}

/// A bounded queue between threads, with a name to look at it by.
fn queue<T: Send + 'static>(name: &'static str, limit: usize, queues: &mut Vec<Queue>) -> (Sender<T>, Arc<Receiver<T>>) {
    let (sender, receiver) = bounded(limit);
    let receiver = Arc::new(receiver);
    queues.push(Queue::of_threads(name, &receiver));
    (sender, receiver)
}

/// Starts all threads of a replica that is as its disk has it. Adds the queues between them to `queues`.
pub fn start<S: Service>(
    home: &Home,
    (recovered, hashing): (Recovered<FileDisk, S>, HashingBegan),
    common: Common,
    (from_replicas, from_clients): (Arriving, Arriving),
    queues: &mut Vec<Queue>,
) -> Result<Threads, RunError> {
    let Recovered { mut journal, snapshots, fetched, executor, replica, .. } = recovered;
    let Common { authenticator, pool, clock, shared, instruments, postman } = common;
    let forensics = journal.disk_mut().share();
    let (fail, failed) = mpsc::channel(8);
    let (for_core_replicas, core_replicas) = queue("core_replicas", FROM_REPLICAS, queues);
    let (for_core_clients, core_clients) = queue("core_clients", FROM_CLIENTS, queues);
    let (for_core, from_executor) = queue("core_executor", QUEUE, queues);
    let (for_executor, executor_inbox) = queue("executor", QUEUE, queues);
    let (for_journal, journal_inbox) = queue("journal", FOR_JOURNAL, queues);
    let (for_questions, questions) = queue("executor_questions", QUESTIONS, queues);
    let (stop_core, stop) = bounded(1);
    let stop_intake = CancellationToken::new();
    let (wake, nudged) = Wake::new();
    let others: Vec<ReplicaId> = home.genesis.replica_ids().filter(|id| *id != home.config.replica).collect();

    let policy = SnapshotPolicy { journal_bytes: home.config.limits.journal_bytes };
    let failure = fail.clone();
    let on_failure = move |error| drop(failure.try_send(RunError::SnapshotFailed(error)));
    let (snapshots, snapshot_thread) =
        SnapshotWriter::start(snapshots, policy, shared.clone(), (for_core.clone(), for_questions.clone()), on_failure)
            .map_err(RunError::Thread)?;

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
        backlog: Backlog::default(),
        executor: for_executor.clone(),
        questions: for_questions.clone(),
        postman: postman.clone(),
        shared: shared.clone(),
        moved: Moved::default(),
        stopping: Stopping::default(),
    };
    let execution = ExecutorThread {
        execution: Execution::new(executor, others, fetched, home.config.limits.transfer_bytes_per_second),
        inbox: executor_inbox,
        questions,
        core: for_core,
        postman: postman.clone(),
        snapshots,
        forensics,
        owner: home.identity(),
        shared: shared.clone(),
        clock,
        hashing,
    };
    let (replica, genesis) = (home.config.replica, home.genesis.clone());
    let queries = Queries { replica, genesis, shared: shared.clone(), instruments, postman: postman.clone() };
    let replicas = home.genesis.replica_ids().zip(&home.genesis.replicas).map(|(id, entry)| (entry.transport_key, id)).collect();
    let intake = Intake {
        authenticator,
        replicas,
        core_replicas: for_core_replicas,
        core_clients: for_core_clients,
        executor: for_questions,
        queries,
        throttle: Throttle::default(),
        admission: Admission::new(home.config.limits.client_requests_per_second),
        pool,
        clock,
    };
    let (network, stopped) = (tokio::runtime::Handle::current(), stop_intake.clone());
    let take_in = move || {
        network.block_on(stopped.run_until_cancelled(intake.run(from_replicas, from_clients)));
        Ok(())
    };
    let write = move || crate::journal::run(journal, &journal_inbox, &postman, &wake, &shared).map_err(RunError::JournalFailed);
    let threads = vec![
        spawn("core", &fail, move || {
            core.run();
            Ok(())
        })?,
        spawn("intake", &fail, take_in)?,
        spawn("journal", &fail, write)?,
        spawn("executor", &fail, move || execution.run().map_err(RunError::Execution))?,
        snapshot_thread,
    ];
    Ok(Threads { stop_core, stop_intake, executor: for_executor, threads, failed })
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
