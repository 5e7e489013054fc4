use crate::fault::Fault;
use quinn::{ConnectionError, TransportErrorCode, VarInt};
use rustls::AlertDescription;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts one kind of event.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// What was refused or went wrong, by reason.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// We refused a peer's key: not in the directory, or not the one we dialled.
    pub unknown_key: Counter,
    /// A peer refused us: our key, our hello, or one connection too many.
    pub refused_by_peer: Counter,
    /// The two sides speak different application protocols or wire versions.
    pub alpn_mismatch: Counter,
    /// A handshake failed in any other way.
    pub handshake_failed: Counter,
    /// A peer that we dialled did not answer.
    pub unreachable: Counter,
    pub hello_timeout: Counter,
    pub hello_refused: Counter,
    pub oversize_frame: Counter,
    /// Empty frames, unknown or repeated lanes, lanes that end.
    pub malformed_stream: Counter,
    pub too_many_connections: Counter,
    pub connection_replaced: Counter,
    pub outbound_queue_full: Counter,
}

impl Counters {
    pub fn snapshot(&self) -> Vec<(&'static str, u64)> {
        [
            ("unknown_key", &self.unknown_key),
            ("refused_by_peer", &self.refused_by_peer),
            ("alpn_mismatch", &self.alpn_mismatch),
            ("handshake_failed", &self.handshake_failed),
            ("unreachable", &self.unreachable),
            ("hello_timeout", &self.hello_timeout),
            ("hello_refused", &self.hello_refused),
            ("oversize_frame", &self.oversize_frame),
            ("malformed_stream", &self.malformed_stream),
            ("too_many_connections", &self.too_many_connections),
            ("connection_replaced", &self.connection_replaced),
            ("outbound_queue_full", &self.outbound_queue_full),
        ]
        .map(|(name, counter)| (name, counter.0.load(Ordering::Relaxed)))
        .to_vec()
    }

    /// Counts the end of a connection. Losing one that had been greeted is no refusal.
    pub fn add_fault(&self, fault: &Fault, greeted: bool) {
        match fault {
            Fault::UnknownKey => self.unknown_key.add(),
            Fault::TooManyConnections => self.too_many_connections.add(),
            Fault::HelloTimeout => self.hello_timeout.add(),
            Fault::HelloRefused(_) => self.hello_refused.add(),
            Fault::OversizeFrame(_) => self.oversize_frame.add(),
            Fault::MalformedStream(_) => self.malformed_stream.add(),
            Fault::Replaced => self.connection_replaced.add(),
            Fault::Lost(error) if !greeted => self.add_refusal(error),
            Fault::Lost(_) | Fault::Stopped | Fault::Closed(_) => {}
        }
    }

    /// Counts a connection that ended before the hello.
    pub fn add_refusal(&self, error: &ConnectionError) {
        match Refusal::of(error) {
            Refusal::None => {}
            Refusal::WrongKey => self.unknown_key.add(),
            Refusal::ByPeer(_) => self.refused_by_peer.add(),
            Refusal::Version => self.alpn_mismatch.add(),
            Refusal::Other => self.handshake_failed.add(),
        }
    }
}

/// What the end of a connection before the hello says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// We ended it ourselves.
    None,
    /// We refused the peer's key.
    WrongKey,
    /// The peer refused us, with this close code if it had come so far.
    ByPeer(Option<VarInt>),
    /// No common application protocol.
    Version,
    Other,
}

impl Refusal {
    /// TLS alerts tell the reasons apart: of all failures only the refusal of a key by
    /// [`PinnedKeys`](crate::tls::PinnedKeys) ends in `access_denied`. With TLS 1.3 the dialling side may learn that it
    /// was refused only after its own handshake has succeeded.
    pub fn of(error: &ConnectionError) -> Self {
        let alert = |description: AlertDescription| TransportErrorCode::crypto(u8::from(description));
        let code = match error {
            ConnectionError::TransportError(error) => Some(error.code),
            ConnectionError::ConnectionClosed(close) => Some(close.error_code),
            _ => None,
        };
        let by_peer = matches!(error, ConnectionError::ConnectionClosed(_));
        match error {
            _ if code == Some(alert(AlertDescription::NoApplicationProtocol)) => Self::Version,
            _ if code == Some(alert(AlertDescription::AccessDenied)) && by_peer => Self::ByPeer(None),
            _ if code == Some(alert(AlertDescription::AccessDenied)) => Self::WrongKey,
            _ if code == Some(TransportErrorCode::CONNECTION_REFUSED) && by_peer => Self::ByPeer(None),
            ConnectionError::ApplicationClosed(close) => Self::ByPeer(Some(close.error_code)),
            ConnectionError::LocallyClosed => Self::None,
            _ => Self::Other,
        }
    }
}
