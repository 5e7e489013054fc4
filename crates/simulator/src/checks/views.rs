use super::checker::Checker;
use super::invariant::Invariant;
use super::votes::{Kind, Vote};
use pbft_crypto::Digest;
use pbft_message::{NULL_DIGEST, NewView, PreparedCertificate, SequenceNumber, View, ViewChange};
use std::collections::BTreeMap;

/// A new-view that a correct replica entered its view with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedNewView {
    pub min: SequenceNumber,
    pub proposals: BTreeMap<SequenceNumber, Digest>,
}

impl Checker {
    /// R11: a correct replica's view-change tells all that ever prepared there above its h.
    pub(super) fn check_view_change(&mut self, id: u32, change: &ViewChange) {
        let low = change.low_watermark();
        let known = &self.replicas[id as usize].known;
        let stale = known.stable > low;
        let told: BTreeMap<SequenceNumber, (View, Digest)> =
            change.prepared.iter().map(|certificate| (certificate.sequence, (certificate.view, certificate.digest))).collect();
        let best = known.highest_prepared(low);
        let silent = best.iter().find(|(sequence, best)| told.get(*sequence) != Some(*best)).map(|(sequence, _)| *sequence);
        self.expect(!stale, Invariant::ViewChangeTellsAll, || format!("replica {id} reports h {low}, which is not its newest"));
        if let Some(sequence) = silent {
            self.fail(Invariant::ViewChangeTellsAll, || {
                format!("replica {id}'s view-change for view {} does not tell what prepared at {sequence}", change.view)
            });
        }
    }

    /// R12, R13: recomputed apart from the replica's own code.
    pub(super) fn check_new_view(&mut self, id: u32, new_view: &NewView) {
        let (view, quorum, window) = (new_view.view, self.genesis.quorum(), self.genesis.parameters.log_window);
        let mut senders: Vec<u32> = new_view.view_changes.iter().map(|change| change.replica.0).collect();
        senders.sort_unstable();
        senders.dedup();
        let right_view = new_view.view_changes.iter().all(|change| change.view == view);
        let primary = self.genesis.primary(view);
        let own_among = senders.contains(&primary.0);
        self.expect(
            senders.len() >= quorum && right_view && own_among && new_view.replica == primary,
            Invariant::NewViewFollows,
            || format!("replica {id} enters view {view} by {} with view-changes of {senders:?}", new_view.replica),
        );
        for header in &new_view.pre_prepares {
            let valid = self.authenticator.verify_header(**header, header.signature()).is_ok();
            self.expect(valid && header.view == view, Invariant::NewViewFollows, || {
                format!("replica {id} enters view {view} with a proposal of view {} that its primary did not sign", header.view)
            });
        }
        for change in &new_view.view_changes {
            let whole = Vote::whole(Kind::ViewChange, change.view, &**change);
            let signed = self.votes.get(&(change.replica.0, whole.kind, whole.view, whole.sequence)) == Some(&whole.digest);
            let forged = self.is_correct(change.replica.0) && !signed;
            self.expect(!forged, Invariant::NewViewFollows, || {
                format!("replica {id} enters view {view} by a view-change that replica {} did not sign", change.replica)
            });
            for certificate in &change.prepared {
                self.check_prepared(certificate);
            }
            if let Some(stable) = &change.stable {
                self.check_stable(stable);
            }
        }
        let (min, expected) = must_propose(new_view);
        let max = expected.keys().next_back().copied().unwrap_or(min);
        let proposals: BTreeMap<SequenceNumber, Digest> =
            new_view.pre_prepares.iter().map(|header| (header.sequence, header.digest)).collect();
        let whole = proposals.len() == new_view.pre_prepares.len();
        self.expect(whole && proposals == expected && max.above(min) <= window, Invariant::NewViewFollows, || {
            format!("replica {id} enters view {view} with O {proposals:?} where {expected:?} follows from V")
        });
        let accepted = AcceptedNewView { min, proposals };
        let known = self.new_views.entry(view).or_default();
        if known.contains(&accepted) {
            return;
        }
        known.push(accepted);
        let sequences: Vec<SequenceNumber> = self.committed_in.keys().copied().collect();
        for sequence in sequences {
            if let Some(digest) = self.agreed_digest(sequence) {
                self.check_reproposed(sequence, digest);
            }
        }
    }

    /// 11: what committed in a view is in the O of every higher view, unless its min-s covers it.
    pub(super) fn check_reproposed(&mut self, sequence: SequenceNumber, digest: Digest) {
        let Some(view) = self.committed_in.get(&sequence).copied() else { return };
        let later = self.new_views.range(view.next()..);
        let forgetful = later
            .flat_map(|(view, accepted)| accepted.iter().map(move |accepted| (*view, accepted)))
            .find(|(_, accepted)| accepted.min < sequence && accepted.proposals.get(&sequence) != Some(&digest))
            .map(|(view, _)| view);
        if let Some(forgetful) = forgetful {
            self.fail(Invariant::CommittedIsReproposed, || {
                format!("{} committed at {sequence} in view {view}, and view {forgetful} does not begin with it", digest.short())
            });
        }
    }
}

/// min-s, and what O must be (R12).
pub(super) fn must_propose(new_view: &NewView) -> (SequenceNumber, BTreeMap<SequenceNumber, Digest>) {
    let min = new_view.view_changes.iter().map(|change| change.low_watermark()).max().unwrap_or_default();
    let mut best: BTreeMap<SequenceNumber, &PreparedCertificate> = BTreeMap::new();
    for certificate in new_view.view_changes.iter().flat_map(|change| &change.prepared) {
        let known = best.entry(certificate.sequence).or_insert(certificate);
        if certificate.view > known.view {
            *known = certificate;
        }
    }
    best.retain(|sequence, _| *sequence > min);
    let max = best.keys().next_back().copied().unwrap_or(min);
    let digest = |sequence| best.get(&sequence).map_or(NULL_DIGEST, |certificate| certificate.digest);
    (min, (min.0 + 1..=max.0).map(SequenceNumber).map(|sequence| (sequence, digest(sequence))).collect())
}
