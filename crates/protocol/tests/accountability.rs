//! R17: whoever contradicts itself towards one honest replica is caught, whatever came first and wherever the first
//! message stands by then: in the log, in a certificate, in a view-change or new-view, after a view change, after a restart.
//! Replica 2 is the one that both messages reach; the others hear of it from replica 2.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used, clippy::panic, reason = "tests")]

mod cluster;

use cluster::signed::*;
use cluster::*;
use pbft_crypto::Digest;
use pbft_message::*;
use pbft_protocol::agreement::Record;

const WITNESS: u32 = 2;

/// All replicas have executed one batch, at number 1 in view 0. Its certificates name replicas 0, 1 and 2.
fn one_executed() -> (Cluster, Digest) {
    let mut cluster = Cluster::new(4);
    cluster.submit(0, "a").unwrap();
    cluster.run(50);
    assert!(cluster.all_served(1));
    let digest = cluster.nodes[2].executor.executed[0];
    (cluster, digest)
}

/// The same, and then view 1 was entered because the primary of view 0 died and came back.
fn one_executed_and_a_view_change() -> (Cluster, Digest) {
    let (mut cluster, digest) = one_executed();
    cluster.crash(0);
    cluster.submit_to_all("b");
    cluster.run_until(3_000, |cluster| cluster.all_served(2));
    cluster.restart(0);
    cluster.run(300);
    assert!(cluster.alive().iter().all(|id| cluster.replica(*id).view() == View(1) && cluster.evidence(*id).is_empty()));
    (cluster, digest)
}

fn restart(cluster: &mut Cluster, id: u32) {
    cluster.crash(id);
    cluster.restart(id);
    cluster.run(100);
}

/// The witness comes back and hears that nobody holds more of its votes, and nothing else.
fn restart_alone(cluster: &mut Cluster) {
    cluster.crash(WITNESS);
    cluster.restart(WITNESS);
    let asked = cluster.replica(WITNESS).status().asks.unwrap();
    for from in [0, 1] {
        tell(cluster, from, Message::Witness(Box::new(Witness { asked, votes: Votes::default() })));
    }
}

/// A replica whose commit is in the witness's commit certificate.
fn certified_committer(cluster: &Cluster) -> u32 {
    let journal = &cluster.nodes[WITNESS as usize].journal;
    let found = journal.iter().find_map(|record| match record {
        Record::Committed(certificate) => Some(&certificate.commits),
        _ => None,
    });
    found.unwrap().iter().map(|(signer, _)| signer.0).find(|signer| *signer != WITNESS && *signer != 0).unwrap()
}

fn tell(cluster: &mut Cluster, from: u32, message: Message) {
    cluster.inject(from, WITNESS, message);
    cluster.run(5);
}

/// The witness holds exactly this, made it durable once, told each other replica once, and all of these hold it too. The
/// second message again changes nothing.
fn assert_caught(mut cluster: Cluster, liar: u32, kind: EvidenceKind, second: (u32, Message), what: &str) {
    let held = |cluster: &Cluster, id: u32| cluster.evidence(id);
    cluster.run(20);
    assert_eq!(held(&cluster, WITNESS), [(liar, kind)], "{what}");
    let (from, message) = second;
    tell(&mut cluster, from, message);
    cluster.run(20);
    assert_eq!(held(&cluster, WITNESS), [(liar, kind)], "{what}");
    let journal = &cluster.nodes[WITNESS as usize].journal;
    assert_eq!(journal.iter().filter(|record| matches!(record, Record::Evidence(_))).count(), 1, "{what}");
    for id in (0..4).filter(|id| *id != WITNESS) {
        assert!(held(&cluster, id).contains(&(liar, kind)), "{what}: {id} has not heard of it");
        let is_told =
            |(from, to, message): &&(u32, u32, Message)| (*from, *to) == (WITNESS, id) && matches!(message, Message::Evidence(_));
        assert_eq!(cluster.sent.iter().filter(is_told).count(), 1, "{what}");
    }
    let authenticator = cluster.config.authenticator.clone();
    for piece in cluster.replica(WITNESS).evidence() {
        let file = codec::encode(&**piece);
        authenticator.verify_evidence(codec::decode(&file).unwrap()).unwrap();
    }
}

