use super::*;

/// A connection that is up, and its votes lane.
async fn connected(b: &mut Party) -> (Raw, quinn::SendStream) {
    let raw = Raw::connect(1, b).await;
    let votes = raw.greet().await;
    b.up().await;
    (raw, votes)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oversize_length_closes_the_connection_and_is_counted() {
    let mut b = Party::new(2);
    let (raw, mut votes) = connected(&mut b).await;
    votes.write_all(&[0xff; 4]).await.unwrap();
    let (code, reason) = raw.closed().await;
    assert_eq!(code, 7);
    assert_eq!(reason, "a frame of 4294967295 bytes on the votes lane, where at most 8388608 are allowed");
    assert_eq!(b.down().await.1, reason);
    assert_eq!(b.count("oversize_frame"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_is_that_of_the_class() {
    let mut narrow = settings(2);
    narrow.clients.max_frame = 100;
    let mut b = Party::with(narrow);
    let (client, replica) = (Raw::connect(10, &b).await, Raw::connect(1, &b).await);
    let frame = [[101, 0, 0, 0].as_slice(), &[9; 101]].concat();
    let (mut of_client, mut of_replica) = (client.greet().await, replica.greet().await);
    b.up().await;
    of_client.write_all(&frame).await.unwrap();
    of_replica.write_all(&frame).await.unwrap();
    assert_eq!(b.frame().await.1.len(), 101);
    assert_eq!(client.closed().await.0, 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_frame_closes_the_connection() {
    let mut b = Party::new(2);
    let (raw, mut votes) = connected(&mut b).await;
    votes.write_all(&[0; 4]).await.unwrap();
    assert_eq!(raw.closed().await, (8, "malformed stream: an empty frame".into()));
    b.down().await;
    assert_eq!(b.count("malformed_stream"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_lane_closes_the_connection() {
    let mut b = Party::new(2);
    let (raw, _votes) = connected(&mut b).await;
    let _stream = raw.open(&[9]).await;
    assert_eq!(raw.closed().await, (8, "malformed stream: an unknown lane".into()));
    b.down().await;
    assert_eq!(b.count("malformed_stream"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_stream_of_a_lane_closes_the_connection() {
    let mut b = Party::new(2);
    let (raw, _votes) = connected(&mut b).await;
    let _stream = raw.greet().await;
    assert_eq!(raw.closed().await, (8, "malformed stream: a second stream of a lane".into()));
    b.down().await;
    assert_eq!(b.count("malformed_stream"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_that_ends_within_a_frame_delivers_nothing_of_it() {
    let mut b = Party::new(2);
    let (raw, mut votes) = connected(&mut b).await;
    votes.write_all(b"\x05\0\0\0whole\x06\0\0\0part").await.unwrap();
    votes.finish().unwrap();
    assert_eq!(b.frame().await.1, "whole");
    assert_eq!(b.down().await.1, "malformed stream: a lane was ended");
    assert_eq!(raw.closed().await.0, 8);
    assert_eq!(b.count("malformed_stream"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_cut_off_by_the_end_of_the_connection_delivers_nothing_of_it() {
    let mut b = Party::new(2);
    let (raw, mut votes) = connected(&mut b).await;
    votes.write_all(b"\x05\0\0\0whole\x06\0\0\0part").await.unwrap();
    assert_eq!(b.frame().await.1, "whole");
    raw.connection.close(0u32.into(), b"gone\nforged log line");
    let (_, reason) = b.down().await;
    assert!(reason.contains(r"gone\nforged"), "escaped, for it goes to logs: {reason}");
    assert_eq!(b.count("malformed_stream"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_caller_closes_a_connection_with_a_reason() {
    let mut b = Party::new(2);
    let raw = Raw::connect(1, &b).await;
    let _votes = raw.greet().await;
    let connection = b.up().await;
    b.endpoint.close(connection, "malformed message");
    assert_eq!(raw.closed().await, (1, "malformed message".into()));
    assert_eq!(b.down().await, (connection, "malformed message".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_on_the_port_leaves_it_working() {
    let (mut a, b) = (Party::new(1), Party::new(2));
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for length in 1..1_400usize {
        let fill: Vec<u8> = (0..length).map(|at| ((at * 31 + length * 17) % 256) as u8 | 0xc0).collect();
        socket.send_to(&fill, b.address()).unwrap();
    }
    let _dial = a.dial(&b);
    a.up().await;
}
