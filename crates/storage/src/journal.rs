//! The journal: what a replica promised, in the order it did, durable before anybody hears of it (R15).

mod error;
mod frame;
mod recovery;
mod segment;
#[cfg(test)]
mod tests;

pub use error::{CreateError, JournalError, OpenError};

use crate::{Disk, DiskError, Identity};
use frame::Chain;
use pbft_crypto::Digest;
use recovery::Recovered;
use segment::Header;

/// The ordinary length of a segment in bytes: 16 MiB.
pub const SEGMENT_SIZE: u64 = 16 << 20;

/// A base is written in frames of about this many bytes.
const BASE_FRAME: usize = 4 << 20;

/// Groups of opaque records, each group one frame made durable by one sync, in segments `journal-00000001.log` and so on.
///
/// `create` once, together with the replica's key; `open` at every start, which passes on the live records. Then `commit` each
/// group, and say what rests on it only after it returns. Now and then, when `bytes` has grown, `rebase` replaces all that was
/// written by the records that are still needed. After an error of the disk the process must end.
///
/// A sector is assumed to be written whole or not at all, as disks promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journal<D> {
    disk: D,
    /// The newest segment.
    segment: Header,
    file: String,
    oldest: u64,
    end: u64,
    chain: Chain,
    bytes_since_base: u64,
    poisoned: bool,
}

/// The end of a journal that was torn by a crash, never acknowledged, and cut when it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The segment.
    pub file: String,
    /// Where the cut was made, in bytes from the beginning.
    pub offset: u64,
    /// How many bytes were cut.
    pub bytes: u64,
}

impl<D: Disk> Journal<D> {
    /// Creates the journal of a new replica, durably. Refuses where one exists.
    ///
    /// `secret` is random, and need not be kept: it yields the bytes that mark this journal's frames, so that none who does not
    /// know them can send a request that looks like a frame. Segments are `segment_size` bytes, or what a large frame needs.
    pub fn create(mut disk: D, identity: &Identity, secret: &[u8; 32], segment_size: u64) -> Result<Self, CreateError> {
        if let Some(file) = disk.list()?.into_iter().find(|file| segment::number(file).is_some()) {
            return Err(CreateError::Exists { file });
        }
        let seed = Digest::of("pbft journal", &[identity.cluster.as_bytes(), identity.owner.as_bytes(), secret]);
        let marker = Digest::of("pbft journal marker", &[seed.as_bytes()]);
        let chain = Chain { counter: 1, digest: Digest::of("pbft journal chain", &[seed.as_bytes()]) };
        let header = Header {
            base_frames: Some(0),
            number: 1,
            size: segment_size.max(segment::HEADER as u64),
            ordinary_size: segment_size,
            chain,
            identity: *identity,
            marker: marker.as_bytes().first_chunk().copied().unwrap_or_default(),
        };
        disk.create(&segment::temporary_name(1), header.size)?;
        finish_segment(&mut disk, &header)?;
        let (file, end) = (segment::name(1), segment::HEADER as u64);
        Ok(Self { disk, segment: header, file, oldest: 1, end, chain, bytes_since_base: 0, poisoned: false })
    }

    /// Opens the journal and passes on all live records in order. If that fails, the records passed on count for nothing and
    /// the disk is unchanged. A torn tail is cut and told; leftovers of an interrupted `rebase` are removed.
    pub fn open(mut disk: D, identity: &Identity, on_record: impl FnMut(&[u8])) -> Result<(Self, Option<TornTail>), OpenError> {
        let recovered = recovery::recover(&mut disk, identity, on_record)?;
        let Recovered { oldest, newest, end, chain, bytes_since_base, torn, leftovers } = recovered;
        if let Some(torn) = &torn {
            disk.write_at(&torn.file, torn.offset, &vec![0; torn.bytes as usize])?;
        }
        // A process that was killed before its sync leaves what can be read but is not durable yet. From here on it counts.
        let file = segment::name(newest.number);
        disk.sync(&file)?;
        disk.sync_directory()?;
        for leftover in leftovers {
            disk.remove(&leftover)?;
        }
        Ok((Self { disk, segment: newest, file, oldest, end, chain, bytes_since_base, poisoned: false }, torn))
    }

    /// Writes the records as one frame and makes it durable. No records, no effect.
    pub fn commit(&mut self, records: &[impl AsRef<[u8]>]) -> Result<(), JournalError> {
        if records.is_empty() {
            return Ok(());
        }
        self.unless_poisoned(|journal| journal.write_frame(records))
    }

    /// Replaces all records by those that are still needed: a new segment begins with them and the older ones are removed. A crash at
    /// any moment leaves either all the old records or exactly these.
    pub fn rebase(&mut self, live: &[impl AsRef<[u8]>]) -> Result<(), JournalError> {
        self.unless_poisoned(|journal| {
            journal.write_base(live)?;
            Ok(journal.remove_before_newest()?)
        })
    }

