//! One file a command, or a family of commands.

pub mod demo;
pub mod devnet;
pub mod evidence;
pub mod genesis;
pub mod keygen;
pub mod kv;
pub mod replica;
pub mod request;
pub mod sim;
pub mod status;
mod strategies;
pub mod testnet_command;
pub mod version;
