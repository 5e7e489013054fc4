//! A journal that was written, crashed and damaged: what opening it passes on was written, in this order, without a gap
//! (R15). Without damage nothing acknowledged is missing.

use crate::allocation::within;
use crate::cluster::key;
use crate::input::Input;
use pbft_crypto::Digest;
use pbft_storage::{Disk, Identity, Journal, JournalError, MemoryDisk, OpenError};

pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let mut world = World::create(1024 + 64 * u64::from(input.byte() % 32));
    for _ in 0..input.byte() % 24 {
        world.step(&mut input);
    }
    world.damage(&mut input);
}

fn identity() -> Identity {
    Identity { cluster: Digest::of("fuzz", &[]), owner: key(0).public() }
}

struct World {
    journal: Option<Journal<MemoryDisk>>,
    /// What is acknowledged.
    written: Vec<Vec<u8>>,
    serial: u64,
}

impl World {
    fn create(segment_size: u64) -> Self {
        let journal = Journal::create(MemoryDisk::default(), &identity(), &[7; 32], segment_size).expect("a fresh disk");
        Self { journal: Some(journal), written: Vec::new(), serial: 0 }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match input.byte() % 8 {
            0..=4 => self.write(input, false, None),
            5 if input.byte().is_multiple_of(4) => self.seal(),
            5 => self.write(input, true, None),
            6 => self.reopen(|_| false, &[]),
            _ => {
                let (rebase, fails) = (input.byte().is_multiple_of(3), u64::from(input.byte() % 8));
                self.write(input, rebase, Some(fails));
            }
        }
    }

    /// Commits a group, or starts anew with some of the records. A failing disk ends in a crash.
    fn write(&mut self, input: &mut Input<'_>, rebase: bool, fails: Option<u64>) {
        let records = if rebase { self.some_written(input) } else { self.group(input) };
        let mut journal = self.journal.take().expect("open");
        if let Some(fails) = fails {
            let operations = journal.disk_mut().operations();
            journal.disk_mut().fail_at(operations + fails);
        }
        let result =
            if rebase { journal.begin_base(&records).and_then(|()| journal.adopt_base()) } else { journal.commit(&records) };
        self.journal = Some(journal);
        let both = [self.written.clone(), records.clone()].concat();
        let after = if rebase { records } else { both.clone() };
        match result {
            Ok(()) => self.written = after,
            Err(JournalError::Disk(_)) => {
                let keep: [u8; 8] = input.array();
                let mut keep = keep.iter().cycle().map(|byte| *byte > 99);
                self.reopen(move |_| keep.next().unwrap_or(false), &[after, both]);
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn seal(&mut self) {
        if self.journal.as_mut().expect("open").seal().is_err() {
            self.reopen(|_| false, &[]);
        }
    }

    fn group(&mut self, input: &mut Input<'_>) -> Vec<Vec<u8>> {
        let mut record = || {
            self.serial += 1;
            let length = usize::from(input.byte()) * if input.byte() > 240 { 16 } else { 1 };
            [self.serial.to_le_bytes().to_vec(), vec![self.serial as u8; length]].concat()
        };
        let count = 1 + self.written.len() % 3;
        (0..count).map(|_| record()).collect()
    }

    fn some_written(&self, input: &mut Input<'_>) -> Vec<Vec<u8>> {
        let every = 1 + input.below(4);
        self.written.iter().step_by(every).cloned().collect()
    }

    /// A crash and a start. What was in flight may have been written or not, or to one of these.
    fn reopen(&mut self, keep: impl FnMut(pbft_storage::Unsynced<'_>) -> bool, in_flight: &[Vec<Vec<u8>>]) {
        let mut disk = self.journal.take().expect("open").into_disk();
        disk.crash(keep);
        let (opened, records) = open(disk);
        let (journal, _) = opened.expect("a crash damages nothing");
        assert!(records == self.written || in_flight.contains(&records), "acknowledged records are missing, or others appear");
        self.journal = Some(journal);
        self.written = records;
    }

    fn damage(mut self, input: &mut Input<'_>) {
        let mut disk = self.journal.take().expect("open").into_disk();
        disk.crash(|_| false);
        let files = disk.list().expect("memory");
        let mut bytes = 0;
        while !input.is_empty() {
            let file = &files[input.below(files.len())];
            disk.damage(file, |content| input.damage(content));
            bytes += 1;
        }
        for file in &files {
            bytes += disk.size(file).expect("memory") as usize;
        }
        // The segment, the records kept here, and the copies of the disk in memory.
        let (opened, records) = within(8 * bytes + (64 << 10), || open(disk));
        let Ok((journal, _)) = opened else { return };
        assert!(self.written.starts_with(&records), "a record that nobody wrote, or a gap");
        let (again, the_same) = open(journal.into_disk());
        let (_, torn) = again.expect("it was just opened");
        assert_eq!((the_same, torn), (records, None), "what was cut stays cut");
    }
}

type Opened = Result<(Journal<MemoryDisk>, Option<pbft_storage::TornTail>), OpenError>;

fn open(disk: MemoryDisk) -> (Opened, Vec<Vec<u8>>) {
    let mut records = Vec::new();
    (Journal::open(disk, &identity(), |_, record| records.push(record.to_vec())), records)
}
