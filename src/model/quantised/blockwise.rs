//! Blockwise 8-bit rounding with a dynamic code, which double quantisation uses for the scales of 4-bit blocks.
//!
//! Dettmers, "8-bit approximations for parallelism in deep learning" (2016); bitsandbytes' `quantize_blockwise` and
//! `create_dynamic_map`.

use std::sync::LazyLock;

/// Numbers that share a scale.
pub(super) const BLOCK: usize = 256;

/// The 256 values, ascending: signs and seven decades with 1 to 64 fractions each, zero and one.
pub(super) static CODE: LazyLock<[f32; 256]> = LazyLock::new(|| {
    let mut values = vec![0.0, 1.0];
    for decade in 0..7_i32 {
        let fractions = 1_u16 << decade;
        #[expect(clippy::cast_possible_truncation, reason = "the code is in f32")]
        let size = 10_f64.powi(decade - 6) as f32;
        // The middles of equal parts of [0.1, 1], in f32 as torch has them.
        let boundary = |index: u16| -> f32 { linspace(0.1, 1.0, fractions + 1, index) };
        for index in 0..fractions {
            let value = size * f32::midpoint(boundary(index), boundary(index + 1));
            values.extend([value, -value]);
        }
    }
    values.sort_by(f32::total_cmp);
    values.try_into().expect("2 + 2 * (2^7 - 1) values are 256")
});

/// The number at `index` of `count` evenly spaced ones, with torch's rounding: from both ends towards the middle.
fn linspace(first: f32, last: f32, count: u16, index: u16) -> f32 {
    let step = (last - first) / f32::from(count - 1);
    if index < count / 2 {
        step.mul_add(f32::from(index), first)
    } else {
        (-step).mul_add(f32::from(count - 1 - index), last)
    }
}

/// Numbers rounded in blocks.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Blockwise {
    /// Where each number is in the code.
    pub(super) quants: Box<[u8]>,
    /// The largest size in each block.
    pub(super) absmax: Box<[f32]>,
}

impl Blockwise {
    /// Rounds each number to the nearest value of the code times the largest of its block.
    pub(super) fn round(numbers: &[f32]) -> Self {
        let absmax: Box<[f32]> = numbers.chunks(BLOCK).map(largest).collect();
        let quants = numbers.chunks(BLOCK).zip(&absmax).flat_map(|(block, most)| {
            let inverse = 1.0 / most.max(1e-38);
            block.iter().map(move |number| nearest((number * inverse).clamp(-1.0, 1.0)))
        });
        Self { quants: quants.collect(), absmax }
    }

    /// The number at `index`.
    pub(super) fn get(&self, index: usize) -> f32 {
        CODE[usize::from(self.quants[index])] * self.absmax[index / BLOCK]
    }
}

/// The largest size of some numbers.
pub(super) fn largest(numbers: &[f32]) -> f32 {
    numbers.iter().fold(0.0, |most, number| most.max(number.abs()))
}

/// The value of the code next to `number`; the lower of two that are as near.
fn nearest(number: f32) -> u8 {
    let above = CODE.windows(2).take_while(|pair| f32::midpoint(pair[0], pair[1]) < number).count();
    u8::try_from(above).expect("the code has 256 values")
}
