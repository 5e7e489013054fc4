use crate::shared::Shared;
use pbft_protocol::agreement::Event;

/// Counts and logs what the replica tells.
pub fn tell(event: &Event, shared: &Shared) {
    let meters = &shared.meters;
    let in_view = shared.standing().view.0;
    match event {
        Event::ViewChange { view, reason } => {
            meters.view_changes.add(reason.name(), 1);
            tracing::warn!(event = "view_change", view = view.0, %reason, "left the view");
        }
        Event::ViewEntered { view, primary } => {
            meters.views_entered.inc();
            tracing::info!(event = "view_entered", view = view.0, primary = primary.0, "entered a view");
        }
        Event::StableCheckpoint { sequence } => {
            meters.checkpoints.inc();
            tracing::info!(event = "stable_checkpoint", sequence = sequence.0, view = in_view, "a checkpoint is stable");
        }
        Event::Evidence { accused, kind } => {
            let kind = kind.name();
            tracing::error!(event = "evidence", accused = accused.0, kind, view = in_view, "a replica lied, provably");
        }
        Event::Recovered => {
            tracing::info!(event = "recovered", view = in_view, "the journal holds all that the others know of: taking part");
        }
        Event::Repaired { sequence } => {
            let sequence = sequence.0;
            tracing::warn!(event = "repaired", sequence, view = in_view, "a certified state has taken the place of the own one");
        }
        Event::Alarm(alarm) => {
            meters.alarms.add(alarm.name(), 1);
            tracing::error!(event = "alarm", alarm = alarm.name(), view = in_view, "{alarm}");
        }
    }
}
