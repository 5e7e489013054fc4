//! The acts of `pbft demo`: real processes, real QUIC, real journals. Every check measures; none is assumed.
//!
//! - `normal`: four honest replicas answer 1,000 signed requests.
//! - `dead_primary`: the primary is killed, the view changes, it comes back.
//! - `lying_primary`: a primary equivocates, and is caught with evidence that anyone can verify.
//! - `refusals`: forged, foreign, replayed and outdated requests have no effect.
//! - `agreement`: equal state roots, and answers that a reference model gives too.

mod agreement;
mod checks;
mod dead_primary;
mod history;
mod load;
mod lying_primary;
mod normal;
mod operations;
mod refusals;
mod stage;
mod story;

pub use checks::{Check, Report};
pub use story::Story;

use crate::failure::Failure;
use stage::Stage;
use std::path::Path;
use std::time::Duration;

/// The whole demo ends within a minute.
const TIME: Duration = Duration::from_secs(55);

/// Plays all acts in a network whose files are made below `home`. Fails only if the stage cannot be set up; whatever
/// goes wrong later is a check that did not hold.
pub async fn play(home: &Path, story: &Story) -> Result<Report, Failure> {
    let mut stage = Stage::set_up(home, story.clone()).await?;
    let ended = tokio::time::timeout(TIME, acts(&mut stage)).await;
    let interruption = match ended {
        Ok(Ok(())) => None,
        Ok(Err(failure)) => Some(failure.message),
        Err(_) => Some(format!("the demo was not over after {} s", TIME.as_secs())),
    };
    story.end();
    stage.cluster.stop_all().await;
    Ok(stage.checks.report(interruption.as_deref()))
}

async fn acts(stage: &mut Stage) -> Result<(), Failure> {
    normal::act(stage).await?;
    dead_primary::act(stage).await?;
    lying_primary::act(stage).await?;
    refusals::act(stage).await?;
    agreement::act(stage).await
}
