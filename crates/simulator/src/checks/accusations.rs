//! Who lied before a correct replica's eyes, as the checker sees it (R17): each of its lies must be proven there.

use super::checker::Checker;
use super::invariant::Invariant;
use super::views::must_propose;
use super::votes::{Kind, Vote};
use pbft_crypto::Digest;
use pbft_message::{
    Commit, Evidence, EvidenceKind, Lie, Message, NewView, PrePrepare, ReplicaId, SequenceNumber, Signed, View, ViewChange,
};
use pbft_protocol::agreement::{Action, Record, Replica};
use std::collections::{BTreeMap, BTreeSet};

/// So many pieces of evidence of one kind against one replica are enough (R19).
const ENOUGH: usize = 4;

/// What replicas have taken in since they started, as they must still know it.
#[derive(Default)]
pub struct Seen {
    /// By replica, signer, kind and number: what was signed.
    votes: BTreeMap<(u32, u32, Kind, SequenceNumber), (View, Digest)>,
    /// By replica and signer: the view-change of the highest view.
    changes: BTreeMap<(u32, u32), Signed<ViewChange>>,
    /// By replica: the new-view that it entered its view with.
    new_views: BTreeMap<u32, Signed<NewView>>,
    /// By replica and peer: what evidence the one is to tell the other, since there is a connection.
    owed: BTreeSet<(u32, u32, Lie)>,
    /// Which bodies keep to R4.
    pub(super) sound: BTreeMap<Digest, bool>,
}

impl Seen {
    /// A replica that starts anew knows what its journal says, and that is less.
    pub fn forget(&mut self, id: u32) {
        self.votes.retain(|(replica, ..), _| *replica != id);
        self.changes.retain(|(replica, _), _| *replica != id);
        self.new_views.remove(&id);
        self.owed.retain(|(replica, ..)| *replica != id);
    }

    fn commits_of(&self, id: u32, signer: u32) -> impl Iterator<Item = (SequenceNumber, View)> {
        let commits = (id, signer, Kind::Commit, SequenceNumber::GENESIS)..=(id, signer, Kind::Commit, SequenceNumber(u64::MAX));
        self.votes.range(commits).map(|((.., sequence), (view, _))| (*sequence, *view))
    }
}

impl Checker {
    /// The lies that this message shows, with what the replica has taken in since it started. Before the replica handles it.
    pub fn contradictions(&mut self, id: u32, message: &Message, replica: &Replica) -> Vec<Lie> {
        let mut lies = self.second_votes(id, message, replica);
        match message {
            Message::PrePrepare { header, body } => {
                let lie = (header.replica, EvidenceKind::InvalidBatch, header.view);
                lies.extend((!self.is_sound(body)).then_some(lie));
            }
            Message::Commit(commit) => {
                let change = self.seen.changes.get(&(id, commit.replica.0)).filter(|change| hides(change, commit));
                lies.extend(change.map(|_| (commit.replica, EvidenceKind::HiddenPrepared, commit.view)));
            }
            Message::ViewChange(change) => lies.extend(self.lies_in_change(id, change, replica)),
            Message::NewView(new_view) => {
                let known = self.seen.new_views.get(&id).filter(|known| known.view == new_view.view);
                if known == Some(new_view) {
                    return lies;
                }
                lies.extend(new_view.view_changes.iter().flat_map(|change| self.lies_in_change(id, change, replica)));
                lies.extend(known.map(|_| (new_view.replica, EvidenceKind::TwoNewViews, new_view.view)));
                let proposed: BTreeMap<SequenceNumber, Digest> =
                    new_view.pre_prepares.iter().map(|header| (header.sequence, header.digest)).collect();
                let follows = must_propose(new_view).1 == proposed;
                lies.extend((!follows).then_some((new_view.replica, EvidenceKind::FalseNewView, new_view.view)));
            }
            _ => {}
        }
        lies
    }

