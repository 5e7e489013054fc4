//! Backup and restore, and the audit of journals, with real replicas' folders.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod network;

use network::{Network, path, pbft};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// A command with `-o json`: its exit code and its document.
fn run(arguments: &[&str]) -> (i32, Value) {
    let ended = pbft(&[arguments, &["-o", "json"]].concat());
    (ended.code, ended.json())
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_backup_of_a_running_replica_verifies_and_is_restored_into_another() {
    let mut network = Network::start(None);
    // A copy from before anything was ordered: its journal is behind, and its own.
    let behind = network.folder().join("behind");
    copy(&network.home(3), &behind);
    for key in ["a", "b", "c"] {
        assert_eq!(network.json(&["put", key, "1"]).0, 0);
    }
    assert_eq!(network.json(&["status", "--wait-stable", "--timeout", "60s"]).0, 0);

    let file = network.folder().join("backup.snapshot");
    let (home, genesis) = (network.home(0), network.genesis());
    let (code, saved) = run(&["snapshot", "save", path(&home), path(&file)]);
    assert_eq!((code, &saved["ok"]), (0, &json!(true)), "{saved}");
    let sequence = saved["sequence"].as_u64().unwrap();
    assert!(sequence > 0);
    let verify = |file: &Path, genesis: &Path| run(&["snapshot", "verify", path(file), "--genesis", path(genesis)]);
    let (code, valid) = verify(&file, &genesis);
    assert_eq!((code, &valid["sequence"], &valid["state_root"]), (0, &saved["sequence"], &saved["state_root"]));
    assert_eq!(valid["signers"].as_array().unwrap().len(), 3);

    for replica in 0..4 {
        network.kill(replica);
    }
    let (code, stopped) = run(&["snapshot", "save", path(&home), path(&file)]);
    assert_eq!((code, &stopped["state_root"]), (0, &saved["state_root"]), "the same from a replica that does not run");

    let restore = |home: &Path| run(&["snapshot", "restore", path(&file), "--home", path(home)]);
    let (code, restored) = restore(&behind);
    assert_eq!((code, &restored["learner"], &restored["sequence"]), (0, &json!(false), &json!(sequence)), "{restored}");
    let (code, again) = restore(&behind);
    assert_eq!((code, &again["error"]["code"]), (1, &json!("NotNewer")));
    let (code, of_it) = run(&["snapshot", "save", path(&behind), path(&network.folder().join("second.snapshot"))]);
    assert_eq!((code, &of_it["state_root"]), (0, &saved["state_root"]), "what was restored is saved again");

    fs::remove_dir_all(behind.join("data")).unwrap();
    let (code, restored) = restore(&behind);
    assert_eq!((code, &restored["learner"]), (0, &json!(true)), "without a journal nobody votes: {restored}");

    let other = network.folder().join("other");
    assert_eq!(pbft(&["testnet", "--replicas", "4", "--clients", "1", "--output", path(&other)]).code, 0);
    let (code, foreign) = verify(&file, &other.join("genesis.toml"));
    assert_eq!((code, &foreign["error"]["code"]), (3, &json!("Foreign")));
    assert_eq!(restore(&other.join("replica-3")).0, 3);

    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).unwrap();
    let (code, damaged) = verify(&file, &genesis);
    assert_eq!(code, 1);
    let message = damaged["error"]["message"].as_str().unwrap();
    assert!(message.contains("backup.snapshot, offset"), "{message}");
    assert_eq!(verify(&network.folder().join("none"), &genesis).0, 6);
}

/// More than f replicas are gone for good: what is left of the cluster is a backup.
#[test]
fn the_keys_of_a_lost_cluster_are_put_into_a_new_one_and_replace_nothing() {
    let mut lost = Network::start(None);
    for (key, value) in [("a", "1"), ("b", "2"), ("c", "3")] {
        assert_eq!(lost.json(&["put", key, value]).0, 0);
    }
    assert_eq!(lost.json(&["status", "--wait-stable", "--timeout", "60s"]).0, 0);
    let file = lost.folder().join("backup.snapshot");
    assert_eq!(run(&["snapshot", "save", path(&lost.home(2)), path(&file)]).0, 0);
    (0..4).for_each(|replica| lost.kill(replica));

    let new = Network::start(None);
    assert_eq!(new.json(&["put", "b", "newer"]).0, 0);
    let load = |genesis: &Path| new.json(&["snapshot", "load", path(&file), "--genesis", path(genesis)]);
    assert_eq!(load(&new.genesis()).1["error"]["code"], "Foreign", "verified with the genesis of the cluster that it is of");
    let (code, loaded) = load(&lost.genesis());
    assert_eq!((code, loaded), (0, json!({"ok": true, "loaded": 2, "already_there": 1})));
    let (code, again) = load(&lost.genesis());
    assert_eq!((code, again), (0, json!({"ok": true, "loaded": 0, "already_there": 3})));
    let (_, found) = new.json(&["range", "--all"]);
    let values = found["kvs"].as_array().unwrap().iter().map(|entry| [entry["key"].clone(), entry["value"].clone()]);
    assert_eq!(values.collect::<Vec<_>>(), [["a", "1"], ["b", "newer"], ["c", "3"]].map(|pair| pair.map(Value::from)));
}

