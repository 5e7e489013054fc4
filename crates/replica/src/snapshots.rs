use pbft_message::StableCertificate;
use pbft_protocol::execution::FrozenState;
use pbft_storage::{Disk, SnapshotError, Snapshots};

/// When a snapshot is due: when the journal has grown by as much as the last snapshot was large, and at least by the
/// configured bytes. So the disk is bounded, and each byte is written about twice.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotPolicy {
    /// The least bytes of journal between two snapshots.
    pub journal_bytes: u64,
}

impl SnapshotPolicy {
    /// Whether to save a stable state now; `last_size` in bytes, 0 for none.
    pub fn is_due(&self, journal_bytes: u64, last_size: u64) -> bool {
        journal_bytes >= self.journal_bytes.max(last_size)
    }
}

/// Writes one snapshot and removes all but the two newest. Returns its size in bytes, headers aside.
pub fn save_snapshot<D: Disk>(
    snapshots: &mut Snapshots<D>,
    state: &FrozenState,
    certificate: &StableCertificate,
) -> Result<u64, SnapshotError> {
    let mut bytes: u64 = 0;
    let chunks = state.chunks().inspect(|chunk| bytes = bytes.saturating_add(chunk.len() as u64));
    snapshots.save(certificate.sequence.0, &state.header(certificate), chunks)?;
    snapshots.keep_newest(2)?;
    Ok(bytes)
}
