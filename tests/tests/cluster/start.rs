//! What a replica refuses to start with: the exit code, and a message that says what to do.

use crate::replica;
use pbft_crypto::{SecretKey, write_secret_key};
use pbft_message::{Genesis, ReplicaId};
use pbft_node::{LimitsConfig, ReplicaConfig, TimingConfig, initialise_data};
use pbft_tests::{Keys, Network, PATIENCE, Plan, pbft, pbftd, write_toml};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tokio::time::timeout;

/// Configuration, keys or genesis.
pub const CONFIGURATION: i32 = 3;
/// Input, output or port.
pub const IO: i32 = 6;

/// A home on its own, to be spoilt.
async fn home() -> (Network, PathBuf) {
    let network = Network::new(&Plan::of(4)).await;
    let home = network.home(replica(0));
    (network, home)
}

/// Runs a command that must end by itself: its exit code, and what it said.
pub async fn ended(mut command: Command) -> (i32, String) {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut command = tokio::process::Command::from(command);
    let output = timeout(PATIENCE, command.kill_on_drop(true).output()).await.expect("it refuses to start").unwrap();
    (output.status.code().expect("no signal ended it"), String::from_utf8_lossy(&output.stderr).into_owned())
}

pub fn on(home: &Path, mut command: Command, arguments: &[&str]) -> Command {
    command.args(arguments).arg("--home").arg(home);
    command
}

/// Starting is refused with this code, in these words. Nothing of it is a panic.
async fn refused(home: &Path, code: i32, words: &[&str]) {
    let (found, message) = ended(on(home, pbftd(), &["start"])).await;
    assert_eq!(found, code, "{message}");
    for word in words {
        assert!(message.contains(word), "no {word:?} in: {message}");
    }
    assert!(!message.contains("panicked"), "{message}");
}

/// `pbftd check` refuses it too.
async fn refused_by_check(home: &Path, words: &[&str]) {
    refused(home, CONFIGURATION, words).await;
    let (code, message) = ended(on(home, pbftd(), &["check"])).await;
    assert_eq!(code, CONFIGURATION, "{message}");
}

pub fn rewrite_genesis(home: &Path, change: impl FnOnce(&mut Genesis)) -> Genesis {
    let path = home.join("genesis.toml");
    let mut genesis: Genesis = toml::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    change(&mut genesis);
    write_toml(&path, &genesis);
    genesis
}

fn replace_key(home: &Path, name: &str, key: &SecretKey) {
    let path = home.join("keys").join(name);
    fs::remove_file(&path).unwrap();
    write_secret_key(&path, key).unwrap();
}

#[tokio::test]
async fn a_good_home_passes_the_check() {
    let (_network, home) = home().await;
    assert_eq!(ended(on(&home, pbftd(), &["check"])).await.0, 0);
}

#[tokio::test]
async fn r16_an_empty_data_directory_is_refused() {
    let (_network, home) = home().await;
    fs::remove_dir_all(home.join("data")).unwrap();
    fs::create_dir(home.join("data")).unwrap();
    refused(&home, CONFIGURATION, &["holds no journal", "must not vote", "--rejoin"]).await;
}

#[tokio::test]
async fn r16_a_missing_data_directory_is_refused() {
    let (_network, home) = home().await;
    fs::remove_dir_all(home.join("data")).unwrap();
    refused(&home, CONFIGURATION, &["holds no journal", "must not vote"]).await;
}

#[tokio::test]
async fn r16_another_replicas_data_directory_is_refused() {
    let (network, home) = home().await;
    fs::remove_dir_all(home.join("data")).unwrap();
    fs::rename(network.home(replica(1)).join("data"), home.join("data")).unwrap();
    refused(&home, CONFIGURATION, &["not to this replica", "use the data directory that was made with this key"]).await;
}

#[tokio::test]
async fn r01_another_clusters_data_directory_is_refused() {
    let (_network, home) = home().await;
    rewrite_genesis(&home, |genesis| genesis.name = "another".to_owned());
    refused(&home, CONFIGURATION, &["not to this replica", "genesis"]).await;
}

