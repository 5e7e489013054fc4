use super::world::*;
use crate::execution::*;
use crate::service::{Context, RestoreError, Service, Snapshot};
use pbft_message::*;
use std::sync::Arc;

/// A world with some state, saved.
fn saved() -> (World, Verified<StableCertificate>, Vec<u8>, Vec<Vec<u8>>) {
    let mut world = World::new();
    for key in ["a", "b", "c"] {
        world.run(&[&format!("append {key} x")]);
    }
    let certificate = world.reach_stable();
    let (frozen, stable) = world.executor.frozen(certificate.sequence).unwrap();
    (world, certificate, frozen.header(&stable), frozen.chunks().collect())
}

#[test]
fn r09_a_saved_snapshot_comes_back_whole_and_goes_on_alike() {
    let (mut world, certificate, header, chunks) = saved();
    let installed = InstalledState::from_saved(&header, chunks, &world.authenticator).unwrap();
    assert_eq!((installed.certificate(), installed.state().digest()), (&certificate, certificate.digest));
    let mut restored = World::new();
    restored.executor = Executor::restore(world.genesis.clone(), Map::default(), installed).unwrap();
    assert_eq!(restored.executor.executed(), certificate.sequence);
    assert_eq!(restored.executor.servable(), [certificate.sequence]);
    assert_eq!(restored.executor.windows(), world.executor.windows());
    for world in [&mut world, &mut restored] {
        let duplicate = world.request(0, 2, &["append b x"]);
        assert_eq!(outcomes(&world.batch(vec![duplicate])), [executed(&["x"])]);
        world.run(&["append a y"]);
    }
    assert_eq!(world.reach_checkpoint(), restored.reach_checkpoint());
    assert_eq!(restored.value("a").as_deref(), Some("xy"));
}

#[test]
fn r09_a_tampered_snapshot_is_refused() {
    let (world, certificate, header, chunks) = saved();
    let read = |header: &[u8], chunks: Vec<Vec<u8>>| InstalledState::from_saved(header, chunks, &world.authenticator).unwrap_err();
    let changed = |index: usize| {
        let mut changed = chunks.clone();
        changed[index].push(0);
        changed
    };
    assert_eq!(read(&header, changed(3)), SavedStateError::WrongRoot(StatePart::Service));
    assert_eq!(read(&header, changed(CHUNKS as usize + 3)), SavedStateError::WrongRoot(StatePart::Clients));
    let swapped = |first, second| {
        let mut swapped = chunks.clone();
        swapped.swap(first, second);
        swapped
    };
    assert_eq!(read(&header, swapped(1, 4)), SavedStateError::WrongRoot(StatePart::Service));
    let expected = u64::from(CHUNKS + CLIENT_CHUNKS);
    let count = |found| SavedStateError::ChunkCount { expected, found };
    assert_eq!(read(&header, chunks[1..].to_vec()), count(expected - 1));
    assert_eq!(read(&header, [chunks.clone(), vec![vec![]; 5]].concat()), count(expected + 1));
    assert_eq!(read(&header, vec![]), count(0));
    assert!(matches!(read(&header[1..], chunks.clone()), SavedStateError::Header(_)));
    assert!(matches!(read(&[], chunks.clone()), SavedStateError::Header(_)));
    for bit in 0..header.len() * 8 {
        let mut header = header.clone();
        header[bit / 8] ^= 1 << (bit % 8);
        assert!(InstalledState::from_saved(&header, chunks.clone(), &world.authenticator).is_err(), "bit {bit}");
    }

    let frozen = world.executor.local();
    let mut few = (*certificate).clone();
    few.checkpoints.pop();
    assert_eq!(read(&frozen.header(&few), chunks.clone()), SavedStateError::Certificate(Invalid::BadCertificate));
    let mut other = frozen;
    other.state.time += 1;
    assert_eq!(read(&other.header(&certificate), chunks.clone()), SavedStateError::WrongState);
}

#[test]
fn r14_installing_never_goes_back() {
    let (mut world, certificate, header, chunks) = saved();
    let installed = InstalledState::from_saved(&header, chunks, &world.authenticator).unwrap();
    let refused = |executed| Err(InstallError::NotNewer { offered: certificate.sequence, executed: SequenceNumber(executed) });
    assert_eq!(world.executor.install(installed.clone()), refused(K));
    let before = world.run(&["append a y"]);
    assert_eq!(world.executor.install(installed), refused(K + 1));
    assert_eq!(world.executor.answer(client(0), Timestamp(K + 1), View(7)), Some(before.replies[0].clone()));
    world.reach_checkpoint();
    assert_eq!(world.value("a").as_deref(), Some("xy"));
}

#[test]
fn r14_a_state_of_another_cluster_is_refused() {
    let (_, _, header, chunks) = saved();
    let mut other = World::with(|genesis| genesis.name = "another".into());
    let refused = InstalledState::from_saved(&header, chunks.clone(), &other.authenticator);
    assert_eq!(refused, Err(SavedStateError::Certificate(Invalid::BadSignature)));
    let installed = InstalledState::from_saved(&header, chunks, &World::new().authenticator).unwrap();
    assert_eq!(other.executor.install(installed), Err(InstallError::OtherConfiguration));
    assert_eq!(other.executor.executed(), SequenceNumber::GENESIS);
}

/// A service that is not the one that wrote the chunks.
struct Other(Result<(), RestoreError>);

impl Service for Other {
    fn execute(&mut self, _: &Context, _: &[u8]) -> Vec<u8> {
        vec![]
    }

    fn snapshot(&self) -> Arc<dyn Snapshot> {
        Arc::new(vec![])
    }

    fn restore(&mut self, _: Vec<Vec<u8>>) -> Result<(), RestoreError> {
        self.0.clone()
    }
}

#[test]
fn r14_a_service_that_does_not_take_the_state_is_named() {
    let (world, _, header, chunks) = saved();
    let installed = || InstalledState::from_saved(&header, chunks.clone(), &world.authenticator).unwrap();
    let refusal = RestoreError { chunk: 3, reason: "no entry".into() };
    let refused = Executor::restore(world.genesis.clone(), Other(Err(refusal.clone())), installed()).err();
    assert_eq!(refused, Some(InstallError::Service(refusal)));
    let wrong = Executor::restore(world.genesis.clone(), Other(Ok(())), installed()).err();
    assert_eq!(wrong, Some(InstallError::NotRestored { expected: CHUNKS as usize, found: 1 }));
}