    /// Bytes written since the journal was created or last rebased.
    pub fn bytes(&self) -> u64 {
        self.bytes_since_base
    }

    /// The disk, for the snapshots beside the journal where one `Disk` serves both.
    pub fn disk_mut(&mut self) -> &mut D {
        &mut self.disk
    }

    /// Gives the disk back, as a crash leaves it.
    pub fn into_disk(self) -> D {
        self.disk
    }

    /// R15: after a failed write or sync nothing is known about the disk, so nothing is tried again.
    fn unless_poisoned(&mut self, act: impl FnOnce(&mut Self) -> Result<(), JournalError>) -> Result<(), JournalError> {
        if self.poisoned {
            return Err(JournalError::Poisoned);
        }
        let result = act(self);
        self.poisoned = matches!(result, Err(JournalError::Disk(_)));
        result
    }

    fn write_frame(&mut self, records: &[impl AsRef<[u8]>]) -> Result<(), JournalError> {
        let (frame, chain) = self.encode(&self.chain, records)?;
        let length = frame.len() as u64;
        if self.end.saturating_add(length) > self.segment.size {
            let header = self.begin_segment(None, length)?;
            self.enter_segment(header, segment::HEADER as u64)?;
        }
        self.disk.write_at(&self.file, self.end, &frame)?;
        self.disk.sync(&self.file)?;
        self.end = self.end.saturating_add(length);
        self.chain = chain;
        self.bytes_since_base = self.bytes_since_base.saturating_add(length);
        Ok(())
    }

    fn write_base(&mut self, live: &[impl AsRef<[u8]>]) -> Result<(), JournalError> {
        let groups = base_groups(live);
        let length = groups.iter().fold(0, |sum: usize, group| sum.saturating_add(frame::length(group)));
        let header = self.begin_segment(u32::try_from(groups.len()).ok(), length as u64)?;
        let file = segment::temporary_name(header.number);
        let mut end = segment::HEADER as u64;
        let mut chain = self.chain;
        for group in groups {
            let (frame, next) = self.encode(&chain, group)?;
            self.disk.write_at(&file, end, &frame)?;
            end = end.saturating_add(frame.len() as u64);
            chain = next;
        }
        self.enter_segment(header, end)?;
        self.chain = chain;
        self.bytes_since_base = 0;
        Ok(())
    }

    fn encode(&self, chain: &Chain, records: &[impl AsRef<[u8]>]) -> Result<(Vec<u8>, Chain), JournalError> {
        frame::encode(&self.segment.marker, chain, records).ok_or_else(|| JournalError::TooLarge { bytes: frame::length(records) })
    }

    /// Creates the next segment, under its temporary name, with room for so many bytes of frames.
    fn begin_segment(&mut self, base_frames: Option<u32>, frame_bytes: u64) -> Result<Header, DiskError> {
        let header = Header {
            base_frames,
            number: self.segment.number.saturating_add(1),
            size: self.segment.ordinary_size.max(frame_bytes.saturating_add(segment::HEADER as u64)),
            chain: self.chain,
            ..self.segment.clone()
        };
        self.disk.create(&segment::temporary_name(header.number), header.size)?;
        Ok(header)
    }

    fn enter_segment(&mut self, header: Header, end: u64) -> Result<(), DiskError> {
        finish_segment(&mut self.disk, &header)?;
        self.file = segment::name(header.number);
        self.segment = header;
        self.end = end;
        Ok(())
    }

    /// Whether these removals are durable does not matter: `open` ignores and removes what is older than the newest base.
    fn remove_before_newest(&mut self) -> Result<(), DiskError> {
        for number in self.oldest..self.segment.number {
            self.disk.remove(&segment::name(number))?;
        }
        self.oldest = self.segment.number;
        Ok(())
    }
}

/// Makes a new segment durable, then gives it its name: from then on it counts.
fn finish_segment(disk: &mut impl Disk, header: &Header) -> Result<(), DiskError> {
    let temporary = segment::temporary_name(header.number);
    disk.write_at(&temporary, 0, &header.encode())?;
    disk.sync(&temporary)?;
    disk.rename(&temporary, &segment::name(header.number))?;
    disk.sync_directory()
}

/// The records in groups of about `BASE_FRAME` bytes, one frame each.
fn base_groups<R: AsRef<[u8]>>(live: &[R]) -> Vec<&[R]> {
    let mut groups = Vec::new();
    let mut rest = live;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = rest.iter().take_while(|record| {
            bytes = frame::length(std::slice::from_ref(*record)).saturating_add(bytes);
            bytes <= BASE_FRAME
        });
        let (group, later) = rest.split_at(fits.count().max(1));
        groups.push(group);
        rest = later;
    }
    groups
}
