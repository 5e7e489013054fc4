//! Lies, one strategy a file. Each is a pure function of what is about to leave and what has come; an honest replica
//! runs behind it and does not know. No production program contains this crate.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

mod double_vote;
mod equivocate;
mod mute;

use pbft_message::{Authenticator, Signer};
use pbft_protocol::Outbound;
use std::str::FromStr;

/// A way to lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strategy {
    /// As primary: one proposal to one half of the backups, another to the rest.
    Equivocate,
    /// Says nothing at all.
    Mute,
    /// Prepares and commits another digest besides the right one.
    DoubleVote,
}

/// The name is no strategy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no strategy: equivocate, mute or double-vote")]
pub struct UnknownStrategy(String);

impl Strategy {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Equivocate, Self::Mute, Self::DoubleVote];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Equivocate => "equivocate",
            Self::Mute => "mute",
            Self::DoubleVote => "double-vote",
        }
    }

    /// What stands between the replica and the network.
    pub fn outbound(self, authenticator: Authenticator, signer: Signer) -> Outbound {
        match self {
            Self::Equivocate => equivocate::outbound(authenticator, signer),
            Self::Mute => mute::outbound(),
            Self::DoubleVote => double_vote::outbound(signer),
        }
    }
}

impl FromStr for Strategy {
    type Err = UnknownStrategy;

    fn from_str(text: &str) -> Result<Self, UnknownStrategy> {
        Self::ALL.into_iter().find(|strategy| strategy.name() == text).ok_or_else(|| UnknownStrategy(text.to_owned()))
    }
}
