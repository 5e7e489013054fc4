use super::load::Load;
use super::stage::Stage;
use crate::cluster::Conduct;
use crate::failure::Failure;
use pbft_byzantine::Strategy;
use pbft_message::{Authenticator, Evidence, EvidenceKind, ReplicaId, View};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many answers show that requests go on.
const ANSWERS: usize = 100;
/// How long the honest replicas may take to catch the liar once it is primary, before the views go round once more.
const TURN: Duration = Duration::from_secs(4);
/// How long a replica may take to start; longer than it does, unless it hangs.
const START: Duration = Duration::from_secs(15);
/// How often the views may go round.
const TURNS: usize = 5;
/// How long the replicas have to hand out their evidence.
const ANSWER: Duration = Duration::from_millis(300);

/// (c) A primary that equivocates.
///
/// A replica that was primary and starts again leaves its view first (R15), so a liar on the home of the current
/// primary would be primary no longer. Therefore the liar takes the place of the replica whose turn is next, with its
/// keys and journal, and behaves while it is a backup. Then the current primary is restarted, as for maintenance: the
/// view changes, and the liar is primary. At no time is more than one replica faulty for longer than a restart.
pub async fn act(stage: &mut Stage) -> Result<(), Failure> {
    stage.story.act("Act 3: the primary lies");
    let all: Vec<ReplicaId> = stage.cluster.replicas().collect();
    let view = stage.settled(&all, None).await?;
    let liar = stage.primary(view.next());
    stage.story.tell(&format!("  replica {liar}, whose turn as primary comes next, is replaced by a liar with the same keys"));
    stage.story.doing("the liar behaves, until it is primary");
    restart(stage, liar, Conduct::Lying(Strategy::Equivocate.into())).await?;
    stage.liar = Some(liar);
    stage.settled(&all, None).await?;

    let load = Load::steady(&stage.writers);
    let started = Instant::now();
    let mut caught = None;
    for _ in 0..TURNS {
        caught = one_turn(stage, liar).await?;
        if caught.is_some() {
            break;
        }
    }
    let time = started.elapsed();
    let found = match caught {
        Some(view) => verdict(stage, liar, view).await,
        None => Err(format!("no evidence against replica {liar} was found, though it was to be primary")),
    };
    load.stop().await?;
    stage.check("equivocation_evidence", found, Some(time));
    Ok(())
}

/// Ends a replica's process and starts it on the same home; waits until it takes part again.
async fn restart(stage: &mut Stage, replica: ReplicaId, conduct: Conduct) -> Result<(), Failure> {
    stage.cluster.stop(replica).await;
    stage.cluster.start(replica, conduct)?;
    stage.cluster.wait_until_up(&stage.watcher, START).await
}

/// Restarts an honest primary so that the view changes, and waits for evidence against the liar: the view of the lie.
async fn one_turn(stage: &mut Stage, liar: ReplicaId) -> Result<Option<View>, Failure> {
    let honest = stage.honest();
    let view = stage.settled(&honest, None).await?;
    let primary = stage.primary(view);
    if primary != liar {
        stage.story.tell(&format!("  the primary of view {view}, replica {primary}, is restarted: the next one's turn comes"));
        restart(stage, primary, Conduct::Honest).await?;
    }
    stage.story.doing("the liar tells one half of the replicas this, the other half that");
    let held = crate::cluster::wait_until(TURN, async || {
        let evidence = evidence(stage, liar).await;
        honest.iter().all(|replica| evidence.contains_key(replica)).then_some(evidence)
    });
    let held = held.await;
    Ok(held.and_then(|held| held.into_values().map(|evidence| evidence.accused().1).max()))
}

/// The two contradicting pre-prepares of the liar, from each honest replica that holds them and can prove it: checked
/// here with the genesis alone.
async fn evidence(stage: &Stage, liar: ReplicaId) -> BTreeMap<ReplicaId, Evidence> {
    let authenticator = Authenticator::new(Arc::new(stage.cluster.network.genesis.clone()));
    let honest = stage.honest();
    let proves = |evidence: &Evidence| {
        evidence.kind() == EvidenceKind::TwoPrePrepares
            && evidence.accused().0 == liar
            && authenticator.verify_evidence(evidence.clone()).is_ok()
    };
    let answers = stage.watcher.evidence(ANSWER).await.into_iter();
    let honest_answers = answers.filter(|(replica, _)| honest.contains(replica));
    honest_answers.filter_map(|(replica, held)| Some((replica, held.into_iter().find(&proves)?))).collect()
}

/// The liar was caught in `lie`: are the honest replicas in a later view that it does not lead, and do requests go on?
async fn verdict(stage: &Stage, liar: ReplicaId, lie: View) -> Result<String, String> {
    stage.story.doing("the honest replicas leave the liar's view");
    let honest = stage.honest();
    let view = stage.settled(&honest, Some(lie)).await.map_err(|failure| failure.message)?;
    if !stage.answered(ANSWERS).await {
        return Err(format!("replica {liar} was caught in view {lie}, but the requests did not go on in view {view}"));
    }
    let accused = falsely_accused(stage, &honest).await;
    if !accused.is_empty() {
        return Err(format!("there is evidence against honest replicas: {accused:?}"));
    }
    Ok(format!(
        "replica {liar} signed two proposals for one number in view {lie}: all {} honest replicas hold both, verified with \
         the genesis alone; the requests went on in view {view} under replica {}",
        honest.len(),
        stage.primary(view)
    ))
}

/// Honest replicas that anyone holds evidence against, valid or not. There must be none (R17).
async fn falsely_accused(stage: &Stage, honest: &[ReplicaId]) -> BTreeSet<ReplicaId> {
    let held = stage.watcher.evidence(ANSWER).await.into_iter().flat_map(|(_, held)| held);
    held.map(|evidence| evidence.accused().0).filter(|accused| honest.contains(accused)).collect()
}
