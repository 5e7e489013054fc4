//! Measurements: which figures there are. How large they are is nobody's promise, but that operations are answered is.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod network;

use network::{Ended, Network, path, pbft};
use serde_json::Value;

/// Little load for a short time.
const SMALL: [&str; 9] = ["bench", "--in-flight", "8", "--warmup", "100ms", "--duration", "1s", "-o", "json"];

fn bench(arguments: &[&str]) -> Ended {
    pbft(&[&SMALL, arguments].concat())
}

fn figures(arguments: &[&str]) -> Value {
    let ended = bench(arguments);
    assert_eq!(ended.code, 0, "{ended:?}");
    ended.json()
}

/// Something was answered, nothing failed, and percentiles are in their order.
fn check_answers(found: &Value) {
    assert!(found["throughput_ops_per_s"].as_f64().unwrap() > 0.0, "{found}");
    assert_eq!((&found["ok"], &found["errors"]), (&Value::from(true), &Value::from(0)), "{found}");
    let latency = ["p50", "p90", "p99", "p999", "max"].map(|name| found["latency_ms"][name].as_f64().unwrap());
    assert!(latency[0] > 0.0 && latency.is_sorted(), "{found}");
}

#[test]
fn a_second_of_load_yields_the_documented_figures() {
    let found = figures(&["--clients", "2", "--keys", "100"]);
    check_answers(&found);
    for of in ["client", "primary", "backup", "total"] {
        assert!(found["cpu_us_per_op"][of].as_f64().unwrap() > 0.0, "{of}: {found}");
    }
    for figure in ["floor_fraction", "rss_mb", "mean_ops_per_request", "requests_per_batch", "written_bytes_per_op"] {
        assert!(found[figure].as_f64().unwrap() > 0.0, "{figure}: {found}");
    }
    for absent_without_metrics in ["fsyncs_per_op", "journal_bytes_per_op", "sent_bytes_per_op"] {
        assert!(found.as_object().unwrap().contains_key(absent_without_metrics), "{found}");
    }
    assert_eq!((&found["floor"]["keys"], &found["unanswered"]), (&Value::from(2), &Value::Null));
    let roles: Vec<&str> = found["by_replica"].as_array().unwrap().iter().map(|of| of["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["primary", "backup", "backup", "backup"]);
}

#[test]
fn a_liar_is_named_and_a_fixed_number_of_operations_is_kept() {
    let arguments =
        ["--clients", "1", "--service", "null", "--durability", "memory", "--ops-per-request", "4", "--byzantine", "3=mute"];
    let found = figures(&arguments);
    check_answers(&found);
    assert_eq!((&found["ops_per_request"], &found["mean_ops_per_request"]), (&Value::from(4), &Value::from(4.0)));
    assert_eq!(found["operations"].as_u64().unwrap() % 4, 0, "{found}");
    assert_eq!((&found["service"], &found["by_replica"][3]["role"]), (&Value::from("null"), &Value::from("backup, mute")));
}

#[test]
fn a_cluster_that_runs_already_is_measured_at_a_rate() {
    let network = Network::start(None);
    let homes = [0, 1].map(|client| network.folder().join(format!("net/client-{client}")));
    let [one, other] = homes.each_ref().map(|home| path(home));
    let found = figures(&["--home", one, "--home", other, "--rate", "100"]);
    check_answers(&found);
    assert_eq!((&found["clients"], &found["rate"], &found["service"]), (&2.into(), &100.0.into(), &"kv".into()));
    assert!(found["unanswered"].is_u64() && found["cpu_us_per_op"]["client"].is_f64(), "{found}");
    for of_replicas in [&found["cpu_us_per_op"]["primary"], &found["rss_mb"], &found["floor"], &found["floor_fraction"]] {
        assert_eq!(of_replicas, &Value::Null, "{found}");
    }
}

#[test]
fn a_sweep_measures_each_level_and_draws_them() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("curve.svg");
    let arguments = ["--clients", "1", "--in-flight", "3", "--sweep", "--plot", path(&file)];
    let found = pbft(&[&["bench", "--warmup", "100ms", "--duration", "300ms", "-o", "json"][..], &arguments].concat()).json();
    let levels = found["levels"].as_array().unwrap();
    assert_eq!(levels.iter().map(|level| level["in_flight"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3]);
    levels.iter().for_each(check_answers);
    assert_eq!(found["plot"], path(&file));
    assert!(std::fs::read_to_string(&file).unwrap().contains("4 replicas, 1 clients"));
}

#[test]
fn the_machine_alone_is_measured() {
    let ended = pbft(&["bench", "--floor", "-o", "json"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let found = ended.json();
    assert!(found["fsyncs_per_s"].as_f64().unwrap() > 0.0, "{found}");
    assert!(found["signatures"].as_array().unwrap().iter().all(|cost| cost["verify_us"].as_f64().unwrap() > 0.0), "{found}");
    for speeds in ["hashes", "quic"] {
        assert!(found[speeds].as_array().unwrap().iter().all(|speed| speed["mb_per_s"].as_f64().unwrap() > 0.0), "{found}");
    }
}

#[test]
fn wrong_use_is_refused() {
    for (arguments, hint) in [
        (&["--ops-per-request", "0"][..], "neither a number from 1 on nor auto"),
        (&["--byzantine", "4=mute"], "there are 4 replicas"),
        (&["--byzantine", "0=fib"], "fib is no strategy"),
        (&["--rate", "0"], "greater than 0"),
        (&["--plot", "x.svg"], "--sweep"),
        (&["--home", "x", "--clients", "2"], "cannot be used with"),
        (&["--durability", "none"], "sync"),
    ] {
        let ended = bench(arguments);
        assert_eq!(ended.code, 2, "{ended:?}");
        let message = ended.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains(hint), "{hint}: {message}");
    }
    assert_eq!(bench(&["--replicas", "3"]).code, 3, "a genesis of three is refused");
    assert_eq!(bench(&["--home", "/nowhere"]).code, 3);
}
