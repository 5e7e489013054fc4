//! Execution: ordered batches become replies, checkpoints and state. Apart from agreement, so that a slow service never
//! stalls voting.
//!
//! - [`Executor`]: runs batches in order against the service and the client table (R3, R7, R8), freezes the state at
//!   every checkpoint (R9), and serves it.
//! - [`ClientTable`]: who is authorised and what each client had executed (R8). [`RequestWindow`] is its cheap mirror.
//! - [`MerkleTree`]: the root over a state's chunks.
//! - [`FrozenState`] is a state that can be served and saved; [`InstalledState`] one that was checked against a
//!   certificate and can be installed. Between the two stands a [`Transfer`] (R14) or a saved snapshot.

mod checkpoints;
mod client_chunk;
mod client_table;
mod executor;
mod frozen;
mod installed;
mod membership;
mod merkle;
mod poison;
mod server;
mod source;
mod state_transfer;
#[cfg(test)]
mod tests;
mod window;

pub use client_chunk::ClientTableError;
pub use client_table::{CLIENT_CHUNKS, ClientTable, Decision, Remembered};
pub use executor::{Executed, Executor, InstallError, Ordered, OutOfOrder};
pub use frozen::FrozenState;
pub use installed::{InstalledState, SavedCheck, SavedStateError};
pub use merkle::{MerkleTree, chunk_digest, root_of};
pub use poison::Poison;
pub use state_transfer::{Taken, Transfer};
pub use window::{Admission, RequestWindow};

/// No chunk of a state is larger than this many bytes. A service that needs more divides its state.
pub const MAX_CHUNK_BYTES: u64 = 256 << 20;

/// No part of a state has more chunks than this.
pub const MAX_CHUNKS: usize = 1 << 20;
