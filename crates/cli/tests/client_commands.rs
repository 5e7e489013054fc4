//! Every client command against four real replicas: its JSON document and its exit code.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod network;

use network::{Network, path};
use serde_json::{Value, json};

/// The document without where and when the request was ordered, which differs from run to run.
fn core(mut document: Value) -> Value {
    let fields = document.as_object_mut().expect("an object");
    assert!(fields.remove("sequence").is_some_and(|sequence| sequence.as_u64() > Some(0)), "{fields:?}");
    assert!(fields.remove("timestamp").is_some_and(|timestamp| timestamp.is_u64()), "{fields:?}");
    fields.remove("error");
    document
}

fn check(network: &Network, arguments: &[&str], code: i32, document: Value) {
    let (ended, found) = network.json(arguments);
    assert_eq!((ended, core(found)), (code, document), "{arguments:?}");
}

fn entry(key: &str, value: &str, create_revision: u64, mod_revision: u64, version: u64) -> Value {
    json!({ "key": key, "value": value, "create_revision": create_revision, "mod_revision": mod_revision, "version": version })
}

#[test]
fn every_client_command_gives_the_document_and_exit_code_of_its_answer() {
    let mut network = Network::start(None);
    put_get_and_delete(&network);
    compare_and_swap(&network);
    range_and_transaction(&network);
    bytes_that_are_no_text(&network);
    refusals_name_their_reason(&network);
    a_request_is_asked_about_and_repeated(&network);
    status(&network);
    without_a_quorum_the_outcome_is_unknown(&mut network);
}

fn put_get_and_delete(network: &Network) {
    check(network, &["put", "a", "1"], 0, json!({ "ok": true, "revision": 2, "previous_revision": null }));
    check(network, &["put", "a", "-2"], 0, json!({ "ok": true, "revision": 3, "previous_revision": 2 }));
    let found =
        json!({ "ok": true, "key": "a", "value": "-2", "create_revision": 2, "mod_revision": 3, "version": 2, "revision": 3 });
    check(network, &["get", "a"], 0, found);
    let text = network.pbft(&["get", "a"]);
    assert_eq!((text.code, text.text()), (0, "-2"));
    check(network, &["get", "b"], 1, json!({ "ok": false, "key": "b", "revision": 3 }));
    assert_eq!(network.json(&["get", "b"]).1["error"]["code"], "NoSuchKey");
    let missing = network.pbft(&["get", "b"]);
    assert_eq!((missing.code, missing.text()), (1, ""));
    check(network, &["delete", "a"], 0, json!({ "ok": true, "revision": 4, "deleted": 1 }));
    check(network, &["delete", "a"], 1, json!({ "ok": false, "revision": 4, "deleted": 0 }));
}

fn compare_and_swap(network: &Network) {
    let swapped = |revision: u64| json!({ "ok": true, "revision": revision, "swapped": true, "current": null });
    check(network, &["cas", "c", "1", "--expect-absent"], 0, swapped(5));
    check(network, &["cas", "c", "2", "--expect-value", "1"], 0, swapped(6));
    check(network, &["cas", "c", "3", "--expect-revision", "6"], 0, swapped(7));
    let mismatch = json!({ "ok": false, "revision": 7, "swapped": false, "current": entry("c", "3", 5, 7, 3) });
    check(network, &["cas", "c", "4", "--expect-value", "1"], 1, mismatch.clone());
    check(network, &["cas", "c", "4", "--expect-absent"], 1, mismatch.clone());
    check(network, &["cas", "c", "4", "--expect-revision", "6"], 1, mismatch);
    assert_eq!(network.json(&["cas", "c", "4", "--expect-absent"]).1["error"]["code"], "Mismatch");
}

