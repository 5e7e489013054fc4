//! R1, R4, R9, R11, R12 and R17 against whoever alters what others signed, or signs what is not its to sign.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used)]

mod signed;

use pbft_crypto::{Digest, Signature};
use pbft_message::*;
use signed::*;
use std::sync::Arc;

fn prepare(view: u64, sequence: u64, digest: Digest, id: u64) -> Signed<Prepare> {
    let replica = ReplicaId(u32::try_from(id).unwrap());
    signer(id).sign(Prepare { view: View(view), sequence: SequenceNumber(sequence), digest, replica }).into_inner()
}

fn commit(view: u64, sequence: u64, digest: Digest, id: u64) -> Signed<Commit> {
    let replica = ReplicaId(u32::try_from(id).unwrap());
    signer(id).sign(Commit { view: View(view), sequence: SequenceNumber(sequence), digest, replica }).into_inner()
}

fn proposal(view: u64, sequence: u64, digest: Digest, id: u64) -> Signed<PrePrepare> {
    let replica = ReplicaId(u32::try_from(id).unwrap());
    signer(id).sign(PrePrepare { view: View(view), sequence: SequenceNumber(sequence), digest, replica }).into_inner()
}

fn checkpoint(id: u64) -> Signed<Checkpoint> {
    let replica = ReplicaId(u32::try_from(id).unwrap());
    signer(id).sign(Checkpoint { sequence: SequenceNumber(128), digest: DIGEST, replica }).into_inner()
}

fn change_above(low: u64, view: u64, id: u64, prepared: Vec<PreparedCertificate>) -> Signed<ViewChange> {
    let (stable, replica) = (Some(stable(low)), ReplicaId(u32::try_from(id).unwrap()));
    signer(id).sign(ViewChange { view: View(view), stable, prepared, replica }).into_inner()
}

/// All that a new view may hold.
fn whole_new_view() -> Signed<NewView> {
    new_view(vec![
        view_change(1, 0, vec![prepared(0, 2)]),
        view_change(1, 1, vec![]),
        change_above(128, 1, 2, vec![prepared(0, 130)]),
    ])
}

/// A new view that begins with nothing, where it would have to propose something.
fn false_new_view() -> Signed<NewView> {
    let NewView { view, view_changes, replica, .. } = (*whole_new_view()).clone();
    signer(1).sign(NewView { view, view_changes, pre_prepares: vec![], replica }).into_inner()
}

/// An invalid batch, and its proposal.
fn invalid_batch() -> Evidence {
    let body = Blob::from(codec::encode(&(5_u64, Vec::<Signed<Request>>::new())));
    Evidence::InvalidBatch(proposal(0, 1, batch_digest(&body), 0), body)
}

fn every_evidence() -> Vec<Evidence> {
    let (one, other) = (DIGEST, Digest::ZERO);
    vec![
        Evidence::PrePrepares(proposal(0, 1, one, 0), proposal(0, 1, other, 0)),
        Evidence::Prepares(prepare(0, 1, one, 1), prepare(0, 1, other, 1)),
        Evidence::Commits(commit(0, 1, one, 1), commit(0, 1, other, 1)),
        Evidence::ViewChanges(Box::new((view_change(1, 2, vec![]), view_change(1, 2, vec![prepared(0, 1)])))),
        Evidence::NewViews(Box::new((whole_new_view(), false_new_view()))),
        Evidence::HiddenPrepared(commit(0, 1, one, 2), Box::new(view_change(1, 2, vec![]))),
        invalid_batch(),
        Evidence::FalseNewView(Box::new(false_new_view())),
    ]
}

fn every_vote() -> Votes {
    Votes {
        pre_prepare: Some(proposal(0, 1, DIGEST, 0)),
        prepare: Some(prepare(0, 1, DIGEST, 1)),
        commit: Some(commit(0, 1, DIGEST, 1)),
        checkpoint: Some(checkpoint(1)),
        view_change: Some(view_change(1, 1, vec![])),
        new_view: Some(false_new_view()),
    }
}