#[test]
fn r17_two_pre_prepares_are_caught_wherever_the_first_one_stands() {
    let kind = EvidenceKind::TwoPrePrepares;
    let (mut cluster, _) = one_executed();
    let (_, lie) = proposal(&mut cluster, 0, "other");
    tell(&mut cluster, 0, lie.clone());
    assert_caught(cluster, 0, kind, (0, lie), "the first is in the log");

    let (mut cluster, _) = one_executed();
    restart(&mut cluster, WITNESS);
    let (_, lie) = proposal(&mut cluster, 0, "other");
    tell(&mut cluster, 0, lie.clone());
    assert_caught(cluster, 0, kind, (0, lie), "the first is in the log after a restart");

    let (mut cluster, _) = one_executed_and_a_view_change();
    let (_, lie) = proposal(&mut cluster, 0, "other");
    tell(&mut cluster, 0, lie.clone());
    assert_caught(cluster, 0, kind, (0, lie), "the first is in a certificate after the view changed");

    let (mut cluster, _) = one_executed_and_a_view_change();
    restart(&mut cluster, WITNESS);
    let (_, lie) = proposal(&mut cluster, 0, "other");
    tell(&mut cluster, 0, lie.clone());
    assert_caught(cluster, 0, kind, (0, lie), "the same after a restart");

    let (mut cluster, digest) = one_executed_and_a_view_change();
    let (_, lie) = proposal(&mut cluster, 1, "other");
    tell(&mut cluster, 1, lie.clone());
    assert!(cluster.replica(WITNESS).evidence().iter().any(|piece| match &**piece {
        Evidence::PrePrepares(first, _) => first.digest == digest,
        _ => false,
    }));
    assert_caught(cluster, 1, kind, (1, lie), "the first is in O of the new-view");
}

#[test]
fn r17_the_other_half_of_an_equivocation_is_found_beside_prepares_in_any_order() {
    let kind = EvidenceKind::TwoPrePrepares;
    let quiet = || {
        let mut cluster = Cluster::new(4);
        cluster.isolate(WITNESS, true);
        cluster
    };
    let proposals = |cluster: &mut Cluster| {
        let (first, proposal) = proposal(cluster, 0, "a");
        let other = prepare_message(cluster, 0, other_digest(), 3);
        (first, proposal, other)
    };
    let join = |cluster: &mut Cluster| {
        cluster.isolate(WITNESS, false);
        for peer in (0..4).filter(|peer| *peer != WITNESS) {
            cluster.with_replica(WITNESS, |replica, now| replica.handle_peer_up(now, ReplicaId(peer)));
        }
    };
    let mut cluster = quiet();
    let (_, proposal, other) = proposals(&mut cluster);
    tell(&mut cluster, 0, proposal);
    tell(&mut cluster, 3, other.clone());
    assert_eq!(cluster.evidence(WITNESS), [(0, kind)], "the pre-prepare, then the prepare");

    let mut cluster = quiet();
    let (_, proposal, other) = proposals(&mut cluster);
    tell(&mut cluster, 3, other);
    assert_eq!(cluster.evidence(WITNESS), []);
    tell(&mut cluster, 0, proposal);
    assert_eq!(cluster.evidence(WITNESS), [(0, kind)], "the prepare, then the pre-prepare");

    let mut cluster = quiet();
    let (first, _, other) = proposals(&mut cluster);
    let prepare = prepare_message(&cluster, 0, first, 1);
    tell(&mut cluster, 1, prepare);
    tell(&mut cluster, 3, other);
    assert_eq!(cluster.evidence(WITNESS), [(0, kind)], "two prepares, and no pre-prepare");
    join(&mut cluster);
    cluster.run(50);
    assert!((0..4).all(|id| cluster.evidence(id) == [(0, kind)]), "who was cut off tells it later");

    let mut cluster = quiet();
    let (first, _, _) = proposals(&mut cluster);
    let prepare = prepare_message(&cluster, 0, first, 1);
    let Message::Prepare { prepare: other, .. } = prepare_message(&cluster, 0, other_digest(), 3) else { panic!() };
    let unsigned = prepare_message(&cluster, 0, first, 1);
    let Message::Prepare { pre_prepare: wrong, .. } = unsigned else { panic!() };
    tell(&mut cluster, 1, prepare);
    tell(&mut cluster, 3, Message::Prepare { prepare: other, pre_prepare: wrong });
    assert_eq!(cluster.evidence(WITNESS), [], "a signature that is not the primary's accuses nobody");
}

