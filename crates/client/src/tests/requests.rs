//! Requests: what is accepted, what is refused, and what is said when the time is over.

use super::cluster::{Cluster, LONG, client_keys, genesis, secret};
use crate::{Accepted, Client, ClientConfig, ClientError};
use pbft_message::{Blob, Blobs, ClientId, Domain, Epoch, Request, RequestRefusal, SequenceNumber, Timestamp, sign_request};
use pbft_network::Inbound;
use std::time::Duration;
use tokio::task::JoinHandle;

const SHORT: Duration = Duration::from_millis(200);

type Pending = JoinHandle<Result<Accepted, ClientError>>;

fn put() -> Vec<Vec<u8>> {
    vec![b"put".to_vec()]
}

fn request(client: &Client) -> Pending {
    let client = client.clone();
    tokio::spawn(async move { client.request(put()).await })
}

async fn result(pending: Pending) -> Vec<u8> {
    let accepted = pending.await.unwrap().unwrap();
    assert_eq!(accepted.sequence, SequenceNumber(7));
    let [result] = accepted.results.as_slice() else { panic!("{accepted:?}") };
    result.to_vec()
}

#[tokio::test]
async fn r02_weak_quorum_matching_replies_are_accepted() {
    let (mut cluster, client) = Cluster::start(&[0, 1, 2, 3], 256).await;
    let pending = request(&client);
    let (primary, request) = cluster.request().await;
    assert_eq!(primary, 0);
    assert_eq!(request.client, client.id());
    assert_eq!(request.operations, Blobs::new(&[b"put"]));
    cluster.reply(1, &request, b"done");
    cluster.reply(2, &request, b"done");
    assert_eq!(result(pending).await, b"done");
}

#[tokio::test]
async fn r02_a_lying_primary_is_outvoted() {
    let (mut cluster, client) = Cluster::start(&[0, 1, 2, 3], 256).await;
    let pending = request(&client);
    let (_, request) = cluster.request().await;
    for _ in 0..3 {
        cluster.reply(0, &request, b"lie");
    }
    assert_eq!(cluster.receivers(&request, 4).await, [0, 1, 2, 3], "without an answer it goes to all");
    cluster.reply(3, &request, b"truth");
    cluster.reply(1, &request, b"truth");
    assert_eq!(result(pending).await, b"truth");
}

#[tokio::test]
async fn r02_a_dead_replica_is_no_problem_even_if_it_is_the_primary() {
    let (mut cluster, client) = Cluster::start(&[1, 2, 3], 256).await;
    client.wait_for_quorum(LONG).await.unwrap();
    let pending = request(&client);
    let (_, request) = cluster.request().await;
    cluster.reply(1, &request, b"done");
    cluster.reply(3, &request, b"done");
    assert_eq!(result(pending).await, b"done");
}

#[tokio::test]
async fn r02_a_timeout_names_the_timestamp_and_a_retry_sends_the_same_request() {
    let (mut cluster, client) = Cluster::start(&[0, 1, 2, 3], 256).await;
    let error = client.request_with_timeout(put(), SHORT).await.unwrap_err();
    let (_, request) = cluster.request().await;
    let ClientError::OutcomeUnknown { timestamp } = error else { panic!("{error:?}") };
    assert_eq!(timestamp, request.timestamp);
    assert!(error.to_string().contains(&timestamp.to_string()));

    let retry = tokio::spawn({
        let client = client.clone();
        async move { client.retry(timestamp, put()).await }
    });
    assert_eq!(cluster.receivers(&request, 4).await, [0, 1, 2, 3], "to all at once, byte for byte");
    cluster.reply(2, &request, b"done");
    cluster.reply(0, &request, b"done");
    assert_eq!(result(retry).await, b"done");
}

#[tokio::test]
async fn r02_a_hundred_requests_are_in_flight_at_once_and_complete_in_any_order() {
    let (mut cluster, client) = Cluster::start(&[0, 1, 2, 3], 256).await;
    let pending: Vec<_> = (0_u32..100)
        .map(|number| {
            let client = client.clone();
            tokio::spawn(async move { (number, client.request(vec![number.to_le_bytes().to_vec()]).await) })
        })
        .collect();
    let mut requests = std::collections::BTreeMap::new();
    while requests.len() < 100 {
        let (_, request) = cluster.request().await; // retries to all may come between
        requests.insert(request.timestamp, request);
    }
    for request in requests.values().rev() {
        cluster.reply(1, request, request.operations.each().next().unwrap());
        cluster.reply(2, request, request.operations.each().next().unwrap());
    }
    for pending in pending {
        let (number, accepted) = pending.await.unwrap();
        assert_eq!(accepted.unwrap().results, [Blob::from(&number.to_le_bytes()[..])], "each gets the answer to its own");
    }
}

#[tokio::test]
async fn r08_a_request_beyond_w_waits_for_room_or_is_never_sent() {
    let (mut cluster, client) = Cluster::start(&[0, 1, 2, 3], 1).await;
    let first = request(&client);
    let (_, first_request) = cluster.request().await;
    let second = client.request_with_timeout(put(), SHORT).await;
    assert!(matches!(second, Err(ClientError::NotSent)), "{second:?}");

    let third = request(&client);
    cluster.reply(0, &first_request, b"first");
    cluster.reply(1, &first_request, b"first");
    assert_eq!(result(first).await, b"first");
    let third_request = loop {
        let (_, request) = cluster.request().await;
        if request.timestamp != first_request.timestamp {
            break request;
        }
    };
    cluster.reply(0, &third_request, b"third");
    cluster.reply(1, &third_request, b"third");
    assert_eq!(result(third).await, b"third");
}

