//! Replicas that die at each step of what they do to their disk, of what they send, and of installing a state (R15).

use crate::start::IO;
use crate::{OBSERVER, all_is_well, replica};
use pbft_message::ReplicaId;
use pbft_tests::{Load, Network, Plan, Random, eventually};

/// The steps, and how often each is taken at least before the process dies there.
const STEPS: [(&str, u64); 16] = [
    ("write journal", 200),
    ("sync journal", 200),
    ("send broadcast", 600),
    ("send message", 300),
    ("create journal", 4),
    ("rename journal", 4),
    ("sync directory", 4),
    ("remove journal", 4),
    ("create snapshot", 4),
    ("write snapshot", 3000),
    ("sync snapshot", 4),
    ("rename snapshot", 4),
    ("remove snapshot", 4),
    ("write journal", 1),
    ("sync journal", 1),
    ("send broadcast", 1),
];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "builds the daemon once more, with fail points"]
async fn r15_a_replica_that_dies_at_any_step_repeats_itself_or_is_silent() {
    let mut random = Random::of_test(31);
    let mut network = Network::started(&Plan::of(4).with_short_log()).await;
    let observer = network.client(OBSERVER);
    let mut load = Load::start(&network, 31);
    load.goes_on(50).await;
    for (step, most) in STEPS {
        let victim = replica(random.below(4) as u32);
        network.kill(victim);
        let visit = 1 + random.below(most);
        network.start_doomed(victim, &format!("{step} {visit}"));
        dies(&mut network, victim, &format!("{step} {visit}")).await;
        network.comes_back(&observer, victim).await;
        network.nobody_is_accused(&observer).await;
    }
    let history = load.finish().await;
    all_is_well(&network, &observer, history).await;
    network.nobody_contradicts_itself();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "builds the daemon once more, with fail points"]
async fn r14_a_replica_that_dies_while_it_installs_a_state_has_the_old_one_or_the_new_one() {
    let victim = replica(3);
    let mut network = Network::started(&Plan::of(4).with_short_log()).await;
    let observer = network.client(OBSERVER);
    let mut load = Load::start(&network, 32);
    for step in
        ["install state 1", "create snapshot 1", "write snapshot 700", "sync snapshot 1", "rename snapshot 1", "create journal 1"]
    {
        load.goes_on(30).await;
        network.kill(victim);
        load.goes_on(300).await;
        network.start_doomed(victim, step);
        dies(&mut network, victim, step).await;
        network.comes_back(&observer, victim).await;
    }
    let history = load.finish().await;
    all_is_well(&network, &observer, history).await;
    network.nobody_contradicts_itself();
}

/// What the disk refuses, how often each is done at least before that, and how the daemon names it.
const FAULTS: [(&str, u64, &str); 13] = [
    ("write journal", 200, "cannot write journal-"),
    ("sync journal", 200, "cannot sync journal-"),
    ("write journal", 1, "cannot write journal-"),
    ("sync journal", 1, "cannot sync journal-"),
    ("create journal", 3, "cannot create journal-"),
    ("rename journal", 3, "cannot rename journal-"),
    ("remove journal", 3, "cannot remove journal-"),
    ("sync directory", 3, "cannot sync the directory"),
    ("create snapshot", 3, "cannot create snapshot-"),
    ("write snapshot", 200, "cannot write snapshot-"),
    ("sync snapshot", 3, "cannot sync snapshot-"),
    ("rename snapshot", 3, "cannot rename snapshot-"),
    ("remove snapshot", 3, "cannot remove snapshot-"),
];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "builds the daemon once more, with fail points"]
async fn r15_a_write_or_sync_that_fails_ends_the_replica_with_a_clear_message_and_nothing_is_contradicted() {
    let mut random = Random::of_test(33);
    let mut network = Network::started(&Plan::of(4).with_short_log()).await;
    let observer = network.client(OBSERVER);
    let mut load = Load::start(&network, 33);
    load.goes_on(50).await;
    for (fault, most, message) in FAULTS {
        let victim = replica(random.below(4) as u32);
        network.kill(victim);
        let visit = 1 + random.below(most);
        network.start_doomed(victim, &format!("{fault} {visit} error"));
        gives_up(&mut network, victim, message).await;
        network.comes_back(&observer, victim).await;
        network.nobody_is_accused(&observer).await;
    }
    let history = load.finish().await;
    all_is_well(&network, &observer, history).await;
    network.nobody_contradicts_itself();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "builds the daemon once more, with fail points"]
async fn r14_a_disk_that_fails_under_a_fetched_state_ends_the_replica_and_the_next_start_fetches_on() {
    let victim = replica(3);
    let mut network = Network::started(&Plan::of(4).with_short_log()).await;
    let observer = network.client(OBSERVER);
    let mut load = Load::start(&network, 34);
    for (fault, message) in [("create transfer 1", "cannot create transfer-"), ("write transfer 2", "cannot write transfer-")] {
        load.goes_on(30).await;
        network.kill(victim);
        load.goes_on(300).await;
        network.start_doomed(victim, &format!("{fault} error"));
        gives_up(&mut network, victim, message).await;
        network.comes_back(&observer, victim).await;
    }
    let history = load.finish().await;
    all_is_well(&network, &observer, history).await;
    network.nobody_contradicts_itself();
}

/// Waits until the process has met its fault, and ended by itself with this message.
async fn gives_up(network: &mut Network, victim: ReplicaId, message: &str) {
    eventually(&format!("replica {victim}: {message}"), async || (!network.runs(victim)).then_some(())).await;
    let (code, log) = (network.bury(victim), network.log(victim));
    let last = log.lines().last().unwrap_or_default();
    println!("{last}");
    let is_clear = last.starts_with("pbftd: ") && last.contains(message) && last.contains("os error 5");
    assert_eq!((code, is_clear), (Some(IO), true), "{log}");
}

/// Waits until the process has come to its step, and died.
async fn dies(network: &mut Network, victim: ReplicaId, step: &str) {
    eventually(&format!("replica {victim} dies at {step}"), async || (!network.runs(victim)).then_some(())).await;
    assert_eq!(network.bury(victim), None, "{}", network.log(victim));
}