#[test]
fn r17_two_pre_prepares_are_caught_when_a_view_change_or_new_view_brings_the_second() {
    let kind = EvidenceKind::TwoPrePrepares;
    // Replica 3 reports a certificate that the primary, 1 and itself signed; all but the primary and 3 are honest.
    let (mut cluster, _) = one_executed();
    let certificate = prepared(&cluster, 0, other_digest(), &[1, 3]);
    let change = Message::ViewChange(view_change(&cluster, 1, vec![certificate], 3));
    tell(&mut cluster, 3, change);
    let found = cluster.evidence(WITNESS);
    assert!(found.contains(&(0, kind)) && found.contains(&(1, EvidenceKind::TwoPrepares)), "{found:?}");

    // A proposal of view 1 came before the new-view whose O says otherwise.
    let mut cluster = Cluster::new(4);
    cluster.isolate(WITNESS, true);
    cluster.with_replica(WITNESS, |replica, now| {
        for from in [0, 1] {
            replica.handle_message(now, ReplicaId(from), VerifiedMessage::Suspect { view: View(0) }).unwrap();
        }
    });
    assert_eq!(cluster.replica(WITNESS).view(), View(1));
    let (_, early) = proposal(&mut cluster, 1, "other");
    tell(&mut cluster, 1, early);
    let certificate = prepared(&cluster, 0, NULL_DIGEST, &[1, 3]);
    let changes = [0, 1, 3].map(|id| view_change(&cluster, 1, vec![certificate.clone()], id)).to_vec();
    let second = Message::NewView(new_view(&cluster, 1, changes));
    tell(&mut cluster, 1, second);
    assert_eq!(cluster.evidence(WITNESS), [(1, kind)]);
}

#[test]
fn r17_two_prepares_are_caught_wherever_the_first_one_stands() {
    let kind = EvidenceKind::TwoPrepares;
    let lie_of = |cluster: &Cluster, digest: Digest| Message::Prepare {
        prepare: prepare(cluster, 0, other_digest(), 1),
        pre_prepare: header(cluster, 0, ONE, digest).signature(),
    };
    let (mut cluster, digest) = one_executed();
    let lie = lie_of(&cluster, digest);
    tell(&mut cluster, 1, lie.clone());
    assert_caught(cluster, 1, kind, (1, lie), "the first is in the log");

    let mut cluster = Cluster::new(4);
    let lie = lie_of(&cluster, Digest::ZERO);
    tell(&mut cluster, 1, lie.clone());
    cluster.submit(0, "a").unwrap();
    cluster.run(50);
    assert_caught(cluster, 1, kind, (1, lie), "the lie came first");

    let (mut cluster, digest) = one_executed();
    restart(&mut cluster, WITNESS);
    let lie = lie_of(&cluster, digest);
    tell(&mut cluster, 1, lie.clone());
    assert_caught(cluster, 1, kind, (1, lie), "the first is in the certificate of the restarted replica");

    let (mut cluster, digest) = one_executed_and_a_view_change();
    let lie = lie_of(&cluster, digest);
    tell(&mut cluster, 1, lie.clone());
    assert_caught(cluster, 1, kind, (1, lie), "the first is in a view-change, and its view was left");

    let (mut cluster, digest) = one_executed();
    let lie = lie_of(&cluster, digest);
    restart(&mut cluster, WITNESS);
    let own = prepared(&cluster, 0, digest, &[1, 3]);
    let change = Message::ViewChange(view_change(&cluster, 1, vec![own], 3));
    tell(&mut cluster, 3, change);
    tell(&mut cluster, 1, lie.clone());
    assert_caught(cluster, 1, kind, (1, lie), "the first is in another replica's view-change");
}

