mod content;

use crate::{Blob, Parameters, Request, Signed, Verified};
use content::Content;
use pbft_crypto::Digest;
use std::sync::Arc;

/// The reserved digest of the null request, which has no body (R3).
pub const NULL_DIGEST: Digest = Digest::ZERO;

/// What one sequence number orders: signed requests in order, and a proposed time (R3). Cheap to clone.
#[derive(Clone, Debug)]
pub struct Batch(Arc<Sealed>);

#[derive(Debug)]
struct Sealed {
    bytes: Blob,
    digest: Digest,
    content: Content,
}

/// The digest that names a batch body (R3). It covers the clients' signatures, so a fetched body proves itself.
pub fn batch_digest(body: &[u8]) -> Digest {
    Digest::of("pbft batch", &[body])
}

impl Batch {
    /// A batch of verified requests needs no further verification.
    pub fn of_verified(time: u64, requests: Vec<Verified<Signed<Request>>>) -> Verified<Self> {
        let requests: Vec<Signed<Request>> = requests.into_iter().map(Verified::into_inner).collect();
        let (content, bytes) = Content::encode(time, requests);
        let digest = batch_digest(&bytes);
        Verified::new(Self(Arc::new(Sealed { bytes, digest, content })))
    }

    /// Decodes a body and checks everything but the clients' signatures: a pure function of the bytes and the
    /// genesis (R4).
    pub(crate) fn decode(bytes: Blob, limits: &Parameters) -> Result<Self, InvalidBatch> {
        let digest = batch_digest(&bytes);
        let invalid = |reason: &str| InvalidBatch { body: bytes.clone(), digest, reason: reason.to_owned() };
        if bytes.len() > limits.max_batch_bytes {
            return Err(invalid("larger than the limit on a batch"));
        }
        let content = Content::decode(&bytes).map_err(|error| invalid(&error.to_string()))?;
        if content.requests.is_empty() {
            return Err(invalid("empty, but not the null request"));
        }
        if content.requests.iter().any(|request| limits.check_request(request).is_err()) {
            return Err(invalid("a request without operations or beyond a limit"));
        }
        Ok(Self(Arc::new(Sealed { bytes, digest, content })))
    }

    /// The batch's name.
    pub fn digest(&self) -> Digest {
        self.0.digest
    }

    /// The encoded body.
    pub fn bytes(&self) -> &Blob {
        &self.0.bytes
    }

    /// The time that the primary proposes, in microseconds since 1970 (R3).
    pub fn time(&self) -> u64 {
        self.0.content.time
    }

    /// The requests in their order.
    pub fn requests(&self) -> &[Signed<Request>] {
        &self.0.content.requests
    }
}

impl PartialEq for Batch {
    fn eq(&self, other: &Self) -> bool {
        self.0.digest == other.0.digest
    }
}

impl Eq for Batch {}

/// A body that breaks R4: no correct primary proposes it, whatever the state. Only an
/// [`Authenticator`](crate::Authenticator) builds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidBatch {
    pub(crate) body: Blob,
    pub(crate) digest: Digest,
    pub(crate) reason: String,
}

impl InvalidBatch {
    /// The offending bytes.
    pub fn body(&self) -> &Blob {
        &self.body
    }

    /// The digest of the bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// What is wrong with them.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}
