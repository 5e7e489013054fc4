use pbft_message::{Genesis, ReplicaId};
use pbft_protocol::agreement::{Limits, Timing};
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// At a lower rate an answer would take longer than a replica waits for it.
const LEAST_TRANSFER: u64 = 1 << 20;

/// `config.toml` of a replica: what is its own business, not the cluster's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplicaConfig {
    /// This replica's number.
    pub replica: ReplicaId,
    /// Where it listens (UDP).
    pub listen: SocketAddr,
    /// Where it listens for clients (UDP), so that firewalls can tell them from replicas: `listen` is then for replicas
    /// alone. By default clients come to `listen` too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listen_clients: Option<SocketAddr>,
    /// Where it tells how it is (HTTP over TCP): `/metrics`, `/healthz`, `/readyz`, `/status`. Anyone who reaches it may
    /// read. By default on this machine only, 127.0.0.1, with the port number of `listen`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<SocketAddr>,
    /// Where each replica is reached, in the order of their numbers: `host:port`.
    pub replicas: Vec<String>,
    /// How long it waits for what.
    #[serde(default)]
    pub timing: TimingConfig,
    /// How much it takes in.
    #[serde(default)]
    pub limits: LimitsConfig,
}

/// Timers; the defaults suit one site. Across continents use 2 s, 16 s and 400 ms for the first three.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TimingConfig {
    /// How long an ordered request, a heartbeat or a new-view may take before the primary is suspected.
    #[serde(with = "humantime_serde")]
    pub base_timeout: Duration,
    /// Failed view changes double the time-out up to this.
    #[serde(with = "humantime_serde")]
    pub max_timeout: Duration,
    /// The primary shows that it lives this often; less than half of `base_timeout`.
    #[serde(with = "humantime_serde")]
    pub heartbeat: Duration,
    /// Replicas tell each other where they stand this often.
    #[serde(with = "humantime_serde")]
    pub status: Duration,
    /// After this long without work the primary completes a checkpoint.
    #[serde(with = "humantime_serde")]
    pub idle_checkpoint: Duration,
    /// How far a proposed time may lie ahead of the own clock.
    #[serde(with = "humantime_serde")]
    pub clock_drift: Duration,
}

/// Bounds; what follows for memory is printed at the start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Batches in flight.
    pub pipeline: u64,
    /// Requests in a batch.
    pub batch_requests: usize,
    /// Requests that wait to be ordered.
    pub pending_requests: usize,
    /// Bytes of requests that wait to be ordered.
    pub pending_bytes: usize,
    /// Bytes of batches held for agreement and for replicas that lag.
    pub body_bytes: usize,
    /// The journal begins anew at a snapshot once it has grown by this many bytes.
    pub journal_bytes: u64,
    /// Bytes of state a second that are served to replicas that were away, together; at least 1 MiB. Less disturbs the
    /// cluster less, more brings them back sooner.
    pub transfer_bytes_per_second: u64,
    /// Connections of clients, together.
    pub client_connections: usize,
    /// Requests and questions a second of one client, after a burst of one second's; what is beyond is refused as `Busy`.
    pub client_requests_per_second: u32,
}

impl Default for TimingConfig {
    fn default() -> Self {
        let timing = Timing::default();
        Self {
            base_timeout: timing.base_timeout,
            max_timeout: timing.max_timeout,
            heartbeat: timing.heartbeat,
            status: timing.status,
            idle_checkpoint: timing.idle_checkpoint,
            clock_drift: timing.clock_drift,
        }
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            pipeline: limits.pipeline,
            batch_requests: limits.batch_requests,
            pending_requests: limits.pending_requests,
            pending_bytes: limits.pending_bytes,
            body_bytes: limits.body_bytes,
            journal_bytes: 64 << 20,
            transfer_bytes_per_second: 32 << 20,
            client_connections: 1024,
            client_requests_per_second: 50_000,
        }
    }
}

impl TimingConfig {
    pub(crate) fn timing(&self) -> Timing {
        Timing {
            base_timeout: self.base_timeout,
            max_timeout: self.max_timeout,
            heartbeat: self.heartbeat,
            status: self.status,
            idle_checkpoint: self.idle_checkpoint,
            clock_drift: self.clock_drift,
            ..Timing::default()
        }
    }
}

impl LimitsConfig {
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            pipeline: self.pipeline,
            batch_requests: self.batch_requests,
            pending_requests: self.pending_requests,
            pending_bytes: self.pending_bytes,
            body_bytes: self.body_bytes,
            ..Limits::default()
        }
    }
}

impl ReplicaConfig {
    /// Where the replica tells how it is.
    pub fn http_address(&self) -> SocketAddr {
        self.http.unwrap_or_else(|| (Ipv4Addr::LOCALHOST, self.listen.port()).into())
    }

    /// What is wrong with it, if anything: one sentence that names the setting.
    pub fn problem(&self, genesis: &Genesis) -> Option<String> {
        let (timing, limits) = (&self.timing, &self.limits);
        if self.listen_clients.is_some_and(|clients| clients.port() == self.listen.port() && clients.port() != 0) {
            return Some("listen and listen_clients must be different ports".to_owned());
        }
        if genesis.replica(self.replica).is_none() {
            return Some(format!("replica = {} is not in the genesis, which has {}", self.replica, genesis.replica_count()));
        }
        if self.replicas.len() != genesis.replica_count() {
            return Some(format!(
                "replicas lists {} addresses, the genesis has {} replicas",
                self.replicas.len(),
                genesis.replica_count()
            ));
        }
        if timing.heartbeat.saturating_mul(2) >= timing.base_timeout || timing.heartbeat < Duration::from_millis(1) {
            return Some("timing.heartbeat must be at least 1 ms and less than half of timing.base_timeout".to_owned());
        }
        if timing.status >= timing.base_timeout || timing.status < Duration::from_millis(1) {
            return Some("timing.status must be at least 1 ms and less than timing.base_timeout".to_owned());
        }
        if timing.max_timeout < timing.base_timeout {
            return Some("timing.max_timeout must not be less than timing.base_timeout".to_owned());
        }
        if limits.pipeline == 0 || limits.batch_requests == 0 || limits.pending_requests == 0 {
            return Some("limits.pipeline, limits.batch_requests and limits.pending_requests must be at least 1".to_owned());
        }
        let batch = genesis.parameters.max_batch_bytes;
        if limits.body_bytes < batch.saturating_mul(8) {
            return Some(format!("limits.body_bytes must be at least eight batches, {} bytes", batch.saturating_mul(8)));
        }
        if limits.pending_bytes < genesis.parameters.max_request_bytes.saturating_mul(2) {
            return Some("limits.pending_bytes must be at least two of the largest requests".to_owned());
        }
        if limits.transfer_bytes_per_second < LEAST_TRANSFER {
            return Some(format!(
                "limits.transfer_bytes_per_second must be at least {LEAST_TRANSFER}: below it answers come too late"
            ));
        }
        None
    }
}
