use crate::fields::Fields;
use pbft_crypto::{Digest, PublicKey};
use std::fmt;

/// Whose promises a file holds. A journal or snapshot of another cluster or replica is never read (R16).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster id: the digest of the genesis.
    pub cluster: Digest,
    /// The replica's public signing key.
    pub owner: PublicKey,
}

impl Identity {
    /// Cluster id and key, 32 bytes each.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.cluster.as_bytes());
        out.extend_from_slice(self.owner.as_bytes());
    }

    pub(crate) fn decode(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self { cluster: fields.digest()?, owner: PublicKey::from_bytes(fields.array()?) })
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "replica {} of cluster {}", self.owner.short(), self.cluster.short())
    }
}
