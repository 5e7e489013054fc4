//! What a replica serves of its states, to whom and how fast.

use crate::disk::SharedDisk;
use crate::source::{Chunks, Source, TARGET};
use pbft_message::*;
use pbft_protocol::execution::Ordered;
use pbft_replica::{Execution, ExecutionEffect, Order};
use pbft_storage::FetchedChunks;
use std::time::Duration;

const NOW: Duration = Duration::from_secs(100);
const OUTLINE: FetchState = FetchState::Outline { sequence: TARGET };

/// Serves the source's states at a thousand bytes a second.
fn serving(source: Source) -> Execution<Chunks, SharedDisk> {
    Execution::new(source.executor, (0..3).map(ReplicaId).collect(), FetchedChunks::new(SharedDisk::default()), 1000)
}

fn ask(execution: &mut Execution<Chunks, SharedDisk>, now: Duration, from: u32, question: FetchState) -> Vec<u32> {
    answered(&execution.handle(now, Order::Fetch { from: ReplicaId(from), question }).unwrap())
}

/// Whom answers go to.
fn answered(effects: &[ExecutionEffect]) -> Vec<u32> {
    let to = |effect: &ExecutionEffect| match effect {
        ExecutionEffect::Send(to, Message::State(_)) => Some(to.0),
        _ => None,
    };
    effects.iter().filter_map(to).collect()
}

#[test]
fn r14_states_are_served_at_the_rate_in_turn_and_one_question_a_replica_waits() {
    let mut execution = serving(Source::new());
    assert_eq!(execution.poll_timeout(), None);
    assert_eq!(ask(&mut execution, NOW, 0, OUTLINE), [0]);
    for from in [2, 1, 2, 2] {
        assert_eq!(ask(&mut execution, NOW, from, OUTLINE), []);
    }
    let mut now = NOW;
    let mut order = Vec::new();
    while let Some(at) = execution.poll_timeout() {
        // An outline has 1040 digests: more than 33 kB.
        assert!(at >= now + Duration::from_secs(33), "{at:?}");
        assert_eq!(answered(&execution.handle_timeout(at - Duration::from_millis(1)).unwrap()), []);
        order.extend(answered(&execution.handle_timeout(at).unwrap()));
        now = at;
    }
    assert_eq!(order, [1, 2], "who asked again waits longer");
}

#[test]
fn r14_a_state_that_is_being_fetched_stays_servable_until_its_fetcher_is_silent() {
    let source = Source::new();
    let newer: Vec<_> = [16, 20, 24].map(|sequence| source.later(SequenceNumber(sequence))).into();
    let mut execution = serving(source);
    ask(&mut execution, NOW, 0, OUTLINE);
    let gone = |execution: &mut Execution<Chunks, SharedDisk>, now| {
        let mut effects = execution.handle(now, Order::Fetch { from: ReplicaId(1), question: OUTLINE }).unwrap();
        effects.extend(execution.poll_timeout().into_iter().flat_map(|at| execution.handle_timeout(at).unwrap()));
        let mut replies = effects.into_iter().filter_map(|effect| match effect {
            ExecutionEffect::Send(_, Message::State(reply)) => Some(matches!(reply, StateReply::Gone { .. })),
            _ => None,
        });
        replies.next()
    };
    let mut time = NOW;
    for (batches, certificate) in newer {
        time += Duration::from_secs(12);
        for batch in batches {
            execution.handle(time, Order::Execute(Ordered { view: View(0), ..batch })).unwrap();
        }
        execution.handle(time, Order::Stable(certificate)).unwrap();
        if time == NOW + Duration::from_secs(12) {
            ask(&mut execution, time, 0, OUTLINE);
        }
    }
    assert_eq!(gone(&mut execution, time), Some(false), "its fetcher asked 24 s ago, and before");
    let late = time + Duration::from_secs(200);
    let (_, certificate) = Source::new().later(SequenceNumber(24));
    execution.handle(late, Order::Stable(certificate)).unwrap();
    assert_eq!(gone(&mut execution, late), Some(true));
}
