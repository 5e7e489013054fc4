//! A real replica that lies, and the proof that anyone can check offline.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod network;

use network::{Network, path, pbft};
use serde_json::{Value, json};

fn two_proposals(item: &Value) -> bool {
    item["kind"] == "two_pre_prepares"
}

#[test]
fn r17_an_equivocating_primary_is_proven_guilty_with_the_genesis_alone() {
    let network = Network::start(Some("equivocate"));
    assert_eq!(network.json(&["put", "a", "1", "--timeout", "30s"]).0, 0, "the lie is overcome");
    let items = network.evidence();
    let proof = items.iter().find(|item| two_proposals(item)).expect("the lie is found out");
    for item in &items {
        // It also commits what it never prepared, which its view-change shows.
        assert!(two_proposals(item) || item["kind"] == "hidden_prepared", "{item}");
        assert_eq!(item["accused"], 0);
        assert!(item["view"].is_u64() && item["sequence"].is_u64() && item["id"].is_string(), "{item}");
    }
    let file = proof["file"].as_str().unwrap();
    let genesis = network.genesis();
    let verify = |file: &str| {
        let ended = pbft(&["evidence", "verify", file, "--genesis", path(&genesis), "-o", "json"]);
        (ended.code, ended.json())
    };
    let (code, valid) = verify(file);
    assert_eq!((code, &valid["ok"], &valid["accused"], &valid["kind"]), (0, &json!(true), &json!(0), &json!("two_pre_prepares")));

    let exported = network.client().join("proof.evidence");
    let id = proof["id"].as_str().unwrap();
    let (code, export) = network.json(&["evidence", "export", &id[..12], path(&exported)]);
    assert_eq!((code, &export["id"], &export["kind"]), (0, &proof["id"], &json!("two_pre_prepares")), "{export}");
    let (code, valid) = verify(path(&exported));
    assert_eq!((code, &valid["ok"], &valid["cluster_id"]), (0, &json!(true), &export["cluster_id"]));
    let (code, unknown) = network.json(&["evidence", "export", "no-such-id", path(&exported)]);
    assert_eq!((code, &unknown["error"]["code"]), (1, &json!("NoSuchEvidence")));

    // Each replica holds its own pair; a lie is listed once, and no replica counts more than are listed.
    let lies: std::collections::BTreeSet<_> = items.iter().map(|item| (item["kind"].to_string(), item["view"].as_u64())).collect();
    assert_eq!(lies.len(), items.len());

    let forged = network.client().join("forged.evidence");
    let mut bytes = std::fs::read(file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&forged, bytes).unwrap();
    let (code, invalid) = verify(path(&forged));
    assert_eq!((code, &invalid["ok"], &invalid["accused"]), (1, &json!(false), &json!(0)));
    assert_eq!(invalid["reason"], "a signature does not verify");

    let (code, invalid) = verify(path(&genesis));
    assert_eq!((code, &invalid["ok"], &invalid["accused"]), (1, &json!(false), &Value::Null));
    assert_eq!(verify("no-such-file").0, 6);
}
