//! New-views that are valid, of a V that the liar chose.

use pbft_crypto::Digest;
use pbft_message::{NewView, NewViewPlan, PrePrepare, SequenceNumber, Signed, Signer, View, ViewChange};

/// A new-view of these view-changes, with O as they demand it. None if they contradict each other.
pub fn following(signer: &Signer, view: View, mut view_changes: Vec<Signed<ViewChange>>) -> Option<Signed<NewView>> {
    view_changes.sort_by_key(|change| change.replica);
    let plan = NewViewPlan::of(view_changes.iter().map(|change| &**change)).ok()?;
    let proposals: Vec<_> = plan.proposals().collect();
    Some(with(signer, view, view_changes, proposals))
}

/// A new-view of these view-changes and this O, whether it follows or not.
pub fn with(
    signer: &Signer,
    view: View,
    view_changes: Vec<Signed<ViewChange>>,
    proposals: Vec<(SequenceNumber, Digest)>,
) -> Signed<NewView> {
    let replica = signer.replica();
    let sign = |(sequence, digest)| signer.sign(PrePrepare { view, sequence, digest, replica }).into_inner();
    let pre_prepares = proposals.into_iter().map(sign).collect();
    signer.sign(NewView { view, view_changes, pre_prepares, replica }).into_inner()
}
