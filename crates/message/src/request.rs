use crate::{Blobs, Body, ClientId, Party, Timestamp};
use serde::{Deserialize, Serialize};

/// What a client asks for: an ordered list of operations under one signature (R2). The operations run one after the
/// other with no others in between; the service alone knows what they mean.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The client, who is its signing key.
    pub client: ClientId,
    /// Grows with each request of the client.
    pub timestamp: Timestamp,
    /// At least one operation.
    pub operations: Blobs,
}

impl Body for Request {
    const TYPE: u8 = 1;

    fn signer(&self) -> Party {
        Party::Client(self.client)
    }
}
