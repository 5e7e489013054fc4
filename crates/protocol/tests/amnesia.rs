//! What a replica does that forgot, or may have (R9, R16).

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used, clippy::panic)]

mod cluster;

use cluster::{Cluster, MS, save, signed};
use pbft_crypto::Digest;
use pbft_message::*;
use pbft_protocol::agreement::*;

/// What binds its signer in agreement.
fn is_vote(message: &Message) -> bool {
    matches!(
        message,
        Message::PrePrepare { .. }
            | Message::Prepare { .. }
            | Message::Commit(_)
            | Message::Checkpoint(_)
            | Message::ViewChange(_)
            | Message::Suspect { .. }
            | Message::Heartbeat { .. }
            | Message::NewView(_)
    )
}

fn votes_sent_by(cluster: &Cluster, id: u32) -> usize {
    cluster.sent.iter().filter(|(from, _, message)| *from == id && is_vote(message)).count()
}

/// A cluster in which replica 2 has voted; so much of its journal is left.
fn rolled_back(keep: impl Fn(&[Record]) -> usize) -> Cluster {
    let mut cluster = Cluster::new(4);
    for number in 0..3 {
        cluster.submit(0, &format!("{number}")).unwrap();
        cluster.run(10);
    }
    cluster.crash(2);
    let left = keep(&cluster.nodes[2].journal);
    cluster.nodes[2].journal.truncate(left);
    cluster.sent.clear();
    cluster.restart(2);
    cluster
}

fn is_rolled_back(cluster: &Cluster, id: u32) -> bool {
    matches!(cluster.replica(id).halted(), Some(Alarm::RolledBack(_)))
}

#[test]
fn r16_a_replica_whose_journal_is_gone_halts_before_it_votes() {
    let mut cluster = rolled_back(|_| 0);
    cluster.run_until(500, |cluster| is_rolled_back(cluster, 2));
    cluster.submit(0, "more").unwrap();
    cluster.run(3_000);
    assert_eq!(votes_sent_by(&cluster, 2), 0);
    assert!([0, 1, 3].iter().all(|id| cluster.served(*id) == 4), "the others go on");
    assert_eq!(cluster.served(2), 4, "and it follows");
}

#[test]
fn r16_a_lost_vote_of_any_kind_halts() {
    let votes: [fn(&Record) -> bool; 2] =
        [|record| matches!(record, Record::Prepare(_)), |record| matches!(record, Record::Commit(_))];
    for is_lost in votes {
        let mut cluster = rolled_back(|journal| journal.iter().rposition(is_lost).unwrap());
        cluster.run_until(500, |cluster| is_rolled_back(cluster, 2));
        assert_eq!(votes_sent_by(&cluster, 2), 0);
    }
}

#[test]
fn r16_a_lost_view_change_halts() {
    let mut cluster = Cluster::new(4);
    cluster.crash(0);
    cluster.run_until(3_000, |cluster| {
        cluster.alive().iter().all(|id| cluster.replica(*id).is_active() && cluster.replica(*id).view() == View(1))
    });
    cluster.crash(2);
    let journal = &mut cluster.nodes[2].journal;
    let left = journal.iter().position(|record| matches!(record, Record::ViewChange(_))).unwrap();
    journal.truncate(left);
    cluster.sent.clear();
    cluster.restart(2);
    cluster.run_until(500, |cluster| is_rolled_back(cluster, 2));
    assert_eq!(votes_sent_by(&cluster, 2), 0);
}

#[test]
fn r16_a_lost_new_view_halts_its_primary() {
    let mut cluster = Cluster::new(4);
    cluster.crash(0);
    cluster.run_until(3_000, |cluster| cluster.replica(1).is_active() && cluster.replica(1).view() == View(1));
    cluster.run(20);
    cluster.crash(1);
    let journal = &mut cluster.nodes[1].journal;
    let left = journal.iter().position(|record| matches!(record, Record::NewView(_))).unwrap();
    journal.truncate(left);
    cluster.sent.clear();
    cluster.restart(1);
    cluster.run_until(500, |cluster| is_rolled_back(cluster, 1));
    assert!(!cluster.sent.iter().any(|(from, _, message)| *from == 1 && matches!(message, Message::NewView(_))));
}

