#![allow(clippy::arithmetic_side_effects)]

mod checkpoint;
mod client_table;
mod execution;
mod membership;
mod merkle;
mod saved;
mod serving;
mod transfer;
mod world;
