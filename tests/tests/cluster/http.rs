//! What a replica tells of itself over HTTP: that it is true, and that nobody who asks can hurt.

use crate::start::{IO, on};
use crate::{OBSERVER, all_is_well, replica};
use pbft_message::{EvidenceKind, ReplicaId};
use pbft_node::{ReplicaConfig, StatusPage};
use pbft_services::kv::Operation;
use pbft_tests::{Load, Network, PATIENCE, Plan, Random, Samples, eventually, page, pbftd, write_toml};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv6Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

async fn ready(network: &Network) {
    for id in network.ids() {
        network.readiness(id, 200, "ready").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_say_how_a_replica_is_and_nothing_can_be_changed_by_them() {
    let network = Network::started(&Plan::of(4)).await;
    ready(&network).await;
    let id = replica(0);
    let health = network.page(id, "/healthz").await.unwrap();
    assert_eq!((health.status, health.body.as_str()), (200, "the process lives\n"));
    let metrics = network.page(id, "/metrics").await.unwrap();
    assert!(metrics.head.contains("content-type: text/plain; version=0.0.4"), "{}", metrics.head);
    assert_eq!(network.page(id, "/").await.unwrap().status, 404);
    assert_eq!(page(network.http_address(id), "HEAD", "/readyz").await.unwrap().body, "");
    for method in ["POST", "PUT", "DELETE"] {
        let refused = page(network.http_address(id), method, "/status").await.unwrap();
        assert!(refused.status == 405 && refused.head.contains("allow: get, head"), "{refused:?}");
    }

    for (id, role) in network.ids().into_iter().zip(["primary", "backup", "backup", "backup"]) {
        let hears_all =
            |status: &StatusPage| status.peers.iter().all(|peer| peer.up && peer.silent_ms.is_some() && peer.view == Some(0));
        let mut status = network.status(id).await;
        while !hears_all(&status) {
            tokio::time::sleep(Duration::from_millis(50)).await;
            status = network.status(id).await;
        }
        assert_eq!((status.replica, status.role.as_str(), status.ready), (id, role, true));
        assert_eq!(status.cluster, network.genesis.cluster_id().to_string());
        assert_eq!(status.peers.len(), 3);
    }
}

/// Counters that move when requests are served, at every replica.
const AT_WORK: [&str; 18] = [
    "process_cpu_seconds_total",
    "pbft_stage_cpu_seconds_total{stage=\"verify\"}",
    "pbft_stage_cpu_seconds_total{stage=\"codec\"}",
    "pbft_stage_cpu_seconds_total{stage=\"agreement\"}",
    "pbft_stage_cpu_seconds_total{stage=\"journal\"}",
    "pbft_stage_cpu_seconds_total{stage=\"execute\"}",
    "pbft_journal_syncs_total",
    "pbft_journal_written_bytes_total",
    "pbft_journal_records_total",
    "pbft_journal_group_duration_seconds_count",
    "pbft_network_sent_bytes_total",
    "pbft_network_received_bytes_total",
    "pbft_batches_executed_total",
    "pbft_execution_duration_seconds_count",
    "pbft_replies_sent_total",
    "pbft_verified_total{kind=\"message\"}",
    "pbft_core_turns_total",
    "pbft_executed_sequence",
];

#[tokio::test(flavor = "multi_thread")]
async fn metrics_move_with_requests_and_with_a_view_change() {
    let mut network = Network::started(&Plan::of(4)).await;
    ready(&network).await;
    let observer = network.client(OBSERVER);
    let mut before = Vec::new();
    for id in network.ids() {
        before.push(network.metrics(id).await);
    }
    let mut load = Load::start(&network, 81);
    load.goes_on(300).await;
    let history = load.finish().await;
    let requests = history.answers.len() as f64;
    let operations: usize = history.answers.iter().map(|answer| answer.operations.len()).sum();
    for (id, before) in network.ids().into_iter().zip(&before) {
        let served = |metrics: &Samples| metrics.of("pbft_requests_executed_total") >= requests;
        let after = network.metrics_show(id, "all requests are executed", served).await;
        assert_eq!(after.of("pbft_requests_executed_total"), requests);
        assert_eq!(after.of("pbft_operations_executed_total"), operations as f64);
        for name in AT_WORK {
            assert!(after.of(name) > before.of(name), "replica {id}: {name} {} {}", before.of(name), after.of(name));
        }
        assert!(after.sum("pbft_queue_length") <= after.sum("pbft_queue_limit"));
        let stages = after.sum("pbft_stage_cpu_seconds_total");
        assert!(stages > 0.0 && stages < after.of("process_cpu_seconds_total"), "replica {id}: {stages}");
    }
    // The primary proposed the requests; one that a busy machine made its client repeat may have been known here only when ordered.
    let timed = network.metrics(replica(0)).await.of("pbft_commit_delay_seconds_count");
    assert!(timed > 0.0 && timed <= requests, "{timed} of {requests}");
    assert!(network.metrics(replica(1)).await.of("pbft_messages_received_total{type=\"pre-prepare\"}") >= 1.0);

    network.kill(replica(0));
    for id in [replica(1), replica(2), replica(3)] {
        let entered = |metrics: &Samples| metrics.of("pbft_view") >= 1.0 && metrics.of("pbft_view_active") == 1.0;
        let after = network.metrics_show(id, "the next view is entered", entered).await;
        assert!(after.sum("pbft_view_changes_total") >= 1.0);
        assert!(after.of("pbft_views_entered_total") >= 1.0);
        assert!(after.sum("pbft_timers_expired_total") > 0.0);
    }
    let reasons = network.metrics(replica(1)).await;
    let known = ["no_heartbeat", "late_request", "slow_primary", "others_suspect", "others_left", "primary_left"];
    let left: f64 = known.iter().map(|reason| reasons.of(&format!("pbft_view_changes_total{{reason=\"{reason}\"}}"))).sum();
    assert_eq!(left, reasons.sum("pbft_view_changes_total"));
    let down = |metrics: &Samples| metrics.of("pbft_peer_up{peer=\"0\"}") == 0.0;
    network.metrics_show(replica(1), "the dead replica is known to be away", down).await;

    network.start(replica(0));
    all_is_well(&network, &observer, history).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_without_a_quorum_is_not_ready_and_says_so() {
    let mut network = Network::new(&Plan::of(4)).await;
    let [first, second, third] = [replica(1), replica(2), replica(3)];
    let (code, message) = crate::start::ended(on(&network.home(first), pbftd(), &["healthcheck"])).await;
    assert!(code == 1 && message.contains("nobody answers at http://127.0.0.1:"), "{message}");
    network.start(first);
    network.readiness(first, 503, "no quorum: 1 of the 3 votes").await;
    assert_eq!(crate::start::ended(on(&network.home(first), pbftd(), &["healthcheck"])).await.0, 1);
    assert_eq!(network.page(first, "/healthz").await.unwrap().status, 200);
    assert!(!network.status(first).await.ready);
    network.start(second);
    network.readiness(first, 503, "no quorum: 2 of the 3 votes").await;
    network.start(third);
    // The primary of view 0 is missing.
    network.readiness(first, 200, "ready").await;
    assert_eq!(crate::start::ended(on(&network.home(first), pbftd(), &["healthcheck"])).await.0, 0);
    network.kill(third);
    network.readiness(first, 503, "no quorum: 2 of the 3 votes").await;
    let metrics = network.metrics(first).await;
    assert_eq!(metrics.of("pbft_ready"), 0.0);
    assert_eq!(metrics.of("pbft_unready{reason=\"no_quorum\"}"), 1.0);
    network.start(third);
    network.start(replica(0));
    ready(&network).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_behind_is_not_ready_until_it_has_caught_up() {
    let mut plan = Plan::of(4).with_short_log();
    plan.limits.transfer_bytes_per_second = 1 << 20;
    let mut network = Network::started(&plan).await;
    ready(&network).await;
    let away = replica(3);
    network.kill(away);
    let client = network.client(0);
    let mut random = Random::new(7);
    for number in 0..24 {
        let value: Vec<u8> = (0..64 << 10).flat_map(|_| random.draw().to_le_bytes()).collect();
        client.request(vec![Operation::put(format!("key {number}"), value).encode()]).await.unwrap();
    }
    network.start(away);
    network.readiness(away, 503, "behind").await;
    network.readiness(away, 200, "ready").await;
    let metrics = network.metrics(away).await;
    assert!(metrics.of("pbft_states_installed_total") >= 1.0);
    assert!(metrics.of("pbft_state_fetched_bytes_total") > f64::from(4 << 20));
    assert!(metrics.of("pbft_executed_sequence") >= 24.0);
}

pub fn rewrite_config(network: &Network, id: ReplicaId, change: impl FnOnce(&mut ReplicaConfig)) {
    let path = network.home(id).join("config.toml");
    let mut config: ReplicaConfig = toml::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    change(&mut config);
    write_toml(&path, &config);
}

#[tokio::test]
async fn an_occupied_address_is_refused_in_one_line() {
    let network = Network::new(&Plan::of(4)).await;
    let id = replica(0);
    let _occupant = TcpListener::bind(network.http_address(id)).unwrap();
    let (code, message) = crate::start::ended(on(&network.home(id), pbftd(), &["start"])).await;
    assert_eq!(code, IO, "{message}");
    let words = format!(
        "TCP address {} (http) is already in use: stop what listens there, or set http in config.toml",
        network.http_address(id)
    );
    assert!(message.contains(&words), "{message}");
    // Another address will do, from the command line or from config.toml.
    rewrite_config(&network, id, |config| config.http = Some("127.0.0.1:0".parse().unwrap()));
    assert_eq!(crate::start::ended(on(&network.home(id), pbftd(), &["check"])).await.0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn ipv6_serves() {
    let mut network = Network::new(&Plan::of(4)).await;
    let id = replica(2);
    let address = SocketAddr::from((Ipv6Addr::LOCALHOST, network.address(id).port()));
    rewrite_config(&network, id, |config| config.http = Some(address));
    network.start(id);
    let answer = eventually("it answers on IPv6", async || page(address, "GET", "/healthz").await).await;
    assert_eq!(answer.status, 200);
    assert_eq!(network.page(id, "/healthz").await, None, "on this address only");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_abuses_the_address_is_cut_off_and_the_replica_goes_on() {
    let network = Network::started(&Plan::of(4)).await;
    ready(&network).await;
    let observer = network.client(OBSERVER);
    let mut load = Load::start(&network, 82);
    load.goes_on(50).await;
    let (id, before) = (replica(0), network.memory(replica(0)));

    // Connections that say nothing, that never end their request, and that send what is no request.
    let mut held = Vec::new();
    for number in 0..60 {
        let mut stream = TcpStream::connect(network.http_address(id)).await.unwrap();
        let words: &[u8] = match number % 3 {
            0 => b"",
            1 => b"GET /metrics HTTP/1.1\r\nx: ",
            _ => b"\x16\x03\x01 no request\r\n\r\n",
        };
        stream.write_all(words).await.unwrap();
        held.push(stream);
    }
    for mut stream in held {
        let mut said = Vec::new();
        let ended = timeout(PATIENCE, stream.read_to_end(&mut said)).await.expect("the replica ends the connection");
        // Either way of ending it will do.
        drop(ended);
        assert!(said.len() < 1_000, "{}", String::from_utf8_lossy(&said));
    }
    // A request without end.
    let mut stream = TcpStream::connect(network.http_address(id)).await.unwrap();
    let header = [b"x: ".as_slice(), &[b'a'; 16 << 10], b"\r\n"].concat();
    let mut sent = stream.write_all(b"GET /metrics HTTP/1.1\r\n").await;
    for _ in 0..64 {
        if sent.is_err() {
            break;
        }
        sent = stream.write_all(&header).await;
    }
    let mut said = String::new();
    let _ = timeout(PATIENCE, stream.read_to_string(&mut said)).await.expect("the replica ends the connection");
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 4"), "{said}");

    network.readiness(id, 200, "ready").await;
    load.goes_on(50).await;
    let after = network.memory(id);
    assert!(after < before + (32 << 20), "replica {id} grew from {before} to {after} bytes");
    let history = load.finish().await;
    all_is_well(&network, &observer, history).await;
}

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The names of metrics in a text, whatever stands around them, without the suffixes of a histogram's parts.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|char: char| !(char.is_ascii_alphanumeric() || char == '_'));
    let names = words.filter(|word| word.starts_with("pbft_") || word.starts_with("process_"));
    names.map(|name| ["_bucket", "_sum", "_count"].iter().fold(name, |name, part| name.trim_end_matches(part)).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_is_documented_and_every_metric_in_documents_and_alerts_exists() {
    let network = Network::started(&Plan::of(4)).await;
    ready(&network).await;
    let client = network.client(0);
    client.request(vec![Operation::put("colour", "blue").encode()]).await.unwrap();
    let page = network.page(replica(0), "/metrics").await.unwrap().body;
    let mut given: BTreeSet<String> =
        page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).map(str::to_owned).collect();
    // It comes by its first time, and nothing need be ignored here.
    given.insert("pbft_messages_ignored_total".to_owned());

    let manual = fs::read_to_string(repository().join("docs/operations.md")).unwrap();
    // Each has a row of its own: | `name` | type | ...
    let rows: BTreeSet<String> = manual
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .map(|name| name.split('{').next().unwrap_or(name).to_owned())
        .filter(|name| name.starts_with("pbft_") || name.starts_with("process_"))
        .collect();
    assert_eq!(rows, given, "docs/operations.md and /metrics name different metrics");

    let alerts = fs::read_to_string(repository().join("deploy/prometheus/alerts.yml")).unwrap();
    // The filter for logs names crates, not metrics.
    let used = metrics_in(&alerts.replace("pbft_network=debug", ""));
    assert!(used.len() > 20);
    assert_eq!(used.difference(&given).collect::<Vec<_>>(), Vec::<&String>::new(), "alerts name metrics that do not exist");
    for alert in alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(manual.contains(&format!("| `{alert}` |")), "docs/operations.md does not say what {alert} means");
    }
}

/// The keys of an object and of those in it, but for what was refused: errors have a page of their own.
fn keys(value: &Value) -> BTreeSet<String> {
    match value {
        Value::Object(fields) => {
            let inner = fields.iter().filter(|(name, _)| *name != "refused").flat_map(|(_, field)| keys(field));
            fields.keys().cloned().chain(inner).collect()
        }
        Value::Array(all) => all.iter().flat_map(keys).collect(),
        _ => BTreeSet::new(),
    }
}

/// The values of these labels, wherever they are.
fn values_of(labels: &[&str], page: &str) -> BTreeSet<String> {
    let given = page.lines().filter_map(|line| line.split_once('{')?.1.split_once('}')).flat_map(|(given, _)| given.split(','));
    let pairs = given.filter_map(|pair| pair.split_once('='));
    pairs.filter(|(label, _)| labels.contains(label)).map(|(_, value)| value.trim_matches('"').to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_value_of_a_label_and_every_field_of_the_status_is_documented() {
    let network = Network::started(&Plan::of(4)).await;
    ready(&network).await;
    let [metrics, status] = ["/metrics", "/status"].map(|path| network.page(replica(0), path));
    let (metrics, status) = (metrics.await.unwrap().body, status.await.unwrap().body);
    let values = values_of(&["alarm", "lane", "queue", "stage", "timer", "what"], &metrics);
    let fields = keys(&serde_json::from_str(&status).unwrap());
    let kinds = EvidenceKind::ALL.map(|kind| kind.name().to_owned());
    assert!(values.len() > 30 && fields.len() > 60, "{values:?} {fields:?}");
    let manual = fs::read_to_string(repository().join("docs/operations.md")).unwrap();
    let missing = |name: &&String| !manual.contains(&format!("`{name}`"));
    assert_eq!(values.iter().chain(&fields).chain(&kinds).filter(missing).collect::<Vec<_>>(), Vec::<&String>::new());
}
