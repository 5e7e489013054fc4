//! What the operator's commands write, what a start makes of it, and what is kept of a state that differs (R9, R16).

#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects)]

use pbft_crypto::{Digest, SecretKey};
use pbft_message::*;
use pbft_protocol::Now;
use pbft_protocol::agreement::*;
use pbft_protocol::execution::{Executor, Ordered};
use pbft_protocol::service::{Context, RestoreError, Service, Snapshot};
use pbft_replica::*;
use pbft_storage::{FetchedChunks, Identity, Journal, MemoryDisk, SnapshotReader};
use std::sync::Arc;
use std::time::Duration;

const SEGMENT: u64 = 64 << 10;

/// A service that is not the same everywhere: its state is what its maker gave it.
struct Salted(u8);

impl Service for Salted {
    fn execute(&mut self, _: &Context, _: &[u8]) -> Vec<u8> {
        Vec::new()
    }

    fn snapshot(&self) -> Arc<dyn Snapshot> {
        Arc::new(vec![self.0])
    }

    fn restore(&mut self, chunks: Vec<Vec<u8>>) -> Result<(), RestoreError> {
        self.0 = chunks.concat().first().copied().unwrap_or_default();
        Ok(())
    }
}

fn key(number: u8) -> SecretKey {
    SecretKey::from_seed(&[number; 32])
}

fn genesis() -> Arc<Genesis> {
    Arc::new(Genesis {
        name: "test".into(),
        test_network: true,
        parameters: Parameters { checkpoint_interval: 4, log_window: 8, ..Parameters::default() },
        service: ServiceParameters::default(),
        replicas: (0..4).map(|id| ReplicaEntry { signing_key: key(id).public(), transport_key: key(100 + id).public() }).collect(),
        operators: vec![],
        clients: vec![ClientEntry { signing_key: ClientId(key(200).public()), transport_key: key(201).public() }],
    })
}

fn identity() -> Identity {
    Identity { cluster: genesis().cluster_id(), owner: key(0).public() }
}

/// What all but this replica sign as their state.
fn certified(sequence: SequenceNumber, digest: Digest) -> Verified<StableCertificate> {
    let authenticator = Authenticator::new(genesis());
    let sign = |id: u8| {
        let replica = ReplicaId(u32::from(id));
        authenticator.signer(replica, key(id)).sign(Checkpoint { sequence, digest, replica })
    };
    let votes: Vec<_> = (1..4).map(sign).collect();
    let vote = Checkpoint { sequence, digest, replica: ReplicaId(1) };
    Verified::<StableCertificate>::assemble(&vote, &votes, &genesis()).unwrap()
}

fn execution(salt: u8) -> Execution<Salted, MemoryDisk> {
    let fetched = FetchedChunks::new(MemoryDisk::default());
    Execution::new(Executor::new(genesis(), Salted(salt)), vec![ReplicaId(1)], fetched, 1 << 20)
}

/// Runs a service with this salt to the first checkpoint; gives its executor and the state's digest.
fn executed(salt: u8) -> (Execution<Salted, MemoryDisk>, Digest, Vec<ExecutionEffect>) {
    let mut execution = execution(salt);
    let (mut digest, mut last) = (Digest::ZERO, Vec::new());
    for sequence in (1..=4).map(SequenceNumber) {
        last = execution.handle(Duration::ZERO, Order::Execute(Ordered { view: View(0), sequence, body: None })).unwrap();
        for effect in &last {
            if let ExecutionEffect::Tell(FromExecutor::Executed { checkpoint: Some(state), .. }) = effect {
                digest = *state;
            }
        }
    }
    (execution, digest, last)
}

fn is_told(effects: &[ExecutionEffect]) -> bool {
    let told = |effect: &ExecutionEffect| matches!(effect, ExecutionEffect::Tell(FromExecutor::Diverged(SequenceNumber(4))));
    effects.iter().any(told)
}

fn diverged(effects: Vec<ExecutionEffect>) -> Option<ExecutionEffect> {
    effects.into_iter().find(|effect| matches!(effect, ExecutionEffect::Diverged { .. }))
}

#[test]
fn r09_a_state_that_differs_from_the_certified_one_is_kept_once() {
    let (_, others, _) = executed(7);
    let (mut execution, own, _) = executed(8);
    assert_ne!(own, others);
    let effects = execution.handle(Duration::ZERO, Order::Stable(certified(SequenceNumber(4), others))).unwrap();
    assert!(is_told(&effects), "the core halts, wherever h is");
    let Some(ExecutionEffect::Diverged { state, certificate }) = diverged(effects) else { panic!("it differs") };
    assert_eq!((state.state.digest(), certificate.digest), (own, others));

    let mut disk = MemoryDisk::default();
    let owner = Identity { cluster: Digest::ZERO, owner: pbft_crypto::PublicKey::from_bytes([1; 32]) };
    let file = keep_for_forensics(&mut disk, &owner, &state, &certificate).unwrap().unwrap();
    assert_eq!(file, "diverged-00000000000000000004.bin");
    let mut kept = SnapshotReader::open(&mut disk, &file).unwrap();
    assert_eq!(kept.header(), state.header(&certificate));
    let chunks: Vec<_> = std::iter::from_fn(|| kept.next_chunk().unwrap()).collect();
    assert!(chunks.into_iter().eq(state.chunks()), "all of it is there");
    assert_eq!(keep_for_forensics(&mut disk, &owner, &state, &certificate).unwrap(), None);
}

