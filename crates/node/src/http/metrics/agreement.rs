//! Where agreement stands.

use super::super::Instruments;
use super::super::readiness::{REASONS, Unready};
use super::writer::Writer;
use crate::shared::{Details, Standing};
use pbft_protocol::agreement::{Reason, Silence, Timer};
use std::collections::BTreeMap;
use std::fmt::Result;
use std::sync::atomic::Ordering;
use std::time::Duration;

pub fn write(instruments: &Instruments, writer: &mut Writer<'_>) -> Result {
    let standing = instruments.shared.standing().clone();
    readiness(instruments, writer, &standing)?;
    let details = instruments.shared.details().clone();
    if let Some(details) = details {
        view(instruments, writer, &details)?;
        numbers(writer, &details)?;
        requests(instruments, writer, &details)?;
        timers(instruments, writer, &details)?;
        held(writer, &details)?;
    }
    evidence(instruments, writer)
}

fn readiness(instruments: &Instruments, writer: &mut Writer<'_>, standing: &Standing) -> Result {
    writer.gauge("pbft_replicas", "Replicas of the cluster.", instruments.genesis.replica_count())?;
    writer.gauge("pbft_quorum", "Replicas that a quorum takes.", instruments.genesis.quorum())?;
    let unready = instruments.unready().map(Unready::name);
    writer.flag(
        "pbft_ready",
        "Whether the replica is in the active view, not behind, and of use; as /readyz.",
        unready.is_none(),
    )?;
    let reasons = REASONS.map(|name| (vec![("reason", name)], u32::from(unready == Some(name))));
    writer.gauges("pbft_unready", "1 for the reason why the replica is not ready.", reasons)?;
    let silence = standing.silence.map(Silence::name);
    let silences = Silence::NAMES.map(|name| (vec![("reason", name)], u32::from(silence == Some(name))));
    writer.gauges("pbft_silent", "1 for the reason why the replica does not vote.", silences)
}

fn view(instruments: &Instruments, writer: &mut Writer<'_>, details: &Details) -> Result {
    let progress = &details.progress;
    writer.gauge("pbft_view", "The view that the replica is in or wants to enter.", progress.view.0)?;
    writer.flag("pbft_view_active", "Whether the replica has entered the view.", progress.active)?;
    let primary = progress.active && progress.primary == instruments.replica;
    writer.flag("pbft_is_primary", "Whether the replica is the primary of the view that it has entered.", primary)?;
    let reasons = Reason::ALL.map(|reason| (vec![("reason", reason.name())], u32::from(progress.suspicion == Some(reason))));
    writer.gauges("pbft_suspects_primary", "1 for the reason why the replica suspects its primary.", reasons)?;
    let timeout = progress.timeout.as_secs_f64();
    writer.gauge("pbft_view_timeout_seconds", "How long the primary may take now; doubled by failed view changes.", timeout)
}

fn numbers(writer: &mut Writer<'_>, details: &Details) -> Result {
    let progress = &details.progress;
    let all = [
        ("pbft_committed_sequence", "Every number up to this one is committed here, with its batch.", progress.committed),
        ("pbft_executed_sequence", "The last number that was executed.", progress.executed),
        (
            "pbft_executed_elsewhere_sequence",
            "The last number that f + 1 other replicas say they have executed: one of them is right.",
            progress.executed_elsewhere,
        ),
        ("pbft_stable_checkpoint_sequence", "The stable checkpoint, which is the low watermark.", progress.low_watermark),
        (
            "pbft_high_watermark_sequence",
            "The highest number that may be ordered before the next checkpoint.",
            progress.high_watermark,
        ),
    ];
    for (name, help, sequence) in all {
        writer.gauge(name, help, sequence.0)?;
    }
    let transferring = progress.transferring.is_some();
    writer.flag("pbft_state_transferring", "Whether the state of a checkpoint is being fetched.", transferring)
}

fn requests(instruments: &Instruments, writer: &mut Writer<'_>, details: &Details) -> Result {
    let (progress, now) = (&details.progress, instruments.clock.now().monotonic);
    writer.gauge("pbft_requests_waiting_bytes", "Bytes of requests that wait to be ordered.", progress.request_bytes)?;
    let age = progress.watched_since.map_or(Duration::ZERO, |since| now.saturating_sub(since)).as_secs_f64();
    writer.gauge("pbft_request_watched_seconds", "For how long the primary has owed the request that is owed longest.", age)?;
    writer.delays(
        "pbft_ordering_delay_seconds",
        "From when a request was first held here until the primary proposed it, as seen here.",
        &details.delays.proposed,
    )?;
    writer.delays(
        "pbft_commit_delay_seconds",
        "From when a request was first held here until it was committed here, with all before it.",
        &details.delays.committed,
    )?;
    let ahead = Duration::from_micros(instruments.shared.meters.proposed_time_ahead.load(Ordering::Relaxed).unsigned_abs());
    let behind = instruments.shared.meters.proposed_time_ahead.load(Ordering::Relaxed) < 0;
    let ahead = if behind { -ahead.as_secs_f64() } else { ahead.as_secs_f64() };
    writer.gauge("pbft_proposed_time_ahead_seconds", "How far the last batch's time was ahead of the own clock.", ahead)?;
    let drift = instruments.clock_drift.as_secs_f64();
    writer.gauge("pbft_clock_drift_limit_seconds", "How far a proposed time may be ahead before the proposal waits.", drift)
}

fn timers(instruments: &Instruments, writer: &mut Writer<'_>, details: &Details) -> Result {
    let now = instruments.clock.now().monotonic;
    let running: BTreeMap<Timer, Duration> = details.timers.iter().copied().collect();
    let flags = Timer::ALL.map(|timer| (vec![("timer", timer.name())], u32::from(running.contains_key(&timer))));
    writer.gauges("pbft_timer_running", "Whether a timer runs.", flags)?;
    let left = running.iter().map(|(timer, deadline)| (vec![("timer", timer.name())], deadline.saturating_sub(now).as_secs_f64()));
    writer.gauges("pbft_timer_left_seconds", "When a running timer expires.", left)
}

fn held(writer: &mut Writer<'_>, details: &Details) -> Result {
    let samples = |held: [(&'static str, usize); 8]| held.map(|(what, count)| (vec![("what", what)], count));
    writer.gauges("pbft_held", "What the core holds for others, in pieces or bytes.", samples(details.held.named()))?;
    writer.gauges("pbft_held_limit", "The most that the core holds of it.", samples(details.bounds.named()))
}

fn evidence(instruments: &Instruments, writer: &mut Writer<'_>) -> Result {
    let mut counts: BTreeMap<(String, &'static str), u64> = BTreeMap::new();
    for evidence in instruments.shared.evidence().iter() {
        let (accused, kind) = (evidence.accused().0.to_string(), evidence.kind().name());
        let count = counts.entry((accused, kind)).or_default();
        *count = count.saturating_add(1);
    }
    let total = counts.values().fold(0_u64, |sum, count| sum.saturating_add(*count));
    writer.gauge("pbft_evidence_held", "Proofs of lies that the replica holds.", total)?;
    let samples = counts.iter().map(|((accused, kind), count)| (vec![("accused", accused.as_str()), ("kind", *kind)], *count));
    writer.gauges("pbft_evidence", "Proofs of lies, by who lied and how.", samples)
}
