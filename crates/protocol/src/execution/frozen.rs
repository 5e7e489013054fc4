use super::installed::SavedHeader;
use crate::service::Snapshot;
use pbft_crypto::Digest;
use pbft_message::{CheckpointState, StableCertificate, StatePart, StateReply, codec};
use std::fmt;
use std::sync::Arc;

/// The state at a checkpoint, frozen: execution goes on while it is served or saved. Cheap to clone.
#[derive(Clone)]
pub struct FrozenState {
    /// What the checkpoint's digest covers.
    pub state: CheckpointState,
    /// The service's chunks.
    pub service: Arc<dyn Snapshot>,
    /// The digests of the service's chunks.
    pub service_leaves: Arc<Vec<Digest>>,
    /// The client table's chunks.
    pub clients: Arc<dyn Snapshot>,
    /// The digests of the client table's chunks.
    pub clients_leaves: Arc<Vec<Digest>>,
}

impl FrozenState {
    /// A part's chunks.
    pub fn snapshot(&self, part: StatePart) -> &dyn Snapshot {
        match part {
            StatePart::Service => &*self.service,
            StatePart::Clients => &*self.clients,
        }
    }

    /// The digests of a part's chunks.
    pub fn leaves(&self, part: StatePart) -> &[Digest] {
        match part {
            StatePart::Service => &self.service_leaves,
            StatePart::Clients => &self.clients_leaves,
        }
    }

    /// What opens a saved snapshot; [`chunks`](Self::chunks) follow.
    /// [`InstalledState::from_saved`](super::InstalledState::from_saved) reads both back.
    pub fn header(&self, certificate: &StableCertificate) -> Vec<u8> {
        codec::encode(&SavedHeader {
            certificate: certificate.clone(),
            state: self.state.clone(),
            service_chunks: self.service.chunk_count(),
        })
    }

    /// All chunks: the service's, then the client table's. Each is made when it is asked for.
    pub fn chunks(&self) -> impl Iterator<Item = Vec<u8>> + Send + use<> {
        let part = |snapshot: &Arc<dyn Snapshot>| {
            let snapshot = snapshot.clone();
            (0..snapshot.chunk_count()).map(move |index| snapshot.chunk(index))
        };
        part(&self.service).chain(part(&self.clients))
    }

    pub(super) fn outline(&self) -> StateReply {
        StateReply::Outline {
            state: self.state.clone(),
            service: self.service_leaves.to_vec(),
            clients: self.clients_leaves.to_vec(),
        }
    }
}

impl fmt::Debug for FrozenState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("FrozenState").field("state", &self.state).finish_non_exhaustive()
    }
}
