use crate::{Blob, Epoch, SequenceNumber, codec};
use pbft_crypto::Digest;
use serde::{Deserialize, Serialize};

/// What a checkpoint digest covers (R9): the same at every correct replica that executed the same batches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointState {
    /// The last executed number.
    pub sequence: SequenceNumber,
    /// The configuration's number.
    pub epoch: Epoch,
    /// The configuration and its pending change: today the cluster id (R22 will make it change).
    pub configuration: Digest,
    /// The Merkle root over the service's chunks.
    pub service_root: Digest,
    /// The Merkle root over the client table's chunks.
    pub clients_root: Digest,
    /// The last time an application may have read, in microseconds since 1970 (R3).
    pub time: u64,
}

impl CheckpointState {
    /// The digest that CHECKPOINT messages carry.
    pub fn digest(&self) -> Digest {
        Digest::of("pbft checkpoint", &[&codec::encode(self)])
    }
}

/// The two parts of a state; each is a list of chunks under a Merkle root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum StatePart {
    /// The service's own state.
    Service,
    /// The client table (R8).
    Clients,
}

/// A question in state transfer (R14).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FetchState {
    /// The state's outline: what the certificate's digest covers, and the digest of each chunk.
    Outline {
        /// The stable checkpoint wanted.
        sequence: SequenceNumber,
    },
    /// Chunks from a place on, as many as fit one answer.
    Chunks {
        /// The stable checkpoint wanted.
        sequence: SequenceNumber,
        /// Which part.
        part: StatePart,
        /// The chunks wanted, ascending.
        indices: Vec<u32>,
        /// Where to start within the first of them, in bytes.
        offset: u64,
    },
}

impl FetchState {
    /// The stable checkpoint that is asked for.
    pub const fn sequence(&self) -> SequenceNumber {
        match self {
            Self::Outline { sequence } | Self::Chunks { sequence, .. } => *sequence,
        }
    }
}

/// An answer in state transfer. Nothing of it is trusted before it was checked against the certified digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StateReply {
    /// The outline of a state.
    Outline {
        /// What the certificate's digest covers.
        state: CheckpointState,
        /// The digests of the service's chunks.
        service: Vec<Digest>,
        /// The digests of the client table's chunks.
        clients: Vec<Digest>,
    },
    /// Pieces of chunks.
    Chunks {
        /// The stable checkpoint they belong to.
        sequence: SequenceNumber,
        /// Which part.
        part: StatePart,
        /// The pieces in order; only the last may be incomplete.
        pieces: Vec<ChunkPiece>,
    },
    /// The sender no longer has that state; `newest` is what it can serve.
    Gone {
        /// The stable checkpoint asked for.
        sequence: SequenceNumber,
        /// The newest one that the sender can serve.
        newest: SequenceNumber,
    },
}

/// A piece of one chunk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkPiece {
    /// The chunk's number.
    pub index: u32,
    /// Where the piece starts in the chunk, in bytes.
    pub offset: u64,
    /// The size of the whole chunk, in bytes.
    pub size: u64,
    /// The piece.
    pub bytes: Blob,
}
