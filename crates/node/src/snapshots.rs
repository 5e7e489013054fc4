use crate::cpu::CpuClock;
use crate::executor::ForExecutor;
use crate::meters::Stage;
use crate::shared::Shared;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use pbft_message::StableCertificate;
use pbft_protocol::execution::FrozenState;
use pbft_replica::{FromExecutor, Order, SnapshotPolicy, save_snapshot};
use pbft_storage::{FileDisk, SnapshotError, Snapshots};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// After a snapshot that found no room the next is tried after this; each time after twice as long, up to the longest. What it
/// writes until it knows takes the journal's room.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

type Saved = (FrozenState, StableCertificate);

/// Has snapshots written by a thread of their own, so that execution never waits.
pub struct SnapshotWriter {
    /// Taken only while nothing is being written.
    due: Sender<Saved>,
    /// A fetched state; the newest one waits.
    installed: (Sender<Saved>, Receiver<Saved>),
    last_size: Arc<AtomicU64>,
    policy: SnapshotPolicy,
    shared: Arc<Shared>,
}

/// The thread's side.
struct Thread {
    snapshots: Snapshots<FileDisk>,
    due: Receiver<Saved>,
    installed: Receiver<Saved>,
    last_size: Arc<AtomicU64>,
    shared: Arc<Shared>,
    core: Sender<FromExecutor>,
    executor: Sender<ForExecutor>,
}

impl SnapshotWriter {
    /// Starts the thread. It ends when the writer is dropped; a failed write is told to `failed`. What finds no room is tried
    /// again, or a newer state in its place.
    pub fn start(
        snapshots: Snapshots<FileDisk>,
        policy: SnapshotPolicy,
        shared: Arc<Shared>,
        (core, executor): (Sender<FromExecutor>, Sender<ForExecutor>),
        failed: impl FnOnce(SnapshotError) + Send + 'static,
    ) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (due, due_inbox) = bounded(0);
        let installed = bounded(1);
        let last_size = Arc::new(AtomicU64::new(0));
        let thread = Thread {
            snapshots,
            due: due_inbox,
            installed: installed.1.clone(),
            last_size: last_size.clone(),
            shared: shared.clone(),
            core,
            executor,
        };
        let run = move || {
            if let Err(error) = thread.run() {
                failed(error);
            }
        };
        let thread = std::thread::Builder::new().name("snapshots".to_owned()).spawn(run)?;
        Ok((Self { due, installed, last_size, policy, shared }, thread))
    }

    /// Saves this state if it is time; whatever the journal's size if it was fetched, because replay cannot reach it.
    pub fn consider(&self, saved: Saved, installed: bool) {
        if installed {
            return self.save_installed(saved);
        }
        let journal_bytes = self.shared.journal_bytes.load(Ordering::Relaxed);
        let is_owed = self.shared.snapshots_full.load(Ordering::Relaxed);
        if is_owed || self.policy.is_due(journal_bytes, self.last_size.load(Ordering::Relaxed)) {
            // Busy with the one before: the next checkpoint will do.
            let _ = self.due.try_send(saved);
        }
    }

    fn save_installed(&self, mut saved: Saved) {
        let (installed, waiting) = &self.installed;
        while let Err(TrySendError::Full(newer)) = installed.try_send(saved) {
            let _ = waiting.try_recv();
            saved = newer;
        }
    }
}

impl Thread {
    fn run(mut self) -> Result<(), SnapshotError> {
        let mut owed = None;
        let mut pause = FIRST_PAUSE;
        while let Some(saved) = self.next(owed.take(), pause) {
            if self.save(&saved)? {
                pause = FIRST_PAUSE;
            } else {
                owed = Some(saved);
                pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
            }
        }
        Ok(())
    }

    /// The state to be saved next; none when all is over. One that found no room waits for so long, and a newer one takes its
    /// place meanwhile: only the newest stable state is held.
    fn next(&self, owed: Option<Saved>, pause: Duration) -> Option<Saved> {
        let Some(mut owed) = owed else {
            return crossbeam_channel::select! {
                recv(self.installed) -> saved => saved.ok(),
                recv(self.due) -> saved => saved.ok(),
            };
        };
        let again = Instant::now().checked_add(pause).map_or_else(crossbeam_channel::never, crossbeam_channel::at);
        loop {
            let newer = crossbeam_channel::select! {
                recv(again) -> _ => return Some(owed),
                recv(self.installed) -> saved => saved.ok()?,
                recv(self.due) -> saved => saved.ok()?,
            };
            if newer.1.sequence > owed.1.sequence {
                owed = newer;
            }
        }
    }

    /// False if there is no room.
    fn save(&mut self, (state, certificate): &Saved) -> Result<bool, SnapshotError> {
        let sequence = certificate.sequence;
        // The core is gone only when all is over, here as below.
        let _ = self.core.send(FromExecutor::SnapshotStarted(sequence));
        let (mut cpu, began) = (CpuClock::start(), Instant::now());
        let saved = save_snapshot(&mut self.snapshots, state, certificate);
        self.shared.meters.spend(Stage::Snapshot, cpu.lap());
        match saved {
            Ok(bytes) => {
                tracing::info!(event = "snapshot", sequence = sequence.0, bytes, "saved a snapshot");
                self.last_size.store(bytes, Ordering::Relaxed);
                self.shared.meters.snapshots.observe(began.elapsed().as_secs_f64());
                self.shared.meters.snapshot_bytes.store(bytes, Ordering::Relaxed);
            }
            Err(SnapshotError::Full(error)) => {
                self.shared.snapshots_full.store(true, Ordering::Relaxed);
                tracing::error!(event = "disk_full", %error, sequence = sequence.0, "no room for a snapshot; it is tried again");
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
        if self.shared.snapshots_full.swap(false, Ordering::Relaxed) {
            tracing::info!(event = "disk_has_room", "there is room again for snapshots");
        }
        let _ = self.core.send(FromExecutor::Snapshot(sequence));
        // Lost on a busy executor: the next transfer finds what was fetched and passes over it.
        let _ = self.executor.try_send(ForExecutor::Do(Order::Saved(sequence)));
        Ok(true)
    }
}
