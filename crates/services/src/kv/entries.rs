use super::Entry;
use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

/// Entries in the order of their keys. A map would hold each key a second time.
#[derive(Clone, Debug, Default)]
pub(super) struct Entries(BTreeSet<Keyed>);

/// An entry, compared by its key alone.
#[derive(Clone, Debug)]
struct Keyed(Arc<Entry>);

impl Borrow<[u8]> for Keyed {
    fn borrow(&self) -> &[u8] {
        &self.0.key
    }
}

impl Ord for Keyed {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.key.cmp(&other.0.key)
    }
}

impl PartialOrd for Keyed {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Eq for Keyed {}

impl PartialEq for Keyed {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Entries {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<&Arc<Entry>> {
        self.0.get(key).map(|Keyed(entry)| entry)
    }

    /// In the place of the one that has the key.
    pub(super) fn put(&mut self, entry: Arc<Entry>) {
        self.0.replace(Keyed(entry));
    }

    pub(super) fn remove(&mut self, key: &[u8]) {
        self.0.remove(key);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.0.iter().map(|Keyed(entry)| entry)
    }

    /// Those from a key on.
    pub(super) fn from(&self, key: &[u8]) -> impl Iterator<Item = &Arc<Entry>> {
        self.0.range::<[u8], _>((Bound::Included(key), Bound::Unbounded)).map(|Keyed(entry)| entry)
    }
}

impl FromIterator<Arc<Entry>> for Entries {
    fn from_iter<I: IntoIterator<Item = Arc<Entry>>>(entries: I) -> Self {
        Self(entries.into_iter().map(Keyed).collect())
    }
}