fn range_and_transaction(network: &Network) {
    let transaction = |expected: &str| {
        json!({
            "compare": [{ "key": "c", "target": "value", "op": "=", "value": expected }],
            "success": [{ "op": "put", "key": "d", "value": "4" }, { "op": "delete", "key": "x" }, { "op": "get", "key": "d" }],
            "failure": [{ "op": "get", "key": "x" }, { "op": "range", "all": true, "limit": 1 }],
        })
        .to_string()
    };
    let (code, found) = network.json_with_input(&["txn", "-"], transaction("3").as_bytes());
    let results = json!([
        { "op": "put", "revision": 8, "previous_revision": null },
        { "op": "delete", "revision": 8, "deleted": 0 },
        { "op": "get", "revision": 8, "kv": entry("d", "4", 8, 8, 1) },
    ]);
    assert_eq!((code, core(found)), (0, json!({ "ok": true, "revision": 8, "succeeded": true, "results": results })));

    let file = network.client().join("txn.json");
    std::fs::write(&file, transaction("other")).unwrap();
    let results = json!([
        { "op": "get", "revision": 8, "kv": null },
        { "op": "range", "revision": 8, "kvs": [entry("c", "3", 5, 7, 3)], "more": true },
    ]);
    let failed = json!({ "ok": false, "revision": 8, "succeeded": false, "results": results });
    check(network, &["txn", path(&file)], 1, failed);

    let (c, d) = (entry("c", "3", 5, 7, 3), entry("d", "4", 8, 8, 1));
    let range = |kvs: Value, more: bool| json!({ "ok": true, "kvs": kvs, "more": more, "revision": 8 });
    check(network, &["range", "--all"], 0, range(json!([c, d]), false));
    check(network, &["range", "--all", "--limit", "1"], 0, range(json!([c]), true));
    check(network, &["range", "d", "--prefix"], 0, range(json!([d]), false));
    check(network, &["range", "a", "--to", "d"], 0, range(json!([c]), false));
    check(network, &["range", "nothing"], 0, range(json!([]), false));
}

fn bytes_that_are_no_text(network: &Network) {
    let (code, _) = network.json_with_input(&["put", "bytes", "-"], &[0xff, 0]);
    assert_eq!(code, 0);
    let (code, found) = network.json(&["get", "bytes"]);
    assert_eq!((code, &found["value_base64"], found.get("value")), (0, &json!("/wA="), None));
    assert_eq!(network.pbft(&["get", "bytes"]).stdout, [0xff, 0]);
    assert_eq!(network.json(&["cas", "bytes", "YQ==", "--value-base64", "--expect-value", "/wA="]).0, 0);
    assert_eq!(network.json(&["get", "Ynl0ZXM=", "--key-base64"]).1["value"], "a");
}

fn refusals_name_their_reason(network: &Network) {
    let too_long = "k".repeat(4097);
    let (code, found) = network.json(&["put", &too_long, "v"]);
    assert_eq!((code, &found["ok"], &found["error"]["code"]), (4, &json!(false), &json!("TooLarge")));
    assert!(found["error"]["message"].as_str().unwrap().contains("the key's length"), "{found}");
    let (code, found) = network.json_with_input(&["put", "k", "-"], &vec![b'v'; 3 << 20]);
    assert_eq!((code, &found["error"]["code"]), (4, &json!("TooLarge")));
    let (code, found) = network.json_with_input(&["txn", "-"], b"{\"sucess\": []}");
    assert_eq!((code, &found["error"]["code"]), (2, &json!("Usage")));
}

/// The client's name: its public signing key.
fn client_key(network: &Network) -> String {
    let shown = network::pbft(&["genesis", "show", path(&network.genesis()), "-o", "json"]).json();
    shown["clients"][0]["signing_key"].as_str().unwrap().to_owned()
}

fn a_request_is_asked_about_and_repeated(network: &Network) {
    let client = client_key(network);
    let first = network.json(&["put", "once", "1"]).1;
    let timestamp = first["timestamp"].to_string();
    assert_eq!(network.json(&["put", "once", "1", "--timestamp", &timestamp]), (0, first.clone()), "a replay has no effect");

    let (code, found) = network.json(&["request", "status", &client, &timestamp]);
    assert_eq!((code, &found["state"], &found["sequence"]), (0, &json!("executed"), &first["sequence"]));
    assert_eq!(found["results"], json!([{ "op": "put", "revision": first["revision"], "previous_revision": null }]));
    let (code, found) = network.json(&["request", "status", &client, "99999999999999999"]);
    assert_eq!((code, &found["ok"], &found["state"]), (1, &json!(false), &json!("not_executed")));
    let stranger = network::pbft(&["keygen", "--output", path(&network.client().join("other")), "-o", "json"]).json();
    let (code, found) = network.json(&["request", "status", stranger["signing_key"].as_str().unwrap(), "1"]);
    assert_eq!((code, &found["ok"], &found["state"]), (1, &json!(false), &json!("unknown_client")));
}

