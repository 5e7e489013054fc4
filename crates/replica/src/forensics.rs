use pbft_message::StableCertificate;
use pbft_protocol::execution::FrozenState;
use pbft_storage::{Disk, Identity, SnapshotError, write_snapshot};

/// What every such file's name begins with.
const NAME: &str = "diverged-";

/// Keeps a state that differs from the certified one, for whoever looks for the cause (R9): `diverged-<number>.bin`, a file
/// like a snapshot, whole or not there at all, with the certificate that its chunks contradict. Only the first one is kept.
/// Gives the file's name, if it is new.
pub fn keep_for_forensics<D: Disk>(
    disk: &mut D,
    owner: &Identity,
    state: &FrozenState,
    certificate: &StableCertificate,
) -> Result<Option<String>, SnapshotError> {
    let is_kept = |file: &String| file.starts_with(NAME) && file.ends_with(".bin");
    if disk.list()?.iter().any(is_kept) {
        return Ok(None);
    }
    let sequence = certificate.sequence.0;
    let file = format!("{NAME}{sequence:020}.bin");
    write_snapshot(disk, &file, (owner, sequence), &state.header(certificate), state.chunks().map(Ok))?;
    Ok(Some(file))
}
