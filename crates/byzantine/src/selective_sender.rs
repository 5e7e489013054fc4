use crate::Context;
use crate::dice::Dice;
use crate::seam::{all_but, rewriting};
use pbft_message::ReplicaId;
use pbft_protocol::Outbound;
use std::collections::BTreeSet;

/// For so many seconds it talks to the same ones.
const SECONDS: u64 = 5;

/// Talks to one less than a quorum, or to one less still, as if the others were not there; every few seconds to others.
pub fn outbound(context: &Context) -> Outbound {
    let context = context.clone();
    rewriting(move |now, to, message| {
        let listens = listeners(&context, now.monotonic.as_secs() / SECONDS).contains(&to);
        if listens { vec![message] } else { Vec::new() }
    })
}

fn listeners(context: &Context, period: u64) -> BTreeSet<ReplicaId> {
    let mut dice = Dice::new(context.seed, period);
    let fewer = usize::try_from(dice.below(2)).unwrap_or(0);
    let count = context.authenticator.genesis().quorum().saturating_sub(1).saturating_sub(fewer);
    dice.choose(all_but(&context.authenticator, context.signer.replica()), count)
}
