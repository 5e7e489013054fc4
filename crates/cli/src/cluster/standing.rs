use pbft_client::Client;
use pbft_crypto::Digest;
use pbft_message::{ReplicaId, ReplicaReport, SequenceNumber, View};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// How long the replicas have to say where they stand. Those that run do so in a few milliseconds.
const ANSWER: Duration = Duration::from_millis(300);
/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(30);

/// Where the replicas that answer say they stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing(pub BTreeMap<ReplicaId, ReplicaReport>);

impl Standing {
    /// Asks all replicas.
    pub async fn ask(client: &Client) -> Self {
        let reports = client.reports(ANSWER).await;
        Self(reports.into_iter().filter_map(|(replica, report)| Some((replica, report?))).collect())
    }

    /// Looks again and again until what is seen is enough; None if the time is over before.
    pub async fn until(client: &Client, time: Duration, enough: impl Fn(&Self) -> bool) -> Option<Self> {
        wait_until(time, async || Some(Self::ask(client).await).filter(&enough)).await
    }

    /// A replica's word.
    pub fn of(&self, replica: ReplicaId) -> Option<&ReplicaReport> {
        self.0.get(&replica)
    }

    /// A replica's process.
    pub fn pid(&self, replica: ReplicaId) -> Option<u32> {
        self.of(replica).map(|report| report.pid)
    }

    /// The highest view that this many replicas are active in.
    pub fn view(&self, quorum: usize) -> Option<View> {
        let active = |view: View| self.0.values().filter(|report| report.active && report.view == view).count();
        let views: BTreeSet<View> = self.0.values().map(|report| report.view).collect();
        views.into_iter().rev().find(|view| active(*view) >= quorum)
    }

    /// The highest executed number.
    pub fn executed(&self) -> SequenceNumber {
        self.0.values().map(|report| report.executed).max().unwrap_or_default()
    }

    /// The stable checkpoint and the state's root, if these replicas all answer and agree on them, and nothing that
    /// any of them executed lies above.
    pub fn stable(&self, replicas: &[ReplicaId]) -> Option<(SequenceNumber, Digest)> {
        let reports: Vec<_> = replicas.iter().map(|replica| self.of(*replica)).collect::<Option<_>>()?;
        let first = reports.first()?;
        let agreed = (first.stable_checkpoint, first.state_root);
        let same = |report: &&ReplicaReport| {
            (report.stable_checkpoint, report.state_root) == agreed && report.executed == report.stable_checkpoint
        };
        reports.iter().all(same).then_some(agreed)
    }
}

/// Looks again and again until something is found; None if the time is over before.
pub async fn wait_until<T>(time: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let started = Instant::now();
    loop {
        if let Some(found) = look().await {
            return Some(found);
        }
        if started.elapsed() >= time {
            return None;
        }
        tokio::time::sleep(PAUSE).await;
    }
}