#[test]
fn r09_a_state_that_differs_is_seen_also_when_its_certificate_came_first() {
    let (_, others, _) = executed(7);
    let mut execution = execution(8);
    execution.handle(Duration::ZERO, Order::Stable(certified(SequenceNumber(4), others))).unwrap();
    let execute = |sequence| Order::Execute(Ordered { view: View(0), sequence, body: None });
    let effects: Vec<_> =
        (1..=4).flat_map(|sequence| execution.handle(Duration::ZERO, execute(SequenceNumber(sequence))).unwrap()).collect();
    assert!(is_told(&effects) && diverged(effects).is_some());
}

#[test]
fn r09_the_certified_state_is_no_divergence() {
    let (mut execution, own, effects) = executed(7);
    assert!(diverged(effects).is_none());
    let effects = execution.handle(Duration::ZERO, Order::Stable(certified(SequenceNumber(4), own))).unwrap();
    assert!(diverged(effects).is_none());
}

/// A journal with these records.
fn journal(records: &[Record]) -> MemoryDisk {
    let mut journal = Journal::create(MemoryDisk::default(), &identity(), &[1; 32], SEGMENT).unwrap();
    for record in records {
        journal.commit(&[codec::encode(record)]).unwrap();
    }
    journal.into_disk()
}

fn start(disk: &MemoryDisk) -> Replica {
    try_start(disk).unwrap()
}

fn try_start(disk: &MemoryDisk) -> Result<Replica, RecoveryError> {
    let authenticator = Authenticator::new(genesis());
    let signer = authenticator.signer(ReplicaId(0), key(0));
    let config = Config { authenticator, timing: Timing::default(), limits: Limits::default() };
    let disks = (disk.clone(), disk.clone(), disk.clone());
    let authenticator = config.authenticator.clone();
    let verify = |records| verify_records(&authenticator, records);
    Ok(recover(disks, &identity(), Salted(7), config, signer, Now::default(), verify)?.replica)
}

#[test]
fn r15_a_record_that_does_not_decode_or_verify_is_named_by_file_and_offset() {
    let place = |disk: &MemoryDisk, number: usize| {
        let mut places = Vec::new();
        Journal::read(disk.clone(), |place, _| places.push(format!("{}, offset {}: ", place.file, place.offset))).unwrap();
        places.remove(number)
    };
    let mut alien = Journal::create(MemoryDisk::default(), &identity(), &[1; 32], SEGMENT).unwrap();
    alien.commit(&[codec::encode(&Record::Opened(View(1)))]).unwrap();
    alien.commit(&[codec::encode(&Record::Learner), vec![0xff; 7], codec::encode(&Record::Learner)]).unwrap();
    let alien = alien.into_disk();
    let error = try_start(&alien).err().unwrap();
    assert!(matches!(error, RecoveryError::Undecodable { .. }) && error.to_string().starts_with(&place(&alien, 2)), "{error}");
    assert_eq!(try_start(&alien).err().unwrap().to_string(), error.to_string(), "nothing was changed");

    let domain = Authenticator::new(genesis()).domain().to_owned();
    let forged = Signer::new(ReplicaId(0), domain, key(1)).sign(Checkpoint {
        sequence: SequenceNumber(4),
        digest: Digest::ZERO,
        replica: ReplicaId(0),
    });
    let forged = journal(&[Record::Opened(View(1)), Record::Checkpoint(forged.into_inner())]);
    let error = try_start(&forged).err().unwrap();
    assert!(matches!(error, RecoveryError::Unverified { .. }) && error.to_string().starts_with(&place(&forged, 1)), "{error}");
}

#[test]
fn r16_a_first_start_asks_too_because_an_empty_journal_may_be_an_old_copy() {
    let mut replica = start(&journal(&[]));
    assert_eq!(replica.silence(), Some(Silence::Recovering));
    assert!(replica.status().asks.is_some());
    let (_, rest) = replica.poll_effects().split();
    assert!(rest.records().is_empty(), "the primary of view 0 has not opened it");
}

#[test]
fn r16_a_learner_is_one_from_its_first_record_on_and_asks_nobody() {
    let disk = create_learner(MemoryDisk::default(), &identity(), &[1; 32], SEGMENT).unwrap().into_disk();
    let replica = start(&disk);
    assert_eq!((replica.silence(), replica.status().asks), (Some(Silence::Learner), None));
}

#[test]
fn r16_no_learners_journal_is_made_where_there_is_one() {
    let error = create_learner(journal(&[]), &identity(), &[1; 32], SEGMENT).unwrap_err();
    assert!(matches!(error, RejoinError::Create(_)), "{error}");
}

#[test]
fn r09_only_a_replica_that_halted_over_its_state_is_repaired_and_once() {
    let halted = Record::Halted(Alarm::Diverged(SequenceNumber(4)));
    assert!(matches!(repair(journal(&[]), &identity()), Err(RepairError::Healthy)));
    let healed = [halted.clone(), Record::Repair, Record::Repaired];
    assert!(matches!(repair(journal(&healed), &identity()), Err(RepairError::Healthy)));
    assert!(matches!(repair(journal(&[halted.clone(), Record::Repair]), &identity()), Err(RepairError::UnderWay)));
    let rolled_back = Record::Halted(Alarm::RolledBack(ReplicaId(2)));
    assert!(matches!(repair(journal(&[halted.clone(), rolled_back]), &identity()), Err(RepairError::NotOfItsState(_))));
    assert_eq!(repair(journal(std::slice::from_ref(&halted)), &identity()).unwrap(), Alarm::Diverged(SequenceNumber(4)));
    let again = [halted.clone(), Record::Repair, Record::Repaired, halted];
    assert!(repair(journal(&again), &identity()).is_ok(), "it may diverge again");
}
