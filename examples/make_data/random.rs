//! Seeded random numbers (`SplitMix64`, Steele et al. 2014), so that the same command writes the same bytes everywhere.
//! It refuses to read the clock or the system's entropy.

/// A counter-based generator: the state advances by a constant and is mixed on the way out.
pub struct Random {
    state: u64,
}

impl Random {
    /// A generator for one purpose; different purposes of one seed are independent.
    pub fn new(seed: u64, purpose: &str) -> Self {
        let mixed = purpose
            .bytes()
            .fold(seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        Self { state: mixed }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A whole number in `low..=high`.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        let width = (high - low + 1) as u64;
        let offset = self.next() % width;
        low + usize::try_from(offset).unwrap_or(0)
    }

    /// An index below `length`, which must not be zero.
    pub fn index(&mut self, length: usize) -> usize {
        self.between(0, length - 1)
    }

    /// True in `percent` of 100 draws.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.index(100) < percent
    }

    /// One item of a slice that is not empty.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.index(items.len())]
    }

    /// One text of a list that is not empty.
    pub fn word(&mut self, words: &[&'static str]) -> &'static str {
        words[self.index(words.len())]
    }

    /// Fisher and Yates' shuffle.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.index(last + 1));
        }
    }

    /// `count` distinct items, in random order.
    pub fn sample<'a, T>(&mut self, items: &'a [T], count: usize) -> Vec<&'a T> {
        let mut all: Vec<&T> = items.iter().collect();
        self.shuffle(&mut all);
        all.truncate(count);
        all
    }
}
