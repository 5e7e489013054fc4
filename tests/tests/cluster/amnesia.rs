//! Replicas that lost their disk, got an old one back, or came to another state than the others (R9, R16).

use crate::start::{CONFIGURATION, IO, ended, on};
use crate::{OBSERVER, all_is_well_among, replica};
use pbft_client::Client;
use pbft_message::{ReplicaId, ReplicaReport, SequenceNumber, codec};
use pbft_node::{Home, run};
use pbft_protocol::agreement::Record;
use pbft_protocol::service::{Context, RestoreError, Service, Snapshot};
use pbft_services::kv::{KeyValueStore, Operation};
use pbft_storage::{FileDisk, Identity, Journal};
use pbft_tests::{Load, Network, Plan, eventually, pbftd};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The answer is no.
const NO: i32 = 1;
const USAGE: i32 = 2;

/// All records in the journal of a replica that does not run.
fn records(network: &Network, id: ReplicaId) -> Vec<Record> {
    let disk = FileDisk::open(&network.home(id).join("data")).unwrap();
    let mut records = Vec::new();
    Journal::read(disk, |_, bytes| records.push(codec::decode(bytes).unwrap())).unwrap();
    records
}

/// How many things a replica that does not run has signed, as its journal has it.
fn signed(network: &Network, id: ReplicaId) -> usize {
    let is_signed = |record: &&Record| match record {
        Record::Prepare(_) | Record::Commit(_) | Record::Checkpoint(_) | Record::ViewChange(_) | Record::Opened(_) => true,
        Record::PrePrepare(header) => header.replica == id,
        Record::NewView(new_view) => new_view.replica == id,
        _ => false,
    };
    records(network, id).iter().filter(is_signed).count()
}

/// The highest number for which a replica that does not run has signed a commit, as its journal has it.
fn newest_vote(network: &Network, id: ReplicaId) -> Option<SequenceNumber> {
    let commits = records(network, id).into_iter().filter_map(|record| match record {
        Record::Commit(commit) => Some(commit.sequence),
        _ => None,
    });
    commits.max()
}