    /// Votes for another digest than the one that is known, in the replica's view and window.
    fn second_votes(&self, id: u32, message: &Message, replica: &Replica) -> Vec<Lie> {
        let mut lies = Vec::new();
        for (signer, vote) in Vote::signed_in(message).into_iter().filter(|(_, vote)| self.is_kept(vote, message, replica)) {
            let known = self.seen.votes.get(&(id, signer, vote.kind, vote.sequence));
            if vote.view == replica.view() && known.is_some_and(|known| known.0 == vote.view && known.1 != vote.digest) {
                let kind = match vote.kind {
                    Kind::PrePrepare => EvidenceKind::TwoPrePrepares,
                    Kind::Prepare => EvidenceKind::TwoPrepares,
                    _ => EvidenceKind::TwoCommits,
                };
                lies.push((ReplicaId(signer), kind, vote.view));
            }
            if vote.kind != Kind::Commit && self.is_equivocation(id, message, &vote) {
                lies.push((self.genesis.primary(vote.view), EvidenceKind::TwoPrePrepares, vote.view));
            }
        }
        lies
    }

    /// Whether a primary's proposal and another one that a prepare carries with it now meet at a replica (R5).
    fn is_equivocation(&self, id: u32, message: &Message, vote: &Vote) -> bool {
        let primary = self.genesis.primary(vote.view);
        let differs = |signer: u32, kind: Kind| {
            let known = self.seen.votes.get(&(id, signer, kind, vote.sequence));
            known.is_some_and(|known| known.0 == vote.view && known.1 != vote.digest)
        };
        let by_correct = || {
            let mut backups = self.genesis.replica_ids().filter(|backup| *backup != primary && backup.0 != id);
            backups.any(|backup| self.is_correct(backup.0) && differs(backup.0, Kind::Prepare))
        };
        match message {
            Message::PrePrepare { .. } => by_correct(),
            Message::Prepare { pre_prepare, .. } if differs(primary.0, Kind::PrePrepare) || by_correct() => {
                let half = PrePrepare { view: vote.view, sequence: vote.sequence, digest: vote.digest, replica: primary };
                self.authenticator.verify_header(half, *pre_prepare).is_ok()
            }
            _ => false,
        }
    }

    /// What it reports is compared with the commits above h.
    fn lies_in_change(&self, id: u32, change: &Signed<ViewChange>, replica: &Replica) -> Vec<Lie> {
        let known = self.seen.changes.get(&(id, change.replica.0));
        if known == Some(change) {
            return Vec::new();
        }
        let second = known.is_some_and(|known| known.view == change.view && **known != **change);
        let second = second.then_some((change.replica, EvidenceKind::TwoViewChanges, change.view));
        let low = change.stable.as_ref().map_or(SequenceNumber::GENESIS, |stable| stable.sequence);
        let hidden = self.seen.commits_of(id, change.replica.0).find(|(sequence, view)| {
            let told = change.prepared.iter().any(|one| one.sequence == *sequence && one.view >= *view);
            change.view > *view && low.max(replica.low_watermark()) < *sequence && !told
        });
        second.into_iter().chain(hidden.map(|(_, view)| (change.replica, EvidenceKind::HiddenPrepared, view))).collect()
    }

    /// Whether a replica keeps a vote. A new-view's proposals come with it. Of a view that is not entered yet only a commit
    /// is kept, in the place of a lower one.
    fn is_kept(&self, vote: &Vote, message: &Message, replica: &Replica) -> bool {
        let Vote { kind, view, sequence, .. } = *vote;
        let low = replica.low_watermark();
        let inside = sequence > low && sequence <= low.plus(self.genesis.parameters.log_window);
        let votes = !matches!(message, Message::NewView(_)) && vote.is_agreement();
        let current = view == replica.view() || (view > replica.view() && kind == Kind::Commit);
        votes && inside && replica.is_active() && current
    }

    /// The replica is about to take this in, unless it rejects it: then what is returned is to be given to [`Self::took`].
    pub fn keeps(&self, message: &Message, replica: &Replica) -> Vec<(u32, Vote)> {
        Vote::signed_in(message).into_iter().filter(|(_, vote)| self.is_kept(vote, message, replica)).collect()
    }

