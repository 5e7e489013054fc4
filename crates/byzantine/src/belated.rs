use crate::Context;
use crate::dice::Dice;
use crate::equivocator::other_batch;
use crate::seam::{all_but, to_one};
use pbft_message::{Message, ReplicaId, SequenceNumber, View};
use pbft_protocol::{Outbound, Traffic};

/// As primary: one backup hears of no proposal, so that it has to learn from the others what they committed. When it says
/// that it has executed the number, it gets another proposal for it.
pub fn outbound(context: &Context) -> Outbound {
    let context = context.clone();
    let mut kept: Option<(SequenceNumber, Message)> = None;
    Box::new(move |_, traffic| match traffic {
        Traffic::Leaving { to, message } => match *message {
            Message::PrePrepare { header, body } if context.leads(header.view) && left_out(&context, header.view) == Some(to) => {
                kept = kept.take().or_else(|| Some((header.sequence, other_batch(&context, &header, body)?)));
                Vec::new()
            }
            other => to_one(to, [other]),
        },
        Traffic::Received { from, message: Message::Status(status) } if left_out(&context, status.view) == Some(from) => {
            to_one(from, kept.take_if(|(sequence, _)| *sequence <= status.executed).map(|(_, late)| late))
        }
        other => other.unchanged(),
    })
}

/// The backup that hears of no proposal in this view.
fn left_out(context: &Context, view: View) -> Option<ReplicaId> {
    Dice::new(context.seed, view.0).choose(all_but(&context.authenticator, context.signer.replica()), 1).pop_first()
}
