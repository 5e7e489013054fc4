//! `pbft doctor`: each finding, by creating the fault. Those without a test here take what nobody can create with these
//! programs (a core that hangs, certified states that differ, another wire version); they have unit tests.

use crate::amnesia::append;
use crate::full_disk::SmallDisk;
use crate::http::rewrite_config;
use crate::start::{ended, on, rewrite_genesis};
use crate::{OBSERVER, replica};
use pbft_message::{ReplicaId, SequenceNumber};
use pbft_node::initialise_data;
use pbft_protocol::agreement::{Alarm, Record};
use pbft_services::kv::Operation;
use pbft_tests::{Fault, Keys, Load, Network, PATIENCE, Plan, Random, eventually, free_port, pbft, pbftd};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::time::timeout;

/// A client's home, from which the doctor is asked.
const PATIENT: usize = 3;

/// What the doctor says.
async fn diagnosis(home: &Path) -> Value {
    let mut command = pbft();
    command.args(["doctor", "-o", "json", "--home"]).arg(home).stdin(Stdio::null()).stderr(Stdio::piped());
    let mut command = tokio::process::Command::from(command);
    let output = timeout(PATIENCE, command.kill_on_drop(true).output()).await.expect("the doctor ends").unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let diagnosis: Value =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text} {}", String::from_utf8_lossy(&output.stderr)));
    let is_well = diagnosis["findings"].as_array().unwrap().is_empty();
    assert_eq!(output.status.code(), Some(i32::from(!is_well)), "{diagnosis}");
    assert_eq!(diagnosis["severity"] == "ok", is_well, "{diagnosis}");
    diagnosis
}

/// Waits until the doctor finds this; its message and action.
pub async fn found(home: &Path, code: &str, id: Option<ReplicaId>) -> String {
    found_saying(home, code, id, "").await
}

/// Waits until the doctor finds this in such words: some say more once others have noticed too.
async fn found_saying(home: &Path, code: &str, id: Option<ReplicaId>, words: &str) -> String {
    let about = |finding: &&Value| finding["code"] == code && finding["replica"].as_u64() == id.map(|id| u64::from(id.0));
    eventually(&format!("the doctor finds {code} of {id:?}"), async || {
        let diagnosis = diagnosis(home).await;
        println!("{diagnosis}");
        let finding = diagnosis["findings"].as_array().unwrap().iter().find(about).cloned()?;
        let told = format!("{} {}", finding["message"].as_str().unwrap(), finding["action"].as_str().unwrap());
        told.contains(words).then_some(told)
    })
    .await
}

pub async fn all_is_well(home: &Path) {
    eventually("the doctor finds nothing", async || (diagnosis(home).await["severity"] == "ok").then_some(())).await;
}

async fn healthy(plan: &Plan) -> (Network, PathBuf) {
    let network = Network::started(plan).await;
    let home = network.client_home(PATIENT);
    all_is_well(&home).await;
    (network, home)
}

