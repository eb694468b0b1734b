//! How weight files store numbers: plain floats, and GGUF's blocks of small integers with shared scales.
//!
//! The layouts of blocks are those of ggml's `ggml-common.h`, the arithmetic that of `dequantize_row_*` in `ggml-quants.c`: one
//! rounding a number, in f32, so the values are those of llama.cpp and of the `gguf` package, bit for bit.

#![expect(clippy::inline_always, reason = "what a block is made of must be compiled into the wide loop over blocks")]

use half::f16;
use rayon::prelude::*;

use super::FloatFormat;
use crate::model::fused::simd::vectorised;

/// A type of stored numbers that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoredFormat {
    Float(FloatFormat),
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q4K,
    Q5K,
    Q6K,
}

/// Every type with its code in the file (`ggml_type`).
const CODES: [(u32, StoredFormat); 11] = [
    (0, StoredFormat::Float(FloatFormat::F32)),
    (1, StoredFormat::Float(FloatFormat::F16)),
    (2, StoredFormat::Q4_0),
    (3, StoredFormat::Q4_1),
    (6, StoredFormat::Q5_0),
    (7, StoredFormat::Q5_1),
    (8, StoredFormat::Q8_0),
    (12, StoredFormat::Q4K),
    (13, StoredFormat::Q5K),
    (14, StoredFormat::Q6K),
    (30, StoredFormat::Float(FloatFormat::BF16)),
];

/// Enough that the work outweighs handing it out; a multiple of every block.
const NUMBERS_PER_TASK: usize = 1 << 14;

/// The names of types that exist but can't be read, for messages.
const UNSUPPORTED: [(u32, &str); 12] = [
    (9, "Q8_1"),
    (10, "Q2_K"),
    (11, "Q3_K"),
    (15, "Q8_K"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (20, "IQ4_NL"),
    (21, "IQ3_S"),
    (23, "IQ4_XS"),
    (28, "F64"),
];

impl StoredFormat {
    /// The type with a code.
    pub(crate) fn from_code(code: u32) -> Option<Self> {
        CODES.iter().find(|(known, _)| *known == code).map(|(_, format)| *format)
    }

    /// Its code in the file.
    pub(crate) fn code(self) -> u32 {
        CODES.iter().find(|(_, known)| *known == self).map(|(code, _)| *code).expect("every type has a code")
    }

    /// Rounds numbers to plain floats or Q8_0, as ggml's `quantize_row_q8_0_ref` does.
    ///
    /// # Panics
    /// For other types, which nobody writes, and for numbers that are no whole number of blocks.
    pub(crate) fn encode(self, numbers: &[f32]) -> Vec<u8> {
        match self {
            Self::Float(format) => format.encode(numbers),
            Self::Q8_0 => numbers.par_chunks(32).flat_map_iter(quantise_q8_0).collect(),
            other => panic!("`{}` is read and not written", other.name()),
        }
    }

    /// The name of a code, known or not.
    pub(crate) fn describe(code: u32) -> String {
        UNSUPPORTED
            .iter()
            .find(|(known, _)| *known == code)
            .map_or_else(|| code.to_string(), |(_, name)| (*name).into())
    }

    /// Every type that can be read, for messages.
    pub(crate) fn names() -> String {
        CODES.iter().map(|(_, format)| format!("`{}`", format.name())).collect::<Vec<_>>().join(", ")
    }

    /// The name llama.cpp uses.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Float(format) => format.safetensors_name(),
            Self::Q4_0 => "Q4_0",
            Self::Q4_1 => "Q4_1",
            Self::Q5_0 => "Q5_0",
            Self::Q5_1 => "Q5_1",
            Self::Q8_0 => "Q8_0",
            Self::Q4K => "Q4_K",
            Self::Q5K => "Q5_K",
            Self::Q6K => "Q6_K",
        }
    }

    /// Numbers a block and bytes a block.
    const fn block(self) -> (usize, usize) {
        match self {
            Self::Float(format) => (1, format.size_bytes()),
            Self::Q4_0 => (32, 18),
            Self::Q4_1 => (32, 20),
            Self::Q5_0 => (32, 22),
            Self::Q5_1 => (32, 24),
            Self::Q8_0 => (32, 34),
            Self::Q4K => (256, 144),
            Self::Q5K => (256, 176),
            Self::Q6K => (256, 210),
        }
    }

    /// The bytes of a tensor; `None` when its rows are no whole number of blocks, or nobody could hold it.
    pub(crate) fn size_bytes(self, shape: &[usize]) -> Option<usize> {
        let (numbers, bytes) = self.block();
        let width = shape.last().filter(|width| width.is_multiple_of(numbers))?;
        let rows = shape[..shape.len() - 1].iter().try_fold(1_usize, |rows, size| rows.checked_mul(*size))?;
        let total = rows.checked_mul(*width)?;
        (total / numbers).checked_mul(bytes).filter(|_| total.checked_mul(size_of::<f32>()).is_some())
    }

    /// Whether it is what everything is computed in.
    pub(crate) fn is_f32(self) -> bool {
        self == Self::Float(FloatFormat::F32)
    }

    /// Widens whole blocks to f32, all threads at work.
    ///
    /// # Panics
    /// When `stored` is no whole number of blocks, which the header's check rules out.
    pub(crate) fn decode(self, stored: &[u8]) -> Vec<f32> {
        let (numbers, bytes) = self.block();
        assert!(stored.len().is_multiple_of(bytes), "a tensor is whole blocks");
        let mut out = vec![0.0; stored.len() / bytes * numbers];
        let blocks_per_task = NUMBERS_PER_TASK / numbers;
        out.par_chunks_mut(numbers * blocks_per_task)
            .zip(stored.par_chunks(bytes * blocks_per_task))
            .for_each(|(out, stored)| self.decode_into(stored, out));
        out
    }

    /// Widens whole blocks to f32 on the calling thread.
    pub(crate) fn decode_into(self, stored: &[u8], out: &mut [f32]) {
        match self {
            Self::Float(FloatFormat::F32) => f32_numbers(out, stored),
            Self::Float(FloatFormat::F16) => f16_numbers(out, stored),
            Self::Float(FloatFormat::BF16) => bf16_numbers(out, stored),
            Self::Q4_0 => q4_0_blocks(out, stored),
            Self::Q4_1 => q4_1_blocks(out, stored),
            Self::Q5_0 => q5_0_blocks(out, stored),
            Self::Q5_1 => q5_1_blocks(out, stored),
            Self::Q8_0 => q8_0_blocks(out, stored),
            Self::Q4K => q4_k_blocks(out, stored),
            Self::Q5K => q5_k_blocks(out, stored),
            Self::Q6K => q6_k_blocks(out, stored),
        }
    }
}

