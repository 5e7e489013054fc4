//! What no honest party sends, to every port, while honest clients work.

use crate::{OBSERVER, all_is_well, all_is_well_among, replica};
use pbft_crypto::{Digest, SecretKey};
use pbft_message::{Authenticator, Commit, Hello, Message, Role, SequenceNumber, Signer, View, codec};
use pbft_tests::{Keys, Load, Network, Plan, Random, Stranger, frame};
use std::net::UdpSocket;

/// How much a replica may grow by what it refuses.
const GROWTH: u64 = 96 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn garbage_datagrams_to_every_port_change_nothing() {
    let mut random = Random::of_test(61);
    let network = Network::started(&Plan::of(4)).await;
    let observer = network.client(OBSERVER);
    let mut load = Load::start(&network, 61);
    load.goes_on(50).await;
    let before: Vec<u64> = network.ids().into_iter().map(|id| network.memory(id)).collect();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..20 {
        for id in network.ids() {
            for _ in 0..100 {
                socket.send_to(&garbage(&mut random), network.address(id)).unwrap();
            }
        }
        load.goes_on(5).await;
    }
    let history = load.finish().await;
    all_is_well(&network, &observer, history).await;
    for (id, before) in network.ids().into_iter().zip(before) {
        let after = network.memory(id);
        assert!(after < before + GROWTH, "replica {id} grew from {before} to {after} bytes");
    }
}

