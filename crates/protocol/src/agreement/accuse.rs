//! Evidence against replicas that lied (R17).

use super::*;

/// The most pieces of evidence kept against one replica; the first ones are kept.
pub(super) const MOST_PER_REPLICA: usize = 16;

impl Replica {
    /// Whether this replica already holds evidence of this kind against the accused, in the current view.
    pub(super) fn accused(&self, accused: ReplicaId, kind: EvidenceKind) -> bool {
        self.evidence.iter().any(|known| known.kind() == kind && known.accused().0 == accused && known.accused().1 == self.view)
    }

    /// Keeps evidence that this replica found: the two messages were verified when they came in, and are verified
    /// together here, so that nothing is stored that a third party would not accept.
    pub(super) fn accuse(&mut self, evidence: Evidence) {
        if let Ok(evidence) = self.config.authenticator.verify_evidence(evidence) {
            // What is known already is no news to anybody.
            let _ = self.on_evidence(evidence);
        }
    }

    /// Stores a new piece durably, tells all others once, and treats the accused primary's time as expired (R10).
    pub(super) fn on_evidence(&mut self, evidence: Verified<Evidence>) -> Result<(), Rejection> {
        let (accused, view, _) = evidence.accused();
        let kind = evidence.kind();
        if view == self.view {
            self.suspect_the_accused(accused);
        }
        let same = |known: &&Verified<Evidence>| known.accused().0 == accused;
        if self.evidence.iter().filter(same).count() >= MOST_PER_REPLICA {
            return Err(Rejection::Duplicate);
        }
        if self.evidence.iter().filter(same).any(|known| known.kind() == kind && known.accused().1 == view) {
            return Err(Rejection::Duplicate);
        }
        self.evidence.push(evidence.clone());
        self.output.record(Record::Evidence((*evidence).clone()));
        self.output.after(Action::Broadcast(Message::Evidence(evidence.into_inner())));
        self.output.after(Action::Tell(Event::Evidence { accused, kind }));
        Ok(())
    }

    /// R17 (b), when the commit comes after the view-change.
    pub(super) fn look_for_hidden_prepared(&mut self, commit: &Signed<Commit>) {
        let change = self.view_changes.received.get(&commit.replica);
        if let Some(evidence) = change.and_then(|change| Evidence::hidden_prepared(commit, change)) {
            self.accuse(evidence);
        }
    }

    /// R17 (b), when the view-change comes after the commit.
    pub(super) fn look_for_hidden_commits(&mut self, change: &Signed<ViewChange>) {
        let commits = self.log.slots().filter_map(|(_, slot)| slot.commits.get(&change.replica));
        let hidden: Option<Evidence> = commits.filter_map(|commit| Evidence::hidden_prepared(commit, change)).next();
        if let Some(evidence) = hidden {
            self.accuse(evidence);
        }
    }
}
