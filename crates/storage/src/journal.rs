//! The journal: what a replica promised, in the order it did, durable before anybody hears of it (R15).

mod base;
mod error;
mod frame;
mod recovery;
mod segment;
#[cfg(test)]
mod tests;

pub use error::{CreateError, JournalError, OpenError};
pub use segment::is_segment;

use crate::{Disk, DiskError, Identity};
use base::Pending;
use frame::{Chain, Marks};
use pbft_crypto::Digest;
use recovery::{Recovered, Walk};
use segment::Header;

/// The ordinary length of a segment in bytes: 16 MiB.
pub const SEGMENT_SIZE: u64 = 16 << 20;

/// Zeros are written in pieces of this many bytes.
const PIECE: usize = 1 << 20;

/// Groups of opaque records, each group one frame made durable by one sync, in segments `journal-00000001.log` and so on.
///
/// `create` once, together with the replica's key; `open` at every start, which passes on the live records. Then `commit` each
/// group, and say what rests on it only after it returns. Now and then, when `bytes` has grown, `begin_base` writes the records
/// that are still needed, and `adopt_base` removes what is older. After an error of the disk the process must end, but for `Full`.
///
/// A sector is assumed to be written whole or not at all, as disks promise. Then a frame that a crash has torn is told from one
/// that was acknowledged and damaged later, wherever the damage is, with one exception: where sectors of the very last frame
/// rotted to zeros, it looks torn, and where all from some frame on did, as if it had never been written. So `seal` when nothing
/// else is to be written: it makes the last frame one without promises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journal<D> {
    disk: D,
    /// The newest segment.
    segment: Header,
    file: String,
    oldest: u64,
    end: u64,
    marks: Marks,
    chain: Chain,
    bytes_since_base: u64,
    /// The base that was begun last.
    pending: Option<Pending>,
    /// The last frame holds no promise that could be taken for a torn tail.
    sealed: bool,
    /// The length of the next segment's file, which is all zeros; 0 if there is none.
    prepared: u64,
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

/// Where a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The segment.
    pub file: &'a str,
    /// Bytes from its beginning.
    pub offset: u64,
}

/// What a journal holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Whose promises they are.
    pub identity: Identity,
    /// The segments that count.
    pub segments: u64,
    /// Groups that were made durable together.
    pub frames: u64,
    /// The records in them.
    pub records: u64,
    /// The frames' bytes.
    pub bytes: u64,
    /// What `open` would cut.
    pub torn: Option<TornTail>,
}

impl<D: Disk> Journal<D> {
    /// Reads anybody's journal, with all live records in order, and changes nothing on the disk. On an error, the records
    /// that were passed on are those before the damage.
    pub fn read(mut disk: D, on_record: impl FnMut(Place<'_>, &[u8])) -> Result<Summary, OpenError> {
        recovery::recover(&mut disk, None, on_record).map(Recovered::summary)
    }

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
        let marker = marker.as_bytes().first_chunk().copied().unwrap_or_default();
        let sector = segment::SECTOR as u64;
        let size = segment_size.max(sector).checked_next_multiple_of(sector).unwrap_or(SEGMENT_SIZE);
        let header = Header { base_frames: Some(0), number: 1, size, ordinary_size: size, chain, identity: *identity, marker };
        prewrite(&mut disk, &segment::temporary_name(1), &mut 0, size)?;
        finish_segment(&mut disk, &header)?;
        Ok(Self {
            disk,
            segment: header,
            file: segment::name(1),
            oldest: 1,
            end: segment::HEADER as u64,
            marks: Marks::new(marker),
            chain,
            bytes_since_base: 0,
            pending: None,
            sealed: true,
            prepared: 0,
            poisoned: false,
        })
    }

