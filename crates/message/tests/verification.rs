//! R1, R4, R5, R11, R12, R17 and R20 as properties of what is signed and how it is encoded.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used)]

mod signed;

use pbft_crypto::{Digest, Signature};
use pbft_message::*;
use proptest::prelude::*;
use signed::*;
use std::sync::Arc;

#[test]
fn r01_a_signature_is_valid_in_its_own_cluster_epoch_and_message_type_only() {
    let commit = committed(0, 1);
    let mut other_genesis = (*genesis()).clone();
    other_genesis.name = "another cluster".into();
    let other = Authenticator::new(Arc::new(other_genesis));
    assert!(authenticator().verify_committed(commit.clone()).is_ok());
    assert_eq!(other.verify_committed(commit), Err(Invalid::BadSignature));

    let domain = *authenticator().domain();
    let next_epoch = Domain { epoch: Epoch(1), ..domain };
    assert_ne!(domain.digest(4, b"body"), next_epoch.digest(4, b"body"));
    // A prepare and a commit have the same fields: only the message type keeps their signatures apart.
    let vote = Prepare { view: View(0), sequence: SequenceNumber(1), digest: DIGEST, replica: ReplicaId(1) };
    let as_prepare = signer(1).sign(vote);
    let as_commit = signer(1).sign(Commit { view: View(0), sequence: SequenceNumber(1), digest: DIGEST, replica: ReplicaId(1) });
    assert_ne!(as_prepare.signature(), as_commit.signature());
}

#[test]
fn r05_a_prepare_by_the_primary_is_refused() {
    let vote = Prepare { view: View(0), sequence: SequenceNumber(1), digest: DIGEST, replica: ReplicaId(0) };
    let message = Message::Prepare { prepare: signer(0).sign(vote).into_inner(), pre_prepare: header(0, 1).signature() };
    assert_eq!(authenticator().verify_message(ReplicaId(0), message), Err(Invalid::WrongRole));
}

#[test]
fn r01_a_message_must_come_from_its_signer() {
    let vote = Commit { view: View(0), sequence: SequenceNumber(1), digest: DIGEST, replica: ReplicaId(2) };
    let message = Message::Commit(signer(2).sign(vote).into_inner());
    assert!(authenticator().verify_message(ReplicaId(2), message.clone()).is_ok());
    assert_eq!(authenticator().verify_message(ReplicaId(3), message), Err(Invalid::NotTheSender));
}

#[test]
fn r05_a_prepared_certificate_counts_no_signer_twice_and_no_stranger() {
    let valid = prepared(0, 1);
    assert!(authenticator().verify_prepared(valid.clone()).is_ok());
    let mut twice = valid.clone();
    twice.prepares[1] = twice.prepares[0];
    assert_eq!(authenticator().verify_prepared(twice), Err(Invalid::BadCertificate));
    let mut unsorted = valid.clone();
    unsorted.prepares.swap(0, 1);
    assert_eq!(authenticator().verify_prepared(unsorted), Err(Invalid::BadCertificate));
    let mut few = valid.clone();
    few.prepares.pop();
    assert_eq!(authenticator().verify_prepared(few), Err(Invalid::BadCertificate));
    let mut stranger = valid.clone();
    stranger.prepares[1].0 = ReplicaId(9);
    assert_eq!(authenticator().verify_prepared(stranger), Err(Invalid::UnknownReplica));
    let mut by_primary = valid.clone();
    by_primary.prepares.insert(0, (ReplicaId(0), valid.pre_prepare));
    assert_eq!(authenticator().verify_prepared(by_primary), Err(Invalid::WrongRole));
    let mut mixed = valid;
    mixed.digest = Digest::ZERO;
    assert_eq!(authenticator().verify_prepared(mixed), Err(Invalid::BadSignature));
}

#[test]
fn r06_a_commit_certificate_needs_a_quorum() {
    let mut certificate = committed(0, 1);
    certificate.commits.pop();
    assert_eq!(authenticator().verify_committed(certificate), Err(Invalid::BadCertificate));
}

