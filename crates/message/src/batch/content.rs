use crate::codec::{self, DecodeError};
use crate::{Blob, Blobs, ClientId, Request, Signed, Timestamp};
use pbft_crypto::Signature;
use serde::{Deserialize, Serialize};
use serde_bytes::Bytes;

/// What a batch's bytes say. The requests and their operations are parts of those bytes, not copies: a batch is held for
/// long after it was executed.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) time: u64,
    pub(super) requests: Vec<Signed<Request>>,
}

/// The encoding of a batch.
#[derive(Serialize, Deserialize)]
struct Layout<'a> {
    time: u64,
    #[serde(borrow)]
    requests: Vec<(&'a Bytes, Signature)>,
}

/// The encoding of a [`Request`].
#[derive(Serialize, Deserialize)]
struct RequestLayout<'a> {
    client: ClientId,
    timestamp: Timestamp,
    #[serde(borrow)]
    operations: Vec<&'a Bytes>,
}

impl Content {
    /// The content with its bytes.
    pub(super) fn encode(time: u64, requests: Vec<Signed<Request>>) -> (Self, Blob) {
        let bytes = Blob::from(codec::encode(&(time, &requests)));
        // What was just encoded decodes.
        let content = Self::decode(&bytes).unwrap_or(Self { time, requests });
        (content, bytes)
    }

    pub(super) fn decode(bytes: &Blob) -> Result<Self, DecodeError> {
        let layout: Layout = codec::decode(bytes)?;
        let requests = layout.requests.into_iter().map(|(request, signature)| decode_request(bytes, request, signature));
        Ok(Self { time: layout.time, requests: requests.collect::<Result<_, _>>()? })
    }
}

fn decode_request(batch: &Blob, bytes: &[u8], signature: Signature) -> Result<Signed<Request>, DecodeError> {
    let layout: RequestLayout = codec::decode(bytes)?;
    let bytes = batch.part(bytes);
    let operations = Blobs::end_of(&bytes, codec::encoded_size(&layout.operations));
    let request = Request { client: layout.client, timestamp: layout.timestamp, operations };
    Ok(Signed::received(request, bytes, signature))
}
