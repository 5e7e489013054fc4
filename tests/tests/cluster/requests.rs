//! Requests that must have no effect, and the typed errors that their senders get.

use crate::{OBSERVER, replica};
use pbft_client::{Client, ClientError};
use pbft_crypto::SecretKey;
use pbft_message::{
    Authenticator, Blobs, ClientId, ClientMessage, Domain, Parameters, ReplicaMessage, Request, RequestRefusal, Signed, Timestamp,
    codec, sign_request,
};
use pbft_services::kv::{KvResult, Operation, StepResult};
use pbft_tests::{Keys, Network, Plan, Stranger, eventually, frame};

pub fn signed(network: &Network, keys: &Keys, timestamp: u64, operations: Vec<Vec<u8>>) -> Signed<Request> {
    signed_in(Authenticator::new(network.genesis.clone()).domain(), keys, &keys.signing, timestamp, operations)
}

fn signed_in(domain: &Domain, keys: &Keys, with: &SecretKey, timestamp: u64, operations: Vec<Vec<u8>>) -> Signed<Request> {
    let client = ClientId(keys.signing.public());
    sign_request(Request { client, timestamp: Timestamp(timestamp), operations: Blobs::new(&operations) }, domain, with)
}

fn put(key: &str) -> Vec<Vec<u8>> {
    vec![Operation::put(key, "value").encode()]
}

/// The store's revision: it tells whether anything had an effect.
async fn revision(client: &Client) -> u64 {
    let read = client.request(vec![Operation::get("a key").encode()]).await.unwrap();
    match KvResult::decode(&read.results[0]) {
        Ok(KvResult::Step(StepResult::Get { revision, .. })) => revision,
        other => panic!("not the answer to a get: {other:?}"),
    }
}