#[test]
fn r17_two_commits_are_caught_wherever_the_first_one_stands() {
    let kind = EvidenceKind::TwoCommits;
    let lie_of = |cluster: &Cluster, liar: u32| Message::Commit(commit(cluster, 0, other_digest(), liar));
    let (mut cluster, _) = one_executed();
    let lie = lie_of(&cluster, 3);
    tell(&mut cluster, 3, lie.clone());
    assert_caught(cluster, 3, kind, (3, lie), "the first is in the log");

    let mut cluster = Cluster::new(4);
    let lie = lie_of(&cluster, 3);
    tell(&mut cluster, 3, lie.clone());
    cluster.submit(0, "a").unwrap();
    cluster.run(50);
    assert_caught(cluster, 3, kind, (3, lie), "the lie came first");

    let (mut cluster, _) = one_executed();
    restart(&mut cluster, WITNESS);
    let liar = certified_committer(&cluster);
    let lie = lie_of(&cluster, liar);
    tell(&mut cluster, liar, lie.clone());
    assert_caught(cluster, liar, kind, (liar, lie), "the first is in the commit certificate of the restarted replica");

    let (mut cluster, _) = one_executed_and_a_view_change();
    let liar = certified_committer(&cluster);
    let lie = lie_of(&cluster, liar);
    tell(&mut cluster, liar, lie.clone());
    assert_caught(cluster, liar, kind, (liar, lie), "the view was left");

    let mut cluster = Cluster::new(4);
    let lie = lie_of(&cluster, 3);
    tell(&mut cluster, 3, lie.clone());
    let (digest, proposal) = proposal(&mut cluster, 0, "a");
    let Message::PrePrepare { body, .. } = proposal else { panic!() };
    let certificate = committed(&cluster, 0, digest, &[0, 1, 3]);
    tell(&mut cluster, 0, Message::Committed { certificate, body });
    assert_caught(cluster, 3, kind, (3, lie), "the second is in a certificate that a peer sends");
}

#[test]
fn r17_two_view_changes_are_caught_wherever_the_first_one_stands() {
    let kind = EvidenceKind::TwoViewChanges;
    let mut cluster = Cluster::new(4);
    let change =
        |cluster: &Cluster, view: u64, prepared: &[PreparedCertificate], id: u32| view_change(cluster, view, prepared.to_vec(), id);
    let certificate = prepared(&cluster, 0, NULL_DIGEST, &[1, 2]);
    let (with, without) = (change(&cluster, 1, std::slice::from_ref(&certificate), 3), change(&cluster, 1, &[], 3));
    tell(&mut cluster, 3, Message::ViewChange(with.clone()));
    tell(&mut cluster, 3, Message::ViewChange(without.clone()));
    assert_caught(cluster, 3, kind, (3, Message::ViewChange(without.clone())), "both came alone");

    // The first one came alone, the second stands in a new-view, and the other way round; then after a restart.
    let made = |cluster: &Cluster| {
        let mut changes = vec![change(cluster, 1, &[], 0), change(cluster, 1, &[], 1), without.clone()];
        changes.sort_by_key(|change| change.replica);
        Message::NewView(new_view(cluster, 1, changes))
    };
    let mut cluster = Cluster::new(4);
    tell(&mut cluster, 3, Message::ViewChange(with.clone()));
    let second = made(&cluster);
    tell(&mut cluster, 1, second);
    cluster.run(20);
    assert_eq!(cluster.evidence(WITNESS), [(3, kind)], "the second is in a new-view");

    let mut cluster = Cluster::new(4);
    let first = made(&cluster);
    tell(&mut cluster, 1, first.clone());
    tell(&mut cluster, 3, Message::ViewChange(with.clone()));
    assert_eq!(cluster.evidence(WITNESS), [(3, kind)], "the first is in the new-view");

    let mut cluster = Cluster::new(4);
    tell(&mut cluster, 1, first);
    cluster.run(5);
    restart_alone(&mut cluster);
    tell(&mut cluster, 3, Message::ViewChange(with));
    assert_eq!(cluster.evidence(WITNESS), [(3, kind)], "the first is in the new-view that a restarted replica entered");
}

