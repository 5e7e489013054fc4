//! Segments of arbitrary bytes, raw or with every checksum and chain value made right: opening them neither panics nor
//! takes more memory than the files are worth, and opening them again gives the same.

use crate::allocation::within;
use crate::cluster::key;
use crate::input::Input;
use pbft_crypto::Digest;
use pbft_storage::{Disk, Identity, Journal, MemoryDisk};

const SECTOR: usize = 512;
const FRAME_HEADER: usize = 72;
const MARKER: [u8; 16] = [9; 16];

pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let identity = Identity { cluster: Digest::of("fuzz", &[]), owner: key(0).public() };
    let mut disk = MemoryDisk::default();
    let mut bytes = 0;
    let mut chain = (1, Digest::ZERO);
    for number in 1..=u64::from(1 + input.byte() % 3) {
        let length = usize::from(input.u16());
        let sealed = input.byte() > 20;
        let raw = input.take(length).to_vec();
        let content = if sealed { seal(&raw, number, &identity, &mut chain) } else { raw };
        bytes += content.len();
        let file = format!("journal-{number:08}.log");
        disk.create(&file).expect("memory");
        disk.write_at(&file, 0, &content).expect("memory");
    }
    let mut passed = Vec::new();
    let opened = within(8 * bytes + (64 << 10), || Journal::open(disk, &identity, |_, record| passed.push(record.to_vec())));
    let Ok((journal, _)) = opened else { return };
    assert!(passed.iter().map(Vec::len).sum::<usize>() <= bytes, "more than there is");
    let mut again = Vec::new();
    let (_, torn) = Journal::open(journal.into_disk(), &identity, |_, record| again.push(record.to_vec())).expect("as before");
    assert_eq!((again, torn), (passed, None));
}

/// A segment whose header is right, but for what the first bytes choose, and whose frames are right as far as these say.
fn seal(raw: &[u8], number: u64, identity: &Identity, chain: &mut (u64, Digest)) -> Vec<u8> {
    let mut input = Input(raw);
    let alone = u32::from(number == 1 || input.byte() > 200);
    let base_frames = u32::from(input.byte() % 3) * alone;
    let lie = input.byte();
    let mut frames = Vec::new();
    let first = *chain;
    while !input.is_empty() {
        frame(&mut input, chain, &mut frames);
    }
    let size = if lie == 1 { input.number() } else { (SECTOR + frames.len()) as u64 };
    let mut header = b"PBFTJRNL\x02\0\0\0".to_vec();
    header.extend([alone.to_le_bytes(), base_frames.to_le_bytes()].concat());
    header.extend([number, size, 1024, first.0].map(u64::to_le_bytes).concat());
    header.extend([*first.1.as_bytes(), *identity.cluster.as_bytes(), *identity.owner.as_bytes()].concat());
    header.extend(MARKER);
    header.extend(crc32c::crc32c(&header).to_le_bytes());
    header.resize(SECTOR, u8::from(lie == 2));
    [header, frames].concat()
}

fn frame(input: &mut Input<'_>, chain: &mut (u64, Digest), out: &mut Vec<u8>) {
    let lie = input.byte();
    let length = usize::from(input.byte());
    let payload = match lie {
        0..=20 => input.take(length).to_vec(),
        _ => [&(length.min(input.0.len()) as u32).to_le_bytes(), input.take(length)].concat(),
    };
    let counter = if lie == 21 { input.number() } else { chain.0 };
    let digest = Digest::of("pbft journal frame", &[chain.1.as_bytes(), &payload]);
    let records = if lie == 22 { u32::MAX } else { 1 };
    let length = if lie == 23 { u32::MAX } else { payload.len() as u32 };
    let sectors = (FRAME_HEADER + payload.len()).next_multiple_of(SECTOR);
    let mut behind = payload;
    behind.resize(sectors - FRAME_HEADER, 0);
    let checksum = crc32c::crc32c(&behind);
    let mut frame = MARKER.to_vec();
    frame.extend(counter.to_le_bytes());
    frame.extend([length.to_le_bytes(), records.to_le_bytes()].concat());
    frame.extend(digest.as_bytes());
    frame.extend((if lie == 24 { !checksum } else { checksum }).to_le_bytes());
    frame.extend(crc32c::crc32c(&frame).to_le_bytes());
    assert_eq!(frame.len(), FRAME_HEADER);
    *chain = (chain.0 + 1, digest);
    frame.extend(behind);
    whiten(&mut frame);
    if lie == 26 {
        frame[SECTOR.min(sectors - SECTOR)..].fill(0);
    }
    out.extend(frame);
    out.extend(vec![0; usize::from(lie == 25)]);
}

fn whiten(sectors: &mut [u8]) {
    let piece = |number: u8| *Digest::of("pbft journal pad", &[&MARKER, &[number]]).as_bytes();
    let pad: Vec<u8> = (0..16).flat_map(piece).collect();
    sectors.iter_mut().zip(pad.iter().cycle()).for_each(|(byte, pad)| *byte ^= pad);
}