#[test]
fn r16_a_lost_checkpoint_halts_also_when_all_votes_are_settled() {
    let mut cluster = Cluster::new(4);
    for number in 0..4 {
        cluster.submit(0, &format!("{number}")).unwrap();
        cluster.run(10);
    }
    cluster.run_until(500, |cluster| cluster.alive().iter().all(|id| cluster.replica(*id).low_watermark() == SequenceNumber(4)));
    cluster.crash(2);
    cluster.nodes[2].journal.clear();
    // The others come back too: of its prepares and commits they remember only what their certificates hold.
    for id in [0, 1, 3] {
        cluster.crash(id);
        cluster.restart(id);
    }
    cluster.run(300);
    cluster.sent.clear();
    cluster.restart(2);
    cluster.run_until(500, |cluster| is_rolled_back(cluster, 2));
    assert_eq!(votes_sent_by(&cluster, 2), 0);
}

#[test]
fn r16_a_lost_prepare_halts_also_when_only_certificates_of_prepares_hold_it() {
    let mut cluster = Cluster::new(4);
    cluster.lie = Box::new(|from, _, message| match message {
        Message::Prepare { .. } if from == 3 => vec![],
        Message::Commit(_) => vec![],
        _ => vec![message],
    });
    cluster.submit(0, "a").unwrap();
    cluster.run(10);
    assert!(cluster.nodes[0].journal.iter().any(|record| matches!(record, Record::Prepared(_))));
    cluster.crash(2);
    cluster.nodes[2].journal.clear();
    cluster.lie = Box::new(|_, _, message| if message.name() == "prepare" { vec![] } else { vec![message] });
    for id in [0, 1, 3] {
        cluster.crash(id);
        cluster.restart(id);
    }
    cluster.restart(2);
    cluster.run_until(500, |cluster| is_rolled_back(cluster, 2));
}

#[test]
fn r16_a_lost_commit_halts_also_when_no_certificate_names_its_signer() {
    let mut cluster = Cluster::new(4);
    cluster.delay = Box::new(|from, _, message| match message {
        Message::Commit(_) if from == 2 => MS * 5,
        _ => MS,
    });
    cluster.submit(0, "a").unwrap();
    cluster.run(20);
    for record in [0, 1, 3].iter().flat_map(|id| &cluster.nodes[*id].journal) {
        let Record::Committed(certificate) = record else { continue };
        assert!(certificate.commits.iter().all(|(signer, _)| *signer != ReplicaId(2)));
    }
    cluster.crash(2);
    let journal = &mut cluster.nodes[2].journal;
    let left = journal.iter().position(|record| matches!(record, Record::Commit(_))).unwrap();
    journal.truncate(left);
    cluster.restart(2);
    cluster.run_until(500, |cluster| is_rolled_back(cluster, 2));
}

#[test]
fn r16_a_replica_that_only_restarted_never_halts_and_votes_again() {
    for victim in 0..4 {
        let mut cluster = Cluster::new(4);
        for number in 0..3 {
            cluster.submit_to_all(&format!("{number}"));
            cluster.run(10);
        }
        cluster.crash(victim);
        cluster.restart(victim);
        cluster.run_until(5_000, |cluster| cluster.replica(victim).silence().is_none());
        cluster.submit_to_all("more");
        cluster.run_until(5_000, |cluster| cluster.all_served(4));
        assert_eq!(cluster.replica(victim).halted(), None);
    }
}

/// Replica 2 restarts, and all others show it these votes.
fn shown(cluster: &mut Cluster, votes: &Votes) {
    let votes = votes.clone();
    cluster.crash(2);
    cluster.lie = Box::new(move |_, _, message| match message {
        Message::Witness(witness) => vec![Message::Witness(Box::new(Witness { votes: votes.clone(), ..*witness }))],
        _ => vec![message],
    });
    cluster.restart(2);
    cluster.run(300);
}

