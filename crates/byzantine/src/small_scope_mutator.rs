use crate::Context;
use crate::dice::Dice;
use crate::seam::rewriting;
use pbft_crypto::Digest;
use pbft_message::*;
use pbft_protocol::Outbound;

/// Every eighth signed message has one field altered, a number by one, and is signed again: small lies that are nearly
/// right find what great ones miss.
pub fn outbound(context: &Context) -> Outbound {
    let mut mutator = Mutator { context: context.clone(), dice: Dice::new(context.seed, 0) };
    rewriting(move |_, _, message| {
        if mutator.dice.below(8) != 0 {
            return vec![message];
        }
        vec![mutator.mutated(&message).unwrap_or(message)]
    })
}

struct Mutator {
    context: Context,
    dice: Dice,
}

/// A field that a message may have.
enum Field<'a> {
    View(&'a mut View),
    Sequence(&'a mut SequenceNumber),
    Digest(&'a mut Digest),
    Sender(&'a mut ReplicaId),
}

impl Mutator {
    /// The message with one field altered. None if it is not signed, or not by this replica.
    fn mutated(&mut self, message: &Message) -> Option<Message> {
        let signer = self.context.signer.clone();
        Some(match message {
            Message::PrePrepare { header, body } if header.replica == signer.replica() => {
                let mut lie = **header;
                let PrePrepare { view, sequence, digest, replica } = &mut lie;
                self.alter([Field::View(view), Field::Sequence(sequence), Field::Digest(digest), Field::Sender(replica)]);
                Message::PrePrepare { header: signer.sign(lie).into_inner(), body: body.clone() }
            }
            Message::Prepare { prepare, pre_prepare } => {
                let mut lie = **prepare;
                let Prepare { view, sequence, digest, replica } = &mut lie;
                self.alter([Field::View(view), Field::Sequence(sequence), Field::Digest(digest), Field::Sender(replica)]);
                Message::Prepare { prepare: signer.sign(lie).into_inner(), pre_prepare: *pre_prepare }
            }
            Message::Commit(commit) => {
                let mut lie = **commit;
                let Commit { view, sequence, digest, replica } = &mut lie;
                self.alter([Field::View(view), Field::Sequence(sequence), Field::Digest(digest), Field::Sender(replica)]);
                Message::Commit(signer.sign(lie).into_inner())
            }
            Message::Checkpoint(checkpoint) => {
                let mut lie = **checkpoint;
                let Checkpoint { sequence, digest, replica } = &mut lie;
                self.alter([Field::Sequence(sequence), Field::Digest(digest), Field::Sender(replica)]);
                Message::Checkpoint(signer.sign(lie).into_inner())
            }
            Message::ViewChange(change) => {
                let mut lie = (**change).clone();
                self.alter([Field::View(&mut lie.view), Field::Sender(&mut lie.replica)]);
                Message::ViewChange(signer.sign(lie).into_inner())
            }
            Message::NewView(new_view) if new_view.replica == signer.replica() => {
                let mut lie = (**new_view).clone();
                self.alter([Field::View(&mut lie.view), Field::Sender(&mut lie.replica)]);
                Message::NewView(signer.sign(lie).into_inner())
            }
            _ => return None,
        })
    }

    fn alter<const N: usize>(&mut self, fields: [Field<'_>; N]) {
        let up = self.dice.below(2) == 0;
        let near = |number: u64| if up { number.saturating_add(1) } else { number.saturating_sub(1) };
        let chosen = usize::try_from(self.dice.below(N as u64)).unwrap_or(0);
        match fields.into_iter().nth(chosen) {
            Some(Field::View(view)) => view.0 = near(view.0),
            Some(Field::Sequence(sequence)) => sequence.0 = near(sequence.0),
            Some(Field::Digest(digest)) => *digest = Digest::of("another digest", &[digest.as_bytes()]),
            Some(Field::Sender(replica)) => replica.0 = u32::try_from(near(u64::from(replica.0))).unwrap_or(0),
            None => {}
        }
    }
}
