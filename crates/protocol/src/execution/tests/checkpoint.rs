use super::world::*;
use crate::execution::*;
use crate::service::{Context, RestoreError, Service, Snapshot};
use pbft_crypto::Digest;
use pbft_message::*;
use std::collections::BTreeSet;
use std::sync::Arc;

fn history(world: &mut World) -> Vec<Option<Digest>> {
    (1..=3 * K).map(|step| world.run(&[&format!("append {} x", char::from(b'a' + step as u8))]).checkpoint).collect()
}

#[test]
fn r09_a_checkpoint_at_every_multiple_of_k_and_equal_for_equal_histories() {
    let (mut one, mut two) = (World::new(), World::new());
    let digests = history(&mut one);
    assert_eq!(digests, history(&mut two));
    let due: Vec<bool> = (1..=3 * K).map(|sequence| sequence % K == 0).collect();
    assert_eq!(digests.iter().map(Option::is_some).collect::<Vec<_>>(), due);
    assert_eq!(digests.iter().flatten().collect::<BTreeSet<_>>().len(), 3);
    assert_eq!(*digests.last().unwrap(), Some(one.executor.local().state.digest()));
}

#[test]
fn r09_the_incremental_roots_are_those_of_the_whole_state() {
    let mut world = World::new();
    for _ in 0..4 {
        history(&mut world);
        let frozen = world.executor.local();
        for part in [StatePart::Service, StatePart::Clients] {
            let snapshot = frozen.snapshot(part);
            let leaves: Vec<_> = (0..snapshot.chunk_count()).map(|index| chunk_digest(&snapshot.chunk(index))).collect();
            assert_eq!(frozen.leaves(part), leaves);
        }
        assert_eq!(root_of(&frozen.service_leaves), frozen.state.service_root);
        assert_eq!(root_of(&frozen.clients_leaves), frozen.state.clients_root);
    }
}

#[test]
fn r09_what_is_hashed_ahead_and_changes_again_is_hashed_again() {
    let mut world = World::with(|genesis| genesis.parameters.checkpoint_interval = 32);
    for step in 0..320_u32 {
        // Some keys change in every batch, some now and then, and some once and never again before the checkpoint.
        let keys = [0, step % 3, step % 7, step % 16].map(|key| char::from(b'a' + key as u8));
        let operations = keys.map(|key| format!("append {key} {step}"));
        world.run(&operations.each_ref().map(String::as_str));
        let frozen = world.executor.local();
        let leaves: Vec<_> = (0..CHUNKS).map(|index| chunk_digest(&frozen.service.chunk(index))).collect();
        assert_eq!(*frozen.service_leaves, leaves, "{step}");
    }
    assert_eq!(world.executor.local().state.sequence, SequenceNumber(320));
}

/// So many chunks of a byte that every operation changes all of them; more than are hashed ahead at a time.
#[derive(Clone)]
struct Wide {
    chunks: [u8; 300],
    changed: bool,
}

impl Service for Wide {
    fn execute(&mut self, _: &Context, _: &[u8]) -> Vec<u8> {
        self.chunks.iter_mut().for_each(|chunk| *chunk += 1);
        self.changed = true;
        Vec::new()
    }

    fn snapshot(&self) -> Arc<dyn Snapshot> {
        Arc::new(self.clone())
    }

    fn changed_chunks(&mut self) -> Vec<u32> {
        if std::mem::take(&mut self.changed) { (0..self.chunk_count()).collect() } else { Vec::new() }
    }

    fn restore(&mut self, _: Vec<Vec<u8>>) -> Result<(), RestoreError> {
        unreachable!("nothing is fetched")
    }
}

impl Snapshot for Wide {
    fn chunk_count(&self) -> u32 {
        self.chunks.len() as u32
    }

    fn chunk(&self, index: u32) -> Vec<u8> {
        vec![self.chunks[index as usize]]
    }
}

#[test]
fn r09_what_is_too_much_to_be_hashed_ahead_at_a_time_is_hashed_later() {
    let world = World::new();
    let mut executor = Executor::new(world.genesis.clone(), Wide { chunks: [0; 300], changed: false });
    executor.execute(&world.ordered(0, vec![world.request(0, 1, &["change"])])).unwrap();
    for number in 2..=K {
        executor.execute(&Ordered { view: View(0), sequence: SequenceNumber(number), body: None }).unwrap();
    }
    assert_eq!(executor.local().leaves(StatePart::Service), vec![chunk_digest(&[1]); 300]);
}

