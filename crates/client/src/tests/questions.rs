//! Questions that are not requests: each replica answers for itself.

use super::cluster::{Cluster, LONG};
use crate::ClientError;
use pbft_crypto::Digest;
use pbft_message::{
    Blobs, ClientMessage, Condition, Outcome, ReplicaId, ReplicaMessage, ReplicaReport, RequestState, SequenceNumber, Timestamp,
    View,
};
use std::time::Duration;

fn executed(result: &[u8]) -> RequestState {
    RequestState::Executed {
        sequence: SequenceNumber(7),
        request: Digest::from_bytes([1; 32]),
        outcome: Outcome::Executed(Blobs::new(&[result])),
    }
}

fn report(replica: u32) -> ReplicaReport {
    ReplicaReport {
        replica: ReplicaId(replica),
        pid: 1,
        version: "test".into(),
        view: View(2),
        active: true,
        learner: false,
        alarm: None,
        executed: SequenceNumber(7),
        stable_checkpoint: SequenceNumber(0),
        state_root: Digest::from_bytes([0; 32]),
        peers_up: vec![],
        view_changes: 2,
        requests_executed: 7,
        evidence: 0,
        disk_full: false,
        refused: vec![],
        condition: Condition::default(),
    }
}

/// The query of a status question, which must come to all four replicas.
async fn status_query(cluster: &mut Cluster) -> u64 {
    let mut asked = Vec::new();
    let mut last = 0;
    for _ in 0..4 {
        let (at, message) = cluster.message().await;
        let ClientMessage::RequestStatus { query, timestamp: Timestamp(5), .. } = message else { panic!("{message:?}") };
        asked.push(at);
        last = query;
    }
    asked.sort_unstable();
    assert_eq!(asked, [0, 1, 2, 3]);
    last
}

#[tokio::test]
async fn the_state_of_a_request_is_what_weak_quorum_replicas_say() {
    let (mut cluster, client) = Cluster::start(&[0, 1, 2, 3], 256).await;
    let id = client.id();
    let pending = tokio::spawn(async move { client.request_state(id, Timestamp(5), LONG).await });
    let query = status_query(&mut cluster).await;
    let answer = |state| ReplicaMessage::RequestStatus { query, state };
    for _ in 0..3 {
        cluster.say(0, &answer(executed(b"lie")));
    }
    cluster.say(1, &answer(RequestState::NotExecuted));
    cluster.say(2, &answer(executed(b"truth")));
    cluster.say(3, &answer(executed(b"truth")));
    assert_eq!(pending.await.unwrap().unwrap(), executed(b"truth"));
}

#[tokio::test]
async fn replicas_that_all_disagree_give_no_state() {
    let (mut cluster, client) = Cluster::start(&[0, 1, 2, 3], 256).await;
    let id = client.id();
    let pending = tokio::spawn(async move { client.request_state(id, Timestamp(5), LONG).await });
    let query = status_query(&mut cluster).await;
    let states = [executed(b"lie"), executed(b"truth"), RequestState::NotExecuted, RequestState::TooOld];
    for (replica, state) in (0..).zip(states) {
        cluster.say(replica, &ReplicaMessage::RequestStatus { query, state });
    }
    assert!(matches!(pending.await.unwrap(), Err(ClientError::NoAgreement)), "and that is known before the time is over");
}

#[tokio::test]
async fn reports_are_each_replicas_own_word_and_the_silent_have_none() {
    let (mut cluster, client) = Cluster::start(&[0, 1, 3], 256).await;
    let pending = tokio::spawn(async move { client.reports(Duration::from_secs(2)).await });
    for _ in 0..3 {
        let (at, message) = cluster.message().await;
        let ClientMessage::Report { query } = message else { panic!("{message:?}") };
        if at != 1 {
            cluster.say(at, &ReplicaMessage::Report { query: query + 1, report: Box::new(report(9)) });
            cluster.say(at, &ReplicaMessage::Report { query, report: Box::new(report(at)) });
        }
    }
    let reports = pending.await.unwrap();
    let expected = [(0, Some(report(0))), (1, None), (2, None), (3, Some(report(3)))];
    assert_eq!(reports, expected.map(|(replica, report)| (ReplicaId(replica), report)));
}

#[tokio::test]
async fn evidence_is_asked_of_all_and_comes_from_those_that_answer() {
    let (mut cluster, client) = Cluster::start(&[0, 1, 2, 3], 256).await;
    let pending = tokio::spawn(async move { client.evidence(LONG).await });
    for _ in 0..4 {
        let (at, message) = cluster.message().await;
        let ClientMessage::Evidence { query } = message else { panic!("{message:?}") };
        cluster.say(at, &ReplicaMessage::Evidence { query, evidence: vec![] });
    }
    let expected: Vec<_> = (0..4).map(|replica| (ReplicaId(replica), vec![])).collect();
    assert_eq!(pending.await.unwrap(), expected);
}