#[test]
fn r16_what_another_signed_halts_nobody() {
    let mut cluster = Cluster::new(4);
    cluster.submit(0, "a").unwrap();
    cluster.run(10);
    let view_changes = [0, 1, 3].map(|id| signed::view_change(&cluster, 1, vec![], id)).to_vec();
    let checkpoint = Checkpoint { sequence: SequenceNumber(4), digest: signed::other_digest(), replica: ReplicaId(3) };
    let all = Votes {
        pre_prepare: Some(signed::header(&cluster, 0, SequenceNumber(2), signed::other_digest())),
        prepare: Some(signed::prepare(&cluster, 0, signed::other_digest(), 3)),
        commit: Some(signed::commit(&cluster, 0, signed::other_digest(), 3)),
        checkpoint: Some(cluster.signer(3).sign(checkpoint).into_inner()),
        view_change: Some(signed::view_change(&cluster, 1, vec![], 3)),
        new_view: Some(signed::new_view(&cluster, 1, view_changes)),
    };
    let only = [
        Votes { pre_prepare: all.pre_prepare.clone(), ..Votes::default() },
        Votes { prepare: all.prepare.clone(), ..Votes::default() },
        Votes { commit: all.commit.clone(), ..Votes::default() },
        Votes { checkpoint: all.checkpoint.clone(), ..Votes::default() },
        Votes { view_change: all.view_change.clone(), ..Votes::default() },
        Votes { new_view: all.new_view.clone(), ..Votes::default() },
        all,
    ];
    for votes in only {
        shown(&mut cluster, &votes);
        assert_eq!(cluster.replica(2).halted(), None, "{votes:?}");
        assert_eq!(cluster.replica(2).silence(), None, "the answers count: {votes:?}");
    }
}

#[test]
fn r16_an_own_vote_that_is_settled_halts_nobody() {
    let mut cluster = Cluster::new(4);
    for number in 0..5 {
        cluster.submit(0, &format!("{number}")).unwrap();
        cluster.run(10);
    }
    let settled = SequenceNumber(4);
    cluster.run_until(500, |cluster| cluster.replica(2).low_watermark() == settled);
    let mut votes = Votes::default();
    for (_, _, message) in cluster.sent.iter().filter(|(from, _, _)| *from == 2) {
        match message {
            Message::Prepare { prepare, .. } if prepare.sequence == settled => votes.note_prepare(prepare),
            Message::Commit(commit) if commit.sequence == settled => votes.note_commit(commit),
            Message::Checkpoint(checkpoint) => votes.note_checkpoint(checkpoint),
            _ => {}
        }
    }
    assert!(votes.prepare.is_some() && votes.commit.is_some() && votes.checkpoint.is_some());
    shown(&mut cluster, &votes);
    // And once more, now that the checkpoint is certified here again.
    cluster.inject(1, 2, Message::Witness(Box::new(Witness { asked: 0, votes })));
    cluster.run(5);
    assert_eq!((cluster.replica(2).low_watermark(), cluster.replica(2).silence()), (settled, None));
    assert_eq!(cluster.rejections.last(), Some(&(2, Rejection::Stale)), "it was heard, as an answer to an earlier start");
}

/// Replica 2 alone was heard to sign the checkpoint at 4: it counts nowhere yet, and is the last of its votes.
fn stopped_after_a_checkpoint_of_its_own() -> Cluster {
    let mut cluster = Cluster::new(4);
    cluster.lie = Box::new(|from, _, message| match message {
        Message::Checkpoint(_) if from != 2 => vec![],
        _ => vec![message],
    });
    for number in 0..4 {
        cluster.submit(0, &format!("{number}")).unwrap();
        cluster.run(10);
    }
    cluster.crash(2);
    cluster
}

#[test]
fn r16_the_own_checkpoint_that_is_remembered_halts_nobody() {
    let mut cluster = stopped_after_a_checkpoint_of_its_own();
    cluster.sent.clear();
    cluster.restart(2);
    cluster.run(300);
    let shown = |message: &Message| matches!(message, Message::Witness(witness) if witness.votes.checkpoint.is_some());
    assert!(cluster.sent.iter().any(|(_, to, message)| *to == 2 && shown(message)));
    assert_eq!((cluster.replica(2).low_watermark(), cluster.replica(2).silence()), (SequenceNumber(0), None));
}

#[test]
fn r16_nothing_is_signed_before_a_quorum_has_answered() {
    let mut cluster = Cluster::new(4);
    cluster.submit(0, "first").unwrap();
    cluster.run(20);
    cluster.crash(2);
    // One other replica is not enough of them.
    cluster.cut.extend([(0, 2), (1, 2)]);
    let said = cluster.nodes[2].journal.len();
    cluster.restart(2);
    cluster.submit_to_all("second");
    cluster.run(5_000);
    assert_eq!(cluster.replica(2).silence(), Some(Silence::Recovering));
    assert_eq!(cluster.nodes[2].journal.len(), said, "it repeats what it said, and says nothing new");
    cluster.cut.clear();
    cluster.run_until(1_000, |cluster| cluster.replica(2).silence().is_none());
}