fn status(network: &Network) {
    let (code, found) = network.json(&["status", "--wait-stable", "--timeout", "30s"]);
    assert_eq!((code, &found["n"], &found["f"], &found["quorum"]), (0, &json!(4), &json!(1), &json!(3)));
    let replicas = found["replicas"].as_array().unwrap();
    assert_eq!(replicas.len(), 4);
    let root = replicas[0]["state_root"].as_str().unwrap();
    assert!(root.len() == 64 && root.bytes().all(|digit| digit.is_ascii_hexdigit()), "{root}");
    for (number, replica) in replicas.iter().enumerate() {
        assert_eq!((&replica["replica"], &replica["reachable"]), (&json!(number), &json!(true)));
        assert_eq!((&replica["state_root"], &replica["executed"]), (&json!(root), &replica["stable_checkpoint"]));
        assert!(replica["executed"].as_u64() > Some(0) && replica["peers_up"] == 3, "{replica}");
        assert!(replica["refused"].is_object() && replica["pid"].is_u64() && replica["version"].is_string(), "{replica}");
        assert!(replica["view_changes"].is_u64() && replica["evidence"] == 0 && replica["active"] == true, "{replica}");
    }
    let primaries = replicas.iter().filter(|replica| replica["role"] == "primary").count();
    assert_eq!(primaries, 1);
    let people = network.pbft(&["status"]);
    assert!(people.code == 0 && people.text().contains("primary") && !people.text().contains('\u{1b}'), "{people:?}");
    assert_eq!(network.pbft(&["evidence", "list", "-o", "json"]).json(), json!([]));
}

fn without_a_quorum_the_outcome_is_unknown(network: &mut Network) {
    network.kill(2);
    assert_eq!(network.json(&["put", "three", "are enough"]).0, 0);
    let (code, found) = network.json(&["status"]);
    assert_eq!((code, &found["replicas"][2]), (0, &json!({ "replica": 2, "reachable": false })));
    network.kill(3);
    let (code, found) = network.json(&["put", "two", "are not", "--timeout", "1s"]);
    assert_eq!((code, &found["ok"], &found["error"]["code"]), (5, &json!(false), &json!("NoQuorum")));
    let message = found["error"]["message"].as_str().unwrap();
    assert!(
        message.contains(&format!("pbft request status {}", client_key(network))) && message.contains("--timestamp"),
        "{message}"
    );
    let (code, found) = network.json(&["status", "--timeout", "1s"]);
    assert_eq!((code, &found["ok"], &found["error"]["code"]), (5, &json!(false), &json!("NoQuorum")));
    assert_eq!(found["replicas"].as_array().unwrap().len(), 4);
    assert_eq!(network.json(&["status", "--wait-stable", "--timeout", "1s"]).0, 5);
    assert_eq!(network.json(&["evidence", "list", "--timeout", "1s"]).0, 5);
}

#[test]
fn a_client_that_the_cluster_does_not_know_is_refused() {
    let network = Network::start(None);
    let stranger = network.client().join("stranger");
    let made = network::pbft(&["keygen", "--output", path(&stranger)]);
    assert_eq!(made.code, 0, "{made:?}");
    for file in ["config.toml", "genesis.toml", "keys/transport.key"] {
        std::fs::copy(network.client().join(file), stranger.join(file)).unwrap();
    }
    let (code, found) = network.json(&["get", "a", "--home", path(&stranger)]);
    assert_eq!((code, &found["error"]["code"]), (4, &json!("UnknownClient")), "a known connection, an unknown signing key");

    std::fs::copy(network.client().join("keys/signing.key"), stranger.join("keys/transport.key")).unwrap();
    let (code, found) = network.json(&["get", "a", "--home", path(&stranger), "--timeout", "2s"]);
    assert_eq!((code, &found["error"]["code"]), (4, &json!("ConnectionRefused")), "an unknown transport key");
}
