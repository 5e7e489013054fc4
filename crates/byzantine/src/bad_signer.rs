use crate::Context;
use crate::dice::Dice;
use crate::seam::{resigned, rewriting};
use pbft_crypto::Signature;
use pbft_message::*;
use pbft_protocol::Outbound;
use serde::{Serialize, de::DeserializeOwned};

/// Half of what it signs, or passes on of clients, leaves with a signature that is none, for each receiver anew: whoever counts
/// such a vote has a certificate that nobody else believes, and whoever proposes such a request a batch that all refuse.
pub fn outbound(context: &Context) -> Outbound {
    let (own, mut dice) = (context.signer.replica(), Dice::new(context.seed, 0));
    rewriting(move |_, _, message| {
        if dice.below(2) == 0 {
            return vec![message];
        }
        let position = usize::try_from(dice.below(64)).unwrap_or(0);
        vec![spoiled(own, &message, position).unwrap_or(message)]
    })
}

/// The message with another bit in its signature. None if it is not signed, or not by this replica.
fn spoiled(own: ReplicaId, message: &Message, position: usize) -> Option<Message> {
    Some(match message {
        Message::PrePrepare { header, body } if header.replica == own => {
            Message::PrePrepare { header: otherwise(header, position)?, body: body.clone() }
        }
        Message::Prepare { prepare, pre_prepare } => {
            Message::Prepare { prepare: otherwise(prepare, position)?, pre_prepare: *pre_prepare }
        }
        Message::Commit(commit) => Message::Commit(otherwise(commit, position)?),
        Message::Checkpoint(checkpoint) => Message::Checkpoint(otherwise(checkpoint, position)?),
        Message::ViewChange(change) => Message::ViewChange(otherwise(change, position)?),
        Message::NewView(new_view) if new_view.replica == own => Message::NewView(otherwise(new_view, position)?),
        Message::Request(request) => Message::Request(otherwise(request, position)?),
        _ => return None,
    })
}

fn otherwise<T: Serialize + DeserializeOwned>(signed: &Signed<T>, position: usize) -> Option<Signed<T>>
where
    Signed<T>: Serialize + DeserializeOwned,
{
    let mut bytes = *signed.signature().as_bytes();
    *bytes.get_mut(position)? ^= 1;
    resigned(&**signed, Signature::from_bytes(bytes))
}
