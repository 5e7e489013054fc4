//! Operations that share requests.

use super::cluster::{Cluster, LONG};
use crate::{Client, ClientError, Executed};
use pbft_message::{Blobs, ClientMessage, Request, RequestRefusal, SequenceNumber, Signed};
use tokio::task::JoinHandle;

type Pending = JoinHandle<Result<Executed, ClientError>>;

fn submit(client: &Client, operation: &'static [u8]) -> Pending {
    let client = client.clone();
    tokio::spawn(async move { client.operation(operation).await })
}

/// Returns once the client has taken in what was submitted before.
async fn taken_in(cluster: &mut Cluster, client: &Client) {
    let asking = client.clone();
    let question = tokio::spawn(async move { asking.reports(LONG).await });
    while !matches!(cluster.message().await, (3, ClientMessage::Report { .. })) {}
    question.abort();
}

/// The next request that differs from this one; repetitions of this one are of no interest.
async fn next(cluster: &mut Cluster, but: &Signed<Request>) -> Signed<Request> {
    loop {
        if let (_, ClientMessage::Request(request)) = cluster.message().await
            && request != *but
        {
            return request;
        }
    }
}

fn answer(cluster: &Cluster, request: &Signed<Request>, results: &[&[u8]]) {
    cluster.reply_each(1, request, results);
    cluster.reply_each(2, request, results);
}

async fn result(pending: Pending) -> Vec<u8> {
    let executed = pending.await.unwrap().unwrap();
    assert_eq!(executed.sequence, SequenceNumber(7));
    executed.result.to_vec()
}

#[tokio::test]
async fn operations_join_while_a_request_is_under_way_and_each_gets_its_own_result() {
    let (mut cluster, client) = Cluster::start(&[0, 1, 2, 3], 256).await;
    let first = submit(&client, b"a");
    let (primary, alone) = cluster.request().await;
    assert_eq!((primary, &alone.operations), (0, &Blobs::new(&[b"a"])));
    let (second, third) = (submit(&client, b"b"), submit(&client, b"c"));
    taken_in(&mut cluster, &client).await;
    answer(&cluster, &alone, &[b"A"]);
    assert_eq!(result(first).await, b"A");
    let joined = next(&mut cluster, &alone).await;
    assert_eq!(joined.operations, Blobs::new(&[b"b", b"c"]));
    answer(&cluster, &joined, &[b"B", b"C"]);
    assert_eq!((result(second).await, result(third).await), (b"B".to_vec(), b"C".to_vec()));
}

#[tokio::test]
async fn an_operation_that_is_given_up_before_it_is_sent_is_left_out() {
    let (mut cluster, client) = Cluster::start(&[0, 1, 2, 3], 256).await;
    let first = submit(&client, b"a");
    let (_, alone) = cluster.request().await;
    let (given_up, third) = (submit(&client, b"b"), submit(&client, b"c"));
    taken_in(&mut cluster, &client).await;
    given_up.abort();
    assert!(given_up.await.unwrap_err().is_cancelled());
    answer(&cluster, &alone, &[b"A"]);
    assert_eq!(result(first).await, b"A");
    assert_eq!(next(&mut cluster, &alone).await.operations, Blobs::new(&[b"c"]));
    third.abort();
}

#[tokio::test]
async fn operations_that_are_too_large_together_are_tried_one_by_one() {
    let (mut cluster, client) = Cluster::start(&[0, 1, 2, 3], 256).await;
    let first = submit(&client, b"a");
    let (_, alone) = cluster.request().await;
    let (second, third) = (submit(&client, b"b"), submit(&client, b"c"));
    taken_in(&mut cluster, &client).await;
    answer(&cluster, &alone, &[b"A"]);
    assert_eq!(result(first).await, b"A");
    let joined = next(&mut cluster, &alone).await;
    let refusal = RequestRefusal::TooLarge { limit: "results".into(), maximum: 1 };
    for replica in [0, 3] {
        cluster.refuse(replica, &joined, refusal.clone());
    }
    let mut singles = Vec::new();
    while singles.len() < 2 {
        let single = next(&mut cluster, &joined).await;
        if single != alone && !singles.contains(&single) {
            singles.push(single);
        }
    }
    let operations: Vec<_> = singles.iter().map(|single| single.operations.clone()).collect();
    assert_eq!(operations, [Blobs::new(&[b"b"]), Blobs::new(&[b"c"])]);
    singles.iter().zip([b"B", b"C"]).for_each(|(single, result)| answer(&cluster, single, &[result]));
    assert_eq!((result(second).await, result(third).await), (b"B".to_vec(), b"C".to_vec()));
}