/// Everything signed that one replica sends another, and who.
fn every_message() -> Vec<(u32, Message)> {
    let batch = Batch::of_verified(5, vec![verified_request(1), verified_request(2)]);
    let body = batch.bytes().clone();
    let vote = |id: u64| commit(0, 1, batch.digest(), id);
    let commits: Vec<_> = (0..3).map(|id| authenticator().verify_signed(vote(id)).unwrap()).collect();
    let certificate = Verified::<CommitCertificate>::assemble(&vote(0), &commits, &genesis()).unwrap().into_inner();
    let messages = vec![
        (0, Message::PrePrepare { header: proposal(0, 1, batch.digest(), 0), body: body.clone() }),
        (1, Message::Commit(commit(0, 1, DIGEST, 1))),
        (1, Message::Checkpoint(checkpoint(1))),
        (2, Message::ViewChange(change_above(128, 1, 2, vec![prepared(0, 130)]))),
        (1, Message::NewView(whole_new_view())),
        (1, Message::Committed { certificate, body }),
        (1, Message::Stable(stable(128))),
        (1, Message::Request(request(1))),
    ];
    messages.into_iter().chain(every_evidence().into_iter().map(|evidence| (1, Message::Evidence(evidence)))).collect()
}

/// What is sent, with each byte altered in one bit, as far as it is still a message.
fn altered(message: &Message) -> impl Iterator<Item = (usize, Message)> {
    let bytes = codec::encode(message);
    (0..bytes.len()).filter_map(move |position| {
        let mut altered = bytes.clone();
        altered[position] ^= 1 << (position % 8);
        Some((position, codec::decode(&altered).ok()?))
    })
}

#[test]
fn r01_no_byte_of_a_signed_message_can_be_altered() {
    // It remembers the signatures that are right, so that only the altered one is verified each time.
    let authenticator = Authenticator::with_memory(genesis(), 10_000);
    for (sender, message) in every_message() {
        let sender = ReplicaId(sender);
        assert!(authenticator.verify_message(sender, message.clone()).is_ok(), "{message:?}");
        let mut decoded = 0;
        for (position, altered) in altered(&message) {
            decoded += 1;
            assert!(authenticator.verify_message(sender, altered).is_err(), "byte {position} of {message:?}");
        }
        assert!(decoded >= 64, "{decoded} of {message:?}");
    }
}

#[test]
fn r01_of_a_prepare_the_primarys_signature_alone_is_looked_at_later() {
    let message = Message::Prepare { prepare: prepare(0, 1, DIGEST, 1), pre_prepare: header(0, 1).signature() };
    assert!(authenticator().verify_message(ReplicaId(1), message.clone()).is_ok());
    let attached = codec::encode(&message).len() - 64;
    for (position, altered) in altered(&message) {
        assert_eq!(authenticator().verify_message(ReplicaId(1), altered).is_ok(), position >= attached, "byte {position}");
    }
}

#[test]
fn r16_no_byte_of_a_vote_that_a_witness_shows_can_be_altered() {
    let authenticator = Authenticator::with_memory(genesis(), 10_000);
    let votes = every_vote();
    let shown = Message::Witness(Box::new(Witness { asked: 1, votes: votes.clone() }));
    assert!(authenticator.verify_message(ReplicaId(3), shown.clone()).is_ok());
    for (position, altered) in altered(&shown) {
        match authenticator.verify_message(ReplicaId(3), altered) {
            Ok(VerifiedMessage::Witness(witness)) => assert_eq!(witness.votes, votes, "byte {position}"),
            Ok(other) => panic!("byte {position}: {other:?}"),
            Err(_) => {}
        }
    }
}

