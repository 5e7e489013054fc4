//! `pbft bench --floor`: what this machine can do at most of each thing that an operation needs.

use super::floor::{SignatureCost, cores, thread_time};
use super::progress::Progress;
use super::quic;
use super::report::rounded;
use crate::failure::Failure;
use crate::output::{print_table, print_text};
use pbft_crypto::Digest;
use pbft_storage::{Disk, FileDisk};
use serde::Serialize;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long each part is measured.
const TIME: Duration = Duration::from_millis(500);
/// How long each size of a batch of signatures is.
const BATCH_TIME: Duration = Duration::from_millis(200);
const BATCHES: [usize; 4] = [8, 32, 64, 256];
const KEYS: [usize; 3] = [4, 16, 256];
const HASHED: [usize; 2] = [200, 64 << 10];
const HASHES_AT_A_TIME: u64 = 64;
const FRAMES: [usize; 2] = [200, 64 << 10];
/// A frame of the journal in bytes, and how many of them are written before the first is overwritten.
const JOURNAL_FRAME: usize = 4 << 10;
const JOURNAL_FRAMES: u64 = 4096;

/// What the machine can do.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    ok: bool,
    cores: usize,
    /// With all cores at work, in microseconds of one.
    signatures: Vec<SignatureCost>,
    /// With one core.
    hashes: Vec<Speed>,
    /// Writes of 4 KiB that were made durable one by one.
    fsyncs_per_s: f64,
    /// Frames over loopback, encrypted, both ends in one process.
    quic: Vec<Speed>,
}

/// How fast pieces of one size are dealt with.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Speed {
    pub bytes: usize,
    pub per_s: f64,
    pub mb_per_s: f64,
}

impl Speed {
    pub fn new(bytes: usize, count: u64, time: Duration) -> Self {
        let per_s = count as f64 / time.as_secs_f64();
        Self { bytes, per_s: rounded(per_s), mb_per_s: rounded(per_s * bytes as f64 / 1e6) }
    }
}

impl Machine {
    /// Measures all of it; files are written below `folder`.
    pub async fn measure(folder: &Path, progress: &Progress) -> Result<Self, Failure> {
        progress.tell("measuring signatures");
        let signatures = blocking(|| Ok(signatures())).await?;
        progress.tell("measuring hashes");
        let hashes = blocking(|| Ok(HASHED.map(hash).to_vec())).await?;
        progress.tell("measuring the disk");
        let folder = folder.to_owned();
        let fsyncs_per_s = blocking(move || fsyncs(&folder)).await?;
        progress.tell("measuring QUIC");
        let mut quic = Vec::new();
        for bytes in FRAMES {
            quic.push(quic::measure(bytes, TIME).await?);
        }
        Ok(Self { ok: true, cores: cores(), signatures, hashes, fsyncs_per_s, quic })
    }

    /// Shows it to people.
    pub fn show(&self) {
        print_text(&format!("{} cores; times are of one core while all are at work", self.cores));
        let one = self.signatures.first();
        let signatures = self.signatures.iter().map(|cost| {
            let what = format!("verify, batch of {}, {} keys", cost.batch, cost.keys);
            [what, format!("{} us", cost.verify_us), format!("{:.0}", 1e6 / cost.verify_us)]
        });
        let sign = one.map(|cost| ["sign".to_owned(), format!("{} us", cost.sign_us), format!("{:.0}", 1e6 / cost.sign_us)]);
        print_table(&["Ed25519", "each", "a core and second"], sign.into_iter().chain(signatures));
        let speeds = |name: &'static str, speeds: &[Speed]| -> Vec<[String; 3]> {
            let row = |speed: &Speed| {
                [format!("{name}, {} bytes", speed.bytes), format!("{:.0}/s", speed.per_s), format!("{:.0} MB/s", speed.mb_per_s)]
            };
            speeds.iter().map(row).collect()
        };
        let mut rows = speeds("SHA-256, one core", &self.hashes);
        rows.push(["write and fsync, 4096 bytes".to_owned(), format!("{:.0}/s", self.fsyncs_per_s), String::new()]);
        rows.extend(speeds("QUIC, frames both ways of one process", &self.quic));
        print_table(&["the rest", "how often", "how much"], rows);
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Failure> + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(Failure::io)?
}

/// One by one first, then batches. More keys than signatures would be no other case.
fn signatures() -> Vec<SignatureCost> {
    let one = SignatureCost::measure(1, 1, BATCH_TIME);
    let batches = KEYS.into_iter().flat_map(|keys| BATCHES.map(|batch| (keys, batch)));
    let measured =
        batches.filter(|(keys, batch)| keys <= batch).map(|(keys, batch)| SignatureCost::measure(keys, batch, BATCH_TIME));
    std::iter::once(one).chain(measured).map(SignatureCost::rounded).collect()
}

fn hash(bytes: usize) -> Speed {
    let content = vec![7; bytes];
    let (started, mut count) = (thread_time(), 0u64);
    while thread_time().saturating_sub(started) < TIME {
        // To look at the clock takes as long as a small hash.
        for _ in 0..HASHES_AT_A_TIME {
            std::hint::black_box(Digest::of("pbft bench", &[std::hint::black_box(&content)]));
        }
        count = count.saturating_add(HASHES_AT_A_TIME);
    }
    Speed::new(bytes, count, thread_time().saturating_sub(started))
}

/// Writes and fsyncs a second, in a file that has its full length already, as the journal does it.
fn fsyncs(folder: &Path) -> Result<f64, Failure> {
    let mut disk = FileDisk::open(folder).map_err(Failure::io)?;
    let (file, frame) = ("floor", vec![1; JOURNAL_FRAME]);
    let place = |number: u64| number.checked_rem(JOURNAL_FRAMES).unwrap_or(0).saturating_mul(JOURNAL_FRAME as u64);
    disk.create(file).map_err(Failure::io)?;
    for number in 0..JOURNAL_FRAMES {
        disk.write_at(file, place(number), &frame).map_err(Failure::io)?;
    }
    disk.sync(file).map_err(Failure::io)?;
    let (started, mut count) = (Instant::now(), 0u64);
    while started.elapsed() < TIME {
        disk.write_at(file, place(count), &frame).map_err(Failure::io)?;
        disk.sync(file).map_err(Failure::io)?;
        count = count.saturating_add(1);
    }
    Ok((count as f64 / started.elapsed().as_secs_f64()).round())
}
