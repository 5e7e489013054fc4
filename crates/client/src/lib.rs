//! The client library: signs requests, sends them over QUIC, and accepts what weak_quorum replicas agree on (R2).
//!
//! ```no_run
//! # async fn example(config: pbft_client::ClientConfig) -> Result<(), pbft_client::ClientError> {
//! let client = pbft_client::Client::connect(config)?;
//! let (first, second) = tokio::join!(
//!     client.request(vec![b"an operation".to_vec()]),
//!     client.request(vec![b"another, in flight at the same time".to_vec()]),
//! );
//! println!("ordered at {} and {}", first?.sequence, second?.sequence);
//! # Ok(())
//! # }
//! ```
//!
//! ```text
//! Client (handle, cloneable) ── Command ──> Driver (one task) ── frames ──> pbft_network::Endpoint
//!     <── results, one by one ──────────────   owns the Session  <── Inbound ──
//! ```
//!
//! What is sent to whom and what is accepted is decided in [`pbft_protocol::session`], which the simulator runs too.

mod client;
mod config;
mod driver;
mod error;
mod greeter;
mod joining;
#[cfg(test)]
mod tests;

pub use client::{Client, Executed};
pub use config::ClientConfig;
pub use error::ClientError;
pub use pbft_protocol::service::{Context, RestoreError, Service, Snapshot};
pub use pbft_protocol::session::Accepted;