#[test]
fn r01_votes_and_view_changes_come_from_their_signers_alone() {
    let batch = Batch::of_verified(5, vec![verified_request(1)]);
    let messages = [
        Message::PrePrepare { header: proposal(2, 1, batch.digest(), 2), body: batch.bytes().clone() },
        Message::Prepare { prepare: prepare(0, 1, DIGEST, 2), pre_prepare: header(0, 1).signature() },
        Message::Commit(commit(0, 1, DIGEST, 2)),
        Message::Checkpoint(checkpoint(2)),
        Message::ViewChange(view_change(1, 2, vec![])),
    ];
    for message in messages {
        assert!(authenticator().verify_message(ReplicaId(2), message.clone()).is_ok());
        assert_eq!(authenticator().verify_message(ReplicaId(3), message), Err(Invalid::NotTheSender));
    }
}

#[test]
fn r04_r12_what_primaries_sign_is_of_their_own_views() {
    let wrong = proposal(0, 1, NULL_DIGEST, 1);
    let proposed = Message::PrePrepare { header: wrong.clone(), body: Blob::default() };
    assert_eq!(authenticator().verify_message(ReplicaId(1), proposed), Err(Invalid::WrongRole));
    let opened = |view: u64, id: u64, changes: Vec<Signed<ViewChange>>, pre_prepares: Vec<Signed<PrePrepare>>| {
        let replica = ReplicaId(u32::try_from(id).unwrap());
        let new_view = NewView { view: View(view), view_changes: changes, pre_prepares, replica };
        authenticator().verify_new_view(signer(id).sign(new_view).into_inner()).map(|_| ())
    };
    let changes = |view| (0..3).map(|id| view_change(view, id, vec![])).collect::<Vec<_>>();
    assert_eq!(opened(1, 1, changes(1), vec![]), Ok(()));
    assert_eq!(opened(1, 2, changes(1), vec![]), Err(Invalid::WrongRole));
    assert_eq!(opened(0, 0, changes(0), vec![]), Err(Invalid::WrongRole), "view 0 is opened by nobody");
    assert!(matches!(opened(1, 1, changes(1), vec![proposal(2, 1, DIGEST, 2)]), Err(Invalid::BadNewView(_))));
    assert!(matches!(opened(1, 1, changes(1), vec![proposal(5, 1, DIGEST, 1)]), Err(Invalid::BadNewView(_))));
    let window = genesis().parameters.log_window;
    let long = |length| (1..=length).map(|sequence| proposal(1, sequence, NULL_DIGEST, 1)).collect::<Vec<_>>();
    assert_eq!(opened(1, 1, changes(1), long(window)), Ok(()));
    assert!(matches!(opened(1, 1, changes(1), long(window + 1)), Err(Invalid::BadNewView(_))));
}

#[test]
fn r11_a_view_change_reports_above_its_own_checkpoint_which_is_not_genesis() {
    let verify = |change| authenticator().verify_view_change(change).map(|_| ());
    assert_eq!(verify(change_above(128, 1, 2, vec![prepared(0, 129)])), Ok(()));
    assert!(matches!(verify(change_above(128, 1, 2, vec![prepared(0, 128)])), Err(Invalid::BadViewChange(_))));
    assert!(matches!(verify(change_above(0, 1, 2, vec![])), Err(Invalid::BadViewChange(_))));
}

#[test]
fn r12_o_takes_the_highest_view_in_whatever_order_from_above_the_highest_checkpoint() {
    let of_view = |view: u64, sequence: u64, digest: Digest| PreparedCertificate { digest, ..prepared(view, sequence) };
    let (old, new) = (Digest::of("old", &[]), Digest::of("new", &[]));
    let older = view_change(5, 0, vec![of_view(0, 129, old), of_view(1, 130, old)]);
    let newer = change_above(128, 5, 1, vec![of_view(2, 129, new), of_view(0, 130, new)]);
    let oldest = change_above(64, 5, 2, vec![of_view(3, 100, old), of_view(3, 128, old)]);
    for changes in [[&older, &newer, &oldest], [&oldest, &newer, &older], [&newer, &oldest, &older]] {
        let plan = NewViewPlan::of(changes.map(|change| &**change)).unwrap();
        assert_eq!((plan.min, plan.max), (SequenceNumber(128), SequenceNumber(130)));
        let proposals: Vec<_> = plan.proposals().map(|(sequence, digest)| (sequence.0, digest)).collect();
        assert_eq!(proposals, [(129, new), (130, old)]);
    }
    let contradicting = view_change(5, 3, vec![of_view(2, 129, old)]);
    let refused = NewViewPlan::of([&*older, &*newer, &*contradicting]);
    assert_eq!(refused, Err(TooManyFaults { sequence: SequenceNumber(129) }));
    assert!(NewViewPlan::of([&*newer, &*newer]).is_ok(), "the same twice contradicts nothing");
}

