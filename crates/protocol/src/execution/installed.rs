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
        let mut check = SavedCheck::begin(header, authenticator)?;
        let mut parts = [Vec::new(), Vec::new()];
        for chunk in chunks {
            let [service, clients] = &mut parts;
            match check.add(&chunk)? {
                StatePart::Service => service.push(chunk),
                StatePart::Clients => clients.push(chunk),
            }
        }
        let [service, clients] = parts;
        check.complete()?;
        let SavedCheck { certificate, state, leaves: [service_leaves, clients_leaves], .. } = check;
        let service = Part { chunks: service, leaves: service_leaves };
        Ok(Self { certificate, state, service, clients: Part { chunks: clients, leaves: clients_leaves } })
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

/// Checks a saved snapshot chunk by chunk, with the genesis alone, and keeps none of it but the chunks' digests.
#[derive(Debug)]
pub struct SavedCheck {
    certificate: Verified<StableCertificate>,
    state: CheckpointState,
    service_chunks: u64,
    leaves: [Vec<Digest>; 2],
}

impl SavedCheck {
    /// Begins with what [`FrozenState::header`](super::FrozenState::header) gave.
    pub fn begin(header: &[u8], authenticator: &Authenticator) -> Result<Self, SavedStateError> {
        let header: SavedHeader = codec::decode(header).map_err(SavedStateError::Header)?;
        let certificate = authenticator.verify_stable(header.certificate).map_err(SavedStateError::Certificate)?;
        if !is_named_by(&header.state, &certificate) {
            return Err(SavedStateError::WrongState);
        }
        let service_chunks = u64::from(header.service_chunks);
        Ok(Self { certificate, state: header.state, service_chunks, leaves: [Vec::new(), Vec::new()] })
    }

    /// The next chunk; says which part it is of.
    pub fn add(&mut self, chunk: &[u8]) -> Result<StatePart, SavedStateError> {
        if self.found() == self.expected() {
            return Err(SavedStateError::ChunkCount { expected: self.expected(), found: self.found().saturating_add(1) });
        }
        let is_service = self.found() < self.service_chunks;
        let [service, clients] = &mut self.leaves;
        let (leaves, part) = if is_service { (service, StatePart::Service) } else { (clients, StatePart::Clients) };
        leaves.push(chunk_digest(chunk));
        Ok(part)
    }

    /// After the last chunk: the state is the one that its certificate names.
    pub fn finish(self) -> Result<(Verified<StableCertificate>, CheckpointState), SavedStateError> {
        self.complete()?;
        Ok((self.certificate, self.state))
    }

    fn complete(&self) -> Result<(), SavedStateError> {
        if self.found() != self.expected() {
            return Err(SavedStateError::ChunkCount { expected: self.expected(), found: self.found() });
        }
        let [service, clients] = &self.leaves;
        if root_of(service) != self.state.service_root {
            return Err(SavedStateError::WrongRoot(StatePart::Service));
        }
        if root_of(clients) != self.state.clients_root {
            return Err(SavedStateError::WrongRoot(StatePart::Clients));
        }
        Ok(())
    }

    fn expected(&self) -> u64 {
        self.service_chunks.saturating_add(u64::from(CLIENT_CHUNKS))
    }

    fn found(&self) -> u64 {
        self.leaves.iter().fold(0, |sum, leaves| sum.saturating_add(leaves.len() as u64))
    }
}

/// Whether the certificate is of exactly this state.
pub(super) fn is_named_by(state: &CheckpointState, certificate: &StableCertificate) -> bool {
    state.sequence == certificate.sequence && state.digest() == certificate.digest
}