async fn put(network: &Network, key: &str) {
    network.client(0).request(vec![Operation::put(key, "value").encode()]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_replicas_a_missing_quorum_and_why_nothing_is_ordered() {
    let (mut network, home) = healthy(&Plan::of(4)).await;
    network.kill(replica(3));
    found_saying(&home, "Unreachable", Some(replica(3)), "Is its process running?").await;
    network.kill(replica(2));
    let told = found(&home, "NoQuorum", None).await;
    assert!(told.contains("2 of 4 replicas vote, 3 must") && told.contains("Bring back 1 of these"), "{told}");
    found(&home, "TooManyFaults", None).await;
    // A request waits: the primary's proposal and one vote are there.
    let client = network.client(0);
    let waits = tokio::spawn(async move { client.request(vec![Operation::put("waits", "long").encode()]).await });
    let told = found_saying(&home, "RequestOwed", None, "has 2 of 3 PREPAREs").await;
    assert!(told.contains("Bring back a quorum"), "{told}");
    found_saying(&home, "Suspected", Some(replica(0)), "suspected by replica 1: a request is not ordered in time").await;
    network.start(replica(2));
    network.start(replica(3));
    waits.await.unwrap().unwrap();
    all_is_well(&home).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_change_that_cannot_end() {
    let (mut network, home) = healthy(&Plan::of(4)).await;
    network.kill(replica(0));
    network.kill(replica(3));
    let told = found(&home, "ViewChange", None).await;
    assert!(told.contains("replicas 1 and 2 want to enter view 1, whose primary is replica 1: 2 of 3 VIEW-CHANGEs"), "{told}");
    assert!(told.contains("the timer resend expires in"), "{told}");
    network.start(replica(3));
    found(&home, "Unreachable", Some(replica(0))).await;
    network.start(replica(0));
    all_is_well(&home).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn links_that_are_cut_and_a_firewall_before_the_client() {
    let (network, home) = healthy(&Plan::of(4).with_links(91)).await;
    let links = network.links.as_ref().unwrap();
    let cut = Fault { cut: true, ..Fault::default() };
    links.set(replica(1), replica(2), cut);
    links.set(replica(2), replica(1), cut);
    let told = found(&home, "Disconnected", Some(replica(1))).await;
    assert!(told.contains("replicas 1 and 2 have no connection to each other"), "{told}");
    links.heal();
    all_is_well(&home).await;
    // The client looks for replica 2 where nobody is.
    let mut addresses: Vec<_> = network.ids().into_iter().map(|id| network.address(id)).collect();
    addresses[2] = free_port();
    network.write_addresses(&home, &addresses);
    found_saying(&home, "Unreachable", Some(replica(2)), "but replicas 0, 1 and 3 hear it").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_of_somebody_else() {
    let (mut network, home) = healthy(&Plan::of(4)).await;
    let mut addresses: Vec<_> = network.ids().into_iter().map(|id| network.address(id)).collect();
    addresses[2] = addresses[1];
    network.write_addresses(&home, &addresses);
    let told = found(&home, "WrongKey", Some(replica(2))).await;
    assert!(told.contains(&format!("{} does not have the transport key", addresses[1])), "{told}");
    addresses[2] = network.address(replica(2));
    network.write_addresses(&home, &addresses);
    all_is_well(&home).await;

    network.kill(replica(0));
    let elsewhere = network.address(replica(3)).to_string();
    rewrite_config(&network, replica(0), |config| config.replicas[1] = elsewhere);
    network.start(replica(0));
    let told = found(&home, "WrongAddress", Some(replica(0))).await;
    assert!(told.contains("has for replica 1") && told.contains("Correct replicas in config.toml of replica 0"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_genesis_and_a_client_that_is_not_in_it() {
    let (mut network, home) = healthy(&Plan::of(4)).await;
    let astray = replica(3);
    network.kill(astray);
    let folder = network.home(astray);
    let genesis = rewrite_genesis(&folder, |genesis| genesis.name = "another".to_owned());
    fs::remove_dir_all(folder.join("data")).unwrap();
    initialise_data(&folder, genesis.cluster_id(), network.replica_keys(astray).signing.public()).unwrap();
    network.start(astray);
    let told = found(&home, "OtherCluster", Some(astray)).await;
    assert!(told.contains("pbft genesis show"), "{told}");
    found(&home, "DifferentGenesis", Some(replica(0))).await;

    let stranger = Keys::generate();
    let key = home.join("keys/transport.key");
    fs::remove_file(&key).unwrap();
    pbft_crypto::write_secret_key(&key, &stranger.transport).unwrap();
    found(&home, "RefusesClient", Some(replica(1))).await;
    let told = found(&home, "CannotJudge", None).await;
    assert!(
        told.contains("replicas 0, 1 and 2 tell it nothing") || told.contains("replicas 0, 1, 2 and 3 tell it nothing"),
        "{told}"
    );
    let codes =
        diagnosis(&home).await["findings"].as_array().unwrap().iter().map(|finding| finding["code"].clone()).collect::<Vec<_>>();
    assert!(
        !codes.contains(&"NoQuorum".into()) && !codes.contains(&"TooManyFaults".into()),
        "the cluster serves others: {codes:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_follow_without_voting() {
    let (mut network, home) = healthy(&Plan::of(4).with_short_log()).await;
    for number in 0..6 {
        put(&network, &format!("key {number}")).await;
    }
    let id = replica(3);
    network.kill(id);
    append(&network, id, &Record::Halted(Alarm::Diverged(SequenceNumber(4))));
    network.start(id);
    let told = found(&home, "Halted", Some(id)).await;
    assert!(told.contains("differs from the certified one") && told.contains("Copy its data/"), "{told}");
    // The certified state is on the others, of which there are too few to make or tell of another.
    network.kill(id);
    for other in [replica(0), replica(1)] {
        network.kill(other);
    }
    assert_eq!(ended(on(&network.home(id), pbftd(), &["repair", "--from-certificate"])).await.0, 0);
    network.start(replica(0));
    let told = found(&home, "Recovering", Some(replica(0))).await;
    assert!(told.contains("has not heard from a quorum"), "{told}");
    network.kill(replica(2));
    network.start(id);
    found(&home, "Repairing", Some(id)).await;
    network.start(replica(1));
    network.start(replica(2));

    network.kill(id);
    fs::remove_dir_all(network.home(id).join("data")).unwrap();
    network.rejoin(id);
    let told = found(&home, "Learner", Some(id)).await;
    assert!(told.contains("never votes under this key again"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_behind_and_fetches_the_state() {
    let mut plan = Plan::of(4).with_short_log();
    plan.limits.transfer_bytes_per_second = 1 << 20;
    let (mut network, home) = healthy(&plan).await;
    let away = replica(3);
    network.kill(away);
    let client = network.client(0);
    let mut random = Random::new(92);
    for number in 0..60 {
        let value: Vec<u8> = (0..64 << 10).flat_map(|_| random.draw().to_le_bytes()).collect();
        client.request(vec![Operation::put(format!("key {number}"), value).encode()]).await.unwrap();
    }
    network.start(away);
    let told = found(&home, "Transferring", Some(away)).await;
    assert!(told.contains("the state of checkpoint"), "{told}");
    all_is_well(&home).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_full_for_want_of_a_checkpoint() {
    let mut network = Network::new(&Plan::of(4).with_short_log()).await;
    // Two liars and one that is missing: more than the cluster survives. One liar has the honest votes for a certificate.
    network.start(replica(0));
    network.start_lying(replica(1), "checkpoint-liar");
    network.start_lying(replica(2), "checkpoint-liar");
    let home = network.client_home(PATIENT);
    let client = network.client(OBSERVER);
    client.wait_for_quorum(PATIENCE).await.unwrap();
    let load = tokio::spawn(async move {
        for number in 0.. {
            let ordered = client.request(vec![Operation::put(format!("key {number}"), "value").encode()]).await;
            if ordered.is_err() {
                return;
            }
        }
    });
    let told = eventually("somebody's log is full", async || {
        let diagnosis = diagnosis(&home).await;
        let finding = diagnosis["findings"].as_array().unwrap().iter().find(|found| found["code"] == "NoStableCheckpoint").cloned();
        finding.map(|finding| finding["message"].as_str().unwrap().to_owned())
    })
    .await;
    assert!(told.contains("2 of 3 CHECKPOINTs that match"), "{told}");
    load.abort();
    // A fourth, honest one is enough.
    network.start(replica(3));
    eventually("the log goes on", async || {
        let diagnosis = diagnosis(&home).await;
        let full = diagnosis["findings"].as_array().unwrap().iter().any(|found| found["code"] == "NoStableCheckpoint");
        (!full).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn disks_that_fill_and_are_full() {
    let mut network = Network::new(&Plan::of(4)).await;
    let full = replica(1);
    let Some(disk) = SmallDisk::under(&network, full, 256 << 20) else { return };
    network.ids().into_iter().for_each(|id| network.start(id));
    let home = network.client_home(PATIENT);
    all_is_well(&home).await;
    disk.fill(8 << 20);
    let told = found(&home, "DiskFills", Some(full)).await;
    assert!(told.contains("MiB left of 256 MiB"), "{told}");
    disk.free();
    disk.fill(0);
    let client = network.client(0);
    eventually("the journal finds no room", async || {
        client.request(vec![Operation::put("large", vec![1; 900_000]).encode()]).await.unwrap();
        network.status(full).await.disk.full.then_some(())
    })
    .await;
    let told = found(&home, "DiskFull", Some(full)).await;
    assert!(told.contains("Make room outside of data/"), "{told}");
    disk.free();
    all_is_well(&home).await;
}

/// Debian's libfaketime, by which one process sees another time; without it this test proves nothing.
const FAKE_TIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_off() {
    if !Path::new(FAKE_TIME).exists() {
        println!("SKIPPED: no libfaketime, so nothing was tested");
        return;
    }
    let mut network = Network::new(&Plan::of(4)).await;
    let late = replica(2);
    for id in network.ids() {
        if id == late {
            let only_the_wall = [("LD_PRELOAD", FAKE_TIME), ("FAKETIME", "-60s"), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")];
            network.start_with(id, &only_the_wall);
        } else {
            network.start(id);
        }
    }
    let home = network.client_home(PATIENT);
    let told = found(&home, "ClockSkew", Some(late)).await;
    assert!(told.contains("s behind the others'") && told.contains("beyond 5.0 s") && told.contains("NTP"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_liar_and_different_versions() {
    let mut network = Network::new(&Plan::of(4)).await;
    let (liar, newer) = (replica(2), replica(3));
    network.start(replica(0));
    network.start(replica(1));
    network.start_lying(liar, "double-vote");
    network.start_other_build(newer);
    let home = network.client_home(PATIENT);
    let told = found(&home, "VersionsDiffer", None).await;
    assert!(told.contains("replica 3 run") && told.contains("+fail-points"), "{told}");
    let mut load = Load::start(&network, 93);
    load.goes_on(50).await;
    let told = found(&home, "Evidence", Some(liar)).await;
    assert!(told.contains("is proven to have lied") && told.contains("pbft evidence list"), "{told}");
    // With another one missing, more are faulty than the cluster survives, though it goes on.
    network.kill(newer);
    let told = found(&home, "TooManyFaults", None).await;
    assert!(told.contains("2 (a liar), 3 (does not answer)"), "{told}");
    load.finish().await;
}
