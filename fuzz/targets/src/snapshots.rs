//! Snapshots: a damaged one is never loaded; one of arbitrary bytes takes no more memory than it is worth; and a state
//! that its certificate does not name is never installed (R9, R14).

use crate::allocation::within;
use crate::cluster::{cluster, key};
use crate::input::Input;
use crate::transfer::source;
use pbft_crypto::Digest;
use pbft_protocol::execution::InstalledState;
use pbft_storage::{Disk, Identity, MemoryDisk, Snapshot, Snapshots};

const FILE: &str = "snapshot-00000000000000000007.bin";
const SEALED: usize = 88;

pub fn run(data: &[u8]) {
    let mut input = Input(data);
    match input.byte() % 4 {
        0 => load(input.0.to_vec()),
        1 => load(sealed(input.0)),
        2 => damaged(&mut input),
        _ => saved_state(&mut input),
    };
}

fn identity() -> Identity {
    Identity { cluster: Digest::of("fuzz", &[]), owner: key(0).public() }
}

fn load(content: Vec<u8>) {
    let bytes = content.len();
    let mut disk = MemoryDisk::default();
    disk.create(FILE).expect("memory");
    disk.write_at(FILE, 0, &content).expect("memory");
    let mut snapshots = Snapshots::open(disk, &identity()).expect("memory");
    if let Ok(Some(snapshot)) = within(4 * bytes + (64 << 10), || snapshots.load_newest()) {
        let mut again = Snapshots::open(MemoryDisk::default(), &identity()).expect("memory");
        again.save(snapshot.sequence, &snapshot.header, snapshot.chunks.clone()).expect("memory");
        assert_eq!(again.load(snapshot.sequence).expect("just saved"), snapshot);
    }
}

/// The same with a header that is read: sequence number 7, the chunk count of the first bytes, the right checksum.
fn sealed(raw: &[u8]) -> Vec<u8> {
    let mut input = Input(raw);
    let mut content = b"PBFTSNAP\x01\0\0\0".to_vec();
    content.extend([*identity().cluster.as_bytes(), *identity().owner.as_bytes()].concat());
    content.extend(7u64.to_le_bytes());
    content.extend(input.array::<4>());
    assert_eq!(content.len(), SEALED);
    content.extend(crc32c::crc32c(&content).to_le_bytes());
    while !input.is_empty() {
        let length = usize::from(input.byte());
        let claimed = if length == 255 { u32::MAX } else { length.min(input.0.len()) as u32 };
        let chunk = input.take(length);
        content.extend([claimed.to_le_bytes(), crc32c::crc32c(chunk).to_le_bytes()].concat());
        content.extend(chunk);
    }
    content
}

fn damaged(input: &mut Input<'_>) {
    let mut disk = MemoryDisk::default();
    let saved = Snapshot {
        sequence: 7,
        header: input.take(20).to_vec(),
        chunks: (0..input.byte() % 4).map(|length| vec![length; usize::from(length) * 9]).collect(),
    };
    Snapshots::open(&mut disk, &identity()).expect("memory").save(7, &saved.header, saved.chunks.clone()).expect("memory");
    let size = disk.size(FILE).expect("memory");
    let before = disk.read_at(FILE, 0, size).expect("memory");
    while !input.is_empty() {
        disk.damage(FILE, |content| input.damage(content));
    }
    let size = disk.size(FILE).expect("memory");
    let after = disk.read_at(FILE, 0, size).expect("memory");
    let loaded = Snapshots::open(disk, &identity()).expect("memory").load(7);
    assert_eq!(loaded.ok(), (before == after).then_some(saved), "a damaged snapshot is not loaded");
}

/// The state that a certificate names, with one part of it changed.
fn saved_state(input: &mut Input<'_>) {
    let (frozen, certificate) = source().frozen();
    let mut header = frozen.header(&certificate);
    let mut chunks: Vec<Vec<u8>> = frozen.chunks().collect();
    let whole = (header.clone(), chunks.clone());
    while !input.is_empty() {
        match input.byte() % 4 {
            0 => input.damage(&mut header),
            1 => chunks.truncate(usize::from(input.u16()) % (chunks.len() + 1)),
            2 => chunks.push(input.take(3).to_vec()),
            _ => {
                let place = usize::from(input.byte()) % chunks.len().max(1);
                chunks.get_mut(place).map(|chunk| input.damage(chunk)).unwrap_or_default();
            }
        }
    }
    let installed = InstalledState::from_saved(&header, chunks.clone(), &cluster().authenticator);
    assert_eq!(installed.is_ok(), (header, chunks) == whole, "{:?}", installed.err());
}
