//! One file a command, or a family of commands.

pub mod audit;
pub mod bench;
pub mod client;
mod data;
pub mod demo;
pub mod devnet;
pub mod doctor;
pub mod drain;
pub mod evidence;
pub mod genesis;
pub mod journal;
pub mod key;
pub mod keygen;
pub mod kv;
pub mod manual;
pub mod replica;
pub mod request;
pub mod sim;
pub mod snapshot;
pub mod status;
mod strategies;
pub mod testnet_command;
pub mod top;
pub mod version;