    /// Gives a journal that was created before there was a cluster (`Digest::ZERO`), and holds no record, to the cluster of
    /// `identity`, durably and for good. Any other is left as it is: `open` tells whether it is the right one.
    pub fn bind(mut disk: D, identity: &Identity) -> Result<(), DiskError> {
        let unbound = Identity { cluster: Digest::ZERO, ..*identity };
        let recovered = recovery::recover(&mut disk, Some(&unbound), |_, _| ());
        let Ok(Recovered { oldest, newest, walk: Walk { chain, records: 0, .. }, .. }) = recovered else { return Ok(()) };
        let header = Header { base_frames: Some(0), number: newest.number.saturating_add(1), chain, identity: *identity, ..newest };
        prewrite(&mut disk, &segment::temporary_name(header.number), &mut 0, header.size)?;
        finish_segment(&mut disk, &header)?;
        (oldest..header.number).try_for_each(|number| disk.remove(&segment::name(number)))
    }

    /// Opens the journal and passes on all live records in order. If that fails, the records passed on count for nothing and
    /// the disk is unchanged. A torn tail is cut and told; leftovers of what was interrupted are removed.
    pub fn open(
        mut disk: D,
        identity: &Identity,
        on_record: impl FnMut(Place<'_>, &[u8]),
    ) -> Result<(Self, Option<TornTail>), OpenError> {
        let recovered = recovery::recover(&mut disk, Some(identity), on_record)?;
        let Recovered { oldest, newest, walk, torn, leftovers } = recovered;
        if let Some(torn) = &torn {
            disk.write_at(&torn.file, torn.offset, &vec![0; torn.bytes as usize])?;
        }
        // A process that was killed before its sync leaves what can be read but is not durable yet. From here on it counts. After
        // a failed sync the system may take for clean what the disk does not have: so the last frame is written again.
        let file = segment::name(newest.number);
        let last = (walk.last.start as u64, walk.last.len() as u64);
        let frame = disk.read_at(&file, last.0, last.1)?;
        disk.write_at(&file, last.0, &frame)?;
        disk.sync(&file)?;
        // So is the header that made the oldest segment one that stands alone, before what is older goes.
        let base = segment::name(oldest);
        let header = disk.read_at(&base, 0, segment::HEADER as u64)?;
        disk.write_at(&base, 0, &header)?;
        disk.sync(&base)?;
        disk.sync_directory()?;
        for leftover in leftovers {
            disk.remove(&leftover)?;
        }
        let Walk { marks, chain, end, bytes_since_base, sealed, .. } = walk;
        let (end, pending, prepared, poisoned) = (end as u64, None, 0, false);
        let segment = newest;
        let journal =
            Self { disk, segment, file, oldest, end, marks, chain, bytes_since_base, pending, sealed, prepared, poisoned };
        Ok((journal, torn))
    }

    /// Writes the records as one frame and makes it durable. No records, no effect. After `Full` neither, and it may be tried
    /// again.
    pub fn commit(&mut self, records: &[impl AsRef<[u8]>]) -> Result<(), JournalError> {
        if records.is_empty() {
            return Ok(());
        }
        self.unless_poisoned(|journal| {
            journal.write_frame(records)?;
            journal.prepare_ahead()
        })
    }

    /// Appends an empty frame, unless the last one is of no use to whoever would take damage for a torn tail.
    pub fn seal(&mut self) -> Result<(), JournalError> {
        if self.sealed {
            return Ok(());
        }
        self.unless_poisoned(|journal| journal.write_frame::<&[u8]>(&[]))
    }

    /// Bytes written since the journal was created, or behind the base that was adopted last.
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

    fn write_frame<R: AsRef<[u8]>>(&mut self, records: &[R]) -> Result<(), JournalError> {
        let (frame, chain) = self.encode(&self.chain, records)?;
        let length = frame.len() as u64;
        if self.end.saturating_add(length) > self.segment.size {
            let header = match self.begin_segment(length) {
                Err(error @ JournalError::Full(_)) => return Err(self.give_room_back(error)),
                begun => begun?,
            };
            self.enter_segment(header, segment::HEADER as u64)?;
        }
        self.disk.write_at(&self.file, self.end, &frame)?;
        self.disk.sync(&self.file)?;
        self.end = self.end.saturating_add(length);
        self.chain = chain;
        self.bytes_since_base = self.bytes_since_base.saturating_add(length);
        self.sealed = records.is_empty();
        Ok(())
    }

    fn encode(&self, chain: &Chain, records: &[impl AsRef<[u8]>]) -> Result<(Vec<u8>, Chain), JournalError> {
        frame::encode(&self.marks, chain, records).ok_or_else(|| JournalError::TooLarge { bytes: frame::length(records) })
    }

    /// The next segment, still under its temporary name, with room for so many bytes of frames.
    fn begin_segment(&mut self, frame_bytes: u64) -> Result<Header, JournalError> {
        let needed = frame_bytes.saturating_add(segment::HEADER as u64);
        let size = self.segment.ordinary_size.max(needed).max(self.prepared);
        self.prepare(size)?;
        let number = self.segment.number.saturating_add(1);
        Ok(Header { base_frames: None, number, size, chain: self.chain, ..self.segment.clone() })
    }

    /// Fills the next segment's file with zeros, as far as this one is filled beyond its half: so that no commit waits for
    /// all of it. Where there is no room, the commit that needs it will say so.
    fn prepare_ahead(&mut self) -> Result<(), JournalError> {
        let ahead = self.end.saturating_mul(2).saturating_sub(self.segment.size);
        let pieces = ahead.checked_next_multiple_of(PIECE as u64).unwrap_or(ahead);
        match self.prepare(pieces.min(self.segment.ordinary_size)) {
            Err(JournalError::Full(_)) => Ok(()),
            other => other,
        }
    }

    /// What there is of a segment that has no room is of no use: the snapshot that lets older ones go may need the room.
    fn give_room_back(&mut self, full: JournalError) -> JournalError {
        let file = segment::temporary_name(self.segment.number.saturating_add(1));
        // There is none where not even an empty file has room.
        let exists = self.disk.list().map(|files| files.contains(&file));
        match exists.and_then(|exists| if exists { self.disk.remove(&file) } else { Ok(()) }) {
            Ok(()) => {
                self.prepared = 0;
                full
            }
            Err(error) => error.into(),
        }
    }

    fn prepare(&mut self, size: u64) -> Result<(), JournalError> {
        let file = segment::temporary_name(self.segment.number.saturating_add(1));
        prewrite(&mut self.disk, &file, &mut self.prepared, size).map_err(JournalError::of_temporary)
    }

    fn enter_segment(&mut self, header: Header, end: u64) -> Result<(), DiskError> {
        finish_segment(&mut self.disk, &header)?;
        self.file = segment::name(header.number);
        self.segment = header;
        self.end = end;
        self.prepared = 0;
        self.sealed = true;
        Ok(())
    }
}

/// Lengthens a file by durable zeros, from `prepared` bytes, none if it does not exist, to `size`. Written and not merely
/// reserved, so that later syncs need not update metadata.
fn prewrite(disk: &mut impl Disk, file: &str, prepared: &mut u64, size: u64) -> Result<(), DiskError> {
    if *prepared == 0 && size > 0 {
        disk.create(file)?;
    }
    while *prepared < size {
        let piece = size.saturating_sub(*prepared).min(PIECE as u64);
        disk.write_at(file, *prepared, &vec![0; piece as usize])?;
        disk.sync(file)?;
        *prepared = prepared.saturating_add(piece);
    }
    Ok(())
}

/// Makes a new segment durable, then gives it its name: from then on it counts.
fn finish_segment(disk: &mut impl Disk, header: &Header) -> Result<(), DiskError> {
    let temporary = segment::temporary_name(header.number);
    disk.write_at(&temporary, 0, &header.encode())?;
    disk.sync(&temporary)?;
    disk.rename(&temporary, &segment::name(header.number))?;
    disk.sync_directory()
}
