use crate::Context;
use crate::dice::Dice;
use crate::seam::all_but;
use pbft_crypto::Digest;
use pbft_message::{Domain, Epoch, Message, ReplicaId, Signer, codec};
use pbft_protocol::{Outbound, Outgoing, Traffic};

/// How many messages it keeps, and how large they may be.
const KEPT: usize = 256;
const LARGEST: usize = 64 << 10;

/// Sends old messages again, its own and others', to anyone; some of its own signed for another cluster or epoch.
pub fn outbound(context: &Context) -> Outbound {
    let others = all_but(&context.authenticator, context.signer.replica());
    let here = *context.authenticator.domain();
    let elsewhere = [
        Domain { cluster: Digest::of("another cluster", &[here.cluster.as_bytes()]), ..here },
        Domain { epoch: Epoch(here.epoch.0.saturating_add(1)), ..here },
    ];
    let foreign = elsewhere.map(|domain| context.signer.in_domain(domain));
    let mut replayer = Replayer { dice: Dice::new(context.seed, 0), others, foreign, kept: Vec::new() };
    Box::new(move |_, traffic| match traffic {
        // Two of these would excite each other if they replayed when something comes.
        Traffic::Received { message, .. } => {
            replayer.keep(message);
            Vec::new()
        }
        Traffic::Leaving { to, message } => {
            replayer.keep(&message);
            let again = replayer.again();
            std::iter::once(Outgoing::Replica(to, *message)).chain(again).collect()
        }
        other => other.unchanged(),
    })
}

struct Replayer {
    dice: Dice,
    others: Vec<ReplicaId>,
    foreign: [Signer; 2],
    kept: Vec<Message>,
}

impl Replayer {
    /// When all places are taken, chance decides which message goes: some stay very long.
    fn keep(&mut self, message: &Message) {
        if codec::encode(message).len() > LARGEST {
            return;
        }
        if self.kept.len() < KEPT {
            return self.kept.push(message.clone());
        }
        let place = usize::try_from(self.dice.below(KEPT as u64)).ok();
        if let Some(kept) = place.and_then(|place| self.kept.get_mut(place)) {
            *kept = message.clone();
        }
    }

    /// At every fourth message, one of the old ones.
    fn again(&mut self) -> Option<Outgoing> {
        if self.dice.below(4) != 0 {
            return None;
        }
        let message = self.dice.one_of(&self.kept)?.clone();
        let to = *self.dice.one_of(&self.others)?;
        let message = match self.dice.below(4) {
            0 => resigned(self.dice.one_of(&self.foreign)?, &message).unwrap_or(message),
            _ => message,
        };
        Some(Outgoing::Replica(to, message))
    }
}

/// An own message as it would be signed elsewhere.
fn resigned(signer: &Signer, message: &Message) -> Option<Message> {
    let own = signer.replica();
    match message {
        Message::PrePrepare { header, body } if header.replica == own => {
            Some(Message::PrePrepare { header: signer.sign(**header).into_inner(), body: body.clone() })
        }
        Message::Prepare { prepare, pre_prepare } if prepare.replica == own => {
            Some(Message::Prepare { prepare: signer.sign(**prepare).into_inner(), pre_prepare: *pre_prepare })
        }
        Message::Commit(commit) if commit.replica == own => Some(Message::Commit(signer.sign(**commit).into_inner())),
        Message::Checkpoint(checkpoint) if checkpoint.replica == own => {
            Some(Message::Checkpoint(signer.sign(**checkpoint).into_inner()))
        }
        Message::ViewChange(change) if change.replica == own => {
            Some(Message::ViewChange(signer.sign((**change).clone()).into_inner()))
        }
        Message::NewView(new_view) if new_view.replica == own => {
            Some(Message::NewView(signer.sign((**new_view).clone()).into_inner()))
        }
        _ => None,
    }
}
