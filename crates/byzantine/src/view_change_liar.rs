use crate::dice::Dice;
use crate::recent::Recent;
use crate::{Context, new_views};
use pbft_crypto::{Digest, Signature};
use pbft_message::{Checkpoint, Message, NewView, ReplicaId, SequenceNumber, Signed, StableCertificate, View, ViewChange};
use pbft_protocol::{Outbound, Outgoing, Traffic};
use std::collections::BTreeMap;

/// Reports less than it prepared: no P, half of it, an older stable checkpoint, or none; by R11 all of it is valid. The
/// same to all, and as the new primary also within V.
pub fn outbound(context: &Context) -> Outbound {
    let mut liar = Liar { context: context.clone(), checkpoints: Recent::new(64), told: Recent::new(64) };
    Box::new(move |_, traffic| match traffic {
        Traffic::Received { message, .. } => {
            liar.remember(message);
            Vec::new()
        }
        Traffic::Leaving { to, message } => {
            liar.remember(&message);
            vec![Outgoing::Replica(to, liar.lie(*message))]
        }
        other => other.unchanged(),
    })
}

struct Liar {
    context: Context,
    /// The checkpoint messages for each number, of which stable certificates are made.
    checkpoints: Recent<SequenceNumber, BTreeMap<ReplicaId, (Digest, Signature)>>,
    told: Recent<View, Signed<ViewChange>>,
}

impl Liar {
    fn remember(&mut self, message: &Message) {
        if let Message::Checkpoint(checkpoint) = message {
            let Checkpoint { sequence, digest, replica } = **checkpoint;
            self.checkpoints.get_or(sequence, BTreeMap::new).insert(replica, (digest, checkpoint.signature()));
        }
    }

    fn lie(&mut self, message: Message) -> Message {
        match message {
            Message::ViewChange(change) => Message::ViewChange(self.told(&change)),
            Message::NewView(new_view) if new_view.replica == self.context.signer.replica() => {
                Message::NewView(self.hidden_in(&new_view).unwrap_or(new_view))
            }
            other => other,
        }
    }

    /// One lie for each view: two would be evidence.
    fn told(&mut self, change: &ViewChange) -> Signed<ViewChange> {
        let lie = self.less(change);
        let signer = &self.context.signer;
        self.told.get_or(change.view, || signer.sign(lie).into_inner()).clone()
    }

    fn less(&self, change: &ViewChange) -> ViewChange {
        let mut less = change.clone();
        match Dice::new(self.context.seed, change.view.0).below(4) {
            0 => less.prepared.clear(),
            1 => less.prepared.truncate(change.prepared.len() / 2),
            2 => less.stable = self.older_than(change.low_watermark()),
            _ => less.stable = None,
        }
        let high = less.low_watermark().plus(self.context.authenticator.genesis().parameters.log_window);
        less.prepared.retain(|certificate| certificate.sequence <= high);
        less
    }

    /// The newest stable certificate below this number that can be made.
    fn older_than(&self, sequence: SequenceNumber) -> Option<StableCertificate> {
        let older = self.checkpoints.iter().rev().filter(|(at, _)| **at < sequence);
        older.filter_map(|(at, votes)| self.stable(*at, votes)).next()
    }

    fn stable(&self, sequence: SequenceNumber, votes: &BTreeMap<ReplicaId, (Digest, Signature)>) -> Option<StableCertificate> {
        let digest = votes.get(&self.context.signer.replica())?.0;
        let same = votes.iter().filter(|(_, (other, _))| *other == digest);
        let checkpoints = same.map(|(replica, (_, signature))| (*replica, *signature)).collect();
        let certificate = StableCertificate { sequence, digest, checkpoints };
        Some(self.context.authenticator.verify_stable(certificate).ok()?.into_inner())
    }

    fn hidden_in(&mut self, new_view: &NewView) -> Option<Signed<NewView>> {
        let own = self.context.signer.replica();
        let mut changes = new_view.view_changes.clone();
        let mine = changes.iter_mut().find(|change| change.replica == own)?;
        *mine = self.told(mine);
        new_views::following(&self.context.signer, new_view.view, changes)
    }
}