#[tokio::test]
async fn a_journal_is_not_made_twice() {
    let (network, home) = home().await;
    let owner = network.replica_keys(replica(0)).signing.public();
    let error = initialise_data(&home, network.genesis.cluster_id(), owner).unwrap_err();
    assert!(error.to_string().contains("never again"), "{error}");
}

#[tokio::test]
async fn key_files_that_others_may_read_are_refused() {
    for name in ["signing.key", "transport.key"] {
        let (_network, home) = home().await;
        fs::set_permissions(home.join("keys").join(name), fs::Permissions::from_mode(0o644)).unwrap();
        refused_by_check(&home, &[name, "0644", "chmod 600"]).await;
    }
}

#[tokio::test]
async fn fewer_than_four_replicas_are_refused() {
    let (_network, home) = home().await;
    rewrite_genesis(&home, |genesis| genesis.replicas.truncate(3));
    refused_by_check(&home, &["3 replicas", "at least 4"]).await;
}

#[tokio::test]
async fn a_key_that_stands_twice_in_the_genesis_is_refused() {
    let (_network, home) = home().await;
    rewrite_genesis(&home, |genesis| genesis.clients[0].transport_key = genesis.replicas[1].transport_key);
    refused_by_check(&home, &["stands twice", "genesis.toml"]).await;
}

#[tokio::test]
async fn a_key_that_is_not_in_the_genesis_is_refused() {
    for name in ["signing.key", "transport.key"] {
        let (_network, home) = home().await;
        replace_key(&home, name, &Keys::generate().signing);
        refused_by_check(&home, &[name, "not the key that the genesis names for replica 0"]).await;
    }
}

#[tokio::test]
async fn a_malformed_key_file_is_refused_and_not_repeated() {
    let (_network, home) = home().await;
    fs::write(home.join("keys/signing.key"), "ed25519-secret:c0ffee").unwrap();
    let (_, message) = ended(on(&home, pbftd(), &["start"])).await;
    assert!(!message.contains("c0ffee"), "a message must not show a key: {message}");
    refused_by_check(&home, &["signing.key", "malformed", "64 hexadecimal digits"]).await;
}

#[tokio::test]
async fn a_development_key_is_refused_outside_of_test_networks() {
    let (_network, home) = home().await;
    let mut seed = [0; 32];
    seed[..24].copy_from_slice(b"insecure development key");
    let development = SecretKey::from_seed(&seed);
    replace_key(&home, "signing.key", &development);
    rewrite_genesis(&home, |genesis| {
        genesis.replicas[0].signing_key = development.public();
        genesis.test_network = false;
    });
    refused_by_check(&home, &["development key", "no test network", "pbft keygen"]).await;

    // In a test network it is as good as any.
    let genesis = rewrite_genesis(&home, |genesis| genesis.test_network = true);
    fs::remove_dir_all(home.join("data")).unwrap();
    initialise_data(&home, genesis.cluster_id(), development.public()).unwrap();
    assert_eq!(ended(on(&home, pbftd(), &["check"])).await.0, 0);
}

#[tokio::test]
async fn unknown_settings_are_refused_with_their_line() {
    let (_network, home) = home().await;
    let path = home.join("config.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("colour = \"red\"\n{text}")).unwrap();
    refused_by_check(&home, &["config.toml", "line 1", "colour"]).await;

    let path = home.join("genesis.toml");
    fs::write(&path, fs::read_to_string(&path).unwrap() + "\ncolour = \"red\"\n").unwrap();
    fs::write(home.join("config.toml"), text).unwrap();
    refused_by_check(&home, &["genesis.toml", "colour"]).await;
}

#[tokio::test]
async fn settings_that_contradict_each_other_are_refused_by_name() {
    let (network, home) = home().await;
    let config = ReplicaConfig {
        replica: replica(0),
        listen: network.address(replica(0)),
        listen_clients: None,
        http: None,
        replicas: network.ids().into_iter().map(|id| network.address(id).to_string()).collect(),
        timing: TimingConfig::default(),
        limits: LimitsConfig::default(),
    };
    let write = |change: fn(&mut ReplicaConfig)| {
        let mut config = config.clone();
        change(&mut config);
        write_toml(&home.join("config.toml"), &config);
    };
    write(|config| config.replica = ReplicaId(9));
    refused_by_check(&home, &["replica = 9 is not in the genesis"]).await;
    write(|config| config.listen_clients = Some(config.listen));
    refused_by_check(&home, &["listen and listen_clients must be different ports"]).await;
    write(|config| config.replicas.truncate(3));
    refused_by_check(&home, &["3 addresses", "4 replicas"]).await;
    write(|config| config.timing.heartbeat = config.timing.base_timeout);
    refused_by_check(&home, &["timing.heartbeat"]).await;
    write(|config| config.limits.body_bytes = 1);
    refused_by_check(&home, &["limits.body_bytes"]).await;
}

