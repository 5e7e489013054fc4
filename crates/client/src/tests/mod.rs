#![allow(clippy::arithmetic_side_effects)]

mod cluster;
mod questions;
mod requests;