#[test]
fn r17_the_journals_of_honest_replicas_name_the_liar_and_nobody_else() {
    let mut network = Network::start(Some("equivocate"));
    assert_eq!(network.json(&["put", "a", "1", "--timeout", "30s"]).0, 0);
    assert!(!network.evidence().is_empty());
    let genesis = network.genesis();
    let homes: Vec<PathBuf> = (1..4).map(|replica| network.home(replica)).collect();
    let audit = |homes: &[&Path], more: &[&str]| {
        let homes: Vec<&str> = homes.iter().map(|home| path(home)).collect();
        run(&[&["audit", "--genesis", path(&genesis)], &homes[..], more].concat())
    };
    let (code, running) = audit(&[&homes[0]], &[]);
    assert_eq!((code, &running["error"]["code"]), (6, &json!("Locked")), "a journal that is written to is not read");
    for replica in 0..4 {
        network.kill(replica);
    }
    let proofs = network.folder().join("proofs");
    let all: Vec<&Path> = homes.iter().map(PathBuf::as_path).collect();
    let (code, found) = audit(&all, &["--export", path(&proofs)]);
    assert_eq!((code, &found["ok"]), (1, &json!(false)), "{found}");
    assert_eq!(found["diverged"], json!([]));
    assert_eq!(found["journals"].as_array().unwrap().len(), 3);
    assert_eq!(found["journals"][0]["replica"], 1);
    let lies = found["lies"].as_array().unwrap();
    assert!(lies.iter().any(|lie| lie["kind"] == "two_pre_prepares"), "{found}");
    for lie in lies {
        assert_eq!(lie["accused"], 0, "{lie}");
        let file = lie["file"].as_str().unwrap();
        let (code, verdict) = run(&["evidence", "verify", file, "--genesis", path(&genesis)]);
        assert_eq!((code, &verdict["accused"], &verdict["kind"]), (0, &json!(0), &lie["kind"]), "{verdict}");
    }
    // Nobody hinders it by a damaged journal. Its first frame was followed by others.
    let journal = homes[2].join("data/journal-00000001.log");
    let mut bytes = fs::read(&journal).unwrap();
    bytes[700] ^= 1;
    fs::write(&journal, bytes).unwrap();
    let (code, found) = audit(&all, &[]);
    assert_eq!(code, 1, "{found}");
    assert!(found["lies"].as_array().unwrap().iter().any(|lie| lie["kind"] == "two_pre_prepares"), "{found}");
    let damage = found["journals"][2]["damage"].as_str().unwrap();
    assert!(damage.contains("journal-00000001.log, offset"), "{damage}");
    assert_eq!((&found["journals"][0]["damage"], &found["journals"][1]["damage"]), (&Value::Null, &Value::Null));
    // Nor by no journal at all, or another cluster's.
    let other = network.folder().join("other");
    assert_eq!(pbft(&["testnet", "--replicas", "4", "--clients", "1", "--output", path(&other)]).code, 0);
    let (foreign, empty) = (other.join("replica-0"), network.folder().join("empty"));
    fs::create_dir(&empty).unwrap();
    let (code, found) = audit(&[&foreign, &empty, &homes[0], &homes[1]], &[]);
    assert_eq!(code, 1, "{found}");
    assert!(found["lies"].as_array().unwrap().iter().any(|lie| lie["kind"] == "two_pre_prepares"), "{found}");
    let damage = |journal: usize| found["journals"][journal]["damage"].as_str().unwrap();
    assert!(damage(0).contains("another cluster"), "{found}");
    assert!(!damage(1).is_empty(), "{found}");
    let (code, found) = audit(&[&homes[2]], &[]);
    assert!(code == 6 || !found["lies"].as_array().unwrap().is_empty(), "what is damaged is not called sound: {found}");
    let (code, _) = audit(&[Path::new("no-such-directory")], &[]);
    assert_eq!(code, 6);
}

#[test]
fn r17_an_audit_of_replicas_that_told_the_truth_names_nobody() {
    let mut network = Network::start(None);
    assert_eq!(network.json(&["put", "a", "1"]).0, 0);
    assert_eq!(network.json(&["status", "--wait-stable", "--timeout", "60s"]).0, 0);
    for replica in 0..4 {
        network.kill(replica);
    }
    let genesis = network.genesis();
    // A home and a data directory are the same.
    let (first, second) = (network.home(0), network.home(1).join("data"));
    let (code, found) = run(&["audit", path(&first), path(&second), "--genesis", path(&genesis)]);
    assert_eq!((code, &found["ok"], &found["lies"]), (0, &json!(true), &json!([])), "{found}");
    assert!(found["statements"].as_u64().unwrap() > 10);
}
