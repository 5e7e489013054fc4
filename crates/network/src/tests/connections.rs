use super::*;
use crate::{BindError, SendError};

const LANES: [Lane; 3] = [Lane::Votes, Lane::Bodies, Lane::Bulk];

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_exchange_frames_on_all_lanes_in_order_within_a_lane() {
    let (mut a, mut b) = (Party::new(1), Party::new(2));
    let _dial = a.dial(&b);
    assert_eq!(b.next().await, Inbound::Up { peer: a.key(), connection: ConnectionId(0), hello: Bytes::from_static(b"hello") });
    a.up().await;
    assert_eq!(a.endpoint.connected(Class::Replica), [b.key()]);
    assert_eq!(a.endpoint.connected(Class::Client), []);

    // Lengths around the border between copied and uncopied frames; sent from a thread without a runtime.
    let frame = |number: u32, lane: Lane| {
        let mut bytes = vec![lane.tag(); 1 + (number as usize * 997) % 40_000];
        bytes.splice(0..0, number.to_le_bytes());
        Bytes::from(bytes)
    };
    let (from_a, from_b) = (a.endpoint.clone(), b.endpoint.clone());
    for (endpoint, receiver) in [(from_a, &mut b), (from_b, &mut a)] {
        let to = receiver.key();
        let thread = std::thread::spawn(move || {
            for number in 0..300 {
                LANES.iter().for_each(|lane| endpoint.send(&to, *lane, frame(number, *lane)).unwrap());
            }
        });
        let mut next = [0u32; 3];
        for _ in 0..900 {
            let (lane, bytes) = receiver.frame().await;
            let number = &mut next[usize::from(lane.tag()) - 1];
            assert!(bytes == frame(*number, lane), "frame {number} on {lane}");
            *number += 1;
        }
        assert_eq!(next, [300; 3]);
        thread.join().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_port_is_a_clear_error() {
    let a = Party::new(1);
    let mut taken = settings(2);
    taken.listen = Some(a.address());
    let (sender, _receiver) = mpsc::channel(1);
    let channels = Channels { replicas: sender.clone(), clients: sender };
    let error = Endpoint::bind(taken, directory(), Arc::new(Password("hello")), channels).err().unwrap();
    assert!(matches!(error, BindError::AddressInUse { address } if address == a.address()), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_sent_is_refused() {
    let (mut a, b) = (Party::new(1), Party::new(2));
    let frame = Bytes::from_static(b"x");
    assert_eq!(a.endpoint.send(&b.key(), Lane::Votes, frame.clone()), Err(SendError::NotConnected));
    assert_eq!(a.endpoint.send_to(ConnectionId(7), Lane::Votes, frame), Err(SendError::NotConnected));
    let _dial = a.dial(&b);
    let connection = a.up().await;
    assert_eq!(a.endpoint.send_to(connection, Lane::Votes, Bytes::new()), Err(SendError::Empty));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_may_hold_several_connections_and_all_of_them_are_sent_to() {
    let mut replica = Party::new(1);
    let mut dial_only = settings(10);
    dial_only.listen = None;
    let (mut one, mut two) = (Party::with(dial_only.clone()), Party::with(dial_only));
    let _dials = [one.dial(&replica), two.dial(&replica)];
    one.up().await;
    two.up().await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        match replica.next_client().await {
            Inbound::Up { connection, .. } => ids.push(connection),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(replica.endpoint.connected(Class::Client), [key(10).public()]);
    replica.endpoint.send(&key(10).public(), Lane::Votes, Bytes::from_static(b"both")).unwrap();
    replica.endpoint.send_to(ids[0], Lane::Votes, Bytes::from_static(b"one")).unwrap();
    replica.endpoint.send_to(ids[1], Lane::Votes, Bytes::from_static(b"one")).unwrap();
    for party in [&mut one, &mut two] {
        assert_eq!(party.frame().await.1, "both");
        assert_eq!(party.frame().await.1, "one");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dial_comes_back_after_the_peer_has_shut_down_and_restarted() {
    let (mut a, b) = (Party::new(1), Party::new(2));
    let _dial = a.dial(&b);
    let first = a.up().await;
    let mut again = settings(2);
    again.listen = Some(b.address());
    b.endpoint.shutdown().await;
    let (connection, reason) = a.down().await;
    assert_eq!(connection, first);
    assert!(reason.contains("shut down"), "{reason}");

    let mut b = rebind(again).await;
    assert_ne!(a.up().await, first);
    b.up().await;
    a.endpoint.send(&b.key(), Lane::Bodies, Bytes::from_static(b"again")).unwrap();
    assert_eq!(b.frame().await, (Lane::Bodies, Bytes::from_static(b"again")));
}

/// The port is free once the system has noticed.
async fn rebind(settings: Settings) -> Party {
    eventually(|| std::net::UdpSocket::bind(settings.listen.unwrap()).ok()).await;
    Party::with(settings)
}

#[test]
fn a_killed_peer_that_restarts_is_noticed_long_before_the_idle_timeout() {
    let (first, second) = (tokio::runtime::Runtime::new().unwrap(), tokio::runtime::Runtime::new().unwrap());
    let b = second.block_on(async { Party::new(2) });
    let mut again = settings(2);
    again.listen = Some(b.address());
    first.block_on(async {
        let mut a = Party::new(1);
        let _dial = a.dial(&b);
        a.up().await;
        // As by kill -9: all tasks are gone before the endpoint is dropped, so that nobody says goodbye.
        std::thread::spawn(move || second.shutdown_timeout(PATIENCE)).join().unwrap();
        drop(b);
        let mut b = rebind(again).await;
        let started = std::time::Instant::now();
        // Any word to the restarted peer is answered by a reset, perhaps already one of QUIC's own.
        let _ = a.endpoint.send(&b.key(), Lane::Votes, Bytes::from_static(b"are you there"));
        let (_, reason) = a.down().await;
        assert!(reason.contains("reset by peer"), "{reason}");
        a.up().await;
        b.up().await;
        assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_a_dial_closes_the_connection() {
    let (mut a, mut b) = (Party::new(1), Party::new(2));
    let dial = a.dial(&b);
    a.up().await;
    b.up().await;
    drop(dial);
    a.down().await;
    b.down().await;
    assert_eq!(a.endpoint.connected(Class::Replica), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_connection_of_a_replica_replaces_the_older() {
    let mut b = Party::new(2);
    let first = Raw::connect(1, &b).await;
    let _votes = first.greet().await;
    let first_id = b.up().await;
    let second = Raw::connect(1, &b).await;
    let _votes = second.greet().await;
    let (gone, reason) = b.down().await;
    assert_eq!(gone, first_id);
    assert!(reason.contains("replaced"), "{reason}");
    assert_ne!(b.up().await, first_id);
    assert_eq!(first.closed().await.0, 2);
    assert_eq!(b.count("connection_replaced"), 1);
    assert_eq!(b.endpoint.send_to(first_id, Lane::Votes, Bytes::from_static(b"x")), Err(SendError::NotConnected));
    assert_eq!(b.endpoint.connected(Class::Replica), [key(1).public()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_does_not_read_fills_only_its_own_queue() {
    let mut small = settings(2);
    small.replicas.queue_bytes = 1 << 20;
    let mut b = Party::with(small);
    let deaf = Raw::connect(1, &b).await;
    let _votes = deaf.greet().await;
    b.up().await;
    let mut c = Party::new(3);
    let _dial = c.dial(&b);
    b.up().await;
    c.up().await;

    let body = Bytes::from(vec![7; 64 << 10]);
    let (most, mut sent) = (1000, 0);
    // Windows and queue together hold far fewer than these; the writer takes from the queue for a while.
    let refused = eventually(|| match b.endpoint.send(&key(1).public(), Lane::Bodies, body.clone()) {
        Ok(()) => {
            sent += 1;
            assert!(sent < most, "the queue of a peer that does not read never filled");
            None
        }
        Err(error) => Some(error),
    })
    .await;
    assert_eq!(refused, SendError::Full);
    assert!(b.count("outbound_queue_full") >= 1);
    for number in 0..200u8 {
        b.endpoint.send(&c.key(), Lane::Bodies, Bytes::from(vec![number; 64 << 10])).unwrap();
        assert_eq!(c.frame().await.1[0], number);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_consumer_loses_no_frame() {
    let (a, mut b) = (Party::new(1), Party::new(2));
    let _dial = a.dial(&b);
    b.up().await;
    // Far more than the channel of 64 holds, before the first is taken.
    eventually(|| a.endpoint.send(&b.key(), Lane::Votes, Bytes::from_static(b"first")).ok()).await;
    for number in 0..5_000u32 {
        a.endpoint.send(&b.key(), Lane::Votes, Bytes::from(number.to_le_bytes().to_vec())).unwrap();
    }
    eventually(|| (b.replicas.capacity() == 0).then_some(())).await;
    assert_eq!(b.frame().await.1, "first");
    for number in 0..5_000u32 {
        assert_eq!(b.frame().await.1, number.to_le_bytes().as_slice());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_ends_even_if_nobody_reads_the_channels() {
    let (a, mut b) = (Party::new(1), Party::new(2));
    let _dial = a.dial(&b);
    b.up().await;
    eventually(|| a.endpoint.send(&b.key(), Lane::Votes, Bytes::from_static(b"x")).ok()).await;
    for _ in 0..200 {
        a.endpoint.send(&b.key(), Lane::Votes, Bytes::from_static(b"x")).unwrap();
    }
    eventually(|| (b.replicas.capacity() == 0).then_some(())).await;
    timeout(PATIENCE, b.endpoint.shutdown()).await.expect("shutdown hangs");
}