#[test]
fn r16_an_answer_to_an_earlier_start_is_none() {
    let mut cluster = Cluster::new(4);
    cluster.isolate(2, true);
    cluster.crash(2);
    cluster.restart(2);
    let asked = cluster.replica(2).status().asks.unwrap();
    cluster.crash(2);
    cluster.run(5);
    cluster.restart(2);
    assert_ne!(cluster.replica(2).status().asks, Some(asked));
    for from in [0, 1, 3] {
        cluster.inject(from, 2, Message::Witness(Box::new(Witness { asked, votes: Votes::default() })));
    }
    cluster.run(50);
    assert_eq!(cluster.replica(2).silence(), Some(Silence::Recovering));
}

#[test]
fn r17_evidence_that_is_sent_only_once_is_taken_in_before_the_witnesses_are_heard() {
    let mut cluster = Cluster::new(4);
    cluster.isolate(2, true);
    cluster.crash(2);
    cluster.restart(2);
    let prepare = |text: &str| {
        let digest = Digest::of(text, &[]);
        let prepare = Prepare { view: View(0), sequence: SequenceNumber(1), digest, replica: ReplicaId(3) };
        cluster.signer(3).sign(prepare).into_inner()
    };
    let evidence = Evidence::Prepares(prepare("one"), prepare("other"));
    cluster.inject(0, 2, Message::Evidence(evidence));
    cluster.run(50);
    assert_eq!(cluster.evidence(2), [(3, EvidenceKind::TwoPrepares)]);
    assert_eq!(cluster.replica(2).silence(), Some(Silence::Recovering));
}

#[test]
fn r16_waiting_for_witnesses_suspects_nobody() {
    let mut cluster = Cluster::new(4);
    cluster.crash(2);
    cluster.cut.extend([(0, 2), (1, 2)]);
    cluster.restart(2);
    let request = cluster.request(0, "waits here");
    cluster.with_replica(2, |replica, now| replica.handle_request(now, request)).unwrap().unwrap();
    cluster.run(3_000);
    cluster.cut.clear();
    cluster.sent.clear();
    cluster.run_until(2_000, |cluster| cluster.served(2) == 1);
    assert!(!cluster.sent.iter().any(|(_, _, message)| matches!(message, Message::Suspect { .. })));
    assert_eq!(cluster.replica(2).view(), View(0));
}

#[test]
fn r16_a_whole_cluster_that_restarts_comes_up_without_a_view_change_of_backups() {
    let mut cluster = Cluster::new(4);
    cluster.submit(0, "first").unwrap();
    cluster.run(50);
    for id in 0..4 {
        cluster.crash(id);
    }
    (0..4).for_each(|id| cluster.restart(id));
    cluster.submit_to_all("second");
    cluster.run_until(2_000, |cluster| cluster.all_served(2));
    assert!(cluster.alive().iter().all(|id| cluster.replica(*id).view() == View(1)), "the primary of view 0 had opened it");
}

#[test]
fn r16_a_learner_follows_and_signs_nothing_also_as_primary_elect() {
    let mut cluster = Cluster::new(4);
    for number in 0..3 {
        cluster.submit(0, &format!("{number}")).unwrap();
        cluster.run(10);
    }
    cluster.crash(1);
    cluster.nodes[1].journal = vec![Record::Learner];
    cluster.sent.clear();
    cluster.restart(1);
    cluster.run_until(2_000, |cluster| cluster.served(1) == 3);
    // Its turn as primary passes by.
    cluster.crash(0);
    cluster.submit_to_all("without a primary");
    cluster.run(1_000);
    cluster.restart(0);
    cluster.run_until(20_000, |cluster| cluster.all_served(4));
    assert!(cluster.replica(1).view() >= View(2), "{}", cluster.describe());
    assert_eq!((cluster.replica(1).silence(), votes_sent_by(&cluster, 1)), (Some(Silence::Learner), 0));
    // It remains one, through journals that begin anew and restarts.
    cluster.with_replica(1, |replica, now| save(replica, now, SequenceNumber(0)));
    cluster.run(50);
    cluster.crash(1);
    cluster.restart(1);
    cluster.submit_to_all("more");
    cluster.run_until(20_000, |cluster| cluster.all_served(5));
    assert_eq!((cluster.replica(1).silence(), votes_sent_by(&cluster, 1)), (Some(Silence::Learner), 0));
}

