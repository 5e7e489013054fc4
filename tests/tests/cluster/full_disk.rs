//! Disks without room: a replica waits, says so, and comes back by itself. Each needs a small file system of its own, which
//! only root may mount: elsewhere these tests say so and prove nothing.

use crate::{OBSERVER, replica};
use pbft_client::Client;
use pbft_message::{ReplicaId, ReplicaReport};
use pbft_services::kv::{Operation, Step};
use pbft_tests::{Load, Network, Plan, eventually};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

const MIB: u64 = 1 << 20;
/// Of one value.
const PIECE: u64 = 500_000;

/// A file system of its own under a replica's `data/`.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Moves what is there onto it. None where this process may not mount one.
    pub fn under(network: &Network, id: ReplicaId, bytes: u64) -> Option<Self> {
        let data = network.home(id).join("data");
        let aside = network.home(id).join("aside");
        fs::rename(&data, &aside).unwrap();
        fs::create_dir(&data).unwrap();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"]).arg(&data).output();
        if !mount.is_ok_and(|output| output.status.success()) {
            println!("SKIPPED: this process may not mount a file system, so nothing was tested");
            return None;
        }
        for file in fs::read_dir(&aside).unwrap().map(Result::unwrap) {
            fs::copy(file.path(), data.join(file.file_name())).unwrap();
        }
        Some(Self(data))
    }

    /// Takes all room but this much.
    pub fn fill(&self, left: u64) {
        let mut ballast = fs::OpenOptions::new().create(true).append(true).open(self.ballast()).unwrap();
        while ballast.write_all(&vec![1; MIB as usize]).is_ok() {}
        while ballast.write_all(&[1; 4096]).is_ok() {}
        let length = ballast.metadata().unwrap().len();
        ballast.set_len(length.saturating_sub(left)).unwrap();
    }

    pub fn free(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "{} stays mounted", self.0.display());
    }
}

/// Writes about so many bytes, under so many keys in turn.
async fn write(client: &Client, bytes: u64, keys: u64) {
    for number in 0..bytes / PIECE {
        let put = Step::put(format!("large {}", number % keys).into_bytes(), vec![number as u8; PIECE as usize]);
        client.request(vec![Operation::from(put).encode()]).await.unwrap();
    }
}

/// The load's history says nothing here: it does not know of the large values. What the replicas agree on does.
async fn all_is_well(network: &Network, observer: &Client, load: Load) {
    load.finish().await;
    network.agreed(observer, &network.ids()).await;
    network.nobody_is_accused(observer).await;
}

async fn is_full(network: &Network, observer: &Client, id: ReplicaId, full: bool) {
    let look = |report: &ReplicaReport| (report.disk_full == full).then_some(());
    network.report_shows(observer, id, if full { "tells that its disk is full" } else { "has room again" }, look).await;
}

fn occupied(folder: &Path) -> u64 {
    fs::read_dir(folder).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum()
}

/// It is full while it is primary: it says nothing more (R15), so it is replaced; it holds no more than before; and it comes
/// back by itself, with no more room than there was.
#[tokio::test(flavor = "multi_thread")]
async fn r15_a_primary_without_room_is_replaced_takes_no_memory_and_comes_back_by_itself() {
    let mut plan = Plan::of(4);
    plan.limits.journal_bytes = 8 * MIB;
    let mut network = Network::new(&plan).await;
    let full = replica(0);
    // The journal grows while a snapshot is written, and nobody knows how long that takes.
    let Some(disk) = SmallDisk::under(&network, full, 256 * MIB) else { return };
    network.ids().into_iter().for_each(|id| network.start(id));
    let observer = network.client(OBSERVER);
    let mut load = Load::start(&network, 71);
    load.goes_on(50).await;
    disk.fill(0);
    // More than the rest of the segment.
    write(&observer, 20 * MIB, 4).await;
    is_full(&network, &observer, full, true).await;
    let before = network.memory(full);
    let active = |report: &ReplicaReport| (report.active && report.view.0 > 0).then_some(report.view);
    network.report_shows(&observer, replica(1), "has left the view of the full primary", active).await;
    write(&observer, 100 * MIB, 4).await;
    load.goes_on(50).await;
    let after = network.memory(full);
    println!("the full replica's memory: {before} bytes, after 100 MiB of requests {after}");
    assert!(after < before + 64 * MIB, "{before} {after}");
    is_full(&network, &observer, full, true).await;
    disk.free();
    is_full(&network, &observer, full, false).await;
    load.goes_on(50).await;
    all_is_well(&network, &observer, load).await;
}

/// A state that does not fit is fetched once it does.
#[tokio::test(flavor = "multi_thread")]
async fn r14_a_state_transfer_waits_for_room_and_goes_on_by_itself() {
    let mut network = Network::new(&Plan::of(4).with_short_log()).await;
    let away = replica(3);
    let Some(disk) = SmallDisk::under(&network, away, 256 * MIB) else { return };
    network.ids().into_iter().for_each(|id| network.start(id));
    let observer = network.client(OBSERVER);
    let mut load = Load::start(&network, 72);
    load.goes_on(50).await;
    network.kill(away);
    write(&observer, 40 * MIB, 1000).await;
    disk.fill(30 * MIB);
    network.start(away);
    is_full(&network, &observer, away, true).await;
    load.goes_on(50).await;
    assert!(network.runs(away), "a full disk ends no process");
    disk.free();
    is_full(&network, &observer, away, false).await;
    load.goes_on(50).await;
    all_is_well(&network, &observer, load).await;
}

/// Nothing is ordered any more, so no checkpoint is going to have the snapshot tried again.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_without_room_is_saved_later_even_if_nothing_happens_any_more() {
    let mut network = Network::new(&Plan::of(4).with_short_log()).await;
    let full = replica(2);
    let Some(disk) = SmallDisk::under(&network, full, 160 * MIB) else { return };
    network.ids().into_iter().for_each(|id| network.start(id));
    let observer = network.client(OBSERVER);
    write(&observer, 25 * MIB, 1000).await;
    let mut load = Load::start(&network, 73);
    // Room for the journal, which must go on, and not for another snapshot; the one that is being written is done before.
    eventually("a snapshot finds no room", async || {
        disk.fill(20 * MIB);
        // The next one is due once the journal has grown by as much as the last one was large.
        write(&observer, 2 * MIB, 1000).await;
        network.reports(&observer).await.get(&full).filter(|report| report.disk_full).map(|_| ())
    })
    .await;
    load.goes_on(100).await;
    all_is_well(&network, &observer, load).await;
    is_full(&network, &observer, full, true).await;
    disk.free();
    is_full(&network, &observer, full, false).await;
    assert!(occupied(&network.home(full).join("data")) < 160 * MIB);
}
