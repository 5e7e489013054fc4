use super::bucket::Bucket;
use std::sync::Arc;

/// How many buckets share a shelf. A copy of all counts one up for each shelf, a change after it for each bucket beside
/// the changed one: with some thousand buckets, and some dozens changed between checkpoints, this many make both cheap.
const SHELF: usize = 16;

/// A store's buckets, by number. A copy shares them until they change.
#[derive(Clone, Debug)]
pub(super) struct Shelves {
    count: u32,
    shelves: Vec<Arc<[Arc<Bucket>]>>,
}

impl Shelves {
    /// So many empty buckets.
    pub(super) fn empty(count: u32) -> Self {
        let empty = Arc::new(Bucket::default());
        Self::of(&vec![empty; count as usize])
    }

    /// These buckets.
    pub(super) fn of(buckets: &[Arc<Bucket>]) -> Self {
        let count = u32::try_from(buckets.len()).unwrap_or(u32::MAX);
        Self { count, shelves: buckets.chunks(SHELF).map(Arc::from).collect() }
    }

    /// How many buckets there are.
    pub(super) const fn count(&self) -> u32 {
        self.count
    }

    /// The bucket of this number.
    pub(super) fn get(&self, number: u32) -> Option<&Bucket> {
        let (shelf, place) = place(number);
        self.shelves.get(shelf)?.get(place).map(|bucket| &**bucket)
    }

    /// The bucket of this number, to change it.
    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut Bucket> {
        let (shelf, place) = place(number);
        Arc::make_mut(self.shelves.get_mut(shelf)?).get_mut(place).map(Arc::make_mut)
    }

    /// All of them, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Bucket> {
        self.shelves.iter().flat_map(|shelf| shelf.iter()).map(|bucket| &**bucket)
    }
}

const fn place(number: u32) -> (usize, usize) {
    (number as usize / SHELF, number as usize % SHELF)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::Entry;
    use crate::kv::entries::Stored;
    use pbft_message::Blob;

    fn stored(key: u32) -> Stored {
        Stored::new(&Entry {
            key: key.to_le_bytes()[..].into(),
            value: Blob::default(),
            create_revision: 2,
            mod_revision: 2,
            version: 1,
            lease: 0,
        })
    }

    #[test]
    fn a_copy_keeps_what_it_was_and_each_number_is_a_bucket_of_its_own() {
        for count in [1, 15, 16, 17, 100] {
            let mut shelves = Shelves::empty(count);
            let copy = shelves.clone();
            for number in 0..count {
                shelves.get_mut(number).unwrap().put(stored(number));
            }
            assert_eq!((shelves.count(), shelves.iter().count()), (count, count as usize));
            for (number, bucket) in (0..).zip(shelves.iter()) {
                assert_eq!(bucket.encode(), shelves.get(number).unwrap().encode());
                assert!(bucket.entries().map(Stored::encoding).eq([stored(number).encoding()]));
            }
            assert!(copy.iter().all(|bucket| bucket.entries().next().is_none()));
            assert!(shelves.get(count).is_none() && shelves.get_mut(count).is_none());
        }
    }
}
