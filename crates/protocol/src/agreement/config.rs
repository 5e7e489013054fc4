use pbft_message::{Authenticator, Genesis};
use std::time::Duration;

/// What a replica is told at the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The cluster and its keys.
    pub authenticator: Authenticator,
    /// This replica's timers.
    pub timing: Timing,
    /// This replica's bounds.
    pub limits: Limits,
}

impl Config {
    pub(super) fn genesis(&self) -> &Genesis {
        self.authenticator.genesis()
    }
}

/// How long a replica waits for what (R10, R23). Each replica may have its own; the defaults suit one site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long a watched request, a missing heartbeat or an awaited new-view may take before suspicion.
    pub base_timeout: Duration,
    /// Failed view changes double the time-out up to this.
    pub max_timeout: Duration,
    /// The primary shows that it lives this often.
    pub heartbeat: Duration,
    /// A replica tells the others where it stands this often while there is work.
    pub status: Duration,
    /// And this often while there is none.
    pub idle_status: Duration,
    /// SUSPECT and VIEW-CHANGE are sent again this often.
    pub resend: Duration,
    /// A body that does not come is asked of the next replica after this.
    pub fetch: Duration,
    /// After this long without work the primary fills the log to the next checkpoint (R9).
    pub idle_checkpoint: Duration,
    /// How far a proposed time may lie ahead of the own clock (R3).
    pub clock_drift: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            base_timeout: Duration::from_millis(500),
            max_timeout: Duration::from_secs(4),
            heartbeat: Duration::from_millis(100),
            status: Duration::from_millis(100),
            idle_status: Duration::from_millis(500),
            resend: Duration::from_millis(200),
            fetch: Duration::from_millis(100),
            idle_checkpoint: Duration::from_millis(500),
            clock_drift: Duration::from_secs(5),
        }
    }
}

/// How much a replica takes in (R19).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many batches the primary has in flight; more requests wait and make larger batches.
    pub pipeline: u64,
    /// The most requests in a batch that this replica proposes.
    pub batch_requests: usize,
    /// How far execution may lag behind agreement before no more is handed to it, or proposed, in batches.
    pub execution_lag: u64,
    /// The most requests that wait to be ordered.
    pub pending_requests: usize,
    /// The most bytes of requests that wait to be ordered.
    pub pending_bytes: usize,
    /// The most bytes of batch bodies that are held.
    pub body_bytes: usize,
}

impl Limits {
    /// How many of them may be of settled batches, which only replicas that lag still ask for. Who lags by more fetches the
    /// state.
    pub(super) fn settled_bytes(&self) -> usize {
        self.body_bytes / 8
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pipeline: 4,
            batch_requests: 1024,
            execution_lag: 32,
            pending_requests: 65_536,
            pending_bytes: 64 << 20,
            body_bytes: 128 << 20,
        }
    }
}
