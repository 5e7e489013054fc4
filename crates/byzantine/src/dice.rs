use std::collections::BTreeSet;

/// Chance that comes from a seed alone (splitmix64): the same seed, the same lies.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice for one purpose, or for one view, of a seed.
    pub const fn new(seed: u64, purpose: u64) -> Self {
        Self(seed ^ purpose.wrapping_mul(0xD134_2543_DE82_EF95))
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to `bound` - 1.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.roll().checked_rem(bound).unwrap_or(0)
    }

    /// One of these, if there are any.
    pub fn one_of<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        of.get(usize::try_from(self.below(of.len() as u64)).ok()?)
    }

    /// So many of these, or all.
    pub fn choose<T: Ord>(&mut self, mut of: Vec<T>, count: usize) -> BTreeSet<T> {
        while of.len() > count {
            of.swap_remove(usize::try_from(self.below(of.len() as u64)).unwrap_or(0));
        }
        of.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_comes_from_the_seed() {
        let rolls = |seed, purpose| {
            let mut dice = Dice::new(seed, purpose);
            (0..20).map(|_| dice.below(1000)).collect::<Vec<_>>()
        };
        assert_eq!(rolls(1, 2), rolls(1, 2));
        assert_ne!(rolls(1, 2), rolls(1, 3));
        assert_ne!(rolls(1, 2), rolls(2, 2));
        assert_eq!(Dice::new(1, 1).choose((0..9).collect(), 4).len(), 4);
        assert_eq!(Dice::new(1, 1).one_of::<u8>(&[]), None);
    }
}