#[test]
fn r04_a_batch_with_one_bad_request_is_invalid_and_others_in_the_same_burst_are_not() {
    let good = Batch::of_verified(5, vec![verified_request(1), verified_request(2)]);
    let mut forged = good.bytes().to_vec();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let proposal = |sequence: u64, body: &[u8]| {
        let pre_prepare =
            PrePrepare { view: View(0), sequence: SequenceNumber(sequence), digest: batch_digest(body), replica: ReplicaId(0) };
        (ReplicaId(0), Message::PrePrepare { header: signer(0).sign(pre_prepare).into_inner(), body: body.into() })
    };
    let verdicts =
        authenticator().verify_messages(vec![proposal(1, good.bytes()), proposal(2, &forged), proposal(3, good.bytes())]);
    let kinds: Vec<_> = verdicts
        .iter()
        .map(|verdict| match verdict {
            Ok(VerifiedMessage::PrePrepare { body: Proposal::Valid(_), .. }) => "valid",
            Ok(VerifiedMessage::PrePrepare { body: Proposal::Invalid(_), .. }) => "invalid body",
            _ => "other",
        })
        .collect();
    assert_eq!(kinds, ["valid", "invalid body", "valid"]);
}

#[test]
fn r04_a_header_over_another_body_is_refused() {
    let batch = Batch::of_verified(5, vec![verified_request(1)]);
    let message = Message::PrePrepare { header: header(0, 1).into_inner(), body: batch.bytes().clone() };
    assert_eq!(authenticator().verify_message(ReplicaId(0), message), Err(Invalid::WrongBody));
}

#[test]
fn r03_a_batch_keeps_one_copy_of_its_requests_and_what_leaves_it_takes_its_own_along() {
    let sent = Batch::of_verified(5, vec![verified_request(1), verified_request(2)]);
    let Proposal::Valid(received) = authenticator().verify_body(sent.bytes().clone()) else { panic!("it is valid") };
    for batch in [sent, received] {
        let (time, requests): (u64, Vec<Signed<Request>>) = codec::decode(batch.bytes()).unwrap();
        assert_eq!((batch.time(), batch.requests()), (time, &requests[..]));
        let within = batch.bytes().as_ptr_range();
        for (inside, (outside, plain)) in batch.requests().iter().zip(batch.verified_requests().zip(&requests)) {
            assert!(inside.operations.each().all(|operation| within.contains(&operation.as_ptr())));
            assert!(outside.operations.each().all(|operation| !within.contains(&operation.as_ptr())));
            assert_eq!((&**inside, &*outside), (&**plain, plain));
            assert_eq!(outside.digest(authenticator().domain()), plain.digest(authenticator().domain()));
        }
    }
}

#[test]
fn r03_an_empty_batch_that_is_not_the_null_request_is_invalid() {
    let empty = codec::encode(&(5_u64, Vec::<Signed<Request>>::new()));
    assert!(matches!(authenticator().verify_body(empty.into()), Proposal::Invalid(_)));
    assert_eq!(authenticator().verify_body(Blob::default()), Proposal::Null);
}

#[test]
fn r11_a_view_change_with_one_fault_is_dropped_whole() {
    let valid = view_change(3, 0, vec![prepared(0, 1), prepared(2, 2)]);
    assert!(authenticator().verify_view_change(valid).is_ok());
    let repeated = view_change(3, 0, vec![prepared(0, 1), prepared(1, 1)]);
    assert!(matches!(authenticator().verify_view_change(repeated), Err(Invalid::BadViewChange(_))));
    let beyond = view_change(3, 0, vec![prepared(0, 257)]);
    assert!(matches!(authenticator().verify_view_change(beyond), Err(Invalid::BadViewChange(_))));
    let own_view = view_change(3, 0, vec![prepared(3, 1)]);
    assert!(matches!(authenticator().verify_view_change(own_view), Err(Invalid::BadViewChange(_))));
    let mut tampered = prepared(0, 1);
    tampered.sequence = SequenceNumber(2);
    assert_eq!(authenticator().verify_view_change(view_change(3, 0, vec![tampered])), Err(Invalid::BadSignature));
}