#[test]
fn r17_two_that_say_the_same_or_stand_elsewhere_are_no_evidence() {
    let (one, other) = (DIGEST, Digest::ZERO);
    let votes = |replica, view, sequence, digest| {
        [
            Evidence::Prepares(prepare(0, 1, one, 1), prepare(view, sequence, digest, replica)),
            Evidence::Commits(commit(0, 1, one, 1), commit(view, sequence, digest, replica)),
        ]
    };
    let mut none: Vec<Evidence> = [(2, 0, 1, other), (1, 2, 1, other), (1, 0, 2, other), (1, 0, 1, one)]
        .into_iter()
        .flat_map(|(replica, view, sequence, digest)| votes(replica, view, sequence, digest))
        .collect();
    let changed = |one, other| Evidence::ViewChanges(Box::new((one, other)));
    let opened = |one, other| Evidence::NewViews(Box::new((one, other)));
    let hidden = |commit, change| Evidence::HiddenPrepared(commit, Box::new(change));
    let later = |view: u64| {
        let NewView { view_changes, pre_prepares, replica, .. } = (*false_new_view()).clone();
        signer(1).sign(NewView { view: View(view), view_changes, pre_prepares, replica }).into_inner()
    };
    none.extend([
        Evidence::PrePrepares(proposal(0, 1, one, 0), proposal(4, 1, other, 0)),
        changed(view_change(1, 2, vec![]), view_change(1, 2, vec![])),
        changed(view_change(1, 2, vec![]), view_change(1, 3, vec![prepared(0, 1)])),
        changed(view_change(1, 2, vec![]), view_change(2, 2, vec![prepared(0, 1)])),
        opened(whole_new_view(), whole_new_view()),
        opened(whole_new_view(), later(5)),
        hidden(commit(0, 1, one, 2), view_change(1, 3, vec![])),
        hidden(commit(1, 1, one, 2), view_change(1, 2, vec![])),
        hidden(commit(0, 1, one, 2), view_change(1, 2, vec![prepared(0, 1)])),
        hidden(commit(0, 128, one, 2), change_above(128, 1, 2, vec![])),
        Evidence::FalseNewView(Box::new(whole_new_view())),
    ]);
    for evidence in none {
        let refused = authenticator().verify_evidence(evidence.clone());
        assert!(matches!(refused, Err(Invalid::NoEvidence(_))), "{evidence:?}");
    }
    let reported = view_change(1, 2, vec![prepared(0, 2)]);
    assert!(authenticator().verify_evidence(hidden(commit(0, 1, one, 2), reported)).is_ok(), "another number is reported");
}

#[test]
fn r17_evidence_is_made_of_contradictions_alone() {
    let (one, other) = (DIGEST, Digest::ZERO);
    let between = |first: &Signed<Commit>, second: &Signed<Commit>| {
        Evidence::between(&Statement::Commit(first.clone()), &Statement::Commit(second.clone()))
    };
    let first = commit(0, 1, one, 1);
    assert_eq!(between(&first, &commit(0, 1, other, 1)), Some(Evidence::Commits(first.clone(), commit(0, 1, other, 1))));
    for same in [commit(0, 1, one, 1), commit(0, 1, other, 2), commit(1, 1, other, 1), commit(0, 2, other, 1)] {
        assert_eq!(between(&first, &same), None);
    }
}

