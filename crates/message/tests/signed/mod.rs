//! What replicas and one client of a cluster of four sign, true or not.

#![allow(dead_code, clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used)]

use pbft_crypto::{Digest, SecretKey, Signature};
use pbft_message::*;
use std::sync::Arc;

pub fn key(number: u64) -> SecretKey {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    SecretKey::from_seed(&seed)
}

pub fn genesis() -> Arc<Genesis> {
    Arc::new(Genesis {
        name: "test".into(),
        test_network: true,
        parameters: Parameters::default(),
        service: ServiceParameters::default(),
        replicas: (0..4).map(|id| ReplicaEntry { signing_key: key(id).public(), transport_key: key(100 + id).public() }).collect(),
        operators: vec![],
        clients: vec![ClientEntry { signing_key: ClientId(key(200).public()), transport_key: key(300).public() }],
    })
}

pub fn authenticator() -> Authenticator {
    Authenticator::new(genesis())
}

pub fn signer(id: u64) -> Signer {
    Signer::new(ReplicaId(u32::try_from(id).unwrap()), *authenticator().domain(), key(id))
}

pub fn request(timestamp: u64) -> Signed<Request> {
    let client = key(200);
    let body =
        Request { client: ClientId(client.public()), timestamp: Timestamp(timestamp), operations: Blobs::new(&[b"operation"]) };
    sign_request(body, authenticator().domain(), &client)
}

pub fn verified_request(timestamp: u64) -> Verified<Signed<Request>> {
    authenticator().verify_requests(vec![request(timestamp)]).pop().unwrap().unwrap()
}

pub const DIGEST: Digest = Digest::from_bytes([7; 32]);

pub fn header(view: u64, sequence: u64) -> Verified<Signed<PrePrepare>> {
    let replica = ReplicaId(u32::try_from(view % 4).unwrap());
    signer(view % 4).sign(PrePrepare { view: View(view), sequence: SequenceNumber(sequence), digest: DIGEST, replica })
}

pub fn prepared(view: u64, sequence: u64) -> PreparedCertificate {
    let backups = (0..4).filter(|id| id % 4 != view % 4).take(2);
    let prepares: Vec<_> = backups
        .map(|id| {
            let replica = ReplicaId(u32::try_from(id).unwrap());
            signer(id).sign(Prepare { view: View(view), sequence: SequenceNumber(sequence), digest: DIGEST, replica })
        })
        .collect();
    Verified::<PreparedCertificate>::assemble(&header(view, sequence), &prepares, &genesis()).unwrap().into_inner()
}

pub fn committed(view: u64, sequence: u64) -> CommitCertificate {
    let vote = |id: u64| Commit {
        view: View(view),
        sequence: SequenceNumber(sequence),
        digest: DIGEST,
        replica: ReplicaId(u32::try_from(id).unwrap()),
    };
    let commits: Vec<_> = (0..3).map(|id| signer(id).sign(vote(id))).collect();
    Verified::<CommitCertificate>::assemble(&vote(0), &commits, &genesis()).unwrap().into_inner()
}

pub fn view_change(view: u64, id: u64, certificates: Vec<PreparedCertificate>) -> Signed<ViewChange> {
    let replica = ReplicaId(u32::try_from(id).unwrap());
    signer(id).sign(ViewChange { view: View(view), stable: None, prepared: certificates, replica }).into_inner()
}

/// The same body with another signature, as a forger would send it.
pub fn with_signature<T: Body>(signed: &Signed<T>, signature: Signature) -> Signed<T> {
    let mut bytes = codec::encode(signed);
    let end = bytes.len() - 64;
    bytes[end..].copy_from_slice(signature.as_bytes());
    codec::decode(&bytes).unwrap()
}

pub fn stable(sequence: u64) -> StableCertificate {
    let vote =
        |id: u64| Checkpoint { sequence: SequenceNumber(sequence), digest: DIGEST, replica: ReplicaId(u32::try_from(id).unwrap()) };
    let checkpoints: Vec<_> = (1..4).map(|id| signer(id).sign(vote(id))).collect();
    Verified::<StableCertificate>::assemble(&vote(1), &checkpoints, &genesis()).unwrap().into_inner()
}

/// For view 1, with the O that follows from the view-changes.
pub fn new_view(changes: Vec<Signed<ViewChange>>) -> Signed<NewView> {
    let plan = NewViewPlan::of(changes.iter().map(|change| &**change)).unwrap();
    let propose =
        |(sequence, digest)| signer(1).sign(PrePrepare { view: View(1), sequence, digest, replica: ReplicaId(1) }).into_inner();
    let pre_prepares = plan.proposals().map(propose).collect();
    signer(1).sign(NewView { view: View(1), view_changes: changes, pre_prepares, replica: ReplicaId(1) }).into_inner()
}
