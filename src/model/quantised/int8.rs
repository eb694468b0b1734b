//! Rounding to 8 bits with one scale for each row: bitsandbytes' `int8_vectorwise_quant`.
//!
//! Dettmers et al., "LLM.int8()" (2022). The weight is rounded to half precision first, as `Linear8bitLt` does.

use half::f16;
use half::slice::HalfFloatSliceExt;
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
        let mut quants = vec![0; numbers.len()].into_boxed_slice();
        let rows = quants.par_chunks_mut(width).zip(numbers.par_chunks(width));
        let absmax = rows.map(|(quants, row)| round_row(quants, row)).collect();
        Self { quants, absmax }
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

/// Rounds a row and gives its scale.
fn round_row(quants: &mut [i8], row: &[f32]) -> f32 {
    let mut halves = vec![f16::ZERO; row.len()];
    halves.convert_from_f32_slice(row);
    let mut row = vec![0.0; row.len()];
    halves.convert_to_f32_slice(&mut row);
    let absmax = largest(&row);
    if absmax > 0.0 {
        // In torch, a number over a tensor is the tensor's reciprocal times the number.
        scale_and_round(quants, &row, 1.0 / absmax * 127.0);
    }
    absmax
}

vectorised! {
    fn scale_and_round(quants: &mut [i8], row: &[f32], factor: f32) {
        for (quant, number) in quants.iter_mut().zip(row) {
            #[expect(clippy::cast_possible_truncation, reason = "at most 127 in size")]
            let rounded = (number * factor).round_ties_even() as i8;
            *quant = rounded;
        }
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