#[test]
fn r17_two_new_views_are_caught_wherever_the_first_one_stands() {
    let kind = EvidenceKind::TwoNewViews;
    let mut cluster = Cluster::new(4);
    let of = |cluster: &Cluster, view, ids: [u32; 3]| {
        let changes = ids.map(|id| view_change(cluster, view, vec![], id)).to_vec();
        Message::NewView(new_view(cluster, view, changes))
    };
    let (first, second) = (of(&cluster, 1, [0, 1, 2]), of(&cluster, 1, [0, 1, 3]));
    tell(&mut cluster, 1, first.clone());
    tell(&mut cluster, 1, second.clone());
    assert_eq!(cluster.evidence(WITNESS), [(1, kind)], "the first was entered");

    let mut cluster = Cluster::new(4);
    tell(&mut cluster, 1, first.clone());
    restart_alone(&mut cluster);
    tell(&mut cluster, 1, second.clone());
    assert_eq!(cluster.evidence(WITNESS), [(1, kind)], "the first was entered before a restart");

    let mut cluster = Cluster::new(4);
    tell(&mut cluster, 1, first.clone());
    cluster.with_replica(WITNESS, |replica, now| {
        for from in [0, 1] {
            replica.handle_message(now, ReplicaId(from), VerifiedMessage::Suspect { view: View(1) }).unwrap();
        }
    });
    assert!(!cluster.replica(WITNESS).is_active() && cluster.replica(WITNESS).view() == View(2));
    tell(&mut cluster, 1, second.clone());
    assert_eq!(cluster.evidence(WITNESS), [(1, kind)], "the view of both is left");

    let mut cluster = Cluster::new(4);
    [(1, first.clone()), (3, of(&cluster, 3, [0, 1, 3]))].into_iter().for_each(|(from, opened)| tell(&mut cluster, from, opened));
    assert!(cluster.replica(WITNESS).is_active() && cluster.replica(WITNESS).view() == View(3));
    tell(&mut cluster, 1, second.clone());
    assert_eq!(cluster.evidence(WITNESS), [(1, kind)], "a higher view is entered");

    let mut cluster = Cluster::new(4);
    let changes = (0..3).map(|id| view_change(&cluster, 1, vec![], id)).collect();
    let false_one = signed_new_view(&cluster, 1, changes, vec![header(&cluster, 1, ONE, NULL_DIGEST)]);
    tell(&mut cluster, 1, Message::NewView(false_one));
    tell(&mut cluster, 1, first);
    assert_eq!(cluster.evidence(WITNESS), [(1, EvidenceKind::FalseNewView), (1, kind)], "the first was refused");
}

