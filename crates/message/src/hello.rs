use crate::{ReplicaId, Status};
use pbft_crypto::Digest;
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// The versions of the wire format that this build speaks. Two builds use the highest that both speak, so that replicas can be
/// upgraded one after the other; what they sign is of the epoch's protocol version all the while.
pub const WIRE_VERSIONS: RangeInclusive<u16> = 1..=if cfg!(pbft_next_wire) { 2 } else { 1 };

/// The names of the protocol in the TLS handshake (ALPN), which settles the wire version: the highest first.
pub fn alpn() -> Vec<Vec<u8>> {
    WIRE_VERSIONS.rev().map(|version| format!("pbft/{version}").into_bytes()).collect()
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
    #[error("the other side speaks wire versions {min} to {max}, this build {first} to {last}", first = WIRE_VERSIONS.start(), last = WIRE_VERSIONS.end())]
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
        Self { wire_min: *WIRE_VERSIONS.start(), wire_max: *WIRE_VERSIONS.end(), cluster, role }
    }

    /// Whether the two sides can talk at all.
    pub fn check(&self, cluster: Digest) -> Result<(), HelloRefused> {
        if self.cluster != cluster {
            return Err(HelloRefused::OtherCluster { theirs: self.cluster, ours: cluster });
        }
        if self.wire_min > *WIRE_VERSIONS.end() || self.wire_max < *WIRE_VERSIONS.start() {
            return Err(HelloRefused::NoCommonVersion { min: self.wire_min, max: self.wire_max });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_talk_that_have_a_wire_version_in_common() {
        let (first, last) = (*WIRE_VERSIONS.start(), *WIRE_VERSIONS.end());
        let checked =
            |wire_min, wire_max| Hello { wire_min, wire_max, ..Hello::new(Digest::ZERO, Role::Client) }.check(Digest::ZERO);
        assert_eq!(checked(first, last), Ok(()));
        assert_eq!(checked(last, last + 1), Ok(()), "a newer one that still speaks ours");
        assert_eq!(checked(0, first), Ok(()), "an older one whose version we still speak");
        let newer = HelloRefused::NoCommonVersion { min: last + 1, max: last + 2 };
        assert_eq!(checked(last + 1, last + 2), Err(newer));
        assert_eq!(checked(0, first - 1), Err(HelloRefused::NoCommonVersion { min: 0, max: first - 1 }));
        let (theirs, ours) = (Digest::of("theirs", &[]), Digest::ZERO);
        assert_eq!(Hello::new(theirs, Role::Client).check(ours), Err(HelloRefused::OtherCluster { theirs, ours }));
    }

    #[test]
    fn the_highest_common_version_is_preferred() {
        let names = alpn();
        assert_eq!(names.first(), Some(&format!("pbft/{}", WIRE_VERSIONS.end()).into_bytes()));
        assert_eq!(names.len(), WIRE_VERSIONS.count());
    }
}
