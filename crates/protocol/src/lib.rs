//! Practical Byzantine Fault Tolerance (Castro & Liskov, 1999), as pure code: no sockets, threads, clocks, files,
//! randomness or async. Time comes in as an argument, deadlines go out through a poll.
//!
//! - [`service`]: the one trait that users implement.

pub mod service;