#[test]
fn r17_a_view_change_that_hides_a_commit_is_caught_wherever_both_stand() {
    let kind = EvidenceKind::HiddenPrepared;
    let hiding = |cluster: &Cluster, id: u32| view_change(cluster, 1, vec![], id);
    let (mut cluster, _) = one_executed();
    let change = Message::ViewChange(hiding(&cluster, 3));
    tell(&mut cluster, 3, change.clone());
    assert_caught(cluster, 3, kind, (3, change), "the commit is in the log");

    let (mut cluster, _) = one_executed();
    restart(&mut cluster, WITNESS);
    let liar = certified_committer(&cluster);
    let change = Message::ViewChange(hiding(&cluster, liar));
    tell(&mut cluster, liar, change.clone());
    cluster.run(20);
    assert_eq!(cluster.evidence(WITNESS), [(liar, kind)], "the commit is in the certificate of the restarted replica");

    // An older certificate for its number hides it as well as none.
    let cluster = Cluster::new(4);
    let digest = other_digest();
    let reports = |view| view_change(&cluster, 3, vec![prepared(&cluster, view, digest, &[1, 2, 3])], 3);
    let committed_in = |view| *commit(&cluster, view, digest, 3);
    assert!(reports(0).hides(&committed_in(1)) && !reports(1).hides(&committed_in(1)) && !reports(1).hides(&committed_in(0)));

    let mut cluster = Cluster::new(4);
    let change = Message::ViewChange(hiding(&cluster, 3));
    tell(&mut cluster, 3, change);
    cluster.submit(0, "a").unwrap();
    cluster.run(50);
    let late = Message::Commit(commit(&cluster, 0, cluster.nodes[2].executor.executed[0], 3));
    assert_caught(cluster, 3, kind, (3, late), "the view-change came first");

    let mut cluster = Cluster::new(4);
    let change = Message::ViewChange(hiding(&cluster, 3));
    tell(&mut cluster, 3, change);
    let (digest, proposal) = proposal(&mut cluster, 0, "a");
    let Message::PrePrepare { body, .. } = proposal else { panic!() };
    let certificate = committed(&cluster, 0, digest, &[0, 1, 3]);
    let second = Message::Committed { certificate, body };
    tell(&mut cluster, 0, second.clone());
    assert_caught(cluster, 3, kind, (0, second), "the view-change came first, the commit in a certificate");

    let (mut cluster, digest) = one_executed();
    let certificate = prepared(&cluster, 0, digest, &[1, 2]);
    let honest = |id: u32| view_change(&cluster, 1, vec![certificate.clone()], id);
    let changes = vec![honest(0), honest(1), hiding(&cluster, 3)];
    let second = Message::NewView(new_view(&cluster, 1, changes));
    tell(&mut cluster, 1, second);
    assert_eq!(cluster.evidence(WITNESS), [(3, kind)], "the view-change is in a new-view");
    restart(&mut cluster, WITNESS);

    let mut cluster = Cluster::new(4);
    let honest = |id: u32| view_change(&cluster, 1, vec![], id);
    let changes = vec![honest(0), honest(1), hiding(&cluster, 3)];
    let first = Message::NewView(new_view(&cluster, 1, changes));
    tell(&mut cluster, 1, first);
    restart_alone(&mut cluster);
    let second = Message::Commit(commit(&cluster, 0, other_digest(), 3));
    tell(&mut cluster, 3, second);
    assert_eq!(cluster.evidence(WITNESS), [(3, kind)], "the view-change is in the new-view of a restarted replica");
}

#[test]
fn r17_an_invalid_batch_is_proof_in_any_view_and_at_any_number() {
    let kind = EvidenceKind::InvalidBatch;
    let forged = |cluster: &mut Cluster| {
        let mut bytes = codec::encode(&(0_u64, vec![cluster.request(0, "a").into_inner()]));
        *bytes.last_mut().unwrap() ^= 1;
        Blob::from(bytes)
    };
    let at = |cluster: &mut Cluster, sequence: u64| {
        let body = forged(cluster);
        let header = header(cluster, 0, SequenceNumber(sequence), batch_digest(&body));
        Message::PrePrepare { header, body }
    };
    for (sequence, what) in [(2, "in the window"), (1_000_000, "beyond the window")] {
        let (mut cluster, _) = one_executed();
        let lie = at(&mut cluster, sequence);
        tell(&mut cluster, 0, lie.clone());
        assert_caught(cluster, 0, kind, (0, lie), what);
    }
    let (mut cluster, _) = one_executed_and_a_view_change();
    let lie = at(&mut cluster, 3);
    tell(&mut cluster, 0, lie.clone());
    assert_eq!(cluster.replica(WITNESS).view(), View(1), "a lie about a view that was left changes none");
    assert_caught(cluster, 0, kind, (0, lie), "of a view that was left");
}

