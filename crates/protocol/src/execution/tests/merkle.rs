use crate::execution::*;
use crate::service::Snapshot;
use pbft_crypto::Digest;
use std::collections::BTreeSet;

fn leaves(count: u32) -> Vec<Digest> {
    (0..count).map(|index| chunk_digest(&index.to_le_bytes())).collect()
}

#[test]
fn r09_setting_leaves_gives_the_root_of_the_whole_list() {
    for count in 0..40 {
        let mut list = leaves(count);
        let mut tree = MerkleTree::new(list.clone());
        for step in 0..count {
            let (first, second) = (step * 7 % count, step * 5 % count);
            for index in [first, second] {
                let digest = chunk_digest(&[9, step as u8, index as u8]);
                list[index as usize] = digest;
                tree.set(index, digest);
            }
            assert_eq!(tree.root(), root_of(&list), "{count} leaves, step {step}");
            assert_eq!(tree.leaves(), list);
        }
        let before = tree.clone();
        tree.set(count, chunk_digest(b"beyond"));
        assert_eq!((tree.root(), tree.leaves()), (before.clone().root(), before.leaves()));
    }
}

/// So many chunks, each of its number's bytes.
struct Chunks(u32);

impl Snapshot for Chunks {
    fn chunk_count(&self) -> u32 {
        self.0
    }

    fn chunk(&self, index: u32) -> Vec<u8> {
        index.to_le_bytes().to_vec()
    }
}

#[test]
fn r09_a_state_of_more_or_fewer_chunks_has_the_root_of_its_own_list() {
    let mut tree = MerkleTree::new(leaves(5));
    for count in [9, 9, 3, 0, 4] {
        tree.update(&Chunks(count), &[]);
        assert_eq!((tree.root(), tree.leaves()), (root_of(&leaves(count)), &leaves(count)[..]), "{count}");
    }
}

#[test]
fn r09_different_lists_have_different_roots() {
    let mut roots = BTreeSet::new();
    let mut add = |list: &[Digest]| assert!(roots.insert(root_of(list)), "{} leaves", list.len());
    let all = leaves(9);
    for count in 0..=9 {
        add(&all[..count]);
    }
    add(&[all[1], all[0]]);
    // The lists that naive trees confuse: an odd leaf doubled, an inner node passed off as a leaf.
    add(&[all[0], all[1], all[2], all[2]]);
    let pair = MerkleTree::new(vec![all[0], all[1]]);
    add(&[Digest::of("pbft merkle node", &[all[0].as_bytes(), all[1].as_bytes()]), all[2]]);
    add(&[pair.clone().root()]);
    add(&[pair.clone().root(), all[2]]);
    add(&[Digest::ZERO]);
}
