//! Random numbers without state: the n-th number of a stream is a pure function of (seed, purpose, step, n).
//!
//! Philox4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011). A counter
//! in, four 32-bit words out, so any thread may draw any number and the result never depends on who came first.
//! burn's own generator is global and is never used.

/// What a stream of numbers is for; streams of different purposes never share a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The weights of a new model.
    Init = 1,
    /// The `A` matrices of a new adapter.
    LoraInit = 2,
    /// Dropout on the input of an adapter.
    Dropout = 3,
    /// The order of the rows in an epoch.
    Shuffle = 4,
}

/// One stream of random numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stream {
    key: [u32; 2],
    purpose: u32,
    step: u32,
}

impl Stream {
    /// The stream of `purpose` at `step`; `step` is an epoch, a micro-batch or a tensor's index, as the purpose needs.
    pub(crate) fn new(seed: u64, purpose: Purpose, step: u32) -> Self {
        Self { key: halves(seed), purpose: purpose as u32, step }
    }

    /// The four words of block `block`.
    #[inline]
    pub(crate) fn words(self, block: u64) -> [u32; 4] {
        let [low, high] = halves(block);
        philox([low, high, self.step, self.purpose], self.key)
    }

    /// The `index`-th 64-bit word; two come from each block.
    #[inline]
    pub(crate) fn word64(self, index: u64) -> u64 {
        let words = self.words(index / 2);
        let half = if index.is_multiple_of(2) { [words[0], words[1]] } else { [words[2], words[3]] };
        u64::from(half[0]) | (u64::from(half[1]) << 32)
    }

    /// Four numbers, uniform in [0, 1), with 24 random bits each.
    #[inline]
    pub(crate) fn uniforms(self, block: u64) -> [f32; 4] {
        self.words(block).map(unit)
    }

    /// Four standard normal numbers by the Box-Muller transform, computed in f64.
    pub(crate) fn normals(self, block: u64) -> [f32; 4] {
        let [a, b, c, d] = self.words(block).map(|word| (f64::from(word) + 0.5) / 4_294_967_296.0);
        let pair = |radius: f64, angle: f64| {
            let (sine, cosine) = (std::f64::consts::TAU * angle).sin_cos();
            let length = (-2.0 * radius.ln()).sqrt();
            [length * cosine, length * sine]
        };
        let ([first, second], [third, fourth]) = (pair(a, b), pair(c, d));
        [first, second, third, fourth].map(narrow)
    }

    /// A permutation of `0..count` by Fisher and Yates; its bias is below count / 2^64.
    pub(crate) fn permutation(self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for last in (1..count).rev() {
            let draw = u128::from(self.word64(last as u64)) * (last as u128 + 1);
            order.swap(last, usize::try_from(draw >> 64).expect("a draw below `count` fits in usize"));
        }
        order
    }
}

/// The low and the high 32 bits.
#[expect(clippy::cast_possible_truncation, reason = "the two halves are wanted")]
const fn halves(word: u64) -> [u32; 2] {
    [word as u32, (word >> 32) as u32]
}

/// The top 24 bits as a number in [0, 1): every value is exact in f32.
const fn unit(word: u32) -> f32 {
    (word >> 8) as f32 / 16_777_216.0
}

#[expect(clippy::cast_possible_truncation, reason = "f32 is the precision of weights")]
const fn narrow(value: f64) -> f32 {
    value as f32
}

/// Philox4x32 with ten rounds.
#[inline]
const fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    let mut round = 0;
    while round < 10 {
        let [low_0, high_0] = halves(counter[0] as u64 * 0xD251_1F53);
        let [low_1, high_1] = halves(counter[2] as u64 * 0xCD9E_8D57);
        counter = [high_1 ^ counter[1] ^ key[0], low_1, high_0 ^ counter[3] ^ key[1], low_0];
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
        round += 1;
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers published with Random123 (`kat_vectors`, philox4x32 10).
    #[test]
    fn philox_gives_the_published_vectors() {
        let check = |counter, key, expected: [u32; 4]| assert_eq!(philox(counter, key), expected);
        check([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        check([u32::MAX; 4], [u32::MAX; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        check(
            [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
            [0xa409_3822, 0x299f_31d0],
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
        );
    }

    #[test]
    fn streams_differ_by_seed_purpose_and_step() {
        let base = Stream::new(17, Purpose::Init, 0);
        let others = [
            Stream::new(18, Purpose::Init, 0),
            Stream::new(17, Purpose::Dropout, 0),
            Stream::new(17, Purpose::Init, 1),
        ];
        for other in others {
            assert_ne!(base.words(0), other.words(0));
        }
    }

    #[test]
    fn normals_have_mean_zero_and_variance_one() {
        let stream = Stream::new(3, Purpose::Init, 0);
        let numbers: Vec<f64> = (0..25_000).flat_map(|block| stream.normals(block)).map(f64::from).collect();
        let count = 100_000.0;
        let mean = numbers.iter().sum::<f64>() / count;
        let variance = numbers.iter().map(|number| (number - mean).powi(2)).sum::<f64>() / count;
        assert!(mean.abs() < 0.01 && (variance - 1.0).abs() < 0.02, "mean {mean}, variance {variance}");
    }

    #[test]
    fn a_permutation_holds_every_index_once() {
        let mut order = Stream::new(5, Purpose::Shuffle, 2).permutation(1000);
        assert_ne!(order, (0..1000).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..1000).collect::<Vec<_>>());
    }
}
