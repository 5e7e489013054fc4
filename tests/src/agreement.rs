use crate::{Network, PATIENCE};
use pbft_client::Client;
use pbft_crypto::Digest;
use pbft_message::{Authenticator, Evidence, EvidenceKind, ReplicaId, ReplicaReport, SequenceNumber, codec};
use pbft_replica::Audit;
use pbft_storage::{FileDisk, Journal};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// How long a question to all replicas waits for those that are dead.
const ANSWER: Duration = Duration::from_secs(1);
/// Between two looks at what no event announces.
const LOOK: Duration = Duration::from_millis(50);

/// What replicas agree on once there is no work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// The last executed number, and a stable checkpoint.
    pub sequence: SequenceNumber,
    /// The root of the state there.
    pub state_root: Digest,
}

/// Looks again and again until there is what is looked for.
pub async fn eventually<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    eventually_within(PATIENCE, what, look).await
}

/// The same for what takes longer than anything else, if it does not hang.
pub async fn eventually_within<T>(patience: Duration, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < patience, "it never came to this: {what}");
        sleep(LOOK).await;
    }
}

impl Network {
    /// Where the replicas stand that answer.
    pub async fn reports(&self, client: &Client) -> BTreeMap<ReplicaId, ReplicaReport> {
        let reports = client.reports(ANSWER).await;
        reports.into_iter().filter_map(|(id, report)| Some((id, report?))).collect()
    }

    /// Waits until something can be seen in a replica's report.
    pub async fn report_shows<T>(
        &self,
        client: &Client,
        replica: ReplicaId,
        what: &str,
        look: impl Fn(&ReplicaReport) -> Option<T>,
    ) -> T {
        let what = format!("replica {replica}: {what}");
        eventually(&what, async || self.reports(client).await.get(&replica).and_then(&look)).await
    }

    /// Starts a replica that was down, and waits until it takes part again.
    pub async fn comes_back(&mut self, client: &Client, replica: ReplicaId) {
        self.start(replica);
        self.report_shows(client, replica, "is back in an active view", |report| report.active.then_some(())).await;
    }

    /// How often a replica has refused something for this reason.
    pub async fn refused(&self, client: &Client, replica: ReplicaId, reason: &str) -> u64 {
        let reports = self.reports(client).await;
        let report = reports.get(&replica).unwrap_or_else(|| panic!("replica {replica} does not answer"));
        count_of(report, reason)
    }

    /// Waits until a replica has refused something for this reason more often than before.
    pub async fn refuses(&self, client: &Client, replica: ReplicaId, reason: &str, before: u64) {
        let look = |report: &ReplicaReport| (count_of(report, reason) > before).then_some(());
        self.report_shows(client, replica, &format!("{reason} is counted beyond {before}"), look).await;
    }

    /// Waits until these replicas have all executed the same, and all have a stable checkpoint of it. There must be no load.
    pub async fn agreed(&self, client: &Client, replicas: &[ReplicaId]) -> Agreement {
        let began = Instant::now();
        loop {
            let reports = self.reports(client).await;
            if let Some(agreement) = agreement(&reports, replicas) {
                return agreement;
            }
            assert!(began.elapsed() < PATIENCE, "replicas {replicas:?} do not come to agree: {reports:#?}");
            sleep(LOOK).await;
        }
    }

    /// The kinds of the lies that a replica is proven to have told, by the evidence of another; all of that evidence must
    /// be valid, and accuse nobody else.
    pub async fn proven_lies(&self, client: &Client, holder: ReplicaId, liar: ReplicaId) -> BTreeSet<EvidenceKind> {
        let authenticator = Authenticator::new(self.genesis.clone());
        let mut kinds = BTreeSet::new();
        for (_, pieces) in client.evidence(ANSWER).await.into_iter().filter(|(id, _)| *id == holder) {
            for piece in pieces {
                let (accused, kind) = (piece.accused().0, piece.kind());
                assert_eq!(accused, liar, "replica {holder} accuses an honest replica: {piece:?}");
                authenticator.verify_evidence(piece).expect("evidence is valid");
                kinds.insert(kind);
            }
        }
        kinds
    }

    /// Kills all, and compares what their journals hold: whoever signed two things for one place would stand there (R15).
    pub fn nobody_contradicts_itself(&mut self) {
        let mut audit = Audit::new(Authenticator::new(self.genesis.clone()));
        for id in self.ids() {
            self.kill(id);
            let disk = FileDisk::open_to_read(&self.home(id).join("data")).unwrap();
            Journal::read(disk, |_, bytes| audit.read(codec::decode(bytes).unwrap())).unwrap();
        }
        let lies: Vec<_> = audit.lies().map(Evidence::lie).collect();
        assert!(audit.statements() > 0 && lies.is_empty() && audit.diverged().next().is_none(), "{lies:?}");
    }

    /// Checks that no replica that answers holds evidence against anybody.
    pub async fn nobody_is_accused(&self, client: &Client) {
        for (holder, evidence) in client.evidence(ANSWER).await {
            assert!(evidence.is_empty(), "replica {holder} accuses an honest replica: {evidence:?}");
        }
    }
}

fn count_of(report: &ReplicaReport, reason: &str) -> u64 {
    report.refused.iter().filter(|(name, _)| name == reason).map(|(_, count)| *count).sum()
}

fn agreement(reports: &BTreeMap<ReplicaId, ReplicaReport>, replicas: &[ReplicaId]) -> Option<Agreement> {
    let mut agreements = replicas.iter().map(|id| {
        let report = reports.get(id)?;
        let settled = report.active && report.executed == report.stable_checkpoint;
        settled.then_some(Agreement { sequence: report.executed, state_root: report.state_root })
    });
    let first = agreements.next()??;
    agreements.all(|other| other == Some(first)).then_some(first)
}
