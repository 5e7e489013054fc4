#![allow(clippy::arithmetic_side_effects, reason = "tests")]

use super::*;
use pbft_crypto::{Digest, PublicKey, SecretKey};
use pbft_message::*;
use pbft_protocol::Now;
use pbft_protocol::agreement::{Config, JournalPosition, Limits, Replica, Timing};
use pbft_storage::{Identity, MemoryDisk};
use std::sync::Arc;
use std::time::Duration;

const MIB: usize = 1 << 20;
const SEGMENT: u64 = 8 << 20;
const NOW: Now = Now { monotonic: Duration::ZERO, wall: 1 };

fn key(number: u8) -> SecretKey {
    SecretKey::from_seed(&[number; 32])
}

/// A primary of view 0 whose proposals are as large as a test wants.
struct Primary {
    replica: Replica,
    authenticator: Authenticator,
    next: u64,
}

impl Primary {
    /// Ready to propose.
    fn new() -> Self {
        let replicas = (0..4).map(|id| ReplicaEntry { signing_key: key(id).public(), transport_key: key(10 + id).public() });
        let genesis = Genesis {
            name: "journal".into(),
            test_network: true,
            parameters: Parameters::default(),
            service: ServiceParameters::default(),
            replicas: replicas.collect(),
            operators: vec![],
            clients: vec![ClientEntry { signing_key: ClientId(key(20).public()), transport_key: key(30).public() }],
        };
        let authenticator = Authenticator::new(Arc::new(genesis));
        let limits = Limits { pipeline: 64, batch_requests: 1, ..Limits::default() };
        let config = Config { authenticator: authenticator.clone(), timing: Timing::default(), limits };
        let signer = Signer::new(ReplicaId(0), *authenticator.domain(), key(0));
        let mut replica = Replica::new(config, signer, NOW);
        let (_, opened) = replica.poll_effects().split();
        replica.handle_durable(NOW, opened.position());
        Self { replica, authenticator, next: 1 }
    }

    fn ask(&mut self, bytes: usize) {
        let operations = Blobs::new(&[vec![7; bytes]]);
        let request = Request { client: ClientId(key(20).public()), timestamp: Timestamp(self.next), operations };
        self.next += 1;
        let signed = sign_request(request, self.authenticator.domain(), &key(20));
        let request = self.authenticator.verify_requests(vec![signed]).pop().unwrap().unwrap();
        self.replica.handle_request(NOW, request).unwrap();
    }

    fn effects(&mut self) -> Unpersisted {
        self.replica.poll_effects().split().1
    }
}

fn writer(disk: &mut MemoryDisk) -> JournalWriter<&mut MemoryDisk> {
    JournalWriter::new(Journal::create(disk, &identity(), &[9; 32], SEGMENT).unwrap())
}

fn identity() -> Identity {
    Identity { cluster: Digest::from_bytes([1; 32]), owner: PublicKey::from_bytes([2; 32]) }
}

/// Writes all that waits, or until the disk is full. The position that is durable then.
fn write_all(writer: &mut JournalWriter<&mut MemoryDisk>) -> Option<JournalPosition> {
    let mut durable = None;
    while let Some(group) = writer.next_group() {
        match writer.write(group) {
            Ok((_, position)) => durable = Some(position),
            Err(JournalError::Full(_)) => break,
            Err(error) => panic!("{error}"),
        }
    }
    durable
}

/// How many bodies the journal holds, and the lengths of its segments.
fn read_back(disk: &mut MemoryDisk) -> (usize, Vec<u64>) {
    let mut bodies = 0;
    Journal::read(&mut *disk, |_, record| {
        bodies += usize::from(matches!(codec::decode::<Record>(record).unwrap(), Record::Body(_)));
    })
    .unwrap();
    let mut segments = disk.list().unwrap();
    segments.retain(|file| file.ends_with(".log"));
    let sizes = segments.iter().map(|file| disk.size(file).unwrap()).collect();
    (bodies, sizes)
}

#[test]
fn what_waited_for_room_needs_ordinary_segments_and_is_written_once() {
    let (mut disk, mut primary) = (MemoryDisk::default(), Primary::new());
    let mut writer = writer(&mut disk);
    writer.journal.disk_mut().set_capacity(Some(SEGMENT + SEGMENT / 2));
    for _ in 0..24 {
        primary.ask(MIB);
        writer.push(primary.effects());
        write_all(&mut writer);
    }
    assert!(writer.is_full(), "the backlog is told");
    writer.journal.disk_mut().set_capacity(None);
    let last = write_all(&mut writer);
    primary.ask(1);
    assert_eq!(last.map(|position| position.0 + 2), Some(primary.effects().position().0));
    assert!(writer.is_idle() && !writer.is_full() && writer.bytes == 0);
    let (bodies, sizes) = read_back(&mut disk);
    assert_eq!(bodies, 24);
    assert!(sizes.iter().all(|size| *size == SEGMENT), "{sizes:?}");
}

#[test]
fn effects_of_many_bytes_become_durable_piece_by_piece_over_a_full_disk() {
    let (mut disk, mut primary) = (MemoryDisk::default(), Primary::new());
    let mut writer = writer(&mut disk);
    writer.journal.disk_mut().set_capacity(Some(SEGMENT));
    (0..10).for_each(|_| primary.ask(MIB));
    writer.push(primary.effects());
    let waiting = writer.bytes;
    assert!(waiting > 10 * MIB);
    assert_eq!(write_all(&mut writer), None, "nothing that waits for all of it may go");
    assert!(writer.bytes < waiting - 3 * MIB, "{} of {waiting} bytes wait on", writer.bytes);
    writer.journal.disk_mut().set_capacity(None);
    assert!(write_all(&mut writer).is_some());
    let (bodies, sizes) = read_back(&mut disk);
    assert_eq!((bodies, sizes), (10, vec![SEGMENT, SEGMENT]));
}