#[test]
fn r17_a_new_view_that_does_not_follow_is_proof_in_any_view() {
    let kind = EvidenceKind::FalseNewView;
    let false_one = |cluster: &Cluster, view: u64| {
        let changes = (0..3).map(|id| view_change(cluster, view, vec![], id)).collect();
        let invented = vec![header(cluster, view, ONE, other_digest())];
        Message::NewView(signed_new_view(cluster, view, changes, invented))
    };
    let (mut cluster, _) = one_executed();
    // Its view-changes hide what replica 2 has seen committed: so look at a cluster that has committed nothing.
    cluster = Cluster::new(cluster.nodes.len() as u64);
    let lie = false_one(&cluster, 5);
    tell(&mut cluster, 1, lie.clone());
    assert_caught(cluster, 1, kind, (1, lie), "of a view to come");

    let mut cluster = Cluster::new(4);
    let truth = Message::NewView(new_view(&cluster, 5, (0..3).map(|id| view_change(&cluster, 5, vec![], id)).collect()));
    tell(&mut cluster, 1, truth);
    assert_eq!(cluster.replica(WITNESS).view(), View(5));
    let lie = false_one(&cluster, 1);
    tell(&mut cluster, 1, lie);
    assert_eq!(cluster.evidence(WITNESS), [(1, kind)], "of a view that was left");
    assert_eq!(cluster.replica(WITNESS).view(), View(5));
}

#[test]
fn r17_one_lie_is_held_once_though_each_replica_has_another_pair() {
    let (mut cluster, digest) = one_executed();
    let header = header(&cluster, 0, ONE, digest).signature();
    for (to, name) in [(0, "x"), (2, "y"), (3, "z")] {
        let body = Prepare { view: View(0), sequence: ONE, digest: Digest::of(name, &[]), replica: ReplicaId(1) };
        let prepare = cluster.signer(1).sign(body).into_inner();
        cluster.inject(1, to, Message::Prepare { prepare, pre_prepare: header });
    }
    cluster.run(50);
    let lies: Vec<Lie> = [0, 2, 3].iter().flat_map(|id| cluster.replica(*id).evidence()).map(|piece| piece.lie()).collect();
    assert_eq!(lies, [(ReplicaId(1), EvidenceKind::TwoPrepares, View(0)); 3]);
}

#[test]
fn r19_of_one_replica_and_kind_four_lies_are_held() {
    let mut cluster = Cluster::new(4);
    for view in (0..8).map(|turn| turn * 4) {
        let halves = [other_digest(), Digest::ZERO].map(|digest| header(&cluster, view, ONE, digest));
        let [first, second] = halves;
        tell(&mut cluster, 1, Message::Evidence(Evidence::PrePrepares(first, second)));
    }
    assert_eq!(cluster.evidence(WITNESS), [(0, EvidenceKind::TwoPrePrepares); 4]);
}

#[test]
fn r17_forged_pieces_and_repeated_or_restarted_honesty_accuse_nobody() {
    let (mut cluster, digest) = one_executed_and_a_view_change();
    // The same things said again, in whatever certificate they come.
    let again = [
        (1, prepare_message(&cluster, 0, digest, 1)),
        (1, Message::Commit(commit(&cluster, 0, digest, 1))),
        (3, Message::Commit(commit(&cluster, 0, digest, 3))),
    ];
    for (from, message) in again {
        tell(&mut cluster, from, message);
    }
    // What another one signed in replica 3's name.
    let stranger = |digest: Digest| {
        let body = Commit { view: View(0), sequence: ONE, digest, replica: ReplicaId(3) };
        cluster.signer(9).sign(body).into_inner()
    };
    let pair = Evidence::Commits(commit(&cluster, 0, digest, 3), stranger(other_digest()));
    tell(&mut cluster, 1, Message::Evidence(pair));
    let same = Evidence::Commits(commit(&cluster, 0, digest, 3), commit(&cluster, 0, digest, 3));
    tell(&mut cluster, 1, Message::Evidence(same));
    for id in [0, 1, 2, 3] {
        restart(&mut cluster, id);
    }
    cluster.run(2_000);
    assert!((0..4).all(|id| cluster.evidence(id).is_empty()));
}

