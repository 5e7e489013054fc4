use crate::shared::Shared;
use crossbeam_channel::{Sender, bounded};
use pbft_message::StableCertificate;
use pbft_protocol::execution::FrozenState;
use pbft_replica::{FromExecutor, SnapshotPolicy, save_snapshot};
use pbft_storage::{FileDisk, SnapshotError, Snapshots};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

type Saved = (FrozenState, StableCertificate);

/// Writes snapshots on a thread of its own, so that execution never waits.
pub struct SnapshotWriter {
    work: Sender<Saved>,
    last_size: Arc<AtomicU64>,
    policy: SnapshotPolicy,
    shared: Arc<Shared>,
    core: Sender<FromExecutor>,
}

impl SnapshotWriter {
    /// Starts the thread. It ends when the writer is dropped; a failed write is told to `failed`.
    pub fn start(
        snapshots: Snapshots<FileDisk>,
        policy: SnapshotPolicy,
        shared: Arc<Shared>,
        core: Sender<FromExecutor>,
        failed: impl FnOnce(SnapshotError) + Send + 'static,
    ) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (work, inbox) = bounded::<Saved>(0);
        let last_size = Arc::new(AtomicU64::new(0));
        let size = last_size.clone();
        let starts = core.clone();
        let thread = std::thread::Builder::new().name("snapshots".to_owned()).spawn(move || {
            let mut snapshots = snapshots;
            for (state, certificate) in inbox {
                let sequence = certificate.sequence;
                match save_snapshot(&mut snapshots, &state, &certificate) {
                    Ok(bytes) => {
                        tracing::info!(event = "snapshot", sequence = sequence.0, bytes, "saved a snapshot");
                        size.store(bytes, Ordering::Relaxed);
                    }
                    Err(error) => return failed(error),
                }
                if core.send(FromExecutor::Snapshot(sequence)).is_err() {
                    return;
                }
            }
        })?;
        Ok((Self { work, last_size, policy, shared, core: starts }, thread))
    }

    /// Saves this state if it is time; whatever the journal's size if it was fetched, because replay cannot reach it.
    pub fn consider(&self, saved: Saved, installed: bool) {
        let journal_bytes = self.shared.journal_bytes.load(Ordering::Relaxed);
        if !installed && !self.policy.is_due(journal_bytes, self.last_size.load(Ordering::Relaxed)) {
            return;
        }
        let sequence = saved.1.sequence;
        // Busy with the one before: the next checkpoint will do.
        let taken = if installed { self.work.send(saved).is_ok() } else { self.work.try_send(saved).is_ok() };
        if taken {
            let _ = self.core.send(FromExecutor::SnapshotStarted(sequence));
        }
    }
}
