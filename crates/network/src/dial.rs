use crate::connection;
use crate::endpoint::Shared;
use pbft_crypto::PublicKey;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Keeps a connection up for as long as it is held. Dropping it closes the connection and ends the attempts.
#[derive(Debug)]
#[must_use = "dropping it closes the connection"]
pub struct Dial {
    pub(crate) _stop: DropGuard,
}

/// One peer to be connected to.
pub(crate) struct Dialling {
    pub shared: Arc<Shared>,
    pub config: quinn::ClientConfig,
    pub peer: PublicKey,
    pub address: SocketAddr,
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

    /// One attempt, and the connection's life if it succeeds. Returns how long the connection was up.
    async fn connect(&self) -> Duration {
        let (peer, address, counters) = (self.peer, self.address, &self.shared.counters);
        // TLS wants a name; it is never sent.
        let connecting = match self.shared.quinn.connect_with(self.config.clone(), address, "replica") {
            Ok(connecting) => connecting,
            Err(error) => {
                tracing::warn!(?peer, %address, %error, "cannot dial this address");
                counters.unreachable.add();
                return Duration::ZERO;
            }
        };
        let connected = tokio::select! {
            () = self.stop.cancelled() => return Duration::ZERO,
            connected = timeout(self.shared.settings.hello_timeout, connecting) => connected,
        };
        match connected {
            Ok(Ok(connection)) => return connection::run(&self.shared, connection, &self.stop).await,
            Ok(Err(quinn::ConnectionError::TimedOut)) | Err(_) => counters.unreachable.add(),
            Ok(Err(error)) => {
                tracing::debug!(?peer, %address, error = %error.to_string().escape_debug(), "connection refused");
                counters.add_refusal(&error);
            }
        }
        Duration::ZERO
    }
}

/// Between half of the pause and the whole, so that peers which lost each other together do not return in step.
fn with_jitter(pause: Duration) -> Duration {
    let random = f64::from(getrandom::u32().unwrap_or(u32::MAX)) / f64::from(u32::MAX);
    pause.mul_f64(random.mul_add(0.5, 0.5))
}