async fn refusal(client: &Client, request: Signed<Request>) -> RequestRefusal {
    match client.resend_raw(request).await {
        Err(ClientError::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r19_a_client_beyond_its_rate_is_told_busy_and_served_in_time_and_costs_nobody_a_view() {
    let mut plan = Plan::of(4);
    plan.limits.client_requests_per_second = 10;
    let network = Network::started(&plan).await;
    let (client, observer) = (network.client(0), network.client(OBSERVER));
    client.request(put("first")).await.unwrap();
    let view = network.reports(&observer).await[&replica(1)].view;
    let all = (0..40).map(|number| {
        let client = client.clone();
        tokio::spawn(async move { client.request(put(&format!("key {number}"))).await })
    });
    for one in all.collect::<Vec<_>>() {
        one.await.unwrap().expect("Busy is waited for");
    }
    let mut busy = 0;
    for id in network.ids() {
        busy += network.refused(&observer, id, "Busy").await;
    }
    assert!(busy > 0, "its burst is ten requests");
    assert!(network.reports(&observer).await.values().all(|report| report.view == view));
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_and_unauthorised_requests_get_typed_errors_and_have_no_effect() {
    let network = Network::started(&Plan::of(4)).await;
    let client = network.client(0);
    let all = async || (client.connected().len() == network.genesis.replica_count()).then_some(());
    eventually("all replicas hear the client", all).await;
    client.request(put("a key")).await.unwrap();
    let before = revision(&client).await;

    let keys = network.client_keys(0);
    let domain = *Authenticator::new(network.genesis.clone()).domain();
    let forged = signed_in(&domain, keys, &network.client_keys(1).signing, 1, put("a key"));
    assert_eq!(refusal(&client, forged).await, RequestRefusal::BadSignature);

    let elsewhere = Domain { cluster: pbft_crypto::Digest::of("another cluster", &[]), ..domain };
    let foreign = signed_in(&elsewhere, keys, &keys.signing, 2, put("a key"));
    assert_eq!(refusal(&client, foreign).await, RequestRefusal::BadSignature);

    let nobody = Keys::generate();
    assert_eq!(refusal(&client, signed(&network, &nobody, 3, put("a key"))).await, RequestRefusal::UnknownClient);

    let empty = signed(&network, keys, 4, vec![]);
    assert_eq!(refusal(&client, empty).await, RequestRefusal::Malformed);

    let many = vec![Operation::get("a key").encode(); network.genesis.parameters.max_operations + 1];
    let too_large = refusal(&client, signed(&network, keys, 5, many)).await;
    assert!(matches!(&too_large, RequestRefusal::TooLarge { limit, maximum: 1024 } if limit.contains("operations")), "{too_large}");

    assert_eq!(revision(&client).await, before, "what was refused had no effect");
    for id in network.ids() {
        for reason in ["BadSignature", "UnknownClient", "Malformed", "TooLarge"] {
            network.refuses(&client, id, reason, 0).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r08_a_replayed_request_is_answered_as_before_and_an_old_one_is_too_old() {
    let mut plan = Plan::of(4);
    plan.parameters = Parameters { requests_in_flight: 4, ..Parameters::default() };
    let network = Network::started(&plan).await;
    let client = network.client(0);
    let original = signed(&network, network.client_keys(0), 1_000, put("a key"));
    let first = client.resend_raw(original.clone()).await.unwrap();
    let before = revision(&client).await;
    assert_eq!(client.resend_raw(original.clone()).await.unwrap(), first, "the identical result");
    assert_eq!(revision(&client).await, before, "a replay has no effect");

    let other = signed(&network, network.client_keys(0), 1_000, put("another key"));
    assert_eq!(refusal(&client, other).await, RequestRefusal::TimestampReused);

    for _ in 0..4 {
        client.request(put("a key")).await.unwrap();
    }
    let before = revision(&client).await;
    assert_eq!(refusal(&client, original).await, RequestRefusal::TooOld);
    assert_eq!(revision(&client).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_beyond_the_limits_of_the_store_are_refused_by_name() {
    let network = Network::started(&Plan::of(4)).await;
    let client = network.client(0);
    let long_key = Operation::put(vec![b'k'; 5_000], "value").encode();
    let answer = client.request(vec![long_key, Operation::put("a key", "value").encode()]).await.unwrap();
    let results: Vec<KvResult> = answer.results.iter().map(|bytes| KvResult::decode(bytes).unwrap()).collect();
    assert!(matches!(&results[0], KvResult::Error(error) if error.to_string().contains("key")), "{results:?}");
    assert!(matches!(&results[1], KvResult::Step(StepResult::Put { revision: 2, .. })), "{results:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_on_a_bare_connection_is_refused_with_its_reason() {
    let network = Network::started(&Plan::of(4)).await;
    network.client(OBSERVER).wait_for_quorum(pbft_tests::PATIENCE).await.unwrap();
    let bare = Stranger::connect(&network.client_keys(0).transport, network.address(replica(1))).await.unwrap();
    let mut votes = bare.greet(network.genesis.cluster_id()).await;
    let mut frames = bare.hears().await;
    let _hello = frames.next().await;
    let request = signed(&network, &Keys::generate(), 7, put("a key"));
    votes.write_all(&frame(&codec::encode(&ClientMessage::Request(request.clone())))).await.unwrap();
    match codec::decode(&frames.next().await).unwrap() {
        ReplicaMessage::Refused { client, timestamp, refusal, .. } => {
            assert_eq!((client, timestamp, refusal), (request.client, request.timestamp, RequestRefusal::UnknownClient));
        }
        other => panic!("not a refusal: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_whose_transport_key_is_not_pinned_cannot_connect() {
    let network = Network::started(&Plan::of(4)).await;
    let observer = network.client(OBSERVER);
    observer.wait_for_quorum(pbft_tests::PATIENCE).await.unwrap();
    let stranger = network.client_with(Keys { transport: Keys::generate().transport, ..network.client_keys(0).clone() });
    for id in network.ids() {
        network.refuses(&observer, id, "unknown_key", 0).await;
    }
    let error = stranger.request_with_timeout(put("a key"), std::time::Duration::from_secs(1)).await.unwrap_err();
    assert!(matches!(error, ClientError::NoQuorum { connected: 0, refused: 1.., .. }), "{error}");
    assert!(error.to_string().contains("refuse this client's transport key"), "{error}");
}