/// Defines a function that widens whole blocks, so that the loop over them is compiled for wide registers.
macro_rules! blocks {
    ($($name:ident: $block:ident, $numbers:literal, $bytes:literal;)*) => {$(
        vectorised! {
            fn $name(out: &mut [f32], stored: &[u8]) {
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
    fn f32_numbers(out: &mut [f32], stored: &[u8]) {
        for (out, stored) in out.iter_mut().zip(stored.as_chunks().0) {
            *out = f32::from_le_bytes(*stored);
        }
    }
}

vectorised! {
    fn f16_numbers(out: &mut [f32], stored: &[u8]) {
        for (out, stored) in out.iter_mut().zip(stored.as_chunks().0) {
            *out = widen_half(u16::from_le_bytes(*stored));
        }
    }
}

vectorised! {
    fn bf16_numbers(out: &mut [f32], stored: &[u8]) {
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
fn quantise_q8_0(numbers: &[f32]) -> Vec<u8> {
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

    fn bytes(hex: &serde_json::Value) -> Vec<u8> {
        let hex = hex.as_str().unwrap();
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn every_type_gives_the_numbers_of_the_gguf_package_bit_for_bit() {
        let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/gguf/blocks.json");
        let golden: serde_json::Value = serde_json::from_slice(&std::fs::read(golden).unwrap()).unwrap();
        let mut seen = 0;
        for (_, format) in CODES.iter().filter(|(_, format)| !matches!(format, StoredFormat::Float(_))) {
            let case = &golden[format.name()];
            let found: Vec<u8> =
                format.decode(&bytes(&case["stored"])).into_iter().flat_map(f32::to_le_bytes).collect();
            assert!(found == bytes(&case["numbers"]), "{}", format.name());
            seen += 1;
        }
        assert_eq!(seen, 8);
    }

    #[test]
    fn every_half_precision_number_is_widened_as_by_the_half_crate() {
        for bits in 0..=u16::MAX {
            let (found, expected) = (widen_half(bits), f16::from_bits(bits).to_f32());
            assert!(found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan()), "{bits:#06x}");
        }
    }

    #[test]
    fn numbers_are_rounded_to_q8_0_as_the_gguf_package_does() {
        let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/gguf/blocks.json");
        let golden: serde_json::Value = serde_json::from_slice(&std::fs::read(golden).unwrap()).unwrap();
        let case = &golden["quantised"];
        let numbers = StoredFormat::Float(FloatFormat::F32).decode(&bytes(&case["numbers"]));
        assert!(StoredFormat::Q8_0.encode(&numbers) == bytes(&case["Q8_0"]));
    }
}
