use crate::core::FromExecutor;
use crate::shared::Shared;
use crossbeam_channel::{Sender, bounded};
use pbft_message::StableCertificate;
use pbft_protocol::execution::FrozenState;
use pbft_storage::{FileDisk, SnapshotError, Snapshots};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

type Saved = (FrozenState, StableCertificate);

/// Writes snapshots on a thread of its own, so that execution never waits. One when the journal has grown by as much as
/// the last snapshot was large, and at least by the configured bytes: so the disk is bounded, and each byte is written
/// about twice.
pub struct SnapshotWriter {
    work: Sender<Saved>,
    last_size: Arc<AtomicU64>,
    threshold: u64,
    shared: Arc<Shared>,
    core: Sender<FromExecutor>,
}

impl SnapshotWriter {
    /// Starts the thread. It ends when the writer is dropped; a failed write is told to `failed`.
    pub fn start(
        snapshots: Snapshots<FileDisk>,
        threshold: u64,
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
                match save(&mut snapshots, &state, &certificate) {
                    Ok(bytes) => size.store(bytes, Ordering::Relaxed),
                    Err(error) => return failed(error),
                }
                if core.send(FromExecutor::Snapshot(sequence)).is_err() {
                    return;
                }
            }
        })?;
        Ok((Self { work, last_size, threshold, shared, core: starts }, thread))
    }

    /// Saves this state if it is time; `at_once`: whatever the journal's size, because replay cannot reach it.
    pub fn consider(&self, saved: Option<Saved>, at_once: bool) {
        let Some(saved) = saved else { return };
        let due = self.threshold.max(self.last_size.load(Ordering::Relaxed));
        if !at_once && self.shared.journal_bytes.load(Ordering::Relaxed) < due {
            return;
        }
        let sequence = saved.1.sequence;
        // Busy with the one before: the next checkpoint will do.
        let taken = if at_once { self.work.send(saved).is_ok() } else { self.work.try_send(saved).is_ok() };
        if taken {
            let _ = self.core.send(FromExecutor::SnapshotStarted(sequence));
        }
    }
}

/// Writes one snapshot and removes all but the two newest. Returns its size in bytes, headers aside.
fn save(snapshots: &mut Snapshots<FileDisk>, state: &FrozenState, certificate: &StableCertificate) -> Result<u64, SnapshotError> {
    let mut bytes: u64 = 0;
    let chunks = state.chunks().inspect(|chunk| bytes = bytes.saturating_add(chunk.len() as u64));
    snapshots.save(certificate.sequence.0, &state.header(certificate), chunks)?;
    snapshots.keep_newest(2)?;
    tracing::info!(event = "snapshot", sequence = certificate.sequence.0, bytes, "saved a snapshot");
    Ok(bytes)
}
