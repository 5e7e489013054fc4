//! What must be true of the source itself.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every package that `from` reaches through normal and build dependencies, in any feature and on any platform.
fn reached(from: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--all-features"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let names: BTreeMap<&str, &str> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| (package["id"].as_str().unwrap(), package["name"].as_str().unwrap()))
        .collect();
    let mut edges: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for node in metadata["resolve"]["nodes"].as_array().unwrap() {
        for dependency in node["deps"].as_array().unwrap() {
            let ships = dependency["dep_kinds"].as_array().unwrap().iter().any(|kind| kind["kind"] != "dev");
            if ships {
                edges.entry(node["id"].as_str().unwrap()).or_default().push(dependency["pkg"].as_str().unwrap());
            }
        }
    }
    let start = names.iter().find(|(_, name)| **name == from).map(|(id, _)| *id).unwrap();
    let (mut seen, mut todo) = (BTreeSet::new(), vec![start]);
    while let Some(id) = todo.pop() {
        if seen.insert(id) {
            todo.extend(edges.get(id).into_iter().flatten().copied());
        }
    }
    seen.into_iter().map(|id| names[id].to_owned()).collect()
}

#[test]
fn the_production_daemon_reaches_no_byzantine_code() {
    let daemon = reached("pbft-node");
    assert!(daemon.contains("pbft-protocol") && daemon.contains("quinn"), "the check sees the daemon's dependencies");
    assert!(!daemon.contains("pbft-byzantine"), "pbft-node must never reach pbft-byzantine");
    assert!(reached("pbft-cli").contains("pbft-byzantine"), "the check would see it if it were there");
}

#[test]
fn the_pure_crates_reach_no_runtime_and_no_sockets() {
    for pure in ["pbft-protocol", "pbft-services", "pbft-byzantine"] {
        let reached = reached(pure);
        for banned in ["tokio", "quinn", "crossbeam-channel", "rayon", "pbft-network", "pbft-storage"] {
            assert!(!reached.contains(banned), "{pure} must not reach {banned}");
        }
    }
}

#[test]
fn every_rule_has_a_test_that_is_named_after_it() {
    let mut tests = String::new();
    for folder in ["crates", "tests"] {
        collect(&root().join(folder), &mut tests);
    }
    let rules = (1..=13).chain([14, 15, 17, 19, 20, 23]);
    let untested: Vec<String> =
        rules.map(|rule| format!("r{rule:02}_")).filter(|prefix| !tests.contains(&format!("fn {prefix}"))).collect();
    assert!(untested.is_empty(), "rules without a test: {untested:?}");
}

/// What programs rely on: codes of errors and of doctor's findings.
#[test]
fn every_code_is_in_the_reference() {
    let mut source = String::new();
    collect(&root().join("crates/cli/src"), &mut source);
    let of = |call: &str| -> BTreeSet<String> {
        let calls = source.split(call).skip(1).filter_map(|rest| rest.split_once('"').filter(|(before, _)| before.len() < 60));
        let codes = calls.filter_map(|(_, rest)| rest.split('"').next());
        codes.filter(|code| code.chars().all(char::is_alphanumeric)).map(str::to_owned).collect()
    };
    let codes: BTreeSet<String> = ["Failure::new(", "Finding::warning(", "Finding::critical("]
        .into_iter()
        .flat_map(of)
        .filter(|code| code.len() > 1)
        .collect();
    assert!(codes.len() > 40, "{codes:?}");
    let reference = std::fs::read_to_string(root().join("docs/errors.md")).unwrap();
    let missing: Vec<&String> = codes.iter().filter(|code| !reference.contains(&format!("`{code}`"))).collect();
    assert!(missing.is_empty(), "docs/errors.md lacks {missing:?}");
}

fn collect(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
}