/// Random bytes, of which some look like QUIC's first packet.
fn garbage(random: &mut Random) -> Vec<u8> {
    let length = 1 + random.below(1_400) as usize;
    let mut bytes: Vec<u8> = (0..length).map(|_| random.draw() as u8).collect();
    if random.happens(50) && length > 16 {
        bytes[..6].copy_from_slice(&[0xc3, 0, 0, 0, 1, 8]);
    }
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_refused_in_the_handshake_and_counted_by_reason() {
    let network = Network::started(&Plan::of(4)).await;
    let observer = network.client(OBSERVER);
    let mut load = Load::start(&network, 62);
    load.goes_on(20).await;
    let unknown = Keys::generate().transport;
    let member = &network.client_keys(0).transport;
    for id in network.ids() {
        let to = network.address(id);
        let count = async |reason| network.refused(&observer, id, reason).await;

        let before = count("unknown_key").await;
        refused(Stranger::connect(&unknown, to).await).await;
        network.refuses(&observer, id, "unknown_key", before).await;

        let before = count("handshake_failed").await;
        refused(Stranger::connect_as(member.public(), &unknown, to).await).await;
        network.refuses(&observer, id, "handshake_failed", before).await;

        let before = count("alpn_mismatch").await;
        refused(Stranger::connect_speaking(vec![b"pbft/999".to_vec()], member, to).await).await;
        network.refuses(&observer, id, "alpn_mismatch", before).await;
    }
    let history = load.finish().await;
    all_is_well(&network, &observer, history).await;
}

/// With TLS 1.3 the dialling side may learn only after its own handshake that it was refused.
async fn refused(connected: Result<Stranger, quinn::ConnectionError>) {
    if let Ok(stranger) = connected {
        stranger.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_frames_of_members_cost_them_the_connection_and_are_counted_by_reason() {
    let network = Network::started(&Plan::of(4)).await;
    let observer = network.client(OBSERVER);
    let mut load = Load::start(&network, 63);
    load.goes_on(20).await;
    let cluster = network.genesis.cluster_id();
    let key = &network.client_keys(3).transport;
    for id in network.ids() {
        let member = async || Stranger::connect(key, network.address(id)).await.unwrap();
        let count = async |reason| network.refused(&observer, id, reason).await;

        let before = count("hello_refused").await;
        let foreign = member().await;
        let _votes = foreign.greet(Digest::of("another cluster", &[])).await;
        let reason = foreign.end().await;
        assert!(reason.contains("compare the genesis files"), "{reason}");
        network.refuses(&observer, id, "hello_refused", before).await;
        network.refuses(&observer, id, "other_cluster", 0).await;

        let before = count("hello_refused").await;
        let pretender = member().await;
        let role = Role::Replica { replica: replica(0), status: None };
        let _votes = pretender.greet_as(Hello::new(cluster, role)).await;
        let reason = pretender.end().await;
        assert!(reason.contains("another party"), "{reason}");
        network.refuses(&observer, id, "hello_refused", before).await;

        let before = count("oversize_frame").await;
        let greedy = member().await;
        let mut votes = greedy.greet(cluster).await;
        votes.write_all(&[0xff; 4]).await.unwrap();
        let reason = greedy.end().await;
        assert!(reason.contains("a frame of 4294967295 bytes"), "{reason}");
        network.refuses(&observer, id, "oversize_frame", before).await;

        let before = count("malformed_stream").await;
        let cut_off = member().await;
        let mut votes = cut_off.greet(cluster).await;
        votes.write_all(&[100, 0, 0, 0, 1, 2, 3]).await.unwrap();
        votes.finish().unwrap();
        let reason = cut_off.end().await;
        assert!(reason.contains("a lane was ended"), "{reason}");
        network.refuses(&observer, id, "malformed_stream", before).await;

        let before = count("malformed_stream").await;
        let empty = member().await;
        let mut votes = empty.greet(cluster).await;
        votes.write_all(&[0; 4]).await.unwrap();
        let reason = empty.end().await;
        assert!(reason.contains("an empty frame"), "{reason}");
        network.refuses(&observer, id, "malformed_stream", before).await;

        let before = count("malformed_message").await;
        let mumbling = member().await;
        let mut votes = mumbling.greet(cluster).await;
        votes.write_all(&frame(b"no message of this protocol")).await.unwrap();
        let reason = mumbling.end().await;
        assert!(reason.contains("malformed_message"), "{reason}");
        network.refuses(&observer, id, "malformed_message", before).await;
    }
    let history = load.finish().await;
    all_is_well(&network, &observer, history).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn promised_gigabytes_and_too_many_connections_cost_a_replica_little_memory() {
    let network = Network::started(&Plan::of(4)).await;
    let observer = network.client(OBSERVER);
    let mut load = Load::start(&network, 64);
    load.goes_on(20).await;
    let (id, cluster) = (replica(0), network.genesis.cluster_id());
    let key = &network.client_keys(3).transport;
    let (before, counted) = (network.memory(id), network.refused(&observer, id, "oversize_frame").await);
    for _ in 0..40 {
        let greedy = Stranger::connect(key, network.address(id)).await.unwrap();
        let mut votes = greedy.greet(cluster).await;
        votes.write_all(&[0xff; 4]).await.unwrap();
        greedy.end().await;
    }
    network.refuses(&observer, id, "oversize_frame", counted + 39).await;

    // Frames as long as is allowed, which never end.
    let mut slow = Vec::new();
    for _ in 0..16 {
        let stranger = Stranger::connect(key, network.address(id)).await.unwrap();
        let mut votes = stranger.greet(cluster).await;
        let longest = u32::try_from(network.genesis.parameters.max_request_bytes * 2).unwrap();
        votes.write_all(&longest.to_le_bytes()).await.unwrap();
        votes.write_all(&[7; 1000]).await.unwrap();
        slow.push((stranger, votes));
    }
    let one_too_many = Stranger::connect(key, network.address(id)).await.unwrap();
    let reason = one_too_many.end().await;
    assert!(reason.contains("too many connections"), "{reason}");
    network.refuses(&observer, id, "too_many_connections", 0).await;
    load.goes_on(100).await;
    let after = network.memory(id);
    assert!(after < before + GROWTH, "replica {id} grew from {before} to {after} bytes");
    let history = load.finish().await;
    all_is_well(&network, &observer, history).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_sends_false_messages_loses_its_connection_and_nobody_is_harmed() {
    let mut network = Network::started(&Plan::of(4)).await;
    let observer = network.client(OBSERVER);
    let mut load = Load::start(&network, 65);
    load.goes_on(20).await;
    let liar = replica(3);
    network.kill(liar);
    let stolen = network.replica_keys(liar).clone();
    let domain = *Authenticator::new(network.genesis.clone()).domain();
    let commit = |replica| Commit { view: View(0), sequence: SequenceNumber(1), digest: Digest::ZERO, replica };
    let sign = |by, key: &SecretKey| Message::Commit(Signer::new(by, domain, key.clone()).sign(commit(by)).into_inner());
    let lies = [
        ("bad_signature", codec::encode(&sign(liar, &Keys::generate().signing))),
        ("not_the_sender", codec::encode(&sign(replica(1), &stolen.signing))),
        ("malformed_message", b"no message of this protocol".to_vec()),
        ("oversize_frame", vec![]),
    ];
    let honest = [replica(0), replica(1), replica(2)];
    for id in honest {
        for (name, lie) in &lies {
            let before = network.refused(&observer, id, name).await;
            let stranger = Stranger::connect(&stolen.transport, network.address(id)).await.unwrap();
            let role = Role::Replica { replica: liar, status: None };
            let mut votes = stranger.greet_as(Hello::new(network.genesis.cluster_id(), role)).await;
            let wire = if lie.is_empty() { vec![0xff; 4] } else { frame(lie) };
            votes.write_all(&wire).await.unwrap();
            stranger.end().await;
            network.refuses(&observer, id, name, before).await;
        }
        load.goes_on(20).await;
    }
    network.nobody_is_accused(&observer).await;
    network.start(liar);
    load.goes_on(50).await;
    let history = load.finish().await;
    all_is_well_among(&network, &observer, history, &network.ids()).await;
}
