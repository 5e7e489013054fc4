use pbft_message::{GenesisError, RequestRefusal, SequenceNumber, Timestamp};
use pbft_network::BindError;
use pbft_protocol::session::{RequestError, SubmitError};

/// Why a request or question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The genesis describes no cluster.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// The configuration does not say where each replica is.
    #[error("{found} replica addresses are configured for {expected} replicas: give one for each, in the order of their numbers")]
    AddressCount {
        /// How many are configured.
        found: usize,
        /// How many replicas there are.
        expected: usize,
    },
    /// No socket could be opened.
    #[error(transparent)]
    Network(#[from] BindError),
    /// The request has no effect. After `TooOld` it may have had one when it was sent before.
    #[error("{0}")]
    Refused(RequestRefusal),
    /// The request took effect once, but its results are no longer kept (R8).
    #[error("the request took effect at sequence number {0}, but its results are no longer kept")]
    ResultGone(SequenceNumber),
    /// The same request is waited for already.
    #[error("the request with timestamp {0} is in flight already")]
    AlreadyInFlight(Timestamp),
    /// No higher timestamp exists.
    #[error("the client has used the highest timestamp there is: use another client key")]
    NoTimestampLeft,
    /// The time was over before the request could be sent: as many as allowed were in flight. It has no effect.
    #[error("the request was not sent: too many others are in flight")]
    NotSent,
    /// The time was over before weak_quorum replicas agreed. The request may have taken effect, or still do so.
    #[error(
        "no answer in time: the outcome of request {timestamp} is unknown; ask for its status, or retry it with this timestamp"
    )]
    OutcomeUnknown {
        /// The timestamp to ask about or to retry.
        timestamp: Timestamp,
    },
    /// The time was over, and too few replicas are connected to expect an answer.
    #[error(
        "no quorum: {connected} replicas are connected, {quorum} are needed{}{}",
        if *.refused > 0 { " (replicas refuse this client's transport key or cluster)" } else { "" },
        .timestamp.map(|timestamp| format!("; the outcome of request {timestamp} is unknown; ask for its status, or retry it with this timestamp")).unwrap_or_default()
    )]
    NoQuorum {
        /// The timestamp to ask about or to retry, if a request was signed.
        timestamp: Option<Timestamp>,
        /// How many replicas are connected.
        connected: usize,
        /// How many make a quorum.
        quorum: usize,
        /// How often replicas refused a connection since the client was made.
        refused: u64,
    },
    /// The time was over before weak_quorum replicas gave the same answer to a question.
    #[error("the replicas did not agree on an answer in time")]
    NoAgreement,
    /// The client was closed.
    #[error("the client is closed")]
    Closed,
}

impl ClientError {
    /// The error's name, for programs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Genesis(_) => "Genesis",
            Self::AddressCount { .. } => "AddressCount",
            Self::Network(_) => "Network",
            Self::Refused(refusal) => refusal.name(),
            Self::ResultGone(_) => "ResultGone",
            Self::AlreadyInFlight(_) => "AlreadyInFlight",
            Self::NoTimestampLeft => "NoTimestampLeft",
            Self::NotSent => "NotSent",
            Self::OutcomeUnknown { .. } => "OutcomeUnknown",
            Self::NoQuorum { .. } => "NoQuorum",
            Self::NoAgreement => "NoAgreement",
            Self::Closed => "Closed",
        }
    }
}

impl From<RequestError> for ClientError {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Refused(refusal) => Self::Refused(refusal),
            RequestError::ResultGone(sequence) => Self::ResultGone(sequence),
        }
    }
}

impl From<SubmitError> for ClientError {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::TooManyInFlight(_) => Self::NotSent,
            SubmitError::AlreadyInFlight(timestamp) => Self::AlreadyInFlight(timestamp),
            SubmitError::Refused(refusal) => Self::Refused(refusal),
            SubmitError::NoTimestampLeft => Self::NoTimestampLeft,
        }
    }
}