/// Adds a record to the journal of a replica that does not run.
pub fn append(network: &Network, id: ReplicaId, record: &Record) {
    let identity = Identity { cluster: network.genesis.cluster_id(), owner: network.replica_keys(id).signing.public() };
    let disk = FileDisk::open(&network.home(id).join("data")).unwrap();
    let (mut journal, _) = Journal::open(disk, &identity, |_, _| ()).unwrap();
    journal.commit(&[codec::encode(record)]).unwrap();
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Waits until a replica has executed what another one has.
async fn follows(network: &Network, observer: &Client, id: ReplicaId, of: ReplicaId) {
    let there = network.reports(observer).await[&of].executed;
    network.report_shows(observer, id, "follows", |report| (report.executed >= there).then_some(())).await;
}

/// The name of the state that a diverged replica keeps.
fn kept_for_forensics(home: &Path) -> Option<String> {
    let names = fs::read_dir(home.join("data")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.into_iter().find(|name| name.starts_with("diverged-") && name.ends_with(".bin"))
}

/// A store that once does what no other does, and once more with each state it is given: a replica that errs while it
/// replays its journal may find itself so far behind that a fetched state takes the place of its error.
struct Flawed {
    inner: KeyValueStore,
    erred: bool,
}

impl Service for Flawed {
    fn execute(&mut self, context: &Context, operation: &[u8]) -> Vec<u8> {
        if !std::mem::replace(&mut self.erred, true) {
            self.inner.execute(context, &Operation::put("nobody", "asked for this").encode());
        }
        self.inner.execute(context, operation)
    }

    fn snapshot(&self) -> Arc<dyn Snapshot> {
        self.inner.snapshot()
    }

    fn changed_chunks(&mut self) -> Vec<u32> {
        self.inner.changed_chunks()
    }

    fn restore(&mut self, chunks: Vec<Vec<u8>>) -> Result<(), RestoreError> {
        self.erred = false;
        self.inner.restore(chunks)
    }
}

fn others(network: &Network, id: ReplicaId) -> Vec<ReplicaId> {
    network.ids().into_iter().filter(|other| *other != id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn r16_a_replica_that_lost_its_disk_is_refused_and_rejoins_as_a_learner() {
    let mut network = Network::started(&Plan::of(4).with_short_log()).await;
    let observer = network.client(OBSERVER);
    let mut load = Load::start(&network, 61);
    load.goes_on(60).await;
    let id = replica(3);
    let home = network.home(id);
    let (code, message) = ended(on(&home, pbftd(), &["start", "--rejoin"])).await;
    assert_eq!((code, message.contains("in use by another process")), (IO, true), "{message}");
    network.kill(id);
    let (code, message) = ended(on(&home, pbftd(), &["start", "--rejoin"])).await;
    assert_eq!((code, message.contains("holds a journal")), (CONFIGURATION, true), "{message}");

    fs::remove_dir_all(home.join("data")).unwrap();
    let (code, message) = ended(on(&home, pbftd(), &["start"])).await;
    assert_eq!((code, message.contains("--rejoin")), (CONFIGURATION, true), "{message}");
    network.rejoin(id);
    let shows = |report: &ReplicaReport| (report.learner && report.alarm.is_none()).then_some(());
    network.report_shows(&observer, id, "is a learner", shows).await;
    follows(&network, &observer, id, replica(0)).await;
    load.goes_on(60).await;

    // It remains one without the word.
    network.kill(id);
    network.start(id);
    network.report_shows(&observer, id, "is a learner", shows).await;
    load.goes_on(40).await;
    let history = load.finish().await;
    all_is_well_among(&network, &observer, history, &network.ids()).await;
    // It is no substitute for another one: three are heard, and two vote.
    network.kill(replica(2));
    network.readiness(replica(0), 503, "no quorum: 2 of the 3 votes").await;
    network.readiness(id, 503, "no quorum: 2 of the 3 votes").await;
    network.kill(id);
    assert_eq!(signed(&network, id), 0);
    assert!(records(&network, id).contains(&Record::Learner));
}

#[tokio::test(flavor = "multi_thread")]
async fn r16_an_old_copy_of_the_disk_halts_the_replica_before_it_votes() {
    let mut network = Network::started(&Plan::of(4)).await;
    let observer = network.client(OBSERVER);
    let mut load = Load::start(&network, 62);
    load.goes_on(40).await;
    let id = replica(2);
    let (data, copy) = (network.home(id).join("data"), network.home(id).join("copy"));
    network.kill(id);
    copy_folder(&data, &copy);
    let before = signed(&network, id);
    network.start(id);
    follows(&network, &observer, id, replica(0)).await;
    load.goes_on(80).await;
    network.kill(id);
    assert!(signed(&network, id) > before, "it voted after the copy was made");
    fs::remove_dir_all(&data).unwrap();
    fs::rename(&copy, &data).unwrap();

    network.start(id);
    let alarm = |report: &ReplicaReport| report.alarm.clone();
    let told = network.report_shows(&observer, id, "halts", alarm).await;
    assert!(told.contains("a vote of this replica that its journal lacks") && told.contains("--rejoin"), "{told}");
    load.goes_on(60).await;
    // Not even a restart makes it forget that.
    network.kill(id);
    assert_eq!(signed(&network, id), before, "it signed nothing more");
    network.start(id);
    assert_eq!(network.report_shows(&observer, id, "is halted", alarm).await, told);
    let (code, message) = {
        network.kill(id);
        ended(on(&network.home(id), pbftd(), &["repair", "--from-certificate"])).await
    };
    assert_eq!((code, message.contains("a certified state does not heal this")), (NO, true), "{message}");
    load.goes_on(40).await;
    let history = load.finish().await;
    let honest = others(&network, id);
    all_is_well_among(&network, &observer, history, &honest).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r09_a_diverged_replica_is_repaired_on_the_operators_word_and_votes_again() {
    let mut network = Network::started(&Plan::of(4).with_short_log()).await;
    let observer = network.client(OBSERVER);
    let mut load = Load::start(&network, 63);
    load.goes_on(40).await;
    let id = replica(1);
    let home = network.home(id);
    let repair = || on(&home, pbftd(), &["repair", "--from-certificate"]);
    let (code, message) = ended(repair()).await;
    assert_eq!((code, message.contains("in use by another process")), (IO, true), "{message}");
    network.kill(id);
    let (code, message) = ended(repair()).await;
    assert_eq!((code, message.contains("nothing to repair")), (NO, true), "{message}");
    assert_eq!(ended(on(&home, pbftd(), &["repair"])).await.0, USAGE, "the word must be given");

    // The same replica with a service that errs once.
    let stop = CancellationToken::new();
    let flawed = Flawed { inner: KeyValueStore::new(&network.genesis.service), erred: false };
    let running = tokio::spawn(run(Home::load(&home).unwrap(), flawed, None, stop.clone()));
    let halted = |report: &ReplicaReport| report.alarm.clone();
    let told = network.report_shows(&observer, id, "is halted", halted).await;
    assert!(told.contains("differs from the certified one"), "{told}");
    eventually("the state is kept", async || kept_for_forensics(&home)).await;
    load.goes_on(60).await;
    stop.cancel();
    running.await.unwrap().unwrap();
    let (before, newest) = (signed(&network, id), newest_vote(&network, id));

    // A restart heals nothing, and neither does a sound service.
    network.start(id);
    assert_eq!(network.report_shows(&observer, id, "is halted still", halted).await, told);
    load.goes_on(60).await;
    network.kill(id);
    assert_eq!(signed(&network, id), before, "it signs nothing");
    assert!(kept_for_forensics(&home).is_some());
    assert_eq!(ended(repair()).await.0, 0);
    assert_eq!(ended(repair()).await.0, NO, "once is enough");
    network.start(id);
    network.report_shows(&observer, id, "votes again", |report| report.alarm.is_none().then_some(())).await;
    assert!(network.log(id).contains("a certified state has taken the place"), "{}", network.log(id));
    // If the others have left its view meanwhile, it follows by certificates alone until it has their new-view.
    let view = network.reports(&observer).await[&replica(0)].view;
    let in_view = |report: &ReplicaReport| (report.active && report.view >= view).then_some(());
    network.report_shows(&observer, id, "has entered the others' view", in_view).await;
    load.goes_on(60).await;
    let history = load.finish().await;
    all_is_well_among(&network, &observer, history, &network.ids()).await;
    network.kill(id);
    // Both are gone only once the journal has begun anew.
    let is_of_it = |record: &&Record| matches!(record, Record::Halted(_) | Record::Repaired);
    let last = records(&network, id).into_iter().rfind(|record| is_of_it(&record));
    assert!(matches!(last, None | Some(Record::Repaired)), "{last:?}");
    assert!(newest_vote(&network, id) > newest, "it votes again");
}
