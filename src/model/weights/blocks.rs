//! The blocks of GGUF files, widened to f32, and the widening of half-precision numbers.
//!
//! The layouts of blocks are those of ggml's `ggml-common.h`, the arithmetic that of `dequantize_row_*` in `ggml-quants.c`: one
//! rounding a number, in f32, so the values are those of llama.cpp and of the `gguf` package, bit for bit.

#![expect(clippy::inline_always, reason = "what a block is made of must be compiled into the wide loop over blocks")]

use half::f16;

use crate::model::fused::simd::vectorised;

/// Defines a function that widens whole blocks, so that the loop over them is compiled for wide registers.
macro_rules! blocks {
    ($($name:ident: $block:ident, $numbers:literal, $bytes:literal;)*) => {$(
        vectorised! {
            pub(super) fn $name(out: &mut [f32], stored: &[u8]) {
                let (blocks, _) = out.as_chunks_mut::<$numbers>();
                let (stored, _) = stored.as_chunks::<$bytes>();
                for (out, stored) in blocks.iter_mut().zip(stored) {
                    // Opaque, or the compiler takes several blocks at once, number by number: that is much slower.
                    $block(std::hint::black_box(stored), out);
                }
            }
        }
    )*};
}

blocks! {
    q4_0_blocks: q4_0, 32, 18;
    q4_1_blocks: q4_1, 32, 20;
    q5_0_blocks: q5_0, 32, 22;
    q5_1_blocks: q5_1, 32, 24;
    q8_0_blocks: q8_0, 32, 34;
    q4_k_blocks: q4_k, 256, 144;
    q5_k_blocks: q5_k, 256, 176;
    q6_k_blocks: q6_k, 256, 210;
}

vectorised! {
    pub(super) fn f32_numbers(out: &mut [f32], stored: &[u8]) {
        for (out, stored) in out.iter_mut().zip(stored.as_chunks().0) {
            *out = f32::from_le_bytes(*stored);
        }
    }
}

vectorised! {
    pub(super) fn f16_numbers(out: &mut [f32], stored: &[u8]) {
        for (out, stored) in out.iter_mut().zip(stored.as_chunks().0) {
            *out = widen_half(u16::from_le_bytes(*stored));
        }
    }
}

vectorised! {
    pub(super) fn bf16_numbers(out: &mut [f32], stored: &[u8]) {
        for (out, stored) in out.iter_mut().zip(stored.as_chunks().0) {
            *out = f32::from_bits(u32::from(u16::from_le_bytes(*stored)) << 16);
        }
    }
}

/// A half-precision number in f32, without a branch on the CPU's features, so that a loop over it vectorises.
///
/// The bits, moved to where f32 has them, are the number with an exponent that is 112 too small; a product by a power
/// of two mends that exactly, for subnormal numbers too.
#[inline(always)]
fn widen_half(half: u16) -> f32 {
    let (sign, rest) = (u32::from(half & 0x8000) << 16, u32::from(half & 0x7fff));
    let finite = f32::from_bits(rest << 13) * f32::from_bits((127 + 112) << 23);
    let special = f32::from_bits(rest << 13 | 0x7f80_0000);
    let size = if rest >= 0x7c00 { special } else { finite };
    f32::from_bits(size.to_bits() | sign)
}

/// One block: a half-precision scale, 127 of which are the largest number, and 32 integers.
#[expect(clippy::cast_possible_truncation, reason = "a quotient by the largest is at most 127 in size")]
pub(super) fn quantise_q8_0(numbers: &[f32]) -> Vec<u8> {
    assert_eq!(numbers.len(), 32, "a tensor is whole blocks");
    let scale = numbers.iter().fold(0.0_f32, |most, number| most.max(number.abs())) / 127.0;
    let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
    let quants = numbers.iter().map(|number| ((number * inverse).round() as i8).cast_unsigned());
    f16::from_f32(scale).to_le_bytes().into_iter().chain(quants).collect()
}

#[inline(always)]
fn half(stored: &[u8]) -> f32 {
    widen_half(u16::from_le_bytes([stored[0], stored[1]]))
}

/// The numbers of a block of 32 whose bytes have the first half in their low and the second in their high four bits.
#[inline(always)]
fn nibbles(quants: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    for at in 0..16 {
        out[at] = quants[at] & 0x0f;
        out[at + 16] = quants[at] >> 4;
    }
    out
}

/// Each number, widened, as `number` says.
#[inline(always)]
fn widen_each(out: &mut [f32; 32], quants: [u8; 32], number: impl Fn(usize, u8) -> f32) {
    for at in 0..32 {
        out[at] = number(at, quants[at]);
    }
}

#[inline(always)]
fn q4_0(stored: &[u8; 18], out: &mut [f32; 32]) {
    let scale = half(stored);
    widen_each(out, nibbles(&stored[2..18]), |_, quant| (f32::from(quant) - 8.0) * scale);
}

