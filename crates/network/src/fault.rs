use crate::frame::FrameError;
use quinn::{ConnectionError, ReadError, VarInt, WriteError};

/// Why a connection ends. Its text is told to the peer and to the consumer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("shut down")]
    Stopped,
    /// The caller's reason.
    #[error("{0}")]
    Closed(String),
    #[error("replaced by a newer connection of the same replica")]
    Replaced,
    #[error("the transport key is not in the directory")]
    UnknownKey,
    #[error("too many connections with this key or class")]
    TooManyConnections,
    #[error("no hello in time")]
    HelloTimeout,
    #[error("hello refused: {0}")]
    HelloRefused(String),
    #[error("{0}")]
    OversizeFrame(FrameError),
    #[error("malformed stream: {0}")]
    MalformedStream(&'static str),
    // Escaped: the text may come from the peer and goes to logs.
    #[error("connection lost: {}", .0.to_string().escape_debug())]
    Lost(ConnectionError),
}

impl Fault {
    /// The peer ended, reset or stopped a lane while the connection lives on.
    pub const LANE_ENDED: Self = Self::MalformedStream("a lane was ended");

    /// The close code of a refused hello.
    pub const HELLO_REFUSED: VarInt = VarInt::from_u32(6);

    /// The application's close code, for the peer's log.
    pub const fn code(&self) -> VarInt {
        VarInt::from_u32(match self {
            Self::HelloRefused(_) => return Self::HELLO_REFUSED,
            Self::Stopped | Self::Lost(_) => 0,
            Self::Closed(_) => 1,
            Self::Replaced => 2,
            Self::UnknownKey => 3,
            Self::TooManyConnections => 4,
            Self::HelloTimeout => 5,
            Self::OversizeFrame(_) => 7,
            Self::MalformedStream(_) => 8,
        })
    }

    /// Closes the connection for this reason. Only the first close of a connection has an effect.
    pub fn close(&self, connection: &quinn::Connection) {
        connection.close(self.code(), self.to_string().as_bytes());
    }
}

impl From<FrameError> for Fault {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Empty => Self::MalformedStream("an empty frame"),
            FrameError::Oversize { .. } => Self::OversizeFrame(error),
        }
    }
}

impl From<ConnectionError> for Fault {
    fn from(error: ConnectionError) -> Self {
        Self::Lost(error)
    }
}

impl From<ReadError> for Fault {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::ConnectionLost(error) => Self::Lost(error),
            _ => Self::LANE_ENDED,
        }
    }
}

impl From<WriteError> for Fault {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::ConnectionLost(error) => Self::Lost(error),
            _ => Self::LANE_ENDED,
        }
    }
}
