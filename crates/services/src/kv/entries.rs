use super::Entry;
use pbft_message::codec;
use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

/// Entries in the order of their keys. A map would hold each key a second time.
#[derive(Clone, Debug, Default)]
pub(super) struct Entries(BTreeSet<Stored>);

/// An entry as its encoding: one piece of memory, shared by the store, its bucket, and the frozen states. Compared by its
/// key alone.
#[derive(Clone, Debug)]
pub(super) struct Stored(Arc<[u8]>);

impl Stored {
    pub(super) fn new(entry: &Entry) -> Self {
        Self(codec::encode(entry).into())
    }

    pub(super) fn encoding(&self) -> &[u8] {
        &self.0
    }

    /// The encoding begins with the key, after its length in 8 bytes.
    fn key(&self) -> &[u8] {
        let (length, rest) = self.0.split_first_chunk().unwrap_or((&[0; 8], &[]));
        let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
        rest.get(..length).unwrap_or_default()
    }

    /// Always one: what was encoded decodes.
    fn entry(&self) -> Option<Entry> {
        codec::decode(&self.0).ok()
    }
}

impl Borrow<[u8]> for Stored {
    fn borrow(&self) -> &[u8] {
        self.key()
    }
}

impl Ord for Stored {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(other.key())
    }
}

impl PartialOrd for Stored {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Eq for Stored {}

impl PartialEq for Stored {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Entries {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<Entry> {
        self.0.get(key).and_then(Stored::entry)
    }

    /// In the place of the one that has the key.
    pub(super) fn put(&mut self, entry: Stored) {
        self.0.replace(entry);
    }

    pub(super) fn remove(&mut self, key: &[u8]) {
        self.0.remove(key);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Stored> {
        self.0.iter()
    }

    /// Those from a key on.
    pub(super) fn from(&self, key: &[u8]) -> impl Iterator<Item = Entry> {
        self.0.range::<[u8], _>((Bound::Included(key), Bound::Unbounded)).filter_map(Stored::entry)
    }
}

impl FromIterator<Stored> for Entries {
    fn from_iter<I: IntoIterator<Item = Stored>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pbft_message::Blob;

    fn stored(key: &str, version: u64) -> Stored {
        let (key, value) = (Blob::from(key.as_bytes()), Blob::from(&b"value"[..]));
        Stored::new(&Entry { key, value, create_revision: 2, mod_revision: 3, version, lease: 0 })
    }

    #[test]
    fn entries_are_found_by_their_keys_alone_and_in_their_order() {
        let entries: Entries = ["b", "", "ab", "a"].map(|key| stored(key, 1)).into_iter().collect();
        let keys = |from: &str| entries.from(from.as_bytes()).map(|entry| entry.key.to_vec()).collect::<Vec<_>>();
        assert_eq!(keys(""), [&b""[..], b"a", b"ab", b"b"]);
        assert_eq!(keys("aa"), [&b"ab"[..], b"b"]);
        assert!(stored("a", 1) == stored("a", 2) && stored("a", 1) < stored("aa", 1));
    }

    #[test]
    fn an_entry_takes_the_place_of_the_one_before() {
        let mut entries = Entries::default();
        (1..=2).for_each(|version| entries.put(stored("a", version)));
        assert_eq!((entries.len(), entries.get(b"a").map(|entry| entry.version)), (1, Some(2)));
        entries.remove(b"a");
        assert_eq!((entries.len(), entries.get(b"a")), (0, None));
    }
}