/// Replica 3 executes something else, and the checkpoint at 4 shows it.
fn diverged() -> Cluster {
    let mut cluster = Cluster::new(4);
    cluster.nodes[3].executor.state = pbft_crypto::Digest::of("corrupt", &[]);
    for number in 0..4 {
        cluster.submit(0, &format!("{number}")).unwrap();
        cluster.run(10);
    }
    cluster.run(50);
    assert_eq!(cluster.replica(3).silence(), Some(Silence::Halted(Alarm::Diverged(SequenceNumber(4)))));
    cluster
}

#[test]
fn r09_a_diverged_replica_executes_nothing_more_on_its_state() {
    let mut cluster = diverged();
    cluster.submit(0, "more").unwrap();
    cluster.run(2_000);
    assert_eq!((cluster.served(3), cluster.served(0)), (4, 5));
}

#[test]
fn r09_a_repaired_replica_votes_again_once_a_certified_state_is_durable() {
    let mut cluster = diverged();
    cluster.crash(3);
    cluster.nodes[3].journal.push(Record::Repair);
    cluster.sent.clear();
    cluster.restart(3);
    cluster.run_until(2_000, |cluster| cluster.replica(3).executed() == SequenceNumber(4));
    assert_eq!(cluster.replica(3).silence(), Some(Silence::Repairing(Alarm::Diverged(SequenceNumber(4)))));
    assert_eq!(votes_sent_by(&cluster, 3), 0, "the state is not durable yet");
    cluster.with_replica(3, |replica, now| save(replica, now, SequenceNumber(4)));
    cluster.run(50);
    assert_eq!((cluster.replica(3).silence(), cluster.told(3, |event| matches!(event, Event::Repaired { .. }))), (None, 1));
    assert!(!cluster.nodes[3].journal.iter().any(|record| matches!(record, Record::Halted(_) | Record::Repair)));
    // Its vote is needed now.
    cluster.crash(2);
    cluster.submit(0, "more").unwrap();
    cluster.run_until(1_000, |cluster| cluster.served(0) == 5 && cluster.served(3) == 5);
}

#[test]
fn r09_a_repair_that_is_interrupted_goes_on_after_a_restart() {
    let mut cluster = diverged();
    cluster.crash(3);
    cluster.nodes[3].journal.push(Record::Repair);
    cluster.restart(3);
    cluster.run_until(2_000, |cluster| cluster.replica(3).executed() == SequenceNumber(4));
    cluster.crash(3);
    cluster.restart(3);
    assert_eq!(cluster.replica(3).executed(), SequenceNumber(0), "nothing is replayed onto the old state");
    cluster.run_until(2_000, |cluster| cluster.replica(3).executed() == SequenceNumber(4));
    assert_eq!(cluster.replica(3).silence(), Some(Silence::Repairing(Alarm::Diverged(SequenceNumber(4)))));
}

#[test]
fn r09_a_repair_is_complete_if_its_certified_snapshot_was_durable_before_a_crash() {
    let mut cluster = diverged();
    cluster.crash(3);
    cluster.nodes[3].journal.push(Record::Repair);
    let certified = cluster.nodes[0].executor.clone();
    cluster.restart_from(3, certified);
    cluster.run_until(1_000, |cluster| cluster.replica(3).silence().is_none());
    assert_eq!(cluster.told(3, |event| matches!(event, Event::Repaired { .. })), 1);
    assert!(cluster.nodes[3].journal.contains(&Record::Repaired));
}

#[test]
fn r09_a_state_that_differs_during_a_repair_halts_anew() {
    let mut cluster = diverged();
    cluster.crash(3);
    cluster.nodes[3].journal.push(Record::Repair);
    cluster.restart(3);
    cluster.run_until(2_000, |cluster| cluster.replica(3).executed() == SequenceNumber(4));
    cluster.with_replica(3, |replica, now| replica.handle_diverged(now, SequenceNumber(8)));
    cluster.with_replica(3, |replica, now| save(replica, now, SequenceNumber(4)));
    cluster.run(50);
    assert_eq!(cluster.replica(3).silence(), Some(Silence::Halted(Alarm::Diverged(SequenceNumber(8)))));
}

#[test]
fn r16_no_repair_heals_a_journal_that_was_rolled_back() {
    let mut cluster = diverged();
    cluster.crash(3);
    let journal = &mut cluster.nodes[3].journal;
    let left = journal.iter().position(|record| matches!(record, Record::Prepare(_))).unwrap();
    journal.truncate(left);
    journal.extend([Record::Halted(Alarm::Diverged(SequenceNumber(4))), Record::Repair]);
    cluster.restart(3);
    cluster.run(2_000);
    cluster.with_replica(3, |replica, now| save(replica, now, SequenceNumber(4)));
    cluster.run(500);
    assert!(
        matches!(cluster.replica(3).silence(), Some(Silence::Halted(Alarm::RolledBack(_)))),
        "{:?}",
        cluster.replica(3).silence()
    );
}