#[test]
fn r04_what_breaks_a_limit_is_refused_whoever_signed_it() {
    let limits = Parameters { max_request_bytes: 1024, max_operations: 2, max_batch_bytes: 5120, ..Parameters::default() };
    let authenticator = Authenticator::new(Arc::new(Genesis { parameters: limits, ..(*genesis()).clone() }));
    let request = |timestamp, operations: &[&[u8]]| {
        let client = key(200);
        let body =
            Request { client: ClientId(client.public()), timestamp: Timestamp(timestamp), operations: Blobs::new(operations) };
        sign_request(body, authenticator.domain(), &client)
    };
    let body = |requests: Vec<Signed<Request>>| Blob::from(codec::encode(&(5_u64, requests)));
    let is_valid = |requests| matches!(authenticator.verify_body(body(requests)), Proposal::Valid(_));
    let good = request(1, &[b"a", b"b"]);
    assert!(is_valid(vec![good.clone()]));
    for bad in [request(2, &[&[0; 1024]]), request(2, &[b"a", b"b", b"c"]), request(2, &[])] {
        assert!(!is_valid(vec![good.clone(), bad.clone()]), "one of two is enough");
        let verdicts = authenticator.verify_requests(vec![good.clone(), bad.clone()]);
        assert!(verdicts[0].is_ok() && verdicts[1].is_err());
        assert!(matches!(authenticator.verify_message(ReplicaId(1), Message::Request(bad)), Err(Invalid::BadRequest(_))));
    }
    let many = |count| (0..count).map(|timestamp| request(timestamp, &[&[0; 400]])).collect::<Vec<_>>();
    assert!(is_valid(many(9)) && !is_valid(many(10)), "{} bytes", body(many(9)).len());
}

#[test]
fn r01_of_requests_together_those_with_a_bad_signature_are_refused() {
    let forged = with_signature(&request(2), request(3).signature());
    let verdicts =
        authenticator().verify_requests(vec![request(1), forged, request(3), with_signature(&request(4), request(5).signature())]);
    let kinds: Vec<_> = verdicts.iter().map(|verdict| verdict.as_ref().err().map(RequestRefusal::name)).collect();
    let bad = Some(RequestRefusal::BadSignature.name());
    assert_eq!(kinds, [None, bad, None, bad]);
}

#[test]
fn r01_of_messages_together_those_with_a_bad_signature_are_refused() {
    let good = |id: u64| (ReplicaId(u32::try_from(id).unwrap()), Message::Commit(commit(0, 1, DIGEST, id)));
    let forged = with_signature(&commit(0, 1, DIGEST, 2), commit(0, 2, DIGEST, 2).signature());
    let bad = || (ReplicaId(2), Message::Commit(forged.clone()));
    let verdicts = authenticator().verify_messages(vec![bad(), good(1), bad(), good(3), bad()]);
    let kinds: Vec<_> = verdicts.into_iter().map(|verdict| verdict.err()).collect();
    let refused = || Some(Invalid::BadSignature);
    assert_eq!(kinds, [refused(), None, refused(), None, refused()]);
}

/// Another bit in each signature of a list in turn.
fn spoiled(list: &SignatureList) -> impl Iterator<Item = SignatureList> {
    (0..list.len()).map(|place| {
        let mut list = list.clone();
        list[place].1 = other_signature(list[place].1);
        list
    })
}

fn other_signature(signature: Signature) -> Signature {
    let mut bytes = *signature.as_bytes();
    bytes[40] ^= 1;
    Signature::from_bytes(bytes)
}

/// Each with one bad signature.
fn bad_certificates() -> Vec<PreparedCertificate> {
    let good = prepared(0, 130);
    let by_primary = PreparedCertificate { pre_prepare: other_signature(good.pre_prepare), ..good.clone() };
    let by_backups = spoiled(&good.prepares).map(|prepares| PreparedCertificate { prepares, ..prepared(0, 130) });
    by_backups.chain([by_primary]).collect()
}

