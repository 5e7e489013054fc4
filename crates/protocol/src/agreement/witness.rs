//! What the others hold of this replica's own votes (R16).
//!
//! A disk that was rolled back is a journal that ends too early, and nothing in it says so. The others know: whatever
//! left this replica was durable first. So one that comes back asks them, and until a quorum with itself has answered it
//! serves, and neither votes nor follows: what it remembers stays as the journal had it, to be compared.
//!
//! The journal is in order, so that only what would stand behind its end proves a loss: whatever it says of a view that
//! it has left, and of numbers up to h, it said with all its earlier votes at hand.

use super::log::Slot;
use super::*;
use std::collections::BTreeSet;

/// Who has answered a replica that came back from its disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Recovery {
    /// What it asks with: answers to an earlier start may still be on their way.
    pub asked: u64,
    pub answered: BTreeSet<ReplicaId>,
}

impl Replica {
    /// Whether fewer than a quorum, itself included, have told it what it said.
    pub(super) fn is_recovering(&self) -> bool {
        let answered = self.recovery.as_ref().map(|recovery| recovery.answered.len().saturating_add(1));
        answered.is_some_and(|answered| answered < self.genesis().quorum())
    }

    /// What a recovering replica takes in: answers to its questions, questions, and evidence, which is sent only once.
    pub(super) const fn is_for_recovering(message: &VerifiedMessage) -> bool {
        matches!(
            message,
            VerifiedMessage::Witness(_)
                | VerifiedMessage::Status(_)
                | VerifiedMessage::FetchBody { .. }
                | VerifiedMessage::Body(_)
                | VerifiedMessage::Evidence(_)
        )
    }

    /// Remembers the highest votes of each peer, whatever becomes of the message.
    pub(super) fn note_votes(&mut self, from: ReplicaId, message: &VerifiedMessage) {
        let Some(votes) = self.peers.get_mut(&from).map(|peer| &mut peer.votes) else { return };
        match message {
            VerifiedMessage::PrePrepare { header, .. } => votes.note_pre_prepare(header),
            VerifiedMessage::Prepare { prepare, .. } => votes.note_prepare(prepare),
            VerifiedMessage::Commit(commit) => votes.note_commit(commit),
            VerifiedMessage::Checkpoint(checkpoint) => votes.note_checkpoint(checkpoint),
            _ => {}
        }
    }

    /// All that is held of a peer's highest votes, in certificates too: those survive an own restart.
    pub(super) fn votes_of(&self, peer: ReplicaId) -> Votes {
        let mut votes = self.peers.get(&peer).map(|peer| peer.votes.clone()).unwrap_or_default();
        let prepared = self.log.slots().filter_map(|(_, slot)| slot.prepared.as_ref()).filter_map(|one| one.prepare_of(peer));
        prepared.for_each(|prepare| votes.note_prepare(&prepare));
        let committed = self.ordering.committed_above(SequenceNumber::GENESIS);
        let committed = committed.filter_map(|(_, committed)| committed.certificate.commit_of(peer));
        committed.for_each(|commit| votes.note_commit(&commit));
        let stable = self.checkpoints.stable.as_ref().and_then(|stable| stable.checkpoint_of(peer));
        stable.iter().for_each(|checkpoint| votes.note_checkpoint(checkpoint));
        let current = self.view_changes.current.as_ref();
        let cited = current.and_then(|new_view| new_view.view_changes.iter().find(|change| change.replica == peer));
        cited.into_iter().for_each(|change| votes.note_view_change(change));
        self.view_changes.received.get(&peer).into_iter().for_each(|change| votes.note_view_change(change));
        current.filter(|new_view| new_view.replica == peer).into_iter().for_each(|new_view| votes.note_new_view(new_view));
        votes
    }

    pub(super) fn on_witness(&mut self, from: ReplicaId, witness: &Witness) -> Result<(), Rejection> {
        let waited = self.is_recovering();
        let Some(recovery) = &mut self.recovery else { return Err(Rejection::Unsolicited) };
        let is_answer = witness.asked == recovery.asked;
        if is_answer {
            recovery.answered.insert(from);
        }
        if self.lacks(&witness.votes) {
            self.halt(Alarm::RolledBack(from));
        }
        if waited && !self.is_recovering() {
            self.tell(Event::Recovered);
            self.begin();
        }
        if is_answer { Ok(()) } else { Err(Rejection::Stale) }
    }

    /// Whether an own vote would stand behind what this replica remembers. Never so for one that only restarted: what it
    /// sent was durable first, and a journal that begins anew keeps the view, what was said in it above h, and the
    /// checkpoints above h.
    fn lacks(&self, votes: &Votes) -> bool {
        let id = self.id();
        let Votes { pre_prepare, prepare, commit, checkpoint, view_change, new_view } = votes;
        let opened = |view: View| view < self.view || (view == self.view && self.has_opened());
        let pre_prepare = pre_prepare.as_ref().is_some_and(|header| header.replica == id && !opened(header.view));
        let new_view = new_view.as_ref().is_some_and(|new_view| new_view.replica == id && !opened(new_view.view));
        let view_change = view_change.as_ref().is_some_and(|change| change.replica == id && change.view > self.view);
        let prepare = prepare.as_ref().filter(|prepare| prepare.replica == id).is_some_and(|lost| {
            let is_known = |own: &Verified<Signed<Prepare>>| (own.view, own.digest) == (lost.view, lost.digest);
            self.lacks_vote(lost.view, lost.sequence, |slot| slot.own_prepare.as_ref().is_some_and(is_known))
        });
        let commit = commit.as_ref().filter(|commit| commit.replica == id).is_some_and(|lost| {
            let is_known = |own: &Verified<Signed<Commit>>| (own.view, own.digest) == (lost.view, lost.digest);
            self.lacks_vote(lost.view, lost.sequence, |slot| slot.own_commit.as_ref().is_some_and(is_known))
        });
        let checkpoint = checkpoint.as_ref().filter(|checkpoint| checkpoint.replica == id).is_some_and(|lost| {
            let own = self.checkpoints.own.get(&lost.sequence);
            lost.sequence > self.log.low() && own.is_none_or(|own| own.digest != lost.digest)
        });
        pre_prepare || prepare || commit || checkpoint || view_change || new_view
    }

    fn lacks_vote(&self, view: View, sequence: SequenceNumber, knows: impl Fn(&Slot) -> bool) -> bool {
        if view != self.view {
            return view > self.view;
        }
        sequence > self.log.low() && !(self.active && self.log.slot(sequence).is_some_and(knows))
    }

    /// Whether it may have proposed in its view.
    fn has_opened(&self) -> bool {
        self.view_changes.opened == Some(self.view) || self.view_changes.built.is_some()
    }
}
