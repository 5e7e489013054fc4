use super::client_table::CLIENT_CHUNKS;
use super::merkle::{chunk_digest, root_of};
use pbft_crypto::Digest;
use pbft_message::codec::{self, DecodeError};
use pbft_message::{Authenticator, CheckpointState, Invalid, StableCertificate, StatePart, Verified};
use serde::{Deserialize, Serialize};

/// A whole state that was checked against a stable certificate. Only a [`Transfer`](super::Transfer) and
/// [`from_saved`](Self::from_saved) build it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstalledState {
    pub(super) certificate: Verified<StableCertificate>,
    pub(super) state: CheckpointState,
    pub(super) service: Part,
    pub(super) clients: Part,
}

/// The chunks of a part, with their digests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) chunks: Vec<Vec<u8>>,
    pub(super) leaves: Vec<Digest>,
}

/// Why a saved snapshot is not the state that its certificate names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SavedStateError {
    /// The header does not decode.
    #[error("the snapshot's header is damaged: {0}")]
    Header(DecodeError),
    /// The certificate does not verify.
    #[error("the snapshot's certificate is not valid in this cluster: {0}")]
    Certificate(Invalid),
    /// The certificate is of another state.
    #[error("the snapshot's header is not the state that its certificate names")]
    WrongState,
    /// Chunks are missing or left over.
    #[error("the snapshot has {found} chunks, its header says {expected}")]
    ChunkCount {
        /// How many the header demands.
        expected: u64,
        /// How many there are; counting stops after the first too many.
        found: u64,
    },
    /// A chunk is damaged.
    #[error("the snapshot is damaged: a chunk of the {0:?} part is not the certified one")]
    WrongRoot(StatePart),
}

#[derive(Serialize, Deserialize)]
pub(super) struct SavedHeader {
    pub(super) certificate: StableCertificate,
    pub(super) state: CheckpointState,
    pub(super) service_chunks: u32,
}

impl InstalledState {
    /// Reads back what [`FrozenState::header`](super::FrozenState::header) and
    /// [`FrozenState::chunks`](super::FrozenState::chunks) gave, and checks all of it.
    pub fn from_saved(
        header: &[u8],
        chunks: impl IntoIterator<Item = Vec<u8>>,
        authenticator: &Authenticator,
    ) -> Result<Self, SavedStateError> {
        let header: SavedHeader = codec::decode(header).map_err(SavedStateError::Header)?;
        let certificate = authenticator.verify_stable(header.certificate).map_err(SavedStateError::Certificate)?;
        let state = header.state;
        if !is_named_by(&state, &certificate) {
            return Err(SavedStateError::WrongState);
        }
        let mut chunks = chunks.into_iter();
        let service = Part::of_chunks(chunks.by_ref().take(usize::try_from(header.service_chunks).unwrap_or(usize::MAX)));
        let clients = Part::of_chunks(chunks.by_ref().take(usize::try_from(CLIENT_CHUNKS).unwrap_or(usize::MAX)));
        let expected = u64::from(header.service_chunks).saturating_add(u64::from(CLIENT_CHUNKS));
        let found = [service.leaves.len(), clients.leaves.len(), chunks.take(1).count()];
        let found = found.iter().fold(0_u64, |sum, count| sum.saturating_add(*count as u64));
        if found != expected {
            return Err(SavedStateError::ChunkCount { expected, found });
        }
        if root_of(&service.leaves) != state.service_root {
            return Err(SavedStateError::WrongRoot(StatePart::Service));
        }
        if root_of(&clients.leaves) != state.clients_root {
            return Err(SavedStateError::WrongRoot(StatePart::Clients));
        }
        Ok(Self { certificate, state, service, clients })
    }

    /// The proof that a quorum holds this state.
    pub const fn certificate(&self) -> &Verified<StableCertificate> {
        &self.certificate
    }

    /// What the certificate's digest covers.
    pub const fn state(&self) -> &CheckpointState {
        &self.state
    }
}

impl Part {
    fn of_chunks(chunks: impl Iterator<Item = Vec<u8>>) -> Self {
        let (leaves, chunks) = chunks.map(|chunk| (chunk_digest(&chunk), chunk)).unzip();
        Self { chunks, leaves }
    }
}

/// Whether the certificate is of exactly this state.
pub(super) fn is_named_by(state: &CheckpointState, certificate: &StableCertificate) -> bool {
    state.sequence == certificate.sequence && state.digest() == certificate.digest
}