#[tokio::test]
async fn missing_files_are_named() {
    for name in ["config.toml", "genesis.toml", "keys/signing.key"] {
        let (_network, home) = home().await;
        fs::remove_file(home.join(name)).unwrap();
        refused_by_check(&home, &[name]).await;
    }
}

/// Nobody is advised to give up a vote for it.
#[tokio::test]
async fn a_data_directory_that_cannot_be_read_is_no_lost_journal() {
    let (_network, home) = home().await;
    fs::remove_dir_all(home.join("data")).unwrap();
    fs::write(home.join("data"), "a file").unwrap();
    let (code, message) = ended(on(&home, pbftd(), &["start"])).await;
    assert_eq!(code, CONFIGURATION, "{message}");
    assert!(message.contains("cannot read") && message.contains("data") && !message.contains("--rejoin"), "{message}");
}

#[tokio::test]
async fn an_occupied_port_is_refused() {
    let (network, home) = home().await;
    let _occupant = std::net::UdpSocket::bind(network.address(replica(0))).unwrap();
    refused(&home, IO, &["already in use", "listen, listen_clients in config.toml"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_on_one_home_is_refused_and_the_first_goes_on() {
    let mut network = Network::started(&Plan::of(4)).await;
    let client = network.client(0);
    client.wait_for_quorum(PATIENCE).await.unwrap();
    let id = replica(0);
    network.report_shows(&client, id, "runs", |_| Some(())).await;
    let (code, message) = ended(on(&network.home(id), pbftd(), &["start"])).await;
    assert_eq!(code, IO, "{message}");
    assert!(message.contains("in use by another process"), "{message}");
    assert!(network.runs(id));
    network.report_shows(&client, id, "answers still", |_| Some(())).await;
}

#[tokio::test]
async fn r16_a_damaged_journal_is_refused() {
    let mut network = Network::started(&Plan::of(4)).await;
    let client = network.client(0);
    for number in 0..20 {
        let put = pbft_services::kv::Operation::put(format!("key {number}"), "value");
        client.request(vec![put.encode()]).await.unwrap();
    }
    let id = replica(1);
    network.report_shows(&client, id, "has executed", |report| (report.executed.0 > 10).then_some(())).await;
    network.kill(id);
    let data = network.home(id).join("data");
    let names = fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path());
    let segment = names.into_iter().find(|path| path.to_string_lossy().ends_with(".log")).expect("a segment");
    let mut bytes = fs::read(&segment).unwrap();
    // In the first frames: valid ones follow.
    bytes[600] ^= 1;
    fs::write(&segment, bytes).unwrap();
    refused(&network.home(id), CONFIGURATION, &["journal-00000001.log, offset 512", "check the disk"]).await;
}

#[tokio::test]
async fn lying_is_refused_outside_of_test_networks() {
    let mut plan = Plan::of(4);
    plan.test_network = false;
    let network = Network::new(&plan).await;
    for strategy in ["equivocate", "mute", "double-vote"] {
        let (code, message) = ended(on(&network.home(replica(0)), pbft(), &["byzantine", "--strategy", strategy])).await;
        assert_eq!(code, CONFIGURATION, "{message}");
        assert!(message.contains("not marked as a test network"), "{message}");
    }
}

#[tokio::test]
async fn an_unknown_strategy_is_wrong_usage() {
    let (_network, home) = home().await;
    let (code, message) = ended(on(&home, pbft(), &["byzantine", "--strategy", "flatter"])).await;
    assert_eq!(code, 2, "{message}");
    assert!(message.contains("one of equivocate, belated, double-vote"), "{message}");
}
