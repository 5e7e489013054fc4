//! What operators order about clients (R8).

use crate::codec::{self, DecodeError};
use crate::{ClientEntry, ClientId};
use pbft_crypto::PublicKey;
use serde::{Deserialize, Serialize};

/// What a client may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientRole {
    /// Operations that the service calls reads.
    Read,
    /// All operations.
    Write,
}

/// What the table of clients knows of a key, other than its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// A client.
    Client {
        /// Authenticates its connections.
        transport_key: PublicKey,
        /// What it may do.
        role: ClientRole,
    },
    /// An operator of the genesis. Its operations are [`MembershipOperation`]s, not the service's.
    Operator {
        /// Authenticates its connections.
        transport_key: PublicKey,
    },
    /// Once a client, and never again: its old requests must not run a second time.
    Revoked,
}

impl Standing {
    /// What authenticates its connections; none once it is revoked.
    pub const fn transport_key(&self) -> Option<PublicKey> {
        match self {
            Self::Client { transport_key, .. } | Self::Operator { transport_key } => Some(*transport_key),
            Self::Revoked => None,
        }
    }
}

/// An operation in an operator's request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MembershipOperation {
    /// From the next request on, this client is authorised.
    Add {
        /// Its keys.
        client: ClientEntry,
        /// What it may do.
        role: ClientRole,
    },
    /// From the next request on, this client is not, nor ever again.
    Revoke {
        /// Its name.
        client: ClientId,
    },
    /// Who is in the table?
    List {
        /// Who was the last of the answer before; none for the first.
        after: Option<ClientId>,
    },
    /// From the next request on, connections of this client or operator authenticate with another key. What it asked for stays known.
    Rotate {
        /// Its name, and the new key.
        client: ClientEntry,
    },
}

/// What came of a [`MembershipOperation`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MembershipResult {
    /// Done.
    Done,
    /// Who is in the table.
    Clients {
        /// Names and standings, in the table's order.
        clients: Vec<(ClientId, Standing)>,
        /// Whether there are more after the last of them.
        more: bool,
    },
    /// It had no effect.
    Refused(MembershipError),
}

/// Why a [`MembershipOperation`] had no effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum MembershipError {
    /// The bytes are no such operation.
    #[error("the bytes are no operation of an operator")]
    Malformed,
    /// A key is unusable (R20).
    #[error("key {0} is not a usable Ed25519 public key")]
    BadKey(PublicKey),
    /// A key has an owner.
    #[error("key {0} belongs to another client, an operator or a replica already")]
    KeyInUse(PublicKey),
    /// The client is in the table already.
    #[error("client {0} is authorised already")]
    AlreadyAuthorised(ClientId),
    /// The client was revoked.
    #[error("client {0} was revoked, which is for good: its owner must make new keys (pbft keygen)")]
    Revoked(ClientId),
    /// There is no such client.
    #[error("there is no client {0}")]
    Unknown(ClientId),
    /// Operators are in the genesis.
    #[error("{0} is an operator: operators are fixed in the genesis")]
    IsOperator(ClientId),
    /// The table is full; revoked clients count too.
    #[error("the table of clients is full: max_clients in the genesis is {maximum}, and revoked clients count too")]
    TooManyClients {
        /// How many there may be.
        maximum: u64,
    },
}

impl MembershipOperation {
    /// The canonical bytes, to be sent in a request.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// What was asked, from its canonical bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        codec::decode(bytes)
    }
}

impl MembershipResult {
    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// From its canonical bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        codec::decode(bytes)
    }
}
