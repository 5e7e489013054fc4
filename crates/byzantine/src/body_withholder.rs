use crate::Context;
use crate::dice::Dice;
use crate::seam::{all_but, rewriting};
use pbft_message::{Message, ReplicaId, View};
use pbft_protocol::Outbound;
use std::collections::BTreeSet;

/// As primary: proposes to f + 1 backups or fewer, others in each view. Serves no body to anyone: the rest must get it
/// from each other.
pub fn outbound(context: &Context) -> Outbound {
    let context = context.clone();
    rewriting(move |_, to, message| match message {
        Message::PrePrepare { header, body } if header.replica == context.signer.replica() => {
            let favoured = favoured(&context, header.view).contains(&to);
            if favoured { vec![Message::PrePrepare { header, body }] } else { Vec::new() }
        }
        Message::Body(_) | Message::Committed { .. } => Vec::new(),
        other => vec![other],
    })
}

fn favoured(context: &Context, view: View) -> BTreeSet<ReplicaId> {
    let mut dice = Dice::new(context.seed, view.0);
    let most = context.authenticator.genesis().weak_quorum() as u64;
    let count = usize::try_from(dice.below(most).saturating_add(1)).unwrap_or(1);
    dice.choose(all_but(&context.authenticator, context.signer.replica()), count)
}
