//! The client library: signs requests, sends them over QUIC, and accepts what weak_quorum replicas agree on (R2).
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use pbft_client::{Client, ClientConfig};
//! use std::sync::Arc;
//!
//! // What `pbft testnet` or the key ceremony put into the client's folder.
//! let genesis = Arc::new(toml::from_str(&std::fs::read_to_string("net/client-0/genesis.toml")?)?);
//! let [signing, transport] = ["signing", "transport"].map(|name| format!("net/client-0/keys/{name}.key"));
//! let (signing, transport) = (pbft_crypto::read_secret_key(signing.as_ref())?, pbft_crypto::read_secret_key(transport.as_ref())?);
//! let addresses = (7100..7104).map(|port| ([127, 0, 0, 1], port).into()).collect();
//! let client = Client::connect(ClientConfig::new(genesis, signing, transport, addresses))?;
//! client.wait_for_quorum(std::time::Duration::from_secs(5)).await?;
//! let (first, second) = tokio::join!(
//!     client.request(vec![b"an operation".to_vec()]),
//!     client.request(vec![b"another, in flight at the same time".to_vec()]),
//! );
//! println!("ordered at {} and {}", first?.sequence, second?.sequence);
//! # Ok(())
//! # }
//! ```
//!
//! `examples/put.rs` is a whole program that runs.
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
