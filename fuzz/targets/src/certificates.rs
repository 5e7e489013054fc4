//! Certificates: valid exactly if a quorum of distinct members signed just this (R5, R6, R9, R20).

use crate::cluster::cluster;
use crate::input::Input;
use crate::model;
use pbft_crypto::{Digest, Signature};
use pbft_message::*;

pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let authenticator = &cluster().authenticator;
    let kind = input.byte() % 6;
    let (view, sequence) = (View(input.number()), SequenceNumber(input.number()));
    let digest = cluster().digest(input.below(10));
    match kind {
        0 => {
            let pre_prepare = signature(&mut input, cluster().primary(view), view, sequence, digest, 0);
            let prepares = signatures(&mut input, view, sequence, digest, 1);
            check_prepared(PreparedCertificate { view, sequence, digest, pre_prepare, prepares });
        }
        1 => {
            let commits = signatures(&mut input, view, sequence, digest, 2);
            check_committed(CommitCertificate { view, sequence, digest, commits });
        }
        2 => {
            let checkpoints = signatures(&mut input, view, sequence, digest, 3);
            check_stable(StableCertificate { sequence, digest, checkpoints });
        }
        3 => codec::decode(input.0).map(check_prepared).unwrap_or_default(),
        4 => codec::decode(input.0).map(check_committed).unwrap_or_default(),
        _ => codec::decode(input.0).map(check_stable).unwrap_or_default(),
    }
    assert!(authenticator.verify_prepared(cluster().prepared(View(1), SequenceNumber(1), digest)).is_ok());
}

fn check_prepared(certificate: PreparedCertificate) {
    let expected = model::prepared(&certificate);
    assert_eq!(cluster().authenticator.verify_prepared(certificate).is_ok(), expected);
}

fn check_committed(certificate: CommitCertificate) {
    let expected = model::committed(&certificate);
    assert_eq!(cluster().authenticator.verify_committed(certificate).is_ok(), expected);
}

fn check_stable(certificate: StableCertificate) {
    let expected = model::stable(&certificate);
    assert_eq!(cluster().authenticator.verify_stable(certificate).is_ok(), expected);
}

/// Who is to have signed, and what is wrong with it, if anything.
fn signatures(input: &mut Input<'_>, view: View, sequence: SequenceNumber, digest: Digest, kind: u8) -> SignatureList {
    let count = input.below(6);
    let mut list = SignatureList::new();
    for _ in 0..count {
        let replica = ReplicaId(u32::from(input.byte() % 6));
        list.push((replica, signature(input, replica, view, sequence, digest, kind)));
    }
    list
}

fn signature(
    input: &mut Input<'_>,
    replica: ReplicaId,
    view: View,
    sequence: SequenceNumber,
    digest: Digest,
    kind: u8,
) -> Signature {
    let flaw = input.byte();
    let other = Digest::of("another", &[]);
    match flaw {
        201 => sign(kind, replica, view, sequence, other),
        202 => sign(kind, replica, view, sequence.next(), digest),
        203 => sign(kind, replica, View(view.0.wrapping_add(1)), sequence, digest),
        204 => sign(kind, ReplicaId(replica.0 + 1), view, sequence, digest),
        205 => sign(kind + 1, replica, view, sequence, digest),
        206 => {
            let mut bytes = *sign(kind, replica, view, sequence, digest).as_bytes();
            bytes[input.below(64)] ^= input.byte();
            Signature::from_bytes(bytes)
        }
        _ => sign(kind, replica, view, sequence, digest),
    }
}

fn sign(kind: u8, replica: ReplicaId, view: View, sequence: SequenceNumber, digest: Digest) -> Signature {
    let signer = cluster().signer(replica);
    match kind % 4 {
        0 => signer.sign(PrePrepare { view, sequence, digest, replica }).signature(),
        1 => signer.sign(Prepare { view, sequence, digest, replica }).signature(),
        2 => signer.sign(Commit { view, sequence, digest, replica }).signature(),
        _ => signer.sign(Checkpoint { sequence, digest, replica }).signature(),
    }
}
