//! Rounding to 8 bits with one scale for each row: bitsandbytes' `int8_vectorwise_quant`.
//!
//! Dettmers et al., "LLM.int8()" (2022). The weight is rounded to half precision first, as `Linear8bitLt` does.

use half::f16;
use rayon::prelude::*;

use super::blockwise::largest;
use crate::model::fused::simd::vectorised;

/// A matrix in 8 bits a number.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Int8 {
    quants: Box<[i8]>,
    /// The largest size in each row.
    absmax: Box<[f32]>,
}

impl Int8 {
    /// Rounds a matrix whose rows have `width` numbers.
    pub(super) fn round(numbers: &[f32], width: usize) -> Self {
        let halves: Vec<f32> = numbers.par_iter().map(|number| f16::from_f32(*number).to_f32()).collect();
        let absmax: Box<[f32]> = halves.par_chunks(width).map(largest).collect();
        let quants = halves.par_chunks(width).zip(&absmax).flat_map_iter(|(row, most)| {
            // In torch, a number over a tensor is the tensor's reciprocal times the number.
            let inverse = if *most > 0.0 { 1.0 / most * 127.0 } else { 0.0 };
            #[expect(clippy::cast_possible_truncation, reason = "at most 127 in size")]
            row.iter().map(move |number| (number * inverse).round_ties_even() as i8)
        });
        Self { quants: quants.collect(), absmax }
    }

    /// Widens a row.
    pub(super) fn decode_row(&self, row: usize, out: &mut [f32]) {
        widen(out, &self.quants[row * out.len()..][..out.len()], self.absmax[row]);
    }

    /// The numbers before they are scaled.
    #[cfg(test)]
    pub(super) fn quants(&self) -> &[i8] {
        &self.quants
    }

    /// Bytes in memory.
    pub(super) fn size_bytes(&self) -> usize {
        self.quants.len() + size_of_val(&*self.absmax)
    }
}

vectorised! {
    fn widen(out: &mut [f32], quants: &[i8], absmax: f32) {
        let factor = absmax * (1.0 / 127.0);
        for (number, quant) in out.iter_mut().zip(quants) {
            *number = f32::from(*quant) * factor;
        }
    }
}