    /// The replica took this in.
    pub fn took(&mut self, id: u32, message: &Message, votes: Vec<(u32, Vote)>) {
        for (signer, vote) in votes {
            self.seen.votes.insert((id, signer, vote.kind, vote.sequence), (vote.view, vote.digest));
        }
        match message {
            Message::ViewChange(change) => _ = self.seen.changes.insert((id, change.replica.0), change.clone()),
            Message::NewView(new_view) => _ = self.seen.new_views.insert(id, new_view.clone()),
            _ => {}
        }
    }

    /// After the replica has handled what shows these lies.
    pub fn expect_accused(&mut self, id: u32, lies: &[Lie], replica: &Replica) {
        for lie in lies {
            let (liar, kind, view) = *lie;
            let proofs = replica.evidence().iter().map(|evidence| evidence.lie());
            let alike: Vec<Lie> = proofs.filter(|(accused, of, _)| (*accused, *of) == (liar, kind)).collect();
            // One message may hide much, and proves it once.
            let is_proof = |known: &Lie| known.2 == view || kind == EvidenceKind::HiddenPrepared;
            let proven = alike.iter().any(is_proof) || alike.len() >= ENOUGH;
            self.expect(proven, Invariant::ContradictionsAreAccused, || {
                format!("replica {id} saw replica {liar} lie in view {view}, and holds no evidence of {}", kind.name())
            });
        }
    }

    /// What a replica holds against others is in its journal, or on its way there: restarts do not forget it.
    pub(super) fn expect_evidence_recorded(&mut self, id: u32, replica: &Replica) {
        let known = &self.replicas[id as usize].known.evidence;
        let lost = replica.evidence().iter().map(|evidence| evidence.lie()).find(|lie| !known.contains(lie));
        self.expect(lost.is_none(), Invariant::DurableBeforeSaid, || {
            format!("replica {id} holds evidence of {lost:?}, and its journal does not")
        });
    }

    /// New evidence is durable: these actions waited for it, and one of them tells it to all others.
    pub fn expect_spread(&mut self, id: u32, records: &[Record], actions: &[Action]) {
        let new = records.iter().filter_map(|record| match record {
            Record::Evidence(evidence) => Some(evidence),
            _ => None,
        });
        let tells = |evidence: &Evidence| {
            actions.iter().any(|action| matches!(action, Action::Broadcast(Message::Evidence(told)) if told == evidence))
        };
        if let Some(evidence) = new.into_iter().find(|evidence| !tells(evidence)) {
            self.fail(Invariant::EvidenceIsEverywhere, || format!("replica {id} does not tell the others of {:?}", evidence.lie()));
        }
    }

    /// A correct replica has a connection to another one, who may have been away when it told of its evidence.
    pub fn connected(&mut self, id: u32, peer: u32, replica: &Replica) {
        self.seen.owed.extend(replica.evidence().iter().map(|evidence| (id, peer, evidence.lie())));
    }

    pub(super) fn told_of(&mut self, id: u32, peer: u32, lie: Lie) {
        self.seen.owed.remove(&(id, peer, lie));
    }

    /// Whom a replica has not told yet of what evidence.
    pub fn owes(&self, id: u32) -> Option<(u32, Lie)> {
        self.seen.owed.iter().find(|(replica, ..)| *replica == id).map(|(_, peer, lie)| (*peer, *lie))
    }

    /// Which replicas are proven liars to this one, in its journal's words.
    pub fn proven_to(&self, id: u32) -> impl Iterator<Item = ReplicaId> {
        self.replicas[id as usize].known.evidence.iter().map(|(liar, ..)| *liar)
    }
}

fn hides(change: &ViewChange, commit: &Commit) -> bool {
    let low = change.stable.as_ref().map_or(SequenceNumber::GENESIS, |stable| stable.sequence);
    let told = change.prepared.iter().any(|one| one.sequence == commit.sequence && one.view >= commit.view);
    change.view > commit.view && low < commit.sequence && !told
}