#[test]
fn r09_a_change_in_any_part_changes_the_digest() {
    let run = |requests: Vec<Signed<Request>>, time| {
        let mut world = World::new();
        let ordered = world.ordered(time, requests);
        world.executor.execute(&ordered).unwrap();
        world.reach_checkpoint();
        world.executor.local().state
    };
    let base = run(vec![request(0, 1, &["set a x"])], 5);
    assert_eq!(base, run(vec![request(0, 1, &["set a x"])], 5));
    let other_time = run(vec![request(0, 1, &["set a x"])], 6);
    assert_eq!(other_time, CheckpointState { time: 6, ..base.clone() });
    let other_timestamp = run(vec![request(0, 2, &["set a x"])], 5);
    assert_eq!(other_timestamp, CheckpointState { clients_root: other_timestamp.clients_root, ..base.clone() });
    let other_value = run(vec![request(0, 1, &["set a y"])], 5);
    assert_ne!(other_value.service_root, base.service_root);
    let other_client = run(vec![request(1, 1, &["set a x"])], 5);
    assert_ne!(other_client.clients_root, base.clients_root);
    let cluster = World::with(|genesis| genesis.name = "another".into()).executor.local().state;
    assert_ne!(cluster.configuration, base.configuration);
    let states = [base, other_time, other_timestamp, other_value, other_client, cluster];
    assert_eq!(states.iter().map(CheckpointState::digest).collect::<BTreeSet<_>>().len(), 6);
}

#[test]
fn r09_a_frozen_state_does_not_change_while_execution_goes_on() {
    let mut world = World::new();
    world.run(&["append a x"]);
    world.reach_checkpoint();
    let frozen = world.executor.local();
    let before: Vec<_> = frozen.chunks().collect();
    history(&mut world);
    assert_eq!(frozen.chunks().collect::<Vec<_>>(), before);
    assert_eq!(value_in(&frozen, "a").as_deref(), Some("x"));
    assert_ne!(world.executor.local().chunks().collect::<Vec<_>>(), before);
}

#[test]
fn r09_the_two_newest_stable_states_are_servable_and_newer_ones_wait() {
    let mut world = World::new();
    let certificates: Vec<_> = (0..4)
        .map(|_| {
            let digest = world.reach_checkpoint();
            world.certificate(world.executor.executed(), digest)
        })
        .collect();
    assert_eq!(world.executor.servable(), []);
    let mut servable = Vec::new();
    for certificate in &certificates {
        world.executor.stable(certificate.clone());
        servable.push(world.executor.servable());
    }
    let numbers = |list: &[u64]| list.iter().map(|number| SequenceNumber(number * K)).collect::<Vec<_>>();
    assert_eq!(servable, [numbers(&[1]), numbers(&[1, 2]), numbers(&[2, 3]), numbers(&[3, 4])]);
    assert!(world.executor.frozen(SequenceNumber(2 * K)).is_none());
    let (frozen, certificate) = world.executor.frozen(SequenceNumber(3 * K)).unwrap();
    assert_eq!((frozen.state.digest(), certificate), (certificates[2].digest, (*certificates[2]).clone()));
}

#[test]
fn r09_a_certificate_may_come_before_execution_gets_there() {
    let (mut ahead, mut behind) = (World::new(), World::new());
    let certificate = ahead.reach_stable();
    behind.executor.stable(certificate.clone());
    assert_eq!(behind.executor.servable(), []);
    behind.reach_checkpoint();
    assert_eq!(behind.executor.servable(), [certificate.sequence]);
}

#[test]
fn r09_a_state_that_differs_from_its_certificate_is_not_served() {
    let (mut world, mut other) = (World::new(), World::new());
    other.run(&["append a x"]);
    let certificate = other.reach_stable();
    let own = world.reach_checkpoint();
    world.executor.stable(certificate.clone());
    assert_eq!(world.executor.servable(), []);
    let (frozen, known) = world.executor.diverged(certificate.sequence).unwrap();
    assert_eq!((frozen.state.digest(), &known), (own, &*certificate));
    assert!(other.executor.diverged(certificate.sequence).is_none());
    let gone = StateReply::Gone { sequence: certificate.sequence, newest: SequenceNumber::GENESIS };
    assert_eq!(world.executor.serve(&FetchState::Outline { sequence: certificate.sequence }), gone);
}

#[test]
fn r19_states_that_wait_for_certificates_are_bounded() {
    let mut world = World::new();
    let first = world.reach_stable();
    let digests: Vec<_> = (0..10).map(|_| world.reach_checkpoint()).collect();
    // log_window / K + 2 = 4 wait: those of checkpoints 8 to 11.
    for (index, digest) in digests.iter().enumerate() {
        let sequence = SequenceNumber((index as u64 + 2) * K);
        let certificate = world.certificate(sequence, *digest);
        let before = world.executor.servable();
        world.executor.stable(certificate);
        if index < 6 {
            assert_eq!((before, world.executor.servable()), (vec![first.sequence], vec![first.sequence]), "{sequence}");
        } else {
            assert_eq!(world.executor.servable().last(), Some(&sequence));
        }
    }
}
