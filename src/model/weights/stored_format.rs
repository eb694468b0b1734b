//! How weight files store numbers: plain floats, and GGUF's blocks of small integers with shared scales.
//!
//! What is in a block, and its arithmetic, is in [`super::blocks`].

use rayon::prelude::*;

use super::FloatFormat;
use super::blocks::{
    bf16_numbers, f16_numbers, f32_numbers, q4_0_blocks, q4_1_blocks, q4_k_blocks, q5_0_blocks, q5_1_blocks,
    q5_k_blocks, q6_k_blocks, q8_0_blocks, quantise_q8_0,
};

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
    fn numbers_are_rounded_to_q8_0_as_the_gguf_package_does() {
        let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/gguf/blocks.json");
        let golden: serde_json::Value = serde_json::from_slice(&std::fs::read(golden).unwrap()).unwrap();
        let case = &golden["quantised"];
        let numbers = StoredFormat::Float(FloatFormat::F32).decode(&bytes(&case["numbers"]));
        assert!(StoredFormat::Q8_0.encode(&numbers) == bytes(&case["Q8_0"]));
    }
}
