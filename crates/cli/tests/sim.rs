//! Simulated clusters: what is run, what is told, and the exit codes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod network;

use network::{Ended, path, pbft};
use serde_json::{Value, json};

/// A small cluster, so that a seed takes little time.
const SMALL: [&str; 5] = ["sim", "--replicas", "4", "--requests", "30"];

fn sim(arguments: &[&str]) -> Ended {
    pbft(&[&SMALL, arguments].concat())
}

fn document(arguments: &[&str]) -> Value {
    let ended = sim(&[arguments, &["-o", "json"]].concat());
    assert_eq!(ended.code, 0, "{ended:?}");
    ended.json()
}

#[test]
fn seeds_that_hold_are_counted() {
    let found = document(&["--seeds", "3", "--byzantine", "none", "--faults", "loss,crash"]);
    assert_eq!((&found["ok"], &found["seeds"], &found["failed"]), (&json!(true), &json!(3), &json!([])));
    for number in ["events", "events_per_s", "seeds_per_s", "elapsed_s"] {
        assert!(found[number].as_f64().unwrap() > 0.0, "{number}: {found}");
    }
    assert_eq!(found.get("trace_hash"), None, "many seeds have no one trace");

    let ended = sim(&["--seeds", "2", "--seed-start", "5", "--threads", "1", "--byzantine", "equivocate,intermittent:mute"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.text().starts_with("2 seeds and ") && ended.text().ends_with("Everything held.\n"), "{ended:?}");
}

#[test]
fn one_seed_has_one_trace() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trace");
    let found = document(&["--seed", "9"]);
    let again = document(&["--seed", "9", "--trace", path(&file)]);
    assert_eq!(found["seeds"], 1);
    assert_eq!(found["trace_hash"].as_str().unwrap().len(), 16);
    assert_eq!((&found["trace_hash"], &found["events"]), (&again["trace_hash"], &again["events"]));
    assert_ne!(found["trace_hash"], document(&["--seed", "9", "--faults", "none"])["trace_hash"]);

    let trace = std::fs::read_to_string(&file).unwrap();
    assert!(trace.contains("Plan {") && trace.lines().count() as u64 > again["events"].as_u64().unwrap());
}

#[test]
fn a_time_ends_it() {
    let found = document(&["--time", "1ms", "--threads", "1"]);
    assert_eq!(found["seeds"], 1, "one at least is run, and ended");
}

#[test]
fn wrong_use_is_refused_with_what_there_is() {
    for (arguments, hints) in [
        (&["--byzantine", "fib"][..], &["fib is no strategy", "equivocate", "selective-sender"][..]),
        (&["--byzantine", "mute,"], &["is no strategy"]),
        (&["--faults", "rain"], &["rain is no fault", "loss", "slow-disk"]),
        (&["--seed", "1", "--seeds", "2"], &["cannot be used with"]),
        (&["--time", "0s"], &["longer than 0"]),
        (&["--seeds", "0"], &["0 is not in 1.."]),
        (&["--threads", "0"], &["zero"]),
    ] {
        let ended = pbft(&[&["sim", "-o", "json"], arguments].concat());
        let message = ended.json()["error"]["message"].as_str().unwrap().to_owned();
        assert_eq!(ended.code, 2, "{ended:?}");
        for hint in hints {
            assert!(message.contains(hint), "{hint}: {message}");
        }
    }
    assert_eq!(pbft(&["sim", "--replicas", "3"]).code, 2);
    let nowhere = sim(&["--seed", "1", "--trace", "/nowhere/trace"]);
    assert_eq!(nowhere.code, 6, "{nowhere:?}");

    let help = pbft(&["sim", "--help"]);
    assert!(help.text().contains("Examples:") && help.text().contains("equivocate") && help.text().contains("slow-disk"));
}
