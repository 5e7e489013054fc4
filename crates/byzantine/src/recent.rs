use std::collections::{BTreeMap, VecDeque};

/// The newest entries, so many at most: what a liar remembers is bounded too.
#[derive(Debug)]
pub struct Recent<K, V> {
    entries: BTreeMap<K, V>,
    order: VecDeque<K>,
    most: usize,
}

impl<K: Ord + Clone, V> Recent<K, V> {
    /// Room for so many.
    pub const fn new(most: usize) -> Self {
        Self { entries: BTreeMap::new(), order: VecDeque::new(), most }
    }

    /// What is known under this key.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key)
    }

    /// What is known under this key, or this from now on. The oldest key makes room.
    pub fn get_or(&mut self, key: K, value: impl FnOnce() -> V) -> &mut V {
        if !self.entries.contains_key(&key) {
            self.order.push_back(key.clone());
            if self.order.len() > self.most
                && let Some(oldest) = self.order.pop_front()
            {
                self.entries.remove(&oldest);
            }
        }
        self.entries.entry(key).or_insert_with(value)
    }

    /// All of them, ascending by key.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.entries.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_makes_room() {
        let mut recent = Recent::new(2);
        for key in [5, 1, 5, 3] {
            *recent.get_or(key, || 0) += 1;
        }
        assert_eq!(recent.iter().collect::<Vec<_>>(), [(&1, &1), (&3, &1)]);
    }
}
