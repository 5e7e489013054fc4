use crate::Context;
use crate::recent::Recent;
use crate::seam::{all_but, to_one};
use pbft_crypto::{Digest, Signature};
use pbft_message::{Commit, Message, PrePrepare, Prepare, ReplicaId, SequenceNumber, View};
use pbft_protocol::{Outbound, Outgoing, Traffic};

/// Prepares and commits two digests for one view and number: both that a lying primary proposed, where it has seen them,
/// else the right one and one of its own making.
pub fn outbound(context: &Context) -> Outbound {
    let mut voter = DoubleVoter { context: context.clone(), slots: Recent::new(1024) };
    Box::new(move |_, traffic| match traffic {
        Traffic::Received { message, .. } => voter.hear(message),
        Traffic::Leaving { to, message } => to_one(to, voter.twice(to, *message)),
        other => other.unchanged(),
    })
}

/// What is known of one view and number.
#[derive(Default)]
struct Slot {
    /// The digests that the primary signed, with its signatures; two at most.
    proposed: Vec<(Digest, Signature)>,
    /// Whether an own vote has left.
    voted: bool,
}

struct DoubleVoter {
    context: Context,
    slots: Recent<(View, SequenceNumber), Slot>,
}

impl DoubleVoter {
    /// A second proposal for a number that this replica voted at already: all get votes for it too.
    fn hear(&mut self, message: &Message) -> Vec<Outgoing> {
        let (header, signature) = match message {
            Message::PrePrepare { header, .. } => (**header, header.signature()),
            Message::Prepare { prepare, pre_prepare } => {
                let Prepare { view, sequence, digest, .. } = **prepare;
                let replica = self.context.authenticator.genesis().primary(view);
                (PrePrepare { view, sequence, digest, replica }, *pre_prepare)
            }
            _ => return Vec::new(),
        };
        if !self.learn(header, signature) {
            return Vec::new();
        }
        let own = self.context.signer.replica();
        let PrePrepare { view, sequence, digest, .. } = header;
        let mut votes = vec![self.commit(Commit { view, sequence, digest, replica: own })];
        if !self.context.leads(view) {
            votes.insert(0, self.prepare(Prepare { view, sequence, digest, replica: own }, signature));
        }
        all_but(&self.context.authenticator, own).into_iter().flat_map(|to| to_one(to, votes.clone())).collect()
    }

    /// Whether this is a second proposal at a number that an own vote has left for.
    fn learn(&mut self, header: PrePrepare, signature: Signature) -> bool {
        let slot = self.slots.get_or((header.view, header.sequence), Slot::default);
        let known = slot.proposed.iter().any(|(digest, _)| *digest == header.digest);
        if known || slot.proposed.len() > 1 || self.context.authenticator.verify_header(header, signature).is_err() {
            return false;
        }
        slot.proposed.push((header.digest, signature));
        slot.proposed.len() == 2 && slot.voted
    }

    /// The vote, and the other one. Where both are for proposals, half of the others get this one first, half that one:
    /// only the first counts.
    fn twice(&mut self, to: ReplicaId, message: Message) -> Vec<Message> {
        let (view, sequence, digest) = match &message {
            Message::Prepare { prepare, .. } => (prepare.view, prepare.sequence, prepare.digest),
            Message::Commit(commit) => (commit.view, commit.sequence, commit.digest),
            _ => return vec![message],
        };
        let slot = self.slots.get_or((view, sequence), Slot::default);
        slot.voted = true;
        let other = slot.proposed.iter().find(|(other, _)| *other != digest).copied();
        let second = match &message {
            Message::Prepare { prepare, pre_prepare } => {
                let (digest, signature) = other.unwrap_or_else(|| (invented(&digest), *pre_prepare));
                self.prepare(Prepare { digest, ..**prepare }, signature)
            }
            Message::Commit(commit) => self.commit(Commit { digest: other.map_or_else(|| invented(&digest), |o| o.0), ..**commit }),
            _ => return vec![message],
        };
        if other.is_some() && to.0 % 2 == 1 { vec![second, message] } else { vec![message, second] }
    }

    fn prepare(&self, prepare: Prepare, pre_prepare: Signature) -> Message {
        Message::Prepare { prepare: self.context.signer.sign(prepare).into_inner(), pre_prepare }
    }

    fn commit(&self, commit: Commit) -> Message {
        Message::Commit(self.context.signer.sign(commit).into_inner())
    }
}

fn invented(digest: &Digest) -> Digest {
    Digest::of("another batch", &[digest.as_bytes()])
}
