use crate::connection;
use crate::counters::Refusal;
use crate::endpoint::Shared;
use crate::fault::Fault;
use pbft_crypto::PublicKey;
use quinn::ConnectionError;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::lookup_host;
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Keeps a connection up for as long as it is held. Dropping it closes the connection and ends the attempts.
#[derive(Debug)]
#[must_use = "dropping it closes the connection"]
pub struct Dial {
    pub(crate) _stop: DropGuard,
}

/// Why an attempt to connect failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DialProblem {
    /// The name has no address.
    Unresolved,
    /// Nobody answers at the address.
    Unreachable,
    /// Who answers there has another key.
    WrongKey,
    /// Who answers there does not know our key.
    Refused,
    /// The hellos do not fit: another cluster, or another party.
    Hello,
    /// No common wire version.
    Version,
    /// Anything else.
    Failed,
}

impl DialProblem {
    /// Its name, for programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unresolved => "unresolved",
            Self::Unreachable => "unreachable",
            Self::WrongKey => "wrong_key",
            Self::Refused => "refused",
            Self::Hello => "hello",
            Self::Version => "version",
            Self::Failed => "failed",
        }
    }

    fn of_error(error: &ConnectionError) -> Self {
        match Refusal::of(error) {
            _ if matches!(error, ConnectionError::TimedOut) => Self::Unreachable,
            Refusal::WrongKey => Self::WrongKey,
            Refusal::ByPeer(code) if code == Some(Fault::HELLO_REFUSED) => Self::Hello,
            Refusal::ByPeer(_) => Self::Refused,
            Refusal::Version => Self::Version,
            Refusal::None | Refusal::Other => Self::Failed,
        }
    }

    fn of_fault(fault: &Fault) -> Self {
        match fault {
            Fault::Lost(error) => Self::of_error(error),
            Fault::HelloRefused(_) => Self::Hello,
            Fault::UnknownKey => Self::WrongKey,
            _ => Self::Failed,
        }
    }
}

/// How the last attempt to reach each peer failed.
#[derive(Debug, Default)]
pub(crate) struct Problems(Mutex<BTreeMap<PublicKey, DialProblem>>);

impl Problems {
    pub fn of(&self, peer: &PublicKey) -> Option<DialProblem> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(peer).copied()
    }

    fn set(&self, peer: PublicKey, problem: Option<DialProblem>) {
        let mut problems = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match problem {
            Some(problem) => _ = problems.insert(peer, problem),
            None => _ = problems.remove(&peer),
        }
    }
}

/// One peer to be connected to.
pub(crate) struct Dialling {
    pub shared: Arc<Shared>,
    pub config: quinn::ClientConfig,
    pub peer: PublicKey,
    /// `host:port`; a name is looked up at each attempt, since who has it may move.
    pub address: String,
    pub stop: CancellationToken,
}

impl Dialling {
    /// Connects, and connects again whenever the connection is gone, until stopped.
    pub async fn keep_up(self) {
        let settings = &self.shared.settings;
        let mut pause = settings.reconnect_min;
        while !self.stop.is_cancelled() {
            // A peer that takes connections only to drop them is not tried again at full speed.
            if self.connect().await >= settings.reconnect_max {
                pause = settings.reconnect_min;
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = sleep(with_jitter(pause)) => {}
            }
            pause = pause.saturating_mul(2).min(settings.reconnect_max);
        }
    }

    /// The first address that our socket can reach.
    async fn resolve(&self) -> Option<SocketAddr> {
        let looked_up = tokio::select! {
            () = self.stop.cancelled() => return None,
            looked_up = timeout(self.shared.settings.hello_timeout, lookup_host(&self.address)) => looked_up,
        };
        let (peer, address) = (self.peer, &self.address);
        let only_v4 = self.shared.quinn.local_addr().is_ok_and(|local| local.is_ipv4());
        let problem = match looked_up {
            Ok(Ok(mut found)) => match found.find(|found| found.is_ipv4() || !only_v4) {
                Some(found) => return Some(found),
                None => "the name has no address that this socket can reach".to_owned(),
            },
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        tracing::warn!(event = "unresolved", ?peer, address, problem, "cannot look up where this peer is");
        None
    }

    fn failed(&self, problem: DialProblem) -> Duration {
        self.shared.problems.set(self.peer, Some(problem));
        Duration::ZERO
    }

    /// One attempt, and the connection's life if it succeeds. Returns how long the connection was up.
    async fn connect(&self) -> Duration {
        let (peer, counters) = (self.peer, &self.shared.counters);
        let Some(address) = self.resolve().await else {
            counters.unreachable.add();
            return self.failed(DialProblem::Unresolved);
        };
        // TLS wants a name; it is never sent.
        let connecting = match self.shared.quinn.connect_with(self.config.clone(), address, "replica") {
            Ok(connecting) => connecting,
            Err(error) => {
                tracing::warn!(event = "dial_failed", ?peer, %address, %error, "cannot dial this address");
                counters.unreachable.add();
                return self.failed(DialProblem::Unreachable);
            }
        };
        let connected = tokio::select! {
            () = self.stop.cancelled() => return Duration::ZERO,
            connected = timeout(self.shared.settings.hello_timeout, connecting) => connected,
        };
        match connected {
            Ok(Ok(connection)) => {
                let ended = connection::run(&self.shared, connection, &self.stop).await;
                let problem = ended.was_up.is_zero().then(|| DialProblem::of_fault(&ended.fault));
                self.shared.problems.set(peer, problem);
                ended.was_up
            }
            Ok(Err(ConnectionError::TimedOut)) | Err(_) => {
                counters.unreachable.add();
                self.failed(DialProblem::Unreachable)
            }
            Ok(Err(error)) => {
                let reason = error.to_string();
                tracing::debug!(event = "dial_refused", ?peer, %address, error = %reason.escape_debug(), "connection refused");
                counters.add_refusal(&error);
                self.failed(DialProblem::of_error(&error))
            }
        }
    }
}

/// Between half of the pause and the whole, so that peers which lost each other together do not return in step.
fn with_jitter(pause: Duration) -> Duration {
    let random = f64::from(getrandom::u32().unwrap_or(u32::MAX)) / f64::from(u32::MAX);
    pause.mul_f64(random.mul_add(0.5, 0.5))
}
