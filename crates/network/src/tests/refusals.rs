use super::*;
use crate::DialProblem;

#[tokio::test(flavor = "multi_thread")]
async fn an_unpinned_key_is_refused_in_the_handshake_and_counted_on_both_sides() {
    let (stranger, mut b) = (Party::new(66), Party::new(2));
    let _dial = stranger.dial(&b);
    b.counted("unknown_key").await;
    stranger.counted("refused_by_peer").await;
    eventually(|| (stranger.endpoint.dial_problem(&b.key()) == Some(DialProblem::Refused)).then_some(())).await;
    assert!(b.replicas.try_recv().is_err() && b.clients.try_recv().is_err());
    assert_eq!(b.count("handshake_failed"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_another_key_than_expected_is_refused() {
    let (mut a, mut b) = (Party::new(1), Party::new(2));
    let _dial = a.endpoint.dial(key(3).public(), b.address()).unwrap();
    a.counted("unknown_key").await;
    eventually(|| (a.endpoint.dial_problem(&key(3).public()) == Some(DialProblem::WrongKey)).then_some(())).await;
    b.counted("refused_by_peer").await;
    assert!(a.replicas.try_recv().is_err() && b.replicas.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_wire_version_is_refused_by_alpn() {
    let mut other = settings(1);
    other.alpn = vec![b"pbft-test/3".to_vec(), b"pbft-test/2".to_vec()];
    let (mut a, b) = (Party::with(other), Party::new(2));
    let _dial = a.dial(&b);
    a.counted("alpn_mismatch").await;
    eventually(|| (a.endpoint.dial_problem(&b.key()) == Some(DialProblem::Version)).then_some(())).await;
    b.counted("alpn_mismatch").await;
    assert!(a.replicas.try_recv().is_err());
    assert_eq!((a.count("handshake_failed"), b.count("handshake_failed")), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_build_that_still_speaks_the_old_wire_version_is_welcome() {
    let mut newer = settings(1);
    newer.alpn.insert(0, b"pbft-test/2".to_vec());
    let (mut a, mut b) = (Party::with(newer), Party::new(2));
    let _dial = a.dial(&b);
    a.up().await;
    b.up().await;
    assert_eq!((a.count("alpn_mismatch"), b.count("alpn_mismatch")), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_public_key_without_its_secret_is_refused() {
    // The secret of key 66 under the public key 1.
    let (claimed, held) = (settings(1), settings(66));
    let b = Party::new(2);
    let config = crate::tls::tests::client_config_of_a_thief(&claimed, &held, &directory(), b.key());
    let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let config = quinn::ClientConfig::new(Arc::new(config));
    if let Ok(connection) = endpoint.connect_with(config, b.address(), "x").unwrap().await {
        connection.closed().await;
    }
    b.counted("handshake_failed").await;
    assert_eq!(b.count("unknown_key"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hello_of_another_cluster_is_refused() {
    let (mut a, mut b) = (Party::greeting(settings(1), "other"), Party::new(2));
    let raw = Raw::connect(3, &b).await;
    let _votes = raw.open(b"\x01\x05\0\0\0wrong").await;
    assert_eq!(raw.closed().await, (6, "hello refused: another cluster".into()));
    assert_eq!(b.counted("hello_refused").await, 1);

    let _dial = a.dial(&b);
    eventually(|| (a.count("hello_refused") + b.count("hello_refused") >= 2).then_some(())).await;
    eventually(|| (a.endpoint.dial_problem(&b.key()) == Some(DialProblem::Hello)).then_some(())).await;
    assert!(a.replicas.try_recv().is_err() && b.replicas.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_hello_is_closed_and_delivers_nothing() {
    let mut hasty = settings(2);
    hasty.hello_timeout = Duration::from_millis(300);
    let mut b = Party::with(hasty);
    let raw = Raw::connect(1, &b).await;
    let _bodies = raw.open(b"\x02\x01\0\0\0x").await;
    assert_eq!(raw.closed().await.0, 5);
    assert_eq!(b.counted("hello_timeout").await, 1);
    assert!(b.replicas.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_directory_holds_for_new_connections() {
    let (mut a, mut b) = (Party::new(1), Party::new(2));
    b.directory.replace([(key(3).public(), Class::Replica)]);
    let _dial = a.dial(&b);
    b.counted("unknown_key").await;
    a.counted("refused_by_peer").await;
    b.directory.replace([(key(1).public(), Class::Client)]);
    a.up().await;
    assert!(matches!(b.next_client().await, Inbound::Up { peer, .. } if peer == a.key()));

    // What is up stays up.
    b.directory.replace([]);
    a.endpoint.send(&b.key(), Lane::Votes, Bytes::from_static(b"still here")).unwrap();
    assert!(matches!(b.next_client().await, Inbound::Frame { bytes, .. } if bytes == "still here"));
    assert!(b.replicas.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_are_limited_by_key_and_in_total_and_a_place_is_given_back() {
    let mut few = settings(2);
    few.max_connections_per_client = 2;
    few.max_client_connections = 3;
    let mut b = Party::with(few);
    let (one, two) = (Raw::connect(10, &b).await, Raw::connect(10, &b).await);
    let _votes = [one.greet().await, two.greet().await];
    for _ in 0..2 {
        assert!(matches!(b.next_client().await, Inbound::Up { .. }));
    }
    assert_eq!(Raw::connect(10, &b).await.closed().await.0, 4, "a third of the same key");
    let other = Raw::connect(11, &b).await;
    let _votes = other.greet().await;
    assert!(matches!(b.next_client().await, Inbound::Up { .. }));
    assert_eq!(Raw::connect(12, &b).await.closed().await.0, 4, "a fourth in all");
    assert_eq!(b.count("too_many_connections"), 2);

    one.connection.close(0u32.into(), b"bye");
    assert!(matches!(b.next_client().await, Inbound::Down { .. }));
    let returning = Party::new(12);
    let _dial = returning.dial(&b);
    assert!(matches!(b.next_client().await, Inbound::Up { peer, .. } if peer == key(12).public()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_of_one_class_refuses_the_other() {
    let mut divided = settings(2);
    divided.listen_clients = Some("127.0.0.1:0".parse().unwrap());
    let mut b = Party::with(divided);
    let port = b.endpoint.client_address().unwrap();
    let (a, client) = (Party::new(1), Party::new(10));
    let wrong = [a.endpoint.dial(b.key(), port).unwrap(), client.dial(&b)];
    a.counted("refused_by_peer").await;
    client.counted("refused_by_peer").await;
    assert!(b.replicas.try_recv().is_err() && b.clients.try_recv().is_err());
    drop(wrong);
    let _right = [a.dial(&b), client.endpoint.dial(b.key(), port).unwrap()];
    assert!(matches!(b.next().await, Inbound::Up { peer, .. } if peer == a.key()));
    assert!(matches!(b.next_client().await, Inbound::Up { peer, .. } if peer == client.key()));
}
