use crate::{ReplicaId, Status};
use pbft_crypto::Digest;
use serde::{Deserialize, Serialize};

/// The version of the wire format that this build speaks.
pub const WIRE_VERSION: u16 = 1;

/// The name of the protocol in the TLS handshake (ALPN): it carries the wire version.
pub fn alpn() -> Vec<u8> {
    format!("pbft/{WIRE_VERSION}").into_bytes()
}

/// The first message on a connection, in both directions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The lowest wire version that the sender speaks.
    pub wire_min: u16,
    /// The highest.
    pub wire_max: u16,
    /// The cluster that the sender belongs to.
    pub cluster: Digest,
    /// What the sender is.
    pub role: Role,
}

/// What the sender of a hello is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// A replica, and where it stands.
    Replica {
        /// Its number.
        replica: ReplicaId,
        /// Where it stands, once its core has said so.
        status: Option<Status>,
    },
    /// A client.
    Client,
}

/// Why a hello was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HelloRefused {
    /// The bytes are no hello.
    #[error("malformed hello")]
    Malformed,
    /// The other side belongs to another cluster.
    #[error("hello for cluster {theirs}, this is {ours}: compare the genesis files (pbft genesis show)")]
    OtherCluster {
        /// The sender's cluster id.
        theirs: Digest,
        /// The own cluster id.
        ours: Digest,
    },
    /// No common wire version.
    #[error("the other side speaks wire versions {min} to {max}, this build {WIRE_VERSION}")]
    NoCommonVersion {
        /// Its lowest.
        min: u16,
        /// Its highest.
        max: u16,
    },
    /// The role does not belong to the transport key of the connection.
    #[error("the hello names another party than the connection's key")]
    NotTheConnection,
}

impl Hello {
    /// A hello of this build.
    pub const fn new(cluster: Digest, role: Role) -> Self {
        Self { wire_min: WIRE_VERSION, wire_max: WIRE_VERSION, cluster, role }
    }

    /// Whether the two sides can talk at all.
    pub fn check(&self, cluster: Digest) -> Result<(), HelloRefused> {
        if self.cluster != cluster {
            return Err(HelloRefused::OtherCluster { theirs: self.cluster, ours: cluster });
        }
        if self.wire_min > WIRE_VERSION || self.wire_max < WIRE_VERSION {
            return Err(HelloRefused::NoCommonVersion { min: self.wire_min, max: self.wire_max });
        }
        Ok(())
    }
}
