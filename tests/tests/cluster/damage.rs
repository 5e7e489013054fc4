//! Files of a stopped replica that are flipped and cut at random offsets: what comes of it is a precise refusal, or the state
//! that the others have.

use crate::start::{CONFIGURATION, ended, on};
use crate::{OBSERVER, all_is_well, replica};
use pbft_message::ReplicaId;
use pbft_services::kv::{Operation, Step};
use pbft_tests::{Load, Network, Plan, Random, eventually, pbft};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The answer is no.
const NO: i32 = 1;

/// A replica's files whose names begin so, in ascending order.
fn files(network: &Network, id: ReplicaId, prefix: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(network.home(id).join("data")) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| name(file).starts_with(prefix));
    files.sort();
    files
}

fn name(file: &Path) -> &str {
    file.file_name().unwrap().to_str().unwrap()
}

/// Flips some bits between two offsets, or cuts the file there. In words what was done.
fn damage(file: &Path, within: Range<u64>, random: &mut Random) -> String {
    let mut bytes = fs::read(file).unwrap();
    let mut offset = || (within.start + random.below(within.end - within.start)) as usize;
    let first = offset();
    let done = match first % 3 {
        0 => {
            bytes.truncate(first);
            format!("cut {} at {first}", name(file))
        }
        1 => {
            bytes[first] ^= 1 << (first % 8);
            format!("flipped a bit of {} at {first}", name(file))
        }
        _ => {
            let all: Vec<usize> = (0..20).map(|_| offset()).collect();
            all.iter().for_each(|at| bytes[*at] = !bytes[*at]);
            format!("flipped bytes of {} at {all:?}", name(file))
        }
    };
    fs::write(file, bytes).unwrap();
    println!("{done}");
    done
}

fn length(file: &Path) -> u64 {
    fs::metadata(file).unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn r14_a_damaged_snapshot_is_told_by_name_and_costs_no_more_than_a_state_of_the_others() {
    let mut random = Random::of_test(81);
    let mut network = Network::started(&Plan::of(4).with_short_log()).await;
    let observer = network.client(OBSERVER);
    let mut load = Load::start(&network, 81);
    for round in 0..8 {
        let victim = replica(random.below(4) as u32);
        load.goes_on(80).await;
        eventually("it has a snapshot", async || files(&network, victim, "snapshot-").last().map(|_| ())).await;
        network.kill(victim);
        let mut snapshots = files(&network, victim, "snapshot-");
        snapshots.retain(|file| name(file).ends_with(".bin"));
        let newest = snapshots.pop().unwrap();
        let mut done = damage(&newest, 0..length(&newest), &mut random);
        // In every other round there is no whole one.
        for older in snapshots.iter().filter(|_| round % 2 == 0) {
            done += &damage(older, 0..length(older), &mut random);
        }
        let mut verify = pbft();
        verify.args(["snapshot", "verify"]).arg(&newest).arg("--genesis").arg(network.home(victim).join("genesis.toml"));
        let (code, message) = ended(verify).await;
        assert_eq!((code, message.contains(name(&newest)) && message.contains("offset")), (NO, true), "{done}: {message}");

        network.comes_back(&observer, victim).await;
        let log = network.log(victim);
        assert!(log.contains("damaged_snapshot") && log.contains(name(&newest)), "{done}: {log}");
    }
    load.goes_on(50).await;
    let history = load.finish().await;
    all_is_well(&network, &observer, history).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r14_damage_to_a_half_fetched_state_is_fetched_again_and_blames_nobody() {
    const VALUE: usize = 100_000;
    const VALUES: u64 = 160;
    let mut random = Random::of_test(82);
    let mut plan = Plan::of(4).with_short_log();
    plan.limits.transfer_bytes_per_second = 1 << 20;
    let mut network = Network::started(&plan).await;
    let observer = network.client(OBSERVER);
    let away = replica(random.below(4) as u32);
    network.kill(away);
    for number in 0..VALUES {
        let value = (0..VALUE / 8).flat_map(|_| random.draw().to_le_bytes()).collect::<Vec<u8>>();
        let put = Step::put(format!("large {number}").into_bytes(), value);
        observer.request(vec![Operation::from(put).encode()]).await.unwrap();
    }
    let others: Vec<ReplicaId> = network.ids().into_iter().filter(|id| *id != away).collect();
    network.agreed(&observer, &others).await;

    let mut kept = 0;
    let mut logs = String::new();
    for _ in 0..4 {
        let enough = kept + 500_000 + random.below(1_000_000);
        network.start(away);
        let fetched = async || files(&network, away, "transfer-").last().map(|file| length(file)).filter(|bytes| *bytes >= enough);
        eventually("some of the state is fetched", fetched).await;
        network.kill(away);
        logs += &network.log(away);
        let file = files(&network, away, "transfer-").pop().unwrap();
        damage(&file, 0..length(&file), &mut random);
        kept = length(&file);
    }
    network.start(away);
    network.agreed(&observer, &network.ids()).await;
    logs += &network.log(away);
    assert!(logs.contains("installed the fetched state"), "{logs}");
    assert!(!logs.contains("poisoned_state"), "a rotten file is nobody else's fault: {logs}");
    network.nobody_is_accused(&observer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r15_a_damaged_journal_is_refused_by_file_and_offset_or_was_never_acknowledged() {
    let mut random = Random::of_test(83);
    let mut network = Network::started(&Plan::of(4).with_short_log()).await;
    let observer = network.client(OBSERVER);
    let mut load = Load::start(&network, 83);
    load.goes_on(100).await;
    let victim = replica(random.below(4) as u32);
    network.kill(victim);
    let mut refused = 0;
    for _ in 0..12 {
        let segments: Vec<PathBuf> =
            files(&network, victim, "journal-").into_iter().filter(|f| name(f).ends_with(".log")).collect();
        let file = segments[random.below(segments.len() as u64) as usize].clone();
        let whole = fs::read(&file).unwrap();
        let used = 1 + whole.iter().rposition(|byte| *byte != 0).unwrap() as u64;
        let done = damage(&file, 0..used, &mut random);
        let home = network.home(victim);
        let mut verify = pbft();
        verify.args(["journal", "verify"]).arg(&home);
        if ended(verify).await.0 == 0 {
            // It looks like the rest of the last write, which the others were never told of.
            println!("taken for a torn tail");
            fs::write(&file, &whole).unwrap();
            continue;
        }
        refused += 1;
        let (code, message) = ended(on(&home, pbft_tests::pbftd(), &["start"])).await;
        assert_eq!(code, CONFIGURATION, "{done}: {message}");
        assert!(message.contains(name(&file)) && message.contains("offset"), "{done}: {message}");
        fs::write(&file, &whole).unwrap();
    }
    assert!(refused >= 9, "only the last write can be taken for a torn one");
    network.comes_back(&observer, victim).await;
    load.goes_on(50).await;
    let history = load.finish().await;
    all_is_well(&network, &observer, history).await;
}
