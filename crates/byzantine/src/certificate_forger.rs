use crate::Context;
use crate::dice::Dice;
use crate::recent::Recent;
use crate::seam::{all_but, to_one};
use pbft_crypto::{Digest, Signature};
use pbft_message::*;
use pbft_protocol::{Outbound, Outgoing, Traffic};
use std::collections::BTreeMap;

/// With each status it sends a certificate that proves nothing: of a commit or a stable checkpoint, with its own signature
/// under all names, under its own as often as it takes, or once, or with prepares for commits. Such a one it also sends as soon as
/// there are enough prepares.
pub fn outbound(context: &Context) -> Outbound {
    let dice = Dice::new(context.seed, 0);
    let mut forger = Forger { context: context.clone(), dice, prepares: Recent::new(64), bodies: Recent::new(64) };
    Box::new(move |_, traffic| match traffic {
        Traffic::Received { message: Message::PrePrepare { header, body }, .. } => {
            forger.bodies.get_or(header.digest, || body.clone());
            Vec::new()
        }
        Traffic::Received { message: Message::Prepare { prepare, .. }, .. } => forger.on_prepare(prepare),
        Traffic::Leaving { to, message } => to_one(to, forger.with_forgery(*message)),
        other => other.unchanged(),
    })
}

type Place = (SequenceNumber, View, Digest);

struct Forger {
    context: Context,
    dice: Dice,
    /// Who prepared what, as heard.
    prepares: Recent<Place, BTreeMap<ReplicaId, Signature>>,
    /// Of what was proposed to it.
    bodies: Recent<Digest, Blob>,
}

impl Forger {
    fn on_prepare(&mut self, prepare: &Signed<Prepare>) -> Vec<Outgoing> {
        let quorum = self.context.authenticator.genesis().quorum();
        let place = (prepare.sequence, prepare.view, prepare.digest);
        let votes = self.prepares.get_or(place, BTreeMap::new);
        votes.insert(prepare.replica, prepare.signature());
        // With its own they are a quorum, and nobody has committed yet.
        if votes.len().saturating_add(1) != quorum {
            return Vec::new();
        }
        let Some(forgery) = self.prepares_as_commits(place, quorum) else { return Vec::new() };
        let others = all_but(&self.context.authenticator, self.context.signer.replica());
        others.into_iter().map(|to| Outgoing::Replica(to, forgery.clone())).collect()
    }

    fn with_forgery(&mut self, leaving: Message) -> Vec<Message> {
        let forgery = match &leaving {
            Message::Status(status) => self.forgery(status),
            _ => None,
        };
        std::iter::once(leaving).chain(forgery).collect()
    }

    fn forgery(&mut self, status: &Status) -> Option<Message> {
        let genesis = self.context.authenticator.genesis().clone();
        let (view, sequence) = (status.view, status.executed.next());
        let body = Blob::default();
        match self.dice.below(5) {
            0 => Some(Message::Committed { certificate: self.null(view, sequence, genesis.quorum()), body }),
            1 => Some(Message::Committed { certificate: self.null(view, sequence, 1), body }),
            2 | 3 => {
                let sequence = status.low_watermark.plus(genesis.parameters.checkpoint_interval);
                let digest = Digest::of("a state that nobody has", &[]);
                let vote = Checkpoint { sequence, digest, replica: self.context.signer.replica() };
                let checkpoints = self.signed_by_many(self.context.signer.sign(vote).signature(), genesis.quorum());
                Some(Message::Stable(StableCertificate { sequence, digest, checkpoints }))
            }
            _ => {
                let newest =
                    self.prepares.iter().map(|(place, _)| *place).rfind(|(_, _, digest)| self.bodies.get(digest).is_some());
                self.prepares_as_commits(newest?, genesis.quorum())
            }
        }
    }

    /// The null request, committed by nobody but this replica.
    fn null(&mut self, view: View, sequence: SequenceNumber, signers: usize) -> CommitCertificate {
        let vote = Commit { view, sequence, digest: NULL_DIGEST, replica: self.context.signer.replica() };
        let commits = self.signed_by_many(self.context.signer.sign(vote).signature(), signers);
        CommitCertificate { view, sequence, digest: NULL_DIGEST, commits }
    }

    /// Its own signature, under other names too or under its own only.
    fn signed_by_many(&mut self, signature: Signature, count: usize) -> SignatureList {
        if self.dice.below(2) == 0 {
            return vec![(self.context.signer.replica(), signature); count];
        }
        self.context.authenticator.genesis().replica_ids().take(count).map(|replica| (replica, signature)).collect()
    }

    fn prepares_as_commits(&self, place: Place, quorum: usize) -> Option<Message> {
        let ((sequence, view, digest), own) = (place, self.context.signer.replica());
        let mut votes = self.prepares.get(&place)?.clone();
        votes.insert(own, self.context.signer.sign(Prepare { view, sequence, digest, replica: own }).signature());
        let commits: SignatureList = votes.into_iter().take(quorum).collect();
        // Without its body it would be refused whatever is signed.
        let body = self.bodies.get(&digest)?.clone();
        Some(Message::Committed { certificate: CommitCertificate { view, sequence, digest, commits }, body })
    }
}
