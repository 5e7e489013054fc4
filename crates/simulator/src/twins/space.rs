//! The scenarios as a mixed-radix number.

use super::{Round, TwinsScenario};
use std::sync::{Arc, LazyLock};

const MOST_GROUPS: u8 = 3;
const ROUNDS: [u32; 4] = [2, 3, 4, 5];
/// About one view, with a base time-out of 0.5 s: too short for a view change, enough for one, and for two.
const MILLIS: [u64; 3] = [400, 800, 1500];
/// A prime above all factors of any part's size, so that multiplying by it permutes each of them.
const STRIDE: u128 = 0x9E37_79B9_7F4A_7C55;

/// The groups of each process.
type Partition = Vec<u8>;

/// Scenarios with the same twins and as many rounds.
pub struct Part {
    replicas: u32,
    twins: Vec<u32>,
    rounds: u32,
    /// Of the first round: those that differ by more than which copy of a twin is called the second.
    first: Arc<Vec<Partition>>,
    /// Of the others, where that is settled.
    later: Arc<Vec<Partition>>,
}

/// Parts of equally many replicas and twins.
type Family = Vec<Part>;

static FAMILIES: LazyLock<Vec<Family>> = LazyLock::new(|| {
    [(4, 1), (5, 1), (6, 1), (7, 1), (7, 2)]
        .into_iter()
        .map(|(replicas, count)| twin_sets(replicas, count).iter().flat_map(|twins| Part::of(replicas, twins)).collect())
        .collect()
});

/// How many scenarios there are.
pub fn scenario_count() -> u128 {
    FAMILIES.iter().flatten().map(Part::size).sum()
}

pub fn scenario(index: u64) -> TwinsScenario {
    let families: Vec<u128> = FAMILIES.iter().map(|family| family.iter().map(Part::size).sum()).collect();
    let (family, rank) = deal(&families, u128::from(index));
    let parts = &FAMILIES[family];
    let sizes: Vec<u128> = parts.iter().map(Part::size).collect();
    let (part, rank) = deal(&sizes, rank);
    parts[part].scenario(rank)
}

/// Gives out indices to piles of these sizes in turn, passing over those that are full: whose turn it is, and the index
/// within that pile.
fn deal(sizes: &[u128], index: u128) -> (usize, u128) {
    let mut left = index;
    let mut dealt = 0;
    loop {
        let open: Vec<usize> = (0..sizes.len()).filter(|pile| sizes[*pile] > dealt).collect();
        // The index is below the sum of the sizes, so that some pile is open.
        let lowest = open.iter().map(|pile| sizes[*pile]).min().unwrap_or(dealt);
        let turns = (lowest - dealt) * open.len() as u128;
        if left < turns {
            let count = open.len() as u128;
            return (open[(left % count) as usize], dealt + left / count);
        }
        left -= turns;
        dealt = lowest;
    }
}

impl Part {
    /// All scenarios with these twins.
    pub fn of(replicas: u32, twins: &[u32]) -> Vec<Self> {
        let later = Arc::new(partitions(replicas as usize + twins.len()));
        let first = later.iter().filter(|partition| is_lowest(partition, replicas, twins)).cloned().collect();
        let first = Arc::new(first);
        let part = |rounds| Self { replicas, twins: twins.to_vec(), rounds, first: Arc::clone(&first), later: Arc::clone(&later) };
        ROUNDS.into_iter().map(part).collect()
    }

    pub fn size(&self) -> u128 {
        let kinds = |partitions: &[Partition]| (partitions.len() * MILLIS.len()) as u128;
        kinds(&self.first) * kinds(&self.later).pow(self.rounds - 1)
    }

    pub fn scenario(&self, rank: u128) -> TwinsScenario {
        let mut digits = rank * STRIDE % self.size();
        let mut digit = |radix: usize| {
            let digit = digits % radix as u128;
            digits /= radix as u128;
            digit as usize
        };
        let rounds = (0..self.rounds).map(|round| {
            let partitions = if round == 0 { &self.first } else { &self.later };
            Round { millis: MILLIS[digit(MILLIS.len())], groups: partitions[digit(partitions.len())].clone() }
        });
        TwinsScenario { rounds: rounds.collect(), replicas: self.replicas, twins: self.twins.clone() }
    }
}

/// All sets of so many replicas.
fn twin_sets(replicas: u32, count: u32) -> Vec<Vec<u32>> {
    let sets = 0..1_u32 << replicas;
    let members = |set: u32| (0..replicas).filter(|id| set >> id & 1 == 1).collect();
    sets.filter(|set| set.count_ones() == count).map(members).collect()
}

/// All ways to put so many into up to three groups, which are numbered in the order of their first members.
fn partitions(processes: usize) -> Vec<Partition> {
    let mut all = vec![Partition::new()];
    for _ in 0..processes {
        all = all.iter().flat_map(extended).collect();
    }
    all
}

fn extended(partition: &Partition) -> impl Iterator<Item = Partition> {
    let next = partition.iter().max().map_or(0, |highest| highest + 1);
    (0..=next.min(MOST_GROUPS - 1)).map(|group| partition.iter().copied().chain([group]).collect())
}

/// Whether no exchange of the copies of a twin gives a partition that comes before this one.
fn is_lowest(partition: &Partition, replicas: u32, twins: &[u32]) -> bool {
    let exchanged = |set: u32| {
        let mut other = partition.clone();
        for (number, twin) in twins.iter().enumerate().filter(|(number, _)| set >> number & 1 == 1) {
            other.swap(*twin as usize, replicas as usize + number);
        }
        renumbered(&other)
    };
    (0..1_u32 << twins.len()).all(|set| exchanged(set) >= *partition)
}

fn renumbered(partition: &Partition) -> Partition {
    let mut order = Partition::new();
    let mut number = |group: &u8| {
        order.iter().position(|known| known == group).unwrap_or_else(|| {
            order.push(*group);
            order.len() - 1
        }) as u8
    };
    partition.iter().map(&mut number).collect()
}