#[inline(always)]
fn q4_1(stored: &[u8; 20], out: &mut [f32; 32]) {
    let (scale, least) = (half(stored), half(&stored[2..]));
    widen_each(out, nibbles(&stored[4..20]), |_, quant| f32::from(quant) * scale + least);
}

/// The fifth bit of each number of a block of 32.
#[inline(always)]
fn fifth_bits(stored: &[u8]) -> u32 {
    u32::from_le_bytes([stored[0], stored[1], stored[2], stored[3]])
}

/// A quant of four bits with its fifth.
#[inline(always)]
fn five_bits(quant: u8, bits: u32, at: usize) -> f32 {
    f32::from(quant | (u8::from(bits >> at & 1 == 1) << 4))
}

#[inline(always)]
fn q5_0(stored: &[u8; 22], out: &mut [f32; 32]) {
    let (scale, bits) = (half(stored), fifth_bits(&stored[2..]));
    widen_each(out, nibbles(&stored[6..22]), |at, quant| (five_bits(quant, bits, at) - 16.0) * scale);
}

#[inline(always)]
fn q5_1(stored: &[u8; 24], out: &mut [f32; 32]) {
    let (scale, least, bits) = (half(stored), half(&stored[2..]), fifth_bits(&stored[4..]));
    widen_each(out, nibbles(&stored[8..24]), |at, quant| five_bits(quant, bits, at) * scale + least);
}

#[inline(always)]
fn q8_0(stored: &[u8; 34], out: &mut [f32; 32]) {
    let scale = half(stored);
    let numbers = out.iter_mut().zip(&stored[2..]);
    numbers.for_each(|(number, quant)| *number = f32::from(quant.cast_signed()) * scale);
}

/// The six-bit scale and minimum of one of the eight sub-blocks of Q4_K and Q5_K (`get_scale_min_k4`).
#[inline(always)]
fn scale_and_least(packed: &[u8], sub_block: usize) -> (f32, f32) {
    let (scale, least) = if sub_block < 4 {
        (packed[sub_block] & 63, packed[sub_block + 4] & 63)
    } else {
        let low = packed[sub_block + 4];
        ((low & 0x0f) | (packed[sub_block - 4] >> 6 << 4), (low >> 4) | (packed[sub_block] >> 6 << 4))
    };
    (f32::from(scale), f32::from(least))
}

#[inline(always)]
fn q4_k(stored: &[u8; 144], out: &mut [f32; 256]) {
    let (scale, least, packed, quants) = (half(stored), half(&stored[2..]), &stored[4..16], &stored[16..]);
    for (sub_block, out) in out.chunks_exact_mut(32).enumerate() {
        let (factor, offset) = scale_and_least(packed, sub_block);
        let (factor, offset) = (scale * factor, least * offset);
        let quants = &quants[sub_block / 2 * 32..][..32];
        for (number, byte) in out.iter_mut().zip(quants) {
            let quant = if sub_block.is_multiple_of(2) { byte & 0x0f } else { byte >> 4 };
            *number = factor * f32::from(quant) - offset;
        }
    }
}

#[inline(always)]
fn q5_k(stored: &[u8; 176], out: &mut [f32; 256]) {
    let (scale, least, packed) = (half(stored), half(&stored[2..]), &stored[4..16]);
    let (high, quants) = (&stored[16..48], &stored[48..]);
    for (sub_block, out) in out.chunks_exact_mut(32).enumerate() {
        let (factor, offset) = scale_and_least(packed, sub_block);
        let (factor, offset) = (scale * factor, least * offset);
        let quants = &quants[sub_block / 2 * 32..][..32];
        for ((number, byte), high) in out.iter_mut().zip(quants).zip(high) {
            let low = if sub_block.is_multiple_of(2) { byte & 0x0f } else { byte >> 4 };
            let quant = low | ((high >> sub_block & 1) << 4);
            *number = factor * f32::from(quant) - offset;
        }
    }
}

#[inline(always)]
fn q6_k(stored: &[u8; 210], out: &mut [f32; 256]) {
    let (low, high, scales, scale) = (&stored[..128], &stored[128..192], &stored[192..208], half(&stored[208..]));
    for (at, number) in out.iter_mut().enumerate() {
        // 128 numbers share 64 bytes of low and 32 of high bits; in them, four runs of 32 lie side by side.
        let (part, run, column) = (at / 128, at % 128 / 32, at % 32);
        let low = low[part * 64 + run % 2 * 32 + column];
        let low = if run < 2 { low & 0x0f } else { low >> 4 };
        let high = high[part * 32 + column] >> (2 * run) & 3;
        let quant = f32::from((low | high << 4).cast_signed() - 32);
        let factor = scale * f32::from(scales[at / 16].cast_signed());
        *number = factor * quant;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_precision_number_is_widened_as_by_the_half_crate() {
        for bits in 0..=u16::MAX {
            let (found, expected) = (widen_half(bits), f16::from_bits(bits).to_f32());
            assert!(found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan()), "{bits:#06x}");
        }
    }
}