fn bad_view_changes() -> Vec<Signed<ViewChange>> {
    let checkpoints = spoiled(&stable(128).checkpoints).collect::<Vec<_>>();
    let without_proof = checkpoints.into_iter().map(|checkpoints| {
        let stable = Some(StableCertificate { checkpoints, ..stable(128) });
        signer(2).sign(ViewChange { view: View(1), stable, prepared: vec![], replica: ReplicaId(2) }).into_inner()
    });
    let prepared = bad_certificates().into_iter().map(|certificate| change_above(128, 1, 2, vec![certificate]));
    let unsigned = with_signature(&view_change(1, 2, vec![]), other_signature(view_change(1, 2, vec![]).signature()));
    without_proof.chain(prepared).chain([unsigned]).collect()
}

#[test]
fn r05_r06_r09_a_certificate_with_one_bad_signature_proves_nothing() {
    for certificate in bad_certificates() {
        assert_eq!(authenticator().verify_prepared(certificate), Err(Invalid::BadSignature));
    }
    for commits in spoiled(&committed(0, 1).commits) {
        let certificate = CommitCertificate { commits, ..committed(0, 1) };
        assert_eq!(authenticator().verify_committed(certificate), Err(Invalid::BadSignature));
    }
    for checkpoints in spoiled(&stable(128).checkpoints) {
        let certificate = StableCertificate { checkpoints, ..stable(128) };
        assert_eq!(authenticator().verify_stable(certificate), Err(Invalid::BadSignature));
    }
}

#[test]
fn r11_r12_who_signs_a_view_change_or_a_new_view_proves_each_signature_in_it() {
    let changes = |last: &Signed<ViewChange>| vec![view_change(1, 0, vec![]), view_change(1, 1, vec![]), last.clone()];
    assert!(bad_view_changes().len() > 6);
    for change in bad_view_changes() {
        assert_eq!(authenticator().verify_view_change(change.clone()), Err(Invalid::BadSignature));
        assert_eq!(authenticator().verify_new_view(new_view(changes(&change))), Err(Invalid::BadSignature));
    }
    let NewView { view, view_changes, pre_prepares, replica } = (*whole_new_view()).clone();
    for place in 0..pre_prepares.len() {
        let mut pre_prepares = pre_prepares.clone();
        pre_prepares[place] = with_signature(&pre_prepares[place], other_signature(pre_prepares[place].signature()));
        let new_view = NewView { view, view_changes: view_changes.clone(), pre_prepares, replica };
        assert_eq!(authenticator().verify_new_view(signer(1).sign(new_view).into_inner()), Err(Invalid::BadSignature));
    }
    assert_eq!(pre_prepares.len(), 2);
}

#[test]
fn r05_a_prepare_by_the_primary_counts_in_no_certificate() {
    let prepares: Vec<_> = [0, 1].map(|id| signer(id).sign(*prepare(0, 1, DIGEST, id))).into();
    assert!(Verified::<PreparedCertificate>::assemble(&header(0, 1), &prepares, &genesis()).is_none());
}

#[test]
fn r04_a_body_alone_is_valid_or_proof_and_one_with_its_commits_is_valid() {
    let batch = Batch::of_verified(5, vec![verified_request(1), verified_request(2)]);
    let mut forged = batch.bytes().to_vec();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let forged = Blob::from(forged);
    let told = authenticator().verify_message(ReplicaId(1), Message::Body(forged.clone()));
    assert!(matches!(told, Ok(VerifiedMessage::Body(Proposal::Invalid(_)))));
    let vote = |id: u64| commit(0, 1, batch_digest(&forged), id);
    let commits: Vec<_> = (0..3).map(|id| authenticator().verify_signed(vote(id)).unwrap()).collect();
    let certificate = Verified::<CommitCertificate>::assemble(&vote(0), &commits, &genesis()).unwrap().into_inner();
    let told = authenticator().verify_message(ReplicaId(1), Message::Committed { certificate, body: forged });
    assert_eq!(told, Err(Invalid::BadSignature));
}
