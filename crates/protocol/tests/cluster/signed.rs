//! What a replica signs, true or not: votes for number 1, certificates of them, and what view changes are made of.

use super::Cluster;
use pbft_crypto::Digest;
use pbft_message::*;

pub const ONE: SequenceNumber = SequenceNumber(1);

pub fn other_digest() -> Digest {
    Digest::of("another", &[])
}

pub fn prepare(cluster: &Cluster, view: u64, digest: Digest, replica: u32) -> Signed<Prepare> {
    let body = Prepare { view: View(view), sequence: ONE, digest, replica: ReplicaId(replica) };
    cluster.signer(u64::from(replica)).sign(body).into_inner()
}

pub fn commit(cluster: &Cluster, view: u64, digest: Digest, replica: u32) -> Signed<Commit> {
    let body = Commit { view: View(view), sequence: ONE, digest, replica: ReplicaId(replica) };
    cluster.signer(u64::from(replica)).sign(body).into_inner()
}

pub fn header(cluster: &Cluster, view: u64, sequence: SequenceNumber, digest: Digest) -> Signed<PrePrepare> {
    let replica = cluster.genesis.primary(View(view));
    let body = PrePrepare { view: View(view), sequence, digest, replica };
    cluster.signer(u64::from(replica.0)).sign(body).into_inner()
}

/// A proposal at number 1 by the primary of a view, of a batch of its own.
pub fn proposal(cluster: &mut Cluster, view: u64, text: &str) -> (Digest, Message) {
    let batch = Batch::of_verified(7, vec![cluster.request(0, text)]);
    let header = header(cluster, view, ONE, batch.digest());
    (batch.digest(), Message::PrePrepare { header, body: batch.bytes().clone() })
}

pub fn prepare_message(cluster: &Cluster, view: u64, digest: Digest, replica: u32) -> Message {
    let pre_prepare = header(cluster, view, ONE, digest).signature();
    Message::Prepare { prepare: prepare(cluster, view, digest, replica), pre_prepare }
}

pub fn prepared(cluster: &Cluster, view: u64, digest: Digest, signers: &[u32]) -> PreparedCertificate {
    let prepares = signers.iter().map(|id| (ReplicaId(*id), prepare(cluster, view, digest, *id).signature())).collect();
    let pre_prepare = header(cluster, view, ONE, digest).signature();
    PreparedCertificate { view: View(view), sequence: ONE, digest, pre_prepare, prepares }
}

pub fn committed(cluster: &Cluster, view: u64, digest: Digest, signers: &[u32]) -> CommitCertificate {
    let commits = signers.iter().map(|id| (ReplicaId(*id), commit(cluster, view, digest, *id).signature())).collect();
    CommitCertificate { view: View(view), sequence: ONE, digest, commits }
}

pub fn view_change(cluster: &Cluster, view: u64, prepared: Vec<PreparedCertificate>, replica: u32) -> Signed<ViewChange> {
    let body = ViewChange { view: View(view), stable: None, prepared, replica: ReplicaId(replica) };
    cluster.signer(u64::from(replica)).sign(body).into_inner()
}

/// A new-view with these view-changes, and the O that follows from them.
pub fn new_view(cluster: &Cluster, view: u64, view_changes: Vec<Signed<ViewChange>>) -> Signed<NewView> {
    let plan = NewViewPlan::of(view_changes.iter().map(|change| &**change)).unwrap();
    let pre_prepares: Vec<_> = plan.proposals().map(|(sequence, digest)| header(cluster, view, sequence, digest)).collect();
    signed_new_view(cluster, view, view_changes, pre_prepares)
}

pub fn signed_new_view(
    cluster: &Cluster,
    view: u64,
    view_changes: Vec<Signed<ViewChange>>,
    pre_prepares: Vec<Signed<PrePrepare>>,
) -> Signed<NewView> {
    let replica = cluster.genesis.primary(View(view));
    let body = NewView { view: View(view), view_changes, pre_prepares, replica };
    cluster.signer(u64::from(replica.0)).sign(body).into_inner()
}
