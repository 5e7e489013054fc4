/// A small generator of random numbers (splitmix64): the same seed, the same numbers.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The generator of this seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The generator of a test's own seed, or of `PBFT_TEST_SEED`; a failed test shows which.
    pub fn of_test(seed: u64) -> Self {
        let seed = std::env::var("PBFT_TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(seed);
        println!("PBFT_TEST_SEED={seed}");
        Self::new(seed)
    }

    /// The next number.
    pub const fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub const fn below(&mut self, bound: u64) -> u64 {
        self.draw() % bound
    }

    /// Whether something with this chance, in percent, happens.
    pub const fn happens(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}
