use crate::{ReplicaId, SequenceNumber, View};
use pbft_crypto::{Digest, Signature};
use serde::{Deserialize, Serialize};

/// Signatures with their signers, ascending and without repetition (R20).
pub type SignatureList = Vec<(ReplicaId, Signature)>;

/// Proof that a batch is prepared (R5): the primary's pre-prepare and the prepares of `quorum - 1` distinct backups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreparedCertificate {
    /// The view it prepared in.
    pub view: View,
    /// The sequence number.
    pub sequence: SequenceNumber,
    /// The batch's digest.
    pub digest: Digest,
    /// The primary's signature over the pre-prepare.
    pub pre_prepare: Signature,
    /// The backups' signatures over their prepares.
    pub prepares: SignatureList,
}

/// Proof that a batch is committed (R6): the commits of a quorum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitCertificate {
    /// The view it committed in.
    pub view: View,
    /// The sequence number.
    pub sequence: SequenceNumber,
    /// The batch's digest.
    pub digest: Digest,
    /// The signatures over the commits.
    pub commits: SignatureList,
}

/// Proof of a stable checkpoint (R9): the checkpoint messages of a quorum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StableCertificate {
    /// The last sequence number in the state.
    pub sequence: SequenceNumber,
    /// The digest of the [`CheckpointState`](crate::CheckpointState).
    pub digest: Digest,
    /// The signatures over the checkpoint messages.
    pub checkpoints: SignatureList,
}
