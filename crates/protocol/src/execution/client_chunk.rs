//! The canonical bytes of one bucket of the client table.
//!
//! A chunk is a list of frames, each an encoded value after its length (u64, little-endian): per client one frame with
//! the client, its standing and the number of its requests, then one frame per request. Framed one by one, because a bucket may
//! outgrow what the codec decodes as one value.

use super::client_table::{Bucket, CLIENT_CHUNKS, Entry, Remembered, Requests, bucket_of};
use pbft_message::codec::{self, DecodeError};
use pbft_message::{ClientId, Standing, Timestamp};
use serde::{Serialize, de::DeserializeOwned};
use std::sync::Arc;

/// Why chunks are no client table. As a quorum signed their root, this replica and the writers do not run the same code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientTableError {
    /// The wrong number of chunks.
    #[error("the client table has {CLIENT_CHUNKS} chunks, not {found}")]
    ChunkCount {
        /// How many there are.
        found: usize,
    },
    /// A chunk ends within a frame.
    #[error("chunk {chunk} of the client table ends too early")]
    Truncated {
        /// The chunk at fault.
        chunk: u32,
    },
    /// A frame holds something else.
    #[error("chunk {chunk} of the client table: {error}")]
    Malformed {
        /// The chunk at fault.
        chunk: u32,
        /// What is wrong with a frame of it.
        error: DecodeError,
    },
    /// Clients or timestamps are repeated or do not ascend.
    #[error("chunk {chunk} of the client table: clients or timestamps are repeated or not in order")]
    NotInOrder {
        /// The chunk at fault.
        chunk: u32,
    },
    /// The client belongs to another chunk.
    #[error("chunk {chunk} of the client table holds client {client}, who belongs to another")]
    WrongChunk {
        /// The chunk at fault.
        chunk: u32,
        /// The client.
        client: ClientId,
    },
    /// More requests than W.
    #[error("chunk {chunk} of the client table remembers more requests of client {client} than requests_in_flight allows")]
    TooManyRequests {
        /// The chunk at fault.
        chunk: u32,
        /// The client.
        client: ClientId,
    },
}

pub(super) fn encode_bucket(bucket: &Bucket) -> Vec<u8> {
    let mut chunk = Vec::new();
    for (client, Entry { standing, requests }) in bucket {
        push_frame(&mut chunk, &(client, standing, requests.len() as u64));
        for request in requests.iter() {
            push_frame(&mut chunk, &request);
        }
    }
    chunk
}

pub(super) fn decode_bucket(chunk: u32, mut bytes: &[u8], limit: usize) -> Result<Bucket, ClientTableError> {
    let mut bucket = Bucket::new();
    while !bytes.is_empty() {
        let (client, standing, count): (ClientId, Standing, u64) = take_frame(chunk, &mut bytes)?;
        if bucket_of(client) != chunk {
            return Err(ClientTableError::WrongChunk { chunk, client });
        }
        if bucket.last_key_value().is_some_and(|(last, _)| *last >= client) {
            return Err(ClientTableError::NotInOrder { chunk });
        }
        if usize::try_from(count).map_or(true, |count| count > limit) {
            return Err(ClientTableError::TooManyRequests { chunk, client });
        }
        let mut requests = Requests::new();
        for _ in 0..count {
            let (timestamp, remembered): (Timestamp, Remembered) = take_frame(chunk, &mut bytes)?;
            if requests.last_key_value().is_some_and(|(last, _)| *last >= timestamp) {
                return Err(ClientTableError::NotInOrder { chunk });
            }
            requests.insert(timestamp, remembered);
        }
        bucket.insert(client, Entry { standing, requests: Arc::new(requests) });
    }
    Ok(bucket)
}

fn push_frame<T: Serialize>(chunk: &mut Vec<u8>, value: &T) {
    let frame = codec::encode(value);
    chunk.extend_from_slice(&(frame.len() as u64).to_le_bytes());
    chunk.extend_from_slice(&frame);
}

fn take_frame<T: Serialize + DeserializeOwned>(chunk: u32, bytes: &mut &[u8]) -> Result<T, ClientTableError> {
    let truncated = ClientTableError::Truncated { chunk };
    let (length, rest) = bytes.split_first_chunk().ok_or(truncated.clone())?;
    let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
    let (frame, rest) = rest.split_at_checked(length).ok_or(truncated)?;
    *bytes = rest;
    codec::decode(frame).map_err(|error| ClientTableError::Malformed { chunk, error })
}
