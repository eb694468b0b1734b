//! Rounding to 4 bits in blocks of 64: NF4 and FP4 of bitsandbytes, with or without double quantisation.
//!
//! Dettmers et al., "QLoRA" (2023). The weight is cut into blocks over its rows, without regard to where a row ends; the
//! high half of a byte is the earlier number, as in `quantize_4bit`.

use rayon::prelude::*;

use super::blockwise::{Blockwise, largest};

/// Numbers that share a scale.
const BLOCK: usize = 64;

/// The sixteen values that numbers are rounded to, before they are scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FourBitCode {
    /// The quantiles of a normal distribution.
    #[default]
    Nf4,
    /// Floats of one sign, two exponent and one fraction bits.
    Fp4,
}

/// bitsandbytes' `_NF4_QUANT_TABLE`, ascending.
const NF4: [f32; 16] = [
    -1.0,
    -0.696_192_8,
    -0.525_073_05,
    -0.394_917_5,
    -0.284_441_38,
    -0.184_773_43,
    -0.091_050_036,
    0.0,
    0.079_580_3,
    0.160_930_2,
    0.246_112_3,
    0.337_915_24,
    0.440_709_83,
    0.562_617,
    0.722_956_84,
    1.0,
];

/// bitsandbytes' `_FP4_QUANT_TABLE`: the second half are the first with a minus.
const FP4: [f32; 16] = [
    0.0,
    0.005_208_333_5,
    0.666_666_7,
    1.0,
    0.333_333_34,
    0.5,
    0.166_666_67,
    0.25,
    0.0,
    -0.005_208_333_5,
    -0.666_666_7,
    -1.0,
    -0.333_333_34,
    -0.5,
    -0.166_666_67,
    -0.25,
];

/// The indices of [`FP4`] in ascending order of their values, with the two zeros as torch's `argsort` has them.
const FP4_ORDER: [u8; 16] = [11, 10, 13, 12, 15, 14, 9, 0, 8, 1, 6, 7, 4, 5, 2, 3];

impl FourBitCode {
    const fn values(self) -> &'static [f32; 16] {
        match self {
            Self::Nf4 => &NF4,
            Self::Fp4 => &FP4,
        }
    }

    /// The values in ascending order, with the bits that stand for each.
    fn ascending(self) -> Vec<(f32, u8)> {
        match self {
            Self::Nf4 => NF4.into_iter().zip(0..).collect(),
            Self::Fp4 => FP4_ORDER.iter().map(|bits| (FP4[usize::from(*bits)], *bits)).collect(),
        }
    }
}

/// Numbers in 4 bits each.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct FourBit {
    code: FourBitCode,
    /// Two numbers a byte.
    quants: Box<[u8]>,
    scales: Scales,
}

/// The largest size in each block.
#[derive(Debug, Clone, PartialEq)]
enum Scales {
    Full(Box<[f32]>),
    /// Double quantisation: what remains after taking away the mean, rounded to 8 bits.
    Rounded {
        rest: Blockwise,
        mean: f32,
    },
}

impl FourBit {
    /// Rounds `numbers`.
    pub(super) fn round(numbers: &[f32], code: FourBitCode, double_quant: bool) -> Self {
        let ascending = code.ascending();
        let borders: Vec<f32> = ascending.windows(2).map(|pair| f32::midpoint(pair[0].0, pair[1].0)).collect();
        let nearest = |number: f32| ascending[borders.iter().filter(|border| **border < number).count()].1;
        let scales: Box<[f32]> = numbers.par_chunks(BLOCK).map(largest).collect();
        let quants = numbers.par_chunks(BLOCK).zip(&scales).flat_map_iter(|(block, most)| {
            // A whole block is multiplied by the inverse, what is left at the end divided, as bitsandbytes does.
            let (most, whole) = (most.max(1e-38), block.len() == BLOCK);
            let inverse = 1.0 / most;
            let scaled = move |number: &f32| if whole { number * inverse } else { number / most };
            let bits = move |number: &f32| nearest(scaled(number).clamp(-1.0, 1.0));
            // Nothing follows the last of an odd count; the padding is a zero.
            block.chunks(2).map(move |pair| bits(&pair[0]) << 4 | bits(pair.get(1).unwrap_or(&0.0)))
        });
        Self { code, quants: quants.collect(), scales: Scales::new(scales, double_quant) }
    }

    /// Widens the numbers from `first` on.
    pub(super) fn decode(&self, first: usize, out: &mut [f32]) {
        let values = self.code.values();
        let mut at = first;
        let mut rest = out;
        while !rest.is_empty() {
            let (block, tail) = rest.split_at_mut((BLOCK - at % BLOCK).min(rest.len()));
            decode_block(values, &self.quants, self.scales.get(at / BLOCK), at, block);
            at += block.len();
            rest = tail;
        }
    }

    /// Two numbers a byte, the earlier in the high half.
    #[cfg(test)]
    pub(super) fn quants(&self) -> &[u8] {
        &self.quants
    }

    /// The scale of a block.
    #[cfg(test)]
    pub(super) fn scale(&self, block: usize) -> f32 {
        self.scales.get(block)
    }

    /// Bytes in memory.
    pub(super) fn size_bytes(&self) -> usize {
        self.quants.len() + self.scales.size_bytes()
    }
}

/// Widens numbers that share a scale.
fn decode_block(values: &[f32; 16], quants: &[u8], scale: f32, first: usize, out: &mut [f32]) {
    let scaled = values.map(|value| value * scale);
    if first.is_multiple_of(2) && out.len().is_multiple_of(2) {
        let (pairs, _) = out.as_chunks_mut::<2>();
        for (pair, byte) in pairs.iter_mut().zip(&quants[first / 2..]) {
            *pair = [scaled[usize::from(byte >> 4)], scaled[usize::from(byte & 0x0f)]];
        }
        return;
    }
    for (at, number) in (first..).zip(out) {
        let byte = quants[at / 2];
        *number = scaled[usize::from(if at.is_multiple_of(2) { byte >> 4 } else { byte & 0x0f })];
    }
}

impl Scales {
    fn new(scales: Box<[f32]>, double_quant: bool) -> Self {
        if !double_quant || scales.is_empty() {
            return Self::Full(scales);
        }
        #[expect(clippy::cast_possible_truncation, reason = "the mean is in f32")]
        let mean = (scales.iter().copied().map(f64::from).sum::<f64>() / scales.len() as f64) as f32;
        let rest: Vec<f32> = scales.iter().map(|scale| scale - mean).collect();
        let rest = Blockwise::round(&rest);
        Self::Rounded { rest, mean }
    }

    fn get(&self, block: usize) -> f32 {
        match self {
            Self::Full(scales) => scales[block],
            Self::Rounded { rest, mean } => rest.get(block) + mean,
        }
    }

    fn size_bytes(&self) -> usize {
        match self {
            Self::Full(scales) => size_of_val(&**scales),
            Self::Rounded { rest, .. } => size_of_val(&*rest.quants) + size_of_val(&*rest.absmax),
        }
    }
}
