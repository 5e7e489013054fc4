use crate::service::Snapshot;
use pbft_crypto::Digest;
use std::collections::BTreeSet;

/// A Merkle tree over the digests of a state's chunks. A changed chunk costs a path, not the whole tree.
///
/// An odd node is promoted. The number of leaves, which fixes the tree's shape, goes into the root: two different
/// lists of leaves never give one root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MerkleTree {
    /// The leaves, then each level above them; the last has one node. Only the leaves may be empty.
    levels: Vec<Vec<Digest>>,
    /// The leaves whose paths are to be hashed again.
    dirty: BTreeSet<usize>,
}

/// The digest of a chunk's bytes: a leaf.
pub fn chunk_digest(chunk: &[u8]) -> Digest {
    Digest::of("pbft chunk", &[chunk])
}

/// The root over a list of leaves.
pub fn root_of(leaves: &[Digest]) -> Digest {
    MerkleTree::new(leaves.to_vec()).root()
}

impl MerkleTree {
    /// A tree over these leaves.
    pub fn new(leaves: Vec<Digest>) -> Self {
        let mut levels = vec![leaves];
        while let Some(level) = levels.last().filter(|level| level.len() > 1) {
            let above = level.chunks(2).map(node).collect();
            levels.push(above);
        }
        Self { levels, dirty: BTreeSet::new() }
    }

    /// The tree over all chunks of a frozen state.
    pub(super) fn of_snapshot(snapshot: &dyn Snapshot) -> Self {
        Self::new((0..snapshot.chunk_count()).map(|index| chunk_digest(&snapshot.chunk(index))).collect())
    }

    /// Takes over the chunks that changed. A chunk beyond the known ones is new, whether it is named or not.
    pub(super) fn update(&mut self, snapshot: &dyn Snapshot, changed: &[u32]) {
        let count = snapshot.chunk_count();
        let known = u32::try_from(self.leaves().len()).unwrap_or(u32::MAX);
        if count != known {
            let mut leaves = self.leaves().to_vec();
            leaves.truncate(usize::try_from(count).unwrap_or(usize::MAX));
            leaves.extend((known..count).map(|index| chunk_digest(&snapshot.chunk(index))));
            *self = Self::new(leaves);
        }
        for index in changed.iter().filter(|index| **index < count) {
            self.set(*index, chunk_digest(&snapshot.chunk(*index)));
        }
    }

    /// Replaces a leaf. No effect beyond the last.
    pub fn set(&mut self, index: u32, digest: Digest) {
        let Ok(index) = usize::try_from(index) else { return };
        let Some(leaf) = self.levels.first_mut().and_then(|leaves| leaves.get_mut(index)) else { return };
        if *leaf != digest {
            *leaf = digest;
            self.dirty.insert(index);
        }
    }

    /// The leaves in order.
    pub fn leaves(&self) -> &[Digest] {
        self.levels.first().map_or(&[], Vec::as_slice)
    }

    /// The root. Hashes again what changed since the last call, and nothing else.
    pub fn root(&mut self) -> Digest {
        let mut dirty = std::mem::take(&mut self.dirty);
        let mut rest = self.levels.as_mut_slice();
        while let [below, above @ ..] = rest {
            dirty = dirty.into_iter().map(|index| index / 2).collect();
            if let Some(level) = above.first_mut() {
                rehash(below, level, &dirty);
            }
            rest = above;
        }
        let top = self.levels.last().and_then(|level| level.first()).copied().unwrap_or(Digest::ZERO);
        Digest::of("pbft merkle root", &[&(self.leaves().len() as u64).to_le_bytes(), top.as_bytes()])
    }
}

fn rehash(below: &[Digest], level: &mut [Digest], dirty: &BTreeSet<usize>) {
    for index in dirty {
        let first = index.saturating_mul(2);
        let pair = below.get(first..).map_or(&[][..], |rest| rest.get(..2).unwrap_or(rest));
        if let Some(digest) = level.get_mut(*index) {
            *digest = node(pair);
        }
    }
}

fn node(pair: &[Digest]) -> Digest {
    match pair {
        [left, right] => Digest::of("pbft merkle node", &[left.as_bytes(), right.as_bytes()]),
        [promoted] => *promoted,
        _ => Digest::ZERO,
    }
}