#[test]
fn r12_a_new_view_needs_a_quorum_of_distinct_view_changes_the_primarys_own_among_them() {
    let new_view = |changes: Vec<Signed<ViewChange>>| {
        signer(1).sign(NewView { view: View(5), view_changes: changes, pre_prepares: vec![], replica: ReplicaId(1) }).into_inner()
    };
    let change = |id| view_change(5, id, vec![]);
    assert!(authenticator().verify_new_view(new_view(vec![change(0), change(1), change(2)])).is_ok());
    for wrong in [
        vec![change(0), change(1)],
        vec![change(0), change(1), change(1)],
        vec![change(0), change(2), change(3)],
        vec![change(0), change(1), view_change(4, 2, vec![])],
        vec![change(0), change(1), view_change(6, 2, vec![])],
    ] {
        assert!(matches!(authenticator().verify_new_view(new_view(wrong)), Err(Invalid::BadNewView(_))));
    }
}

#[test]
fn r12_o_is_the_certificate_of_the_highest_view_for_each_number_and_null_in_between() {
    let low = view_change(5, 0, vec![prepared(0, 1), prepared(0, 4)]);
    let mut high_certificate = prepared(2, 1);
    high_certificate.digest = DIGEST;
    let high = view_change(5, 1, vec![high_certificate]);
    let plan = NewViewPlan::of([&*low, &*high]).unwrap();
    assert_eq!((plan.min, plan.max), (SequenceNumber(0), SequenceNumber(4)));
    assert_eq!(plan.prepared[&SequenceNumber(1)].view, View(2));
    let digests: Vec<Digest> = plan.proposals().map(|(_, digest)| digest).collect();
    assert_eq!(digests, [DIGEST, NULL_DIGEST, NULL_DIGEST, DIGEST]);
}

#[test]
fn r17_evidence_that_proves_nothing_is_refused() {
    let first = header(0, 1).into_inner();
    let other = signer(0)
        .sign(PrePrepare { view: View(0), sequence: SequenceNumber(1), digest: Digest::ZERO, replica: ReplicaId(0) })
        .into_inner();
    let verify = |evidence| authenticator().verify_evidence(evidence);
    assert!(verify(Evidence::PrePrepares(first.clone(), other.clone())).is_ok());
    assert!(matches!(verify(Evidence::PrePrepares(first.clone(), first.clone())), Err(Invalid::NoEvidence(_))));
    assert!(matches!(verify(Evidence::PrePrepares(first.clone(), header(0, 2).into_inner())), Err(Invalid::NoEvidence(_))));
    let batch = Batch::of_verified(5, vec![verified_request(1)]);
    let honest = signer(0)
        .sign(PrePrepare { view: View(0), sequence: SequenceNumber(1), digest: batch.digest(), replica: ReplicaId(0) })
        .into_inner();
    assert!(matches!(verify(Evidence::InvalidBatch(honest, batch.bytes().clone())), Err(Invalid::NoEvidence(_))));
    let forged = Evidence::PrePrepares(first, with_signature(&other, Signature::from_bytes([1; 64])));
    assert_eq!(verify(forged), Err(Invalid::BadSignature));
}

#[test]
fn r20_what_is_encoded_decodes_to_the_same_and_every_other_length_is_refused() {
    let message = Message::NewView(
        signer(1)
            .sign(NewView {
                view: View(1),
                view_changes: vec![view_change(1, 0, vec![prepared(0, 1)])],
                pre_prepares: vec![header(1, 1).into_inner()],
                replica: ReplicaId(1),
            })
            .into_inner(),
    );
    let bytes = codec::encode(&message);
    assert_eq!(codec::decode::<Message>(&bytes).unwrap(), message);
    for length in 0..bytes.len() {
        assert!(codec::decode::<Message>(&bytes[..length]).is_err(), "truncated to {length}");
    }
    let mut longer = bytes;
    longer.push(0);
    assert_eq!(codec::decode::<Message>(&longer), Err(codec::DecodeError::NotCanonical));
}

