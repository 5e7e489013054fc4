//! Every decoder: no panic, no more memory than the bytes are worth, and one encoding for each value (R20).

use crate::allocation::within;
use crate::cluster::cluster;
use pbft_message::*;
use pbft_protocol::agreement::Record;
use pbft_services::kv::{KvResult, Operation};
use serde::{Serialize, de::DeserializeOwned};

/// A list may be given room for 1 MiB on the word of its length, and lists stand in lists.
const AT_LEAST: usize = 4 << 20;
/// What a byte on the wire may grow to in memory.
const GROWTH: usize = 64;

pub fn run(data: &[u8]) {
    let decoders: [fn(&[u8]); 26] = [
        canonical::<Message>,
        canonical::<ClientMessage>,
        canonical::<ReplicaMessage>,
        canonical::<Hello>,
        canonical::<Record>,
        canonical::<Genesis>,
        canonical::<Evidence>,
        canonical::<Status>,
        canonical::<Signed<Request>>,
        canonical::<Signed<PrePrepare>>,
        canonical::<Signed<Prepare>>,
        canonical::<Signed<Commit>>,
        canonical::<Signed<Checkpoint>>,
        canonical::<Signed<ViewChange>>,
        canonical::<Signed<NewView>>,
        canonical::<PreparedCertificate>,
        canonical::<CommitCertificate>,
        canonical::<StableCertificate>,
        canonical::<CheckpointState>,
        canonical::<FetchState>,
        canonical::<StateReply>,
        canonical::<Reply>,
        canonical::<ReplicaReport>,
        operation,
        result,
        body,
    ];
    for decoder in decoders {
        within(AT_LEAST + GROWTH * data.len(), || decoder(data));
    }
}

fn canonical<T: Serialize + DeserializeOwned>(data: &[u8]) {
    if let Ok(value) = codec::decode::<T>(data) {
        assert_eq!(codec::encode(&value), data, "two encodings of one {}", std::any::type_name::<T>());
    }
}

fn operation(data: &[u8]) {
    if let Ok(operation) = Operation::decode(data) {
        assert_eq!(operation.encode(), data);
    }
}

fn result(data: &[u8]) {
    if let Ok(result) = KvResult::decode(data) {
        assert_eq!(result.encode(), data);
    }
}

/// The body of a batch: its digest is that of its bytes, whatever they are.
fn body(data: &[u8]) {
    let digest = if data.is_empty() { NULL_DIGEST } else { batch_digest(data) };
    let proposal = cluster().authenticator.verify_body(Blob::from(data));
    assert_eq!(proposal.digest(), digest);
    if let Proposal::Valid(batch) = proposal {
        let again = Batch::of_verified(batch.time(), batch.verified_requests().collect());
        assert_eq!(&**again.bytes(), data);
    }
}
