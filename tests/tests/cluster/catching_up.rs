use crate::{OBSERVER, all_is_well, replica};
use pbft_message::ReplicaReport;
use pbft_tests::{Load, Network, Plan, eventually};

/// What a replica logs once it has fetched a state.
const INSTALLED: &str = "installed the fetched state";
/// What a replica logs once a snapshot is on its disk.
const SAVED: &str = "saved a snapshot";

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_away_beyond_the_log_catches_up_by_state_transfer() {
    let mut network = Network::started(&Plan::of(4).with_short_log()).await;
    let observer = network.client(OBSERVER);
    let mut load = Load::start(&network, 51);
    load.goes_on(40).await;
    let away = replica(3);
    network.kill(away);
    let here = network.reports(&observer).await[&replica(1)].stable_checkpoint;
    // The others keep bodies for a log window below h; beyond twice that nobody has them.
    let beyond = here.plus(4 * network.genesis.parameters.log_window);
    let look = |report: &ReplicaReport| (report.stable_checkpoint > beyond).then_some(());
    network.report_shows(&observer, replica(1), "is beyond the log of the one that is away", look).await;
    network.start(away);
    // While the others go on, so that the target moves.
    let passed = |report: &ReplicaReport| (report.executed > beyond).then_some(());
    network.report_shows(&observer, away, "passed the gap", passed).await;
    assert!(network.log(away).contains(INSTALLED), "{}", network.log(away));
    load.goes_on(100).await;
    let history = load.finish().await;
    all_is_well(&network, &observer, history).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_killed_after_its_state_transfer_restarts_from_that_state() {
    let mut network = Network::started(&Plan::of(4).with_short_log()).await;
    let observer = network.client(OBSERVER);
    let mut load = Load::start(&network, 52);
    load.goes_on(40).await;
    let away = replica(2);
    network.kill(away);
    load.goes_on(300).await;
    network.start(away);
    load.goes_on(100).await;
    let history = load.finish().await;
    let agreement = all_is_well(&network, &observer, history).await;
    let saved = async || {
        let log = network.log(away);
        log.split_once(INSTALLED).is_some_and(|(_, since)| since.contains(SAVED)).then_some(())
    };
    eventually("the fetched state is on the disk", saved).await;

    // Alone it has nobody to learn from: what it says then is what it had on its disk.
    for id in network.ids() {
        network.kill(id);
    }
    network.start(away);
    let executed = |report: &ReplicaReport| Some(report.executed).filter(|executed| *executed >= agreement.sequence);
    network.report_shows(&observer, away, "has its state without the others", executed).await;
    for id in network.ids().into_iter().filter(|id| *id != away) {
        network.start(id);
    }
    network.agreed(&observer, &network.ids()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_disk_stays_bounded() {
    let network = Network::started(&Plan::of(4).with_short_log()).await;
    let observer = network.client(OBSERVER);
    let mut load = Load::start(&network, 53);
    load.goes_on(1500).await;
    let history = load.finish().await;
    all_is_well(&network, &observer, history).await;
    for id in network.ids() {
        let files: Vec<_> = std::fs::read_dir(network.home(id).join("data")).unwrap().map(|entry| entry.unwrap()).collect();
        let names: Vec<String> = files.iter().map(|file| file.file_name().to_string_lossy().into_owned()).collect();
        assert!(names.len() <= 10, "replica {id} does not remove old files: {names:?}");
        // Preallocated segments count as they are on the disk.
        let bytes: u64 = files.iter().map(|file| std::os::unix::fs::MetadataExt::blocks(&file.metadata().unwrap()) * 512).sum();
        assert!(bytes < 64 << 20, "replica {id} occupies {bytes} bytes");
    }
}