#[test]
fn r20_a_huge_length_prefix_allocates_nothing() {
    let mut bytes = codec::encode(&Message::Body(b"x"[..].into()));
    let length_at = bytes.len() - 9;
    bytes[length_at..length_at + 8].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(codec::decode::<Message>(&bytes).is_err());
    bytes[length_at..length_at + 8].copy_from_slice(&(1_u64 << 25).to_le_bytes());
    assert!(codec::decode::<Message>(&bytes).is_err());
}

proptest! {
    #[test]
    fn r20_arbitrary_bytes_never_panic_and_decode_only_if_canonical(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(message) = codec::decode::<Message>(&bytes) {
            prop_assert_eq!(codec::encode(&message), bytes);
        } else if let Ok(message) = codec::decode::<ClientMessage>(&bytes) {
            prop_assert_eq!(codec::encode(&message), bytes);
        }
    }

    #[test]
    fn r20_a_flipped_bit_is_either_refused_or_breaks_the_signature(position in 0_usize..10_000, bit in 0_u8..8) {
        let vote = Commit { view: View(3), sequence: SequenceNumber(9), digest: DIGEST, replica: ReplicaId(2) };
        let mut bytes = codec::encode(&Message::Commit(signer(2).sign(vote).into_inner()));
        let position = position % bytes.len();
        bytes[position] ^= 1 << bit;
        if let Ok(message) = codec::decode::<Message>(&bytes) {
            prop_assert!(authenticator().verify_message(ReplicaId(2), message).is_err());
        }
    }
}

#[test]
fn r16_a_witness_tells_only_of_what_was_really_signed() {
    let commit = |id: u64, sequence: u64| {
        let digest = Digest::of("batch", &[]);
        let commit = Commit { view: View(0), sequence: SequenceNumber(sequence), digest, replica: ReplicaId(id as u32) };
        signer(id).sign(commit).into_inner()
    };
    let witness = |commit: Signed<Commit>| {
        let votes = Votes { commit: Some(commit), ..Votes::default() };
        Message::Witness(Box::new(Witness { asked: 1, votes }))
    };
    let told = authenticator().verify_message(ReplicaId(1), witness(commit(2, 5)));
    assert!(matches!(told, Ok(VerifiedMessage::Witness(told)) if told.votes.commit == Some(commit(2, 5))));
    let forged = with_signature(&commit(2, 5), commit(2, 6).signature());
    assert_eq!(authenticator().verify_message(ReplicaId(1), witness(forged)), Err(Invalid::BadSignature));
}

#[test]
fn r16_certificates_tell_who_signed_them() {
    let (prepared, committed) = (prepared(0, 3), committed(0, 3));
    let prepare = prepared.prepare_of(prepared.prepares[0].0).unwrap();
    assert!(authenticator().verify_signed(prepare).is_ok());
    let commit = committed.commit_of(committed.commits[0].0).unwrap();
    assert!(authenticator().verify_signed(commit).is_ok());
    assert_eq!(committed.commit_of(ReplicaId(99)), None);
    let checkpoint = stable(128).checkpoint_of(ReplicaId(2)).unwrap();
    assert!(checkpoint.replica == ReplicaId(2) && authenticator().verify_signed(checkpoint).is_ok());
    assert_eq!(stable(128).checkpoint_of(ReplicaId(0)), None);
    let mut votes = Votes::default();
    for sequence in [5, 7, 6] {
        votes.note_pre_prepare(&header(0, sequence));
    }
    assert_eq!(votes.pre_prepare.map(|header| header.sequence), Some(SequenceNumber(7)), "the highest is kept");
}
