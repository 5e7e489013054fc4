use super::load::Load;
use super::stage::Stage;
use crate::cluster::{Conduct, Standing};
use crate::failure::Failure;
use pbft_message::{ReplicaId, View};
use std::time::{Duration, Instant};

/// How many answers show that requests go on.
const ANSWERS: usize = 200;
/// Longer than catching up takes, unless it hangs.
const CATCH_UP: Duration = Duration::from_secs(15);

/// (b) The primary dies; it comes back with its journal.
pub async fn act(stage: &mut Stage) -> Result<(), Failure> {
    stage.story.act("Act 2: the primary dies");
    let all: Vec<ReplicaId> = stage.cluster.replicas().collect();
    let view = stage.settled(&all, None).await?;
    let primary = stage.primary(view);
    let load = Load::steady(&stage.writers);
    stage.answered(ANSWERS).await;

    let pid = stage.cluster.pid(primary).unwrap_or_default();
    stage.story.tell(&format!("  replica {primary} is the primary of view {view}; kill -9 {pid} while the clients go on"));
    stage.story.doing("the others wait for the primary, suspect it, and change the view");
    let killed = Instant::now();
    stage.cluster.kill(primary);
    let others: Vec<ReplicaId> = all.iter().copied().filter(|replica| *replica != primary).collect();
    let new_view = stage.settled(&others, Some(view)).await?;
    let goes_on = stage.answered(ANSWERS).await;
    let gap = stage.history.longest_gap(killed);
    let found = format!(
        "view {new_view} under replica {}: {} ms without an answer, then the requests went on",
        stage.primary(new_view),
        gap.as_millis()
    );
    let stalled = format!("view {new_view} was entered, but the requests did not go on");
    stage.check("primary_killed", if goes_on { Ok(found) } else { Err(stalled) }, Some(gap));

    let found = come_back(stage, primary, new_view).await;
    load.stop().await?;
    let (found, time) = match found {
        Ok((found, time)) => (same_checkpoint(stage, &all).await.map(|same| found + &same), Some(time)),
        Err(problem) => (Err(problem), None),
    };
    stage.check("restarted_replica_caught_up", found, time);
    Ok(())
}

/// Starts the dead replica again, under load, and waits until it is active in the others' view and has executed all
/// that they had when it started.
async fn come_back(stage: &mut Stage, replica: ReplicaId, view: View) -> Result<(String, Duration), String> {
    let before = Standing::ask(&stage.watcher).await;
    let goal = before.executed();
    stage.story.tell(&format!("  replica {replica} starts again, with its journal; the others have executed {goal} batches"));
    stage.story.doing(format!("replica {replica} catches up"));
    let started = Instant::now();
    stage.cluster.start(replica, Conduct::Honest).map_err(|failure| failure.message)?;
    let pid = stage.cluster.pid(replica);
    let caught_up = |standing: &Standing| {
        standing
            .of(replica)
            .is_some_and(|report| Some(report.pid) == pid && report.active && report.view >= view && report.executed >= goal)
    };
    let standing = Standing::until(&stage.watcher, CATCH_UP, caught_up).await;
    let time = started.elapsed();
    match standing.as_ref().and_then(|standing| standing.of(replica)) {
        Some(report) => {
            let found = format!(
                "replica {replica} is back in view {} and executed batch {} after {} ms",
                report.view,
                report.executed,
                time.as_millis()
            );
            Ok((found, time))
        }
        None => Err(match Standing::ask(&stage.watcher).await.of(replica) {
            Some(report) => format!(
                "replica {replica} stands at batch {} in view {} (active: {}), not at {goal} in view {view}, after {CATCH_UP:?}",
                report.executed, report.view, report.active
            ),
            None => format!("replica {replica} does not answer, {CATCH_UP:?} after it was started again"),
        }),
    }
}

/// All reach one checkpoint with one state.
async fn same_checkpoint(stage: &Stage, all: &[ReplicaId]) -> Result<String, String> {
    let standing = Standing::until(&stage.watcher, CATCH_UP, |standing| standing.stable(all).is_some()).await;
    match standing.and_then(|standing| standing.stable(all)) {
        Some((sequence, root)) => Ok(format!("; all four have state {:.8}… at checkpoint {sequence}", root.to_string())),
        None => Err(format!("the replicas reached no common checkpoint within {CATCH_UP:?}")),
    }
}