#[tokio::test]
async fn r08_a_request_that_timed_out_makes_room() {
    let (mut cluster, client) = Cluster::start(&[0, 1, 2, 3], 1).await;
    let first = client.request_with_timeout(put(), SHORT).await;
    let Err(ClientError::OutcomeUnknown { timestamp }) = first else { panic!("{first:?}") };
    let second = request(&client);
    let second_request = loop {
        let (_, request) = cluster.request().await;
        if request.timestamp != timestamp {
            break request;
        }
    };
    cluster.reply(0, &second_request, b"second");
    cluster.reply(1, &second_request, b"second");
    assert_eq!(result(second).await, b"second");
}

#[tokio::test]
async fn r02_a_refusal_by_weak_quorum_is_a_typed_error() {
    let (mut cluster, client) = Cluster::start(&[0, 1, 2, 3], 256).await;
    let domain = Domain { cluster: cluster.genesis.cluster_id(), epoch: Epoch(0) };
    let stranger = ClientId(secret(100).public());
    let body = Request { client: stranger, timestamp: Timestamp(5), operations: Blobs::new(&[b"put"]) };
    let request = sign_request(body, &domain, &secret(100));
    let pending = tokio::spawn({
        let (client, request) = (client.clone(), request.clone());
        async move { client.resend_raw(request).await }
    });
    assert_eq!(cluster.receivers(&request, 4).await, [0, 1, 2, 3]);
    cluster.refuse(0, &request, RequestRefusal::UnknownClient);
    cluster.refuse(3, &request, RequestRefusal::UnknownClient);
    let error = pending.await.unwrap().unwrap_err();
    assert!(matches!(error, ClientError::Refused(RequestRefusal::UnknownClient)), "{error:?}");
    assert_eq!(error.name(), "UnknownClient");
}

#[tokio::test]
async fn r02_a_request_beyond_a_limit_is_refused_before_it_is_sent() {
    let (_cluster, client) = Cluster::start(&[0, 1, 2, 3], 256).await;
    let error = client.request(vec![vec![]; 1025]).await.unwrap_err();
    assert!(matches!(&error, ClientError::Refused(RequestRefusal::TooLarge { maximum: 1024, .. })), "{error:?}");
}

#[tokio::test]
async fn too_few_connections_are_named_in_the_error() {
    let (mut cluster, client) = Cluster::start(&[0, 2], 256).await;
    let error = client.wait_for_quorum(SHORT).await.unwrap_err();
    assert!(matches!(error, ClientError::NoQuorum { timestamp: None, connected: 2, quorum: 3, refused: 0 }), "{error:?}");
    let error = client.request_with_timeout(put(), SHORT).await.unwrap_err();
    let (_, request) = cluster.request().await;
    let ClientError::NoQuorum { timestamp: Some(timestamp), connected: 2, quorum: 3, .. } = error else { panic!("{error:?}") };
    assert_eq!(timestamp, request.timestamp);
    assert!(error.to_string().contains("2 replicas are connected, 3 are needed"), "{error}");
}

#[tokio::test]
async fn a_transport_key_that_is_not_pinned_is_refused_and_the_error_says_so() {
    let cluster = Cluster::of(genesis(256), &[0, 1, 2, 3]);
    let [signing, _] = client_keys();
    let client = cluster.client(signing, secret(101));
    // Each attempt ends with a refusal; a time-out that comes before the first one proves nothing yet.
    let refused = async {
        loop {
            let error = client.wait_for_quorum(SHORT).await.unwrap_err();
            if let ClientError::NoQuorum { connected: 0, refused: 1.., .. } = error {
                return error;
            }
        }
    };
    let error = tokio::time::timeout(LONG, refused).await.expect("the replicas refuse the key");
    assert!(error.to_string().contains("replicas refuse this client's transport key"), "{error}");
}

#[tokio::test]
async fn r20_a_frame_that_is_no_message_closes_that_connection_alone() {
    let (mut cluster, client) = Cluster::start(&[0, 1, 2, 3], 256).await;
    let pending = request(&client);
    let (_, request) = cluster.request().await;
    cluster.say_bytes(3, vec![0xff; 40]);
    loop {
        match cluster.heard().await {
            (3, Inbound::Down { reason, .. }) => break assert!(reason.contains("malformed encoding"), "{reason}"),
            (_, Inbound::Frame { .. }) => {} // a retry
            (at, other) => panic!("replica {at} heard {other:?}"),
        }
    }
    cluster.reply(1, &request, b"done");
    cluster.reply(2, &request, b"done");
    assert_eq!(result(pending).await, b"done");
    while !matches!(cluster.heard().await, (3, Inbound::Up { .. })) {}
}

#[tokio::test]
async fn a_closed_client_says_so() {
    let (_cluster, client) = Cluster::start(&[0, 1, 2, 3], 256).await;
    let other = client.clone();
    client.close().await;
    assert!(matches!(other.request(put()).await, Err(ClientError::Closed)));
    assert_eq!(other.evidence(LONG).await, []);
}

#[tokio::test]
async fn an_address_for_each_replica_is_needed() {
    let [signing, transport] = client_keys();
    let config = ClientConfig::new(genesis(256), signing, transport, vec![]);
    let error = Client::connect(config).err().expect("refused");
    assert!(matches!(error, ClientError::AddressCount { found: 0, expected: 4 }), "{error:?}");
}
