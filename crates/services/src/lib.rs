//! The services that come with the product: a key-value store, and one that does nothing, for measuring.
//!
//! Pure code: no clock, no files, no threads, no randomness, no hash map whose order could differ. Your own service
//! is an implementation of [`pbft_protocol::service::Service`]; `examples/counter.rs` is one in under 60 lines.

pub mod kv;
pub mod null;
