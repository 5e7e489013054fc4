use super::stage::Stage;
use crate::cluster::Standing;
use crate::failure::Failure;
use pbft_services::kv::{Operation, RangeEnd};
use std::time::{Duration, Instant};

/// Executed work reaches a stable checkpoint within 2 s of idleness; longer than that is a failure.
const PATIENCE: Duration = Duration::from_secs(10);

/// (e) All honest replicas have the same state, and every accepted answer is what one store would have answered.
pub async fn act(stage: &mut Stage) -> Result<(), Failure> {
    stage.story.act("Act 5: the reckoning");
    if let Some(writer) = stage.writers.first() {
        // The whole state is an answer too, for the model to confirm.
        writer.send(vec![Operation::range("", RangeEnd::Last, 0)]).await?;
    }
    same_roots(stage).await;
    stage.story.doing("a reference model answers all requests again");
    let parameters = stage.cluster.network.genesis.service.clone();
    let found = stage.history.check(&parameters);
    let found = found.map(|count| format!("all {count} accepted answers, with their revisions, are those of a reference model"));
    stage.check("answers_match_model", found, None);
    Ok(())
}

async fn same_roots(stage: &mut Stage) {
    stage.story.doing("the replicas make their last checkpoint");
    let honest = stage.honest();
    let started = Instant::now();
    let standing = Standing::until(&stage.watcher, PATIENCE, |standing| standing.stable(&honest).is_some()).await;
    let time = started.elapsed();
    let found = match standing.as_ref().and_then(|standing| standing.stable(&honest)) {
        Some((sequence, root)) => Ok(format!(
            "the {} honest replicas have the state root {:.16}… at stable checkpoint {sequence}",
            honest.len(),
            root.to_string()
        )),
        None => Err(format!("no common root within {PATIENCE:?}: {}", describe(&Standing::ask(&stage.watcher).await))),
    };
    stage.check("state_roots_equal", found, Some(time));
}

fn describe(standing: &Standing) -> String {
    let one = |report: &pbft_message::ReplicaReport| {
        format!(
            "replica {} executed {}, stable at {} with root {:.16}",
            report.replica,
            report.executed,
            report.stable_checkpoint,
            report.state_root.to_string()
        )
    };
    standing.0.values().map(one).collect::<Vec<_>>().join("; ")
}
