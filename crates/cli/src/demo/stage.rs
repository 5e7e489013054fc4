use super::checks::Checks;
use super::history::History;
use super::load::Writer;
use super::story::Story;
use crate::cluster::{Cluster, Conduct, Standing, free_ports};
use crate::failure::Failure;
use crate::testnet::Service;
use pbft_client::Client;
use pbft_message::{ReplicaId, View};
use pbft_node::ExitCode;
use std::path::Path;
use std::time::Duration;

const REPLICAS: u32 = 4;
const CLIENTS: u32 = 4;
/// Longer than anything here takes, unless it hangs.
const START: Duration = Duration::from_secs(15);

/// All that the acts share.
pub struct Stage {
    pub cluster: Cluster,
    pub writers: Vec<Writer>,
    pub history: History,
    pub checks: Checks,
    pub story: Story,
    /// The replica that lies, once one does.
    pub liar: Option<ReplicaId>,
    /// Asks the replicas where they stand.
    pub watcher: Client,
}

impl Stage {
    /// Makes a network, starts its replicas, all honest, and connects its clients.
    pub async fn set_up(home: &Path, story: Story) -> Result<Self, Failure> {
        story.tell(&format!("{REPLICAS} replicas, each a process with its own keys and journal, in {}", home.display()));
        story.doing("starting the replicas");
        let mut cluster = Cluster::make(home, free_ports(REPLICAS)?, CLIENTS, Service::Kv)?;
        for replica in cluster.replicas() {
            cluster.start(replica, Conduct::Honest)?;
        }
        let history = History::default();
        let mut writers = Vec::new();
        for number in 0..CLIENTS {
            let client = cluster.client(number as usize)?;
            writers.push(Writer::new(client, number.into(), history.clone()));
        }
        let watcher = cluster.client(0)?;
        cluster.wait_until_up(&watcher, START).await?;
        let stage = Self { cluster, writers, history, checks: Checks::default(), story, liar: None, watcher };
        let all: Vec<ReplicaId> = stage.cluster.replicas().collect();
        stage.settled(&all, None).await?;
        for replica in all {
            stage.story.tell(&format!("  replica {replica}: process {}", stage.cluster.pid(replica).unwrap_or_default()));
        }
        Ok(stage)
    }

    pub fn primary(&self, view: View) -> ReplicaId {
        self.cluster.network.genesis.primary(view)
    }

    /// The replicas that do not lie.
    pub fn honest(&self) -> Vec<ReplicaId> {
        self.cluster.replicas().filter(|replica| Some(*replica) != self.liar).collect()
    }

    /// Waits until these replicas are active in one view, above the one given if one is. Returns that view.
    pub async fn settled(&self, replicas: &[ReplicaId], above: Option<View>) -> Result<View, Failure> {
        let view_of = |standing: &Standing| {
            let view = standing.view(replicas.len()).filter(|view| above.is_none_or(|above| *view > above))?;
            let there = |replica| standing.of(replica).is_some_and(|report| report.active && report.view == view);
            replicas.iter().copied().all(there).then_some(view)
        };
        let settled = Standing::until(&self.watcher, START, |standing| view_of(standing).is_some()).await;
        settled.as_ref().and_then(view_of).ok_or_else(|| {
            let message = format!("replicas {replicas:?} did not enter a common view within {START:?}");
            Failure::new(ExitCode::No, "NoView", message)
        })
    }

    /// Waits until so many more answers are accepted; false if they do not come in time.
    pub async fn answered(&self, count: usize) -> bool {
        let goal = self.history.len().saturating_add(count);
        crate::cluster::wait_until(START, async || (self.history.len() >= goal).then_some(())).await.is_some()
    }

    /// Notes a check and tells it.
    pub fn check(&mut self, name: &'static str, found: Result<String, String>, time: Option<Duration>) {
        self.checks.note(name, found, time);
        if let Some(check) = self.checks.last() {
            let sign = if check.ok { "✓" } else { "✗" };
            self.story.tell(&format!("  {sign} {}", check.detail));
        }
    }
}
