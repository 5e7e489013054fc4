//! An operator authorises and revokes a client of a running cluster.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod network;

use network::{Network, path, pbft};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// Keys of its own, and what it is told of the cluster.
fn newcomer(network: &Network) -> (PathBuf, PathBuf) {
    let home = network.folder().join("newcomer");
    let made = pbft(&["keygen", "--output", path(&home)]);
    assert_eq!(made.code, 0, "{made:?}");
    let public = network.folder().join("newcomer.toml");
    fs::write(&public, made.text()).unwrap();
    for file in ["genesis.toml", "config.toml"] {
        fs::copy(network.client().join(file), home.join(file)).unwrap();
    }
    (home, public)
}

fn run(home: &Path, arguments: &[&str]) -> (i32, Value) {
    let ended = pbft(&[arguments, &["--home", path(home), "--timeout", "20s", "-o", "json"]].concat());
    (ended.code, ended.json())
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.join("keys")).unwrap();
    for file in ["genesis.toml", "config.toml", "keys/signing.key", "keys/transport.key"] {
        fs::copy(from.join(file), to.join(file)).unwrap();
    }
}

/// Whoever is not authorised finds no replica that talks to it.
fn is_shut_out(home: &Path) {
    let ended = pbft(&["put", "a", "1", "--home", path(home), "--timeout", "2s", "-o", "json"]);
    assert_eq!((ended.code, &ended.json()["error"]["code"]), (4, &json!("ConnectionRefused")));
}

#[test]
fn r08_an_operator_adds_a_client_lists_it_rotates_its_key_and_revokes_it() {
    let mut network = Network::start(None);
    let operator = network.folder().join("net/operator");
    let (home, public) = newcomer(&network);
    is_shut_out(&home);
    let (code, document) = run(&network.client(), &["client", "add", path(&public)]);
    assert_eq!((code, &document["error"]["code"]), (3, &json!("NotAnOperator")));

    let (code, added) = run(&operator, &["client", "add", "--role", "read", path(&public)]);
    assert_eq!((code, &added["ok"]), (0, &json!(true)), "{added}");
    assert_eq!(run(&home, &["get", "a"]).0, 1, "there is no such key, but an answer");
    let (code, document) = run(&home, &["put", "a", "1"]);
    assert_eq!((code, &document["error"]["code"]), (4, &json!("ReadOnly")));
    let (code, document) = run(&operator, &["client", "add", path(&public)]);
    assert_eq!((code, &document["error"]["code"]), (4, &json!("AlreadyAuthorised")));

    // What was executed is executed again from the journal: also who is authorised.
    network.restart(3);
    network.kill(2);
    assert_eq!(run(&home, &["get", "a"]).0, 1);
    network.restart(2);

    let (_, listed) = run(&operator, &["client", "list"]);
    let mut roles: Vec<&str> = listed["clients"].as_array().unwrap().iter().map(|row| row["role"].as_str().unwrap()).collect();
    roles.sort_unstable();
    assert_eq!(roles, ["operator", "read", "write", "write"]);

    let stale = network.folder().join("stale");
    copy(&home, &stale);
    assert_eq!(run(&home, &["key", "rotate-transport", "--finish"]).1["error"]["code"], "NotBegun");
    let rotated = pbft(&["key", "rotate-transport", "--home", path(&home)]);
    fs::write(&public, rotated.text()).unwrap();
    assert_eq!(run(&home, &["key", "rotate-transport"]).1["finished"], json!(false), "begun twice, it is the same key");
    assert_eq!(pbft(&["key", "rotate-transport", "--home", path(&home)]).text(), rotated.text());
    let early = pbft(&["key", "rotate-transport", "--finish", "--home", path(&home), "--timeout", "2s", "-o", "json"]);
    assert_eq!((early.code, &early.json()["error"]["code"]), (4, &json!("ConnectionRefused")), "no operator has ordered it");
    assert_eq!(run(&home, &["get", "a"]).0, 1, "the old key is as good as before");
    assert_eq!(run(&operator, &["client", "rotate", path(&public)]).0, 0);
    is_shut_out(&home);
    let (code, finished) = run(&home, &["key", "rotate-transport", "--finish"]);
    assert_eq!((code, &finished["finished"]), (0, &json!(true)), "{finished}");
    assert_eq!(run(&home, &["get", "a"]).0, 1);
    is_shut_out(&stale);
    let (code, document) = run(&network.home(0), &["key", "rotate-transport"]);
    assert_eq!((code, &document["error"]["code"]), (3, &json!("Replica")));

    let key = added["client"].as_str().unwrap();
    assert_eq!(run(&operator, &["client", "revoke", key]).0, 0);
    is_shut_out(&home);
    let (code, document) = run(&operator, &["client", "add", path(&public)]);
    assert_eq!((code, &document["error"]["code"]), (4, &json!("Revoked")), "revoked is for good");
    assert_eq!(run(&network.client(), &["put", "a", "1"]).0, 0, "the others are served");
}
