use crate::Context;
use crate::recent::Recent;
use crate::seam::to_one;
use pbft_crypto::{Digest, Signature};
use pbft_message::{Commit, Message, Prepare, ReplicaId, SequenceNumber, View};
use pbft_protocol::Outgoing;

/// How often one vote is answered: two liars must not go on answering each other.
const MOST: u32 = 3;

/// Tells every replica that its vote is the right one: each gets a PREPARE and a COMMIT for what it prepared itself.
pub struct Echo {
    context: Context,
    votes: Recent<(ReplicaId, View, SequenceNumber), (Digest, u32)>,
}

impl Echo {
    /// Has heard nothing yet.
    pub fn new(context: &Context) -> Self {
        Self { context: context.clone(), votes: Recent::new(4096) }
    }

    /// What a replica voted for.
    pub fn vote_of(&self, replica: ReplicaId, view: View, sequence: SequenceNumber) -> Option<Digest> {
        self.votes.get(&(replica, view, sequence)).map(|(digest, _)| *digest)
    }

    /// The votes in answer to a vote.
    pub fn answer(&mut self, from: ReplicaId, message: &Message) -> Vec<Outgoing> {
        let Message::Prepare { prepare, pre_prepare } = message else { return Vec::new() };
        let (digest, count) = self.votes.get_or((from, prepare.view, prepare.sequence), || (prepare.digest, 0));
        *count = count.saturating_add(1);
        if *count > MOST || *digest != prepare.digest {
            return Vec::new();
        }
        to_one(from, self.both(prepare, *pre_prepare))
    }

    /// The same, to prepares of the views in which this replica is primary only.
    pub fn answer_as_primary(&mut self, from: ReplicaId, message: &Message) -> Vec<Outgoing> {
        match message {
            Message::Prepare { prepare, .. } if self.context.leads(prepare.view) => self.answer(from, message),
            _ => Vec::new(),
        }
    }

    fn both(&self, vote: &Prepare, pre_prepare: Signature) -> Vec<Message> {
        let Prepare { view, sequence, digest, .. } = *vote;
        let signer = &self.context.signer;
        let replica = signer.replica();
        let commit = Message::Commit(signer.sign(Commit { view, sequence, digest, replica }).into_inner());
        if self.context.leads(view) {
            return vec![commit];
        }
        let prepare = signer.sign(Prepare { view, sequence, digest, replica }).into_inner();
        vec![Message::Prepare { prepare, pre_prepare }, commit]
    }
}
