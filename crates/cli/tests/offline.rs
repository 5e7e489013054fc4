//! Commands that need no cluster, and what is refused before a cluster is asked.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod network;

use network::{path, pbft};
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A network's files.
fn testnet(folder: &Path) -> PathBuf {
    let output = folder.join("net");
    let made = pbft(&["testnet", "--replicas", "4", "--clients", "1", "--output", path(&output)]);
    assert_eq!(made.code, 0, "{made:?}");
    output
}

fn error(arguments: &[&str]) -> (i32, String, String) {
    let ended = pbft(&[arguments, &["-o", "json"]].concat());
    let document = ended.json();
    assert_eq!(document["ok"], false);
    let text = |name: &str| document["error"][name].as_str().unwrap().to_owned();
    assert!(!ended.stderr.is_empty(), "standard error is for people");
    (ended.code, text("code"), text("message"))
}

#[test]
fn a_test_network_has_a_genesis_and_a_home_for_each() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("net");
    let made =
        pbft(&["testnet", "--replicas", "5", "--clients", "2", "--output", path(&output), "--base-port", "9000", "-o", "json"]);
    let document = made.json();
    assert_eq!((made.code, &document["ok"]), (0, &json!(true)));
    assert_eq!(document["genesis"], path(&output.join("genesis.toml")));
    assert_eq!(document["replicas"].as_array().unwrap().len(), 5);
    assert_eq!(document["clients"], json!([path(&output.join("client-0")), path(&output.join("client-1"))]));
    let config = fs::read_to_string(output.join("replica-4/config.toml")).unwrap();
    assert!(config.contains("listen = \"127.0.0.1:9004\""), "{config}");

    let shown = pbft(&["genesis", "show", "--home", path(&output.join("client-0")), "-o", "json"]).json();
    assert_eq!(shown["cluster_id"], document["cluster_id"]);
    assert_eq!((&shown["n"], &shown["f"], &shown["quorum"]), (&json!(5), &json!(1), &json!(4)));
    assert_eq!((&shown["test_network"], shown["replicas"].as_array().unwrap().len()), (&json!(true), 5));

    let (code, name, _) = error(&["testnet", "--replicas", "5", "--output", path(&output)]);
    assert_eq!((code, name.as_str()), (6, "Exists"), "keys are never overwritten");
    let few = folder.path().join("few");
    let (code, _, message) = error(&["testnet", "--replicas", "3", "--output", path(&few)]);
    assert_eq!(code, 3);
    assert!(message.contains("at least 4"), "{message}");
    assert!(!few.exists());
}

#[test]
fn clients_can_have_ports_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("net");
    let arguments = ["--host", "r{id}.org", "--base-port", "9000", "--client-base-port", "9100", "--client-host", "c{id}.org"];
    let made = pbft(&[&["testnet", "--replicas", "4", "--output", path(&output)], arguments.as_slice()].concat());
    assert_eq!(made.code, 0, "{made:?}");
    let config = fs::read_to_string(output.join("replica-3/config.toml")).unwrap();
    assert!(config.contains("listen = \"0.0.0.0:9003\"") && config.contains("listen_clients = \"0.0.0.0:9103\""), "{config}");
    assert!(config.contains("r2.org:9002") && !config.contains("c2.org"), "{config}");
    let config = fs::read_to_string(output.join("client-0/config.toml")).unwrap();
    assert!(config.contains("c2.org:9102") && !config.contains("r2.org"), "{config}");
}

/// What `pbft keygen` prints for a new party.
fn public_keys(folder: &Path, name: &str) -> PathBuf {
    let made = pbft(&["keygen", "--output", path(&folder.join(name))]);
    let file = folder.join(format!("{name}.toml"));
    fs::write(&file, made.stdout).unwrap();
    file
}

#[test]
fn many_organisations_make_one_genesis_of_their_public_keys() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (draft, genesis) = (folder.join("draft.toml"), folder.join("genesis.toml"));
    let add = |who: &str, keys: &Path| pbft(&["genesis", "add", path(&draft), who, path(keys), "-o", "json"]);
    let replicas: Vec<PathBuf> = (0..4).map(|id| public_keys(folder, &format!("replica-{id}"))).collect();
    for (number, keys) in replicas.iter().enumerate() {
        // Three replicas are no cluster yet.
        let (code, _, _) = error(&["genesis", "finalise", path(&draft), path(&genesis)]);
        assert_eq!((code, genesis.exists()), (3, false));
        assert_eq!(add("replica", keys).json(), json!({ "ok": true, "number": number }));
    }
    assert_eq!(add("client", &public_keys(folder, "client")).code, 0);
    assert_eq!(add("operator", &public_keys(folder, "operator")).code, 0);
    let (code, _, message) = error(&["genesis", "add", path(&draft), "client", path(&replicas[1])]);
    assert!(code == 3 && message.contains("is in") && message.contains("draft.toml already"), "{message}");

    let made = pbft(&["genesis", "finalise", path(&draft), path(&genesis), "-o", "json"]).json();
    let shown = pbft(&["genesis", "show", path(&genesis), "-o", "json"]).json();
    assert_eq!(made, shown);
    assert_eq!((&made["n"], &made["test_network"]), (&json!(4), &json!(false)));
    assert_eq!(made["operators"].as_array().unwrap().len(), 1);
    for (id, keys) in replicas.iter().enumerate() {
        assert!(fs::read_to_string(keys).unwrap().contains(made["replicas"][id]["signing_key"].as_str().unwrap()));
    }
    let (code, name, _) = error(&["genesis", "finalise", path(&draft), path(&genesis)]);
    assert_eq!((code, name.as_str()), (6, "Exists"));
}

