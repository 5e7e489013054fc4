//! Lies, one strategy a file. Each is a pure function of what is about to leave and what has come; an honest replica
//! runs behind it and does not know. No production program contains this crate.
//!
//! Whatever a strategy signs is signed with its replica's own key and is well formed, unless the lie is about form: so
//! that it reaches the core. Chance comes from a seed and time from the seam, so that the same run tells the same lies.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

mod bad_signer;
mod belated;
mod body_withholder;
mod censor;
mod certificate_forger;
mod checkpoint_liar;
mod dice;
mod double_voter;
mod echo;
mod equivocator;
mod false_witness;
mod flooder;
mod hole_maker;
mod intermittent;
mod lie;
mod malformed_batch;
mod mute;
mod mute_primary;
mod new_view_forger;
mod new_view_liar;
mod new_view_splitter;
mod new_views;
mod poison_batch;
mod recent;
mod reorderer;
mod replayer;
mod seam;
mod selective_sender;
mod slow_primary;
mod small_scope_mutator;
mod split_commit;
mod state_transfer_poisoner;
mod status_liar;
mod stranger;
mod strategy;
mod time_racer;
mod usurper;
mod view_change_forger;
mod view_change_liar;
mod view_change_spammer;
mod window_racer;
mod wrong_replier;

pub use intermittent::intermittent;
pub use lie::Lie;
pub use strategy::{Strategy, UnknownStrategy};

use pbft_message::{Authenticator, Signer, View};

/// What a liar has to work with.
#[derive(Clone, Debug)]
pub struct Context {
    /// The cluster: what it signs must pass this, or must not.
    pub authenticator: Authenticator,
    /// Its own voice.
    pub signer: Signer,
    /// Where its chance comes from.
    pub seed: u64,
}

impl Context {
    /// Whether this replica is the primary of a view.
    fn leads(&self, view: View) -> bool {
        self.authenticator.genesis().primary(view) == self.signer.replica()
    }
}
