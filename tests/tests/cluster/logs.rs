//! What a replica logs: structured, without secrets, and bounded.

use crate::{OBSERVER, all_is_well, replica};
use pbft_crypto::SecretKey;
use pbft_services::kv::Operation;
use pbft_tests::{Load, Network, Plan};
use serde_json::Value;

const SECRET: &str = "a value that is nobody's business";

fn lines(log: &str) -> Vec<Value> {
    log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_is_one_object_with_the_name_of_its_event() {
    let mut network = Network::new(&Plan::of(4)).await;
    for id in network.ids() {
        network.start_with(id, &[("PBFT_LOG_FORMAT", "json")]);
    }
    let observer = network.client(OBSERVER);
    let mut load = Load::start(&network, 91);
    load.goes_on(50).await;
    network.kill(replica(0));
    load.goes_on(50).await;
    let history = load.finish().await;
    let log = network.log(replica(1));
    let lines = lines(&log);
    for line in &lines {
        assert!(line["event"].is_string() && line["level"].is_string() && line["timestamp"].is_string(), "{line}");
    }
    let of = |event: &str| lines.iter().find(|line| line["event"] == event).unwrap_or_else(|| panic!("no {event} in {log}"));
    assert_eq!(of("view_change")["view"], 1);
    assert!(of("view_change")["reason"].is_string());
    assert_eq!(of("view_entered")["primary"], 1);
    assert_eq!(of("peer_up")["level"], "INFO");
    network.start(replica(0));
    all_is_well(&network, &observer, history).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_and_no_value_is_logged_at_any_level_and_a_request_can_be_followed() {
    let mut network = Network::new(&Plan::of(4)).await;
    for id in network.ids() {
        network.start_with(
            id,
            &[("PBFT_LOG_FORMAT", "json"), ("PBFT_LOG", "info,pbft_node=trace,pbft_network=trace,quinn=debug,rustls=trace")],
        );
    }
    let client = network.client(0);
    client.request(vec![Operation::put("colour", SECRET).encode()]).await.unwrap();
    let name = network.client_keys(0).signing.public().to_string();
    for id in network.ids() {
        let executed = |log: &str| log.contains("request_executed");
        pbft_tests::eventually("the request is executed", async || Some(network.log(id)).filter(|log| executed(log))).await;
        let log = network.log(id);
        let keys = [network.replica_keys(id), network.client_keys(0)];
        let secrets: Vec<&SecretKey> = keys.iter().flat_map(|keys| [&keys.signing, &keys.transport]).collect();
        for secret in secrets {
            let seed = secret.seed();
            let hex: String = seed.iter().map(|byte| format!("{byte:02x}")).collect();
            let list = format!("{seed:?}");
            assert!(!log.contains(&hex) && !log.contains(&list), "replica {id} logs a secret key");
        }
        assert!(!log.contains(SECRET), "replica {id} logs a value");
        let executed = lines(&log).into_iter().find(|line| line["event"] == "request_executed").unwrap();
        assert_eq!(executed["client"], name);
        assert!(executed["request"].is_number(), "{executed}");
        assert!(executed["view"] == 0 && executed["sequence"].as_u64().is_some_and(|sequence| sequence > 0), "{executed}");
    }
}