/// Everything before it is settled, so that nothing else is missing.
#[test]
fn r16_the_checkpoint_alone_that_a_disk_lost_halts() {
    let mut cluster = stopped_after_a_checkpoint_of_its_own();
    let journal = &mut cluster.nodes[2].journal;
    let lost = journal.iter().rposition(|record| matches!(record, Record::Checkpoint(_))).unwrap();
    assert!(!journal[lost..].iter().any(|record| matches!(record, Record::Prepare(_) | Record::Commit(_))));
    journal.truncate(lost);
    cluster.restart(2);
    cluster.run_until(500, |cluster| is_rolled_back(cluster, 2));
}

#[test]
fn r16_a_replica_that_was_rolled_back_stays_halted_and_its_next_journal_says_so() {
    let mut cluster = rolled_back(|_| 0);
    cluster.run_until(500, |cluster| is_rolled_back(cluster, 2));
    assert_eq!(cluster.told(2, |event| matches!(event, Event::Alarm(Alarm::RolledBack(_)))), 1);
    cluster.run(20);
    cluster.isolate(2, true);
    cluster.crash(2);
    cluster.restart(2);
    assert!(is_rolled_back(&cluster, 2), "before anybody has told it again");
    cluster.with_replica(2, |replica, now| replica.handle_diverged(now, SequenceNumber(8)));
    assert!(is_rolled_back(&cluster, 2), "what could be repaired takes not the place of what cannot");
    cluster.with_replica(2, |replica, now| save(replica, now, SequenceNumber(0)));
    cluster.run(20);
    cluster.crash(2);
    cluster.restart(2);
    assert!(is_rolled_back(&cluster, 2));
}

#[test]
fn r16_a_replica_comes_back_once_whoever_else_answers() {
    let mut cluster = Cluster::new(7);
    cluster.crash(6);
    cluster.restart(6);
    cluster.run(2_000);
    assert_eq!(cluster.told(6, |event| *event == Event::Recovered), 1);
}

/// Replica 3 has installed the certified state, which is not durable yet.
fn repairing() -> Cluster {
    let mut cluster = diverged();
    cluster.crash(3);
    cluster.nodes[3].journal.push(Record::Repair);
    cluster.restart(3);
    cluster.run_until(2_000, |cluster| cluster.replica(3).executed() == SequenceNumber(4));
    // Until its witnesses are heard.
    cluster.run(500);
    cluster
}

#[test]
fn r09_a_repaired_replica_votes_for_what_was_proposed_meanwhile() {
    let mut cluster = repairing();
    cluster.crash(2);
    cluster.submit(0, "needs its vote").unwrap();
    cluster.run(50);
    assert_eq!(cluster.served(0), 4);
    cluster.with_replica(3, |replica, now| save(replica, now, SequenceNumber(4)));
    cluster.run_until(10, |cluster| cluster.served(0) == 5 && cluster.served(3) == 5);
}

#[test]
fn r09_a_repaired_replica_signs_the_checkpoint_that_it_came_to_meanwhile() {
    let mut cluster = repairing();
    cluster.lie = Box::new(|from, _, message| if from == 1 && message.name() == "checkpoint" { vec![] } else { vec![message] });
    for number in 0..4 {
        cluster.submit(0, &format!("{number}")).unwrap();
        cluster.run(10);
    }
    assert_eq!((cluster.served(3), cluster.replica(0).low_watermark()), (8, SequenceNumber(4)));
    cluster.with_replica(3, |replica, now| save(replica, now, SequenceNumber(4)));
    cluster.run_until(10, |cluster| cluster.replica(0).low_watermark() == SequenceNumber(8));
}

/// Its heartbeats would be signs of life of one that orders nothing.
#[test]
fn r09_a_primary_that_halts_is_left() {
    let mut cluster = Cluster::new(4);
    cluster.nodes[0].executor.state = Digest::of("corrupt", &[]);
    for number in 0..4 {
        cluster.submit(0, &format!("{number}")).unwrap();
        cluster.run(10);
    }
    cluster.run_until(200, |cluster| cluster.replica(0).halted().is_some());
    cluster.run_until(1_000, |cluster| cluster.views()[1..] == [1, 1, 1]);
}