#[test]
fn r17_two_votes_are_caught_though_the_log_has_no_place_for_the_first() {
    let pairs = |cluster: &Cluster, view: u64, sequence: SequenceNumber| {
        let half = |digest| {
            let body = Commit { view: View(view), sequence, digest, replica: ReplicaId(3) };
            Message::Commit(cluster.signer(3).sign(body).into_inner())
        };
        (half(Digest::of("one", &[])), half(other_digest()))
    };
    let cases = [(0, SequenceNumber(1_000_000), "far outside the window"), (0, ONE, "the place is settled")];
    for (view, sequence, what) in cases {
        let (mut cluster, _) = one_executed();
        let (first, second) = pairs(&cluster, view, sequence);
        tell(&mut cluster, 3, first);
        tell(&mut cluster, 3, second.clone());
        let caught = cluster.evidence(WITNESS);
        assert!(caught.contains(&(3, EvidenceKind::TwoCommits)), "{what}");
    }

    let (mut cluster, _) = one_executed();
    let half = |cluster: &Cluster, digest| prepare_message(cluster, 5, digest, 3);
    let (first, second) = (half(&cluster, Digest::of("one", &[])), half(&cluster, other_digest()));
    tell(&mut cluster, 3, first);
    tell(&mut cluster, 3, second.clone());
    assert_caught(cluster, 3, EvidenceKind::TwoPrepares, (3, second), "both are of a view that nobody is in");

    let (mut cluster, _) = one_executed();
    let (first, second) = (half(&cluster, Digest::of("one", &[])), half(&cluster, other_digest()));
    tell(&mut cluster, 3, first);
    for sequence in 0..20 {
        let (one, _) = pairs(&cluster, 0, SequenceNumber(1_000_000 + sequence));
        tell(&mut cluster, 3, one);
    }
    tell(&mut cluster, 3, second.clone());
    assert_caught(cluster, 3, EvidenceKind::TwoPrepares, (3, second), "much else was overheard in between");
}

#[test]
fn r17_two_votes_are_caught_while_a_replica_takes_nothing_in() {
    let (mut cluster, _) = one_executed();
    cluster.crash(WITNESS);
    cluster.restart(WITNESS);
    let (first, second) =
        (prepare_message(&cluster, 0, Digest::of("one", &[]), 3), prepare_message(&cluster, 0, other_digest(), 3));
    tell(&mut cluster, 3, first);
    tell(&mut cluster, 3, second);
    // The primary too: both prepares carry its signature.
    assert_eq!(cluster.evidence(WITNESS), [(3, EvidenceKind::TwoPrepares), (0, EvidenceKind::TwoPrePrepares)]);
}

#[test]
fn r17_two_view_changes_below_the_highest_are_caught() {
    let (mut cluster, digest) = one_executed();
    let highest = Message::ViewChange(view_change(&cluster, 9, vec![prepared(&cluster, 0, digest, &[1, 2])], 3));
    tell(&mut cluster, 3, highest);
    let first = Message::ViewChange(view_change(&cluster, 4, vec![prepared(&cluster, 0, digest, &[1, 2])], 3));
    let second = Message::ViewChange(view_change(&cluster, 4, vec![prepared(&cluster, 0, digest, &[2, 3])], 3));
    tell(&mut cluster, 3, first);
    tell(&mut cluster, 3, second.clone());
    assert_caught(cluster, 3, EvidenceKind::TwoViewChanges, (3, second), "both are below its highest");
}
