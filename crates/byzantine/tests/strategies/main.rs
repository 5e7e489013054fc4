//! What leaves when each strategy lies, and which of it is valid.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used, clippy::panic)]

mod answers;
mod naming;
mod proposals;
mod traffic;
mod view_changes;
mod votes;
mod world;