#[test]
fn man_pages_and_completions_are_made_of_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man1");
    assert_eq!(pbft(&["man", path(&pages)]).code, 0);
    for (page, words) in
        [("pbft.1", "doctor"), ("pbft-doctor.1", "Exit code 0 if nothing is wrong"), ("pbftd-start.1", "PBFT_LISTEN")]
    {
        let text = fs::read_to_string(pages.join(page)).unwrap();
        assert!(text.contains(words), "{page} does not say {words}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let made = pbft(&["completions", shell]);
        assert!(made.code == 0 && made.text().contains("doctor"), "{shell}");
        assert!(pbft(&["completions", shell, "pbftd"]).text().contains("healthcheck"), "{shell}");
    }
}

#[test]
fn keys_are_private_and_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let made = pbft(&["keygen", "--output", path(&home), "-o", "json"]);
    assert_eq!((made.code, &made.json()["insecure"]), (0, &json!(false)));
    let key = home.join("keys/signing.key");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let before = fs::read(&key).unwrap();
    assert_eq!(error(&["keygen", "--output", path(&home)]).0, 6);
    assert_eq!(fs::read(&key).unwrap(), before);
}

#[test]
fn a_home_with_a_fault_is_refused_with_the_place_of_the_fault() {
    let folder = tempfile::tempdir().unwrap();
    let home = testnet(folder.path()).join("client-0");
    let get = || error(&["get", "a", "--home", path(&home)]);
    let config = home.join("config.toml");
    let good = fs::read_to_string(&config).unwrap();

    fs::write(&config, format!("{good}colour = 1\n")).unwrap();
    let (code, _, message) = get();
    assert!(code == 3 && message.contains("config.toml: line 7, column 1: unknown field `colour`"), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
    fs::write(&config, good.replace("127.0.0.1:7102", "127.0.0.1")).unwrap();
    let (code, _, message) = get();
    assert!(code == 3 && message.contains("\"127.0.0.1\" in replicas is not host:port"), "{message}");
    fs::write(&config, "replicas = [\"127.0.0.1:7100\"]").unwrap();
    let (code, _, message) = get();
    assert!(code == 3 && message.contains("lists 1 addresses, the genesis has 4"), "{message}");
    fs::write(&config, &good).unwrap();

    let key = home.join("keys/signing.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let (code, _, message) = get();
    assert!(code == 3 && message.contains("mode 0644"), "{message}");
    fs::remove_file(&key).unwrap();
    assert_eq!(get().0, 3);
}

#[test]
fn published_keys_are_for_test_networks_only() {
    let folder = tempfile::tempdir().unwrap();
    let home = testnet(folder.path()).join("client-0");
    fs::remove_dir_all(home.join("keys")).unwrap();
    assert_eq!(pbft(&["keygen", "--output", path(&home), "--development", "7"]).code, 0);
    let genesis = home.join("genesis.toml");
    let text = fs::read_to_string(&genesis).unwrap();
    fs::write(&genesis, text.replace("test_network = true", "test_network = false")).unwrap();
    let (code, name, _) = error(&["get", "a", "--home", path(&home)]);
    assert_eq!((code, name.as_str()), (3, "DevelopmentKey"));
}

#[test]
fn without_replicas_there_is_no_quorum() {
    let folder = tempfile::tempdir().unwrap();
    let home = testnet(folder.path()).join("client-0");
    // Nobody can listen at port 0.
    let config = fs::read_to_string(home.join("config.toml")).unwrap();
    let nowhere = (7100..7104).fold(config, |text, port| text.replace(&format!(":{port}"), ":0"));
    fs::write(home.join("config.toml"), nowhere).unwrap();
    let (code, name, message) = error(&["get", "a", "--home", path(&home), "--timeout", "300ms"]);
    assert_eq!((code, name.as_str()), (5, "NoQuorum"));
    assert!(message.contains("--timestamp"), "{message}");
}

#[test]
fn wrong_use_is_exit_code_2_and_one_document() {
    for arguments in [
        &["get"][..],
        &["cas", "a", "b", "--home", "x"],
        &["cas", "a", "b", "--home", "x", "--expect-absent", "--expect-value", "c"],
        &["range", "--home", "x"],
        &["get", "a", "--home", "x", "--timeout", "soon"],
        &["request", "status", "me", "7", "--home", "x"],
        &["nonsense"],
    ] {
        let (code, name, _) = error(arguments);
        assert_eq!((code, name.as_str()), (2, "Usage"), "{arguments:?}");
    }
}

#[test]
fn every_command_explains_itself_with_examples() {
    for command in [
        &["testnet"][..],
        &["keygen"],
        &["genesis", "show"],
        &["put"],
        &["get"],
        &["delete"],
        &["cas"],
        &["range"],
        &["txn"],
        &["request", "status"],
        &["status"],
        &["evidence", "list"],
        &["evidence", "verify"],
        &["journal", "verify"],
        &["journal", "dump"],
        &["client", "add"],
        &["client", "rotate"],
        &["key", "rotate-transport"],
        &["version"],
    ] {
        let help = pbft(&[command, &["--help"]].concat());
        assert_eq!(help.code, 0, "{command:?}");
        assert!(help.text().contains("Example") && help.text().len() > 200, "{command:?}: {}", help.text());
    }
    let version = pbft(&["version", "-o", "json"]);
    assert_eq!((version.code, &version.json()["protocol_version"]), (0, &json!(1)));
}
