use super::Entry;
use super::entries::{Entries, Stored};
use pbft_crypto::Digest;
use pbft_message::{Blob, codec};

/// The bucket of a key, from 0 to `count` - 1.
pub(super) fn bucket_of(key: &[u8], count: u32) -> u32 {
    let [first, second, third, fourth, ..] = *Digest::of("pbft kv bucket", &[key]).as_bytes();
    u32::from_le_bytes([first, second, third, fourth]).checked_rem(count).unwrap_or(0)
}

/// The entries of one bucket, by key.
#[derive(Clone, Debug, Default)]
pub(super) struct Bucket(Entries);

impl Bucket {
    pub(super) fn put(&mut self, entry: Stored) {
        self.0.put(entry);
    }

    pub(super) fn remove(&mut self, key: &[u8]) {
        self.0.remove(key);
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Stored> {
        self.0.iter()
    }

    /// The entries in the order of their keys, each after the length of its encoding, in 8 bytes.
    ///
    /// Not one list: a client can choose keys that fall into one bucket, and let it grow beyond what the codec
    /// decodes at once.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for entry in self.0.iter() {
            bytes.extend_from_slice(&(entry.encoding().len() as u64).to_le_bytes());
            bytes.extend_from_slice(entry.encoding());
        }
        bytes
    }

    /// The bucket of this number out of `count`, from its bytes in a store of this revision, or what is wrong with them.
    pub(super) fn decode(mut bytes: &[u8], (number, count): (u32, u32), revision: u64) -> Result<Self, String> {
        let mut entries = Entries::default();
        let mut last = Blob::default();
        while !bytes.is_empty() {
            let (entry, rest) = decode_entry(bytes)?;
            bytes = rest;
            check_entry(&entry, (number, count), revision)?;
            if entry.key <= last {
                return Err("the keys do not ascend".to_owned());
            }
            entries.put(Stored::new(&entry));
            last = entry.key;
        }
        Ok(Self(entries))
    }
}

/// The first entry, and the bytes after it.
fn decode_entry(bytes: &[u8]) -> Result<(Entry, &[u8]), String> {
    let truncated = || "it ends within an entry".to_owned();
    let (length, rest) = bytes.split_first_chunk::<8>().ok_or_else(truncated)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| truncated())?;
    let (encoding, rest) = rest.split_at_checked(length).ok_or_else(truncated)?;
    let entry = codec::decode(encoding).map_err(|error| format!("an entry has a {error}"))?;
    Ok((entry, rest))
}

fn check_entry(entry: &Entry, (number, count): (u32, u32), revision: u64) -> Result<(), String> {
    let right = bucket_of(&entry.key, count);
    if right != number {
        return Err(format!("a key belongs into bucket {right}, not {number}"));
    }
    let ordered = 0 < entry.create_revision && entry.create_revision <= entry.mod_revision && entry.mod_revision <= revision;
    if !ordered || entry.version == 0 {
        return Err(format!("an entry's revisions are impossible in a store of revision {revision}"));
    }
    Ok(())
}
