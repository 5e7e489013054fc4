#![allow(clippy::arithmetic_side_effects)]

mod cluster;
mod operations;
mod questions;
mod requests;
