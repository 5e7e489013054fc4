use crate::{Blobs, ClientId, Epoch, Evidence, ReplicaReport, Request, SequenceNumber, Signed, Timestamp, View};
use pbft_crypto::Digest;
use serde::{Deserialize, Serialize};

/// From a client to a replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClientMessage {
    /// A request to be ordered.
    Request(Signed<Request>),
    /// What became of a request? Answered from the replica's own client table, unordered.
    RequestStatus {
        /// Returned in the answer.
        query: u64,
        /// The client.
        client: ClientId,
        /// The request's timestamp.
        timestamp: Timestamp,
    },
    /// Where does the replica stand?
    Report {
        /// Returned in the answer.
        query: u64,
    },
    /// Which evidence does the replica hold?
    Evidence {
        /// Returned in the answer.
        query: u64,
    },
}

/// From a replica to a client, authentic by the connection (R2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReplicaMessage {
    /// Results of executed requests of one client.
    Replies(Vec<Reply>),
    /// The request was not taken.
    Refused {
        /// The request's client.
        client: ClientId,
        /// Its timestamp.
        timestamp: Timestamp,
        /// The view the replica is in.
        view: View,
        /// Why.
        refusal: RequestRefusal,
    },
    /// Answer to [`ClientMessage::RequestStatus`].
    RequestStatus {
        /// From the question.
        query: u64,
        /// What became of the request.
        state: RequestState,
    },
    /// Answer to [`ClientMessage::Report`].
    Report {
        /// From the question.
        query: u64,
        /// Where the replica stands.
        report: Box<ReplicaReport>,
    },
    /// Answer to [`ClientMessage::Evidence`].
    Evidence {
        /// From the question.
        query: u64,
        /// What the replica holds.
        evidence: Vec<Evidence>,
    },
}

/// REPLY (R2). Replies match when all but the view are equal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The configuration's number.
    pub epoch: Epoch,
    /// The view that the replica is in.
    pub view: View,
    /// The client.
    pub client: ClientId,
    /// The request's timestamp.
    pub timestamp: Timestamp,
    /// The request's digest.
    pub request: Digest,
    /// Where the request was ordered.
    pub sequence: SequenceNumber,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of an ordered request, the same at every replica (R4, R8).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// One result for each operation.
    Executed(Blobs),
    /// It had no effect.
    Refused(RequestRefusal),
    /// It took effect once, but its results are no longer kept (R8).
    ExecutedResultGone,
}

/// Why a request had no effect or was not taken.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, thiserror::Error)]
pub enum RequestRefusal {
    /// The signature is not the client's over this request.
    #[error("BadSignature: the signature is not the client's over this request")]
    BadSignature,
    /// The client is not authorised.
    #[error("UnknownClient: the client's key is not among the authorised clients of this cluster")]
    UnknownClient,
    /// The timestamp is below the window of the client's remembered requests.
    #[error("TooOld: the timestamp is below the window of remembered requests; use a higher one")]
    TooOld,
    /// The timestamp was used for another request.
    #[error("TimestampReused: another request of this client has this timestamp")]
    TimestampReused,
    /// A limit is exceeded.
    #[error("TooLarge: {limit} is limited to {maximum}")]
    TooLarge {
        /// What is limited.
        limit: String,
        /// To how much.
        maximum: u64,
    },
    /// The replica has no room for the request now.
    #[error("Busy: try again in {retry_after_ms} ms")]
    Busy {
        /// When to try again, in milliseconds.
        retry_after_ms: u64,
    },
    /// The bytes are not a request.
    #[error("Malformed: the message is not a well-formed request")]
    Malformed,
    /// The client may only read, and an operation is no read.
    #[error("ReadOnly: this client may only read; an operator can add one that may write (pbft client add)")]
    ReadOnly,
}

impl RequestRefusal {
    /// The refusal's name, for counters and programs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::BadSignature => "BadSignature",
            Self::UnknownClient => "UnknownClient",
            Self::TooOld => "TooOld",
            Self::TimestampReused => "TimestampReused",
            Self::TooLarge { .. } => "TooLarge",
            Self::Busy { .. } => "Busy",
            Self::Malformed => "Malformed",
            Self::ReadOnly => "ReadOnly",
        }
    }
}

/// What a replica knows of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RequestState {
    /// Executed here.
    Executed {
        /// Where it was ordered.
        sequence: SequenceNumber,
        /// The request's digest.
        request: Digest,
        /// What came of it.
        outcome: Outcome,
    },
    /// Not executed here, and it still may be.
    NotExecuted,
    /// Below the window: it is not known whether it ever ran, and it never will run now.
    TooOld,
    /// The client is not authorised.
    UnknownClient,
}
