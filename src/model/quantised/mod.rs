//! Weight matrices held in memory in fewer bits than f32, and widened a few rows at a time where they are used.
//!
//! Blocks of a GGUF file, and half-precision numbers, stay as the file has them. `load_4bit` and `load_8bit` round the
//! weights of the projections as bitsandbytes does (Dettmers et al., "QLoRA", 2023, and "LLM.int8()", 2022), on loading.
//! A product widens the weight to f32 and multiplies in f32, forward and backward: activations are never rounded, which
//! is what bitsandbytes does on CPUs while training (`MatMul8bitFp`), and deliberately not its int8 product of inference,
//! whose outlier columns depend on what else is in the batch.

mod blockwise;
mod four_bit;
mod int8;
mod packed;

use std::fmt;

pub use four_bit::FourBitCode;
pub(crate) use packed::PackedMatrix;

/// How a model's matrices are held in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// As f32, whatever the file holds: the fastest for many tokens, and the only one whose weights can be trained.
    Full,
    /// As the file holds them, if that takes fewer bits than f32. The numbers are the same.
    #[default]
    AsStored,
    /// The projections rounded to 8 bits, with one scale for each row of a matrix (`load_8bit`).
    Int8,
    /// The projections rounded to 4 bits, with one scale for each 64 numbers (`load_4bit`).
    FourBit {
        /// The sixteen values.
        code: FourBitCode,
        /// Round the scales too, to 8 bits.
        double_quant: bool,
    },
}

impl Precision {
    /// Whether the numbers differ from those of the file.
    pub(crate) const fn rounds(self) -> bool {
        matches!(self, Self::Int8 | Self::FourBit { .. })
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Full => "f32",
            Self::AsStored => "as stored",
            Self::Int8 => "int8",
            Self::FourBit { code: FourBitCode::Nf4, .. } => "nf4",
            Self::FourBit { code: FourBitCode::Fp4, .. } => "fp4",
        })
    }
}

#[cfg(test)]
mod tests {
    use safetensors::SafeTensors;

    use super::blockwise::Blockwise;
    use super::four_bit::FourBit;
    use super::int8::Int8;
    use super::*;

    /// Vectors of bitsandbytes 0.50, see `tests/golden/README.md`.
    struct Golden(Vec<u8>);

    impl Golden {
        fn read() -> Self {
            let path =
                std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/quant/bnb_reference.safetensors");
            Self(std::fs::read(path).unwrap())
        }

        fn bytes(&self, name: &str) -> Vec<u8> {
            SafeTensors::deserialize(&self.0).unwrap().tensor(name).unwrap().data().to_vec()
        }

        fn floats(&self, name: &str) -> Vec<f32> {
            self.bytes(name).as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
        }

        fn width(&self, name: &str) -> usize {
            SafeTensors::deserialize(&self.0).unwrap().tensor(name).unwrap().shape()[1]
        }
    }

    const CASES: [&str; 4] = ["edge_2x64", "gauss_48x96", "gauss_64x64", "odd_3x43"];

    /// Where two runs of codes first differ, for messages that do not print them all.
    fn same<T: PartialEq + fmt::Debug>(found: &[T], expected: &[T], what: &str) {
        assert_eq!(found.len(), expected.len(), "{what}");
        let differing: Vec<_> = (0..found.len()).filter(|at| found[*at] != expected[*at]).collect();
        let Some(first) = differing.first() else { return };
        let (found, expected) = (&found[*first], &expected[*first]);
        panic!("{what}: {} differ, the first at {first}: {found:?} and {expected:?}", differing.len());
    }

    fn apart(found: &[f32], expected: &[f32]) -> f32 {
        assert_eq!(found.len(), expected.len());
        found.iter().zip(expected).fold(0.0, |most, (a, b)| most.max((a - b).abs()))
    }

    fn four_bit(numbers: &[f32], code: FourBitCode, double_quant: bool) -> (FourBit, Vec<f32>) {
        let rounded = FourBit::round(numbers, code, double_quant);
        let mut widened = vec![0.0; numbers.len()];
        rounded.decode(0, &mut widened);
        (rounded, widened)
    }

    /// bitsandbytes 0.50 widens a matrix wrongly on CPUs when the width is even and no multiple of the block: it takes
    /// the scales of whole blocks for each row. What its other kernels compute is stated here by its own table.
    fn by_definition(golden: &Golden, case: &str, name: &str) -> Vec<f32> {
        let table = golden.floats(&format!("{}_code", &name[..3]));
        let scales = golden.floats(&format!("{case}__{name}_absmax"));
        let quants = golden.bytes(&format!("{case}__{name}_packed"));
        let count = golden.floats(&format!("{case}__w")).len();
        let halves = quants.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]).take(count);
        halves.enumerate().map(|(at, quant)| table[usize::from(quant)] * scales[at / 64]).collect()
    }

    #[test]
    fn four_bit_numbers_are_those_of_bitsandbytes_bit_for_bit() {
        let golden = Golden::read();
        for case in CASES {
            let numbers = golden.floats(&format!("{case}__w"));
            for (code, name) in [(FourBitCode::Nf4, "nf4_b64"), (FourBitCode::Fp4, "fp4_b64")] {
                let (rounded, widened) = four_bit(&numbers, code, false);
                same(rounded.quants(), &golden.bytes(&format!("{case}__{name}_packed")), &format!("{case} {name}"));
                same(&widened, &by_definition(&golden, case, name), &format!("{case} {name}"));
                if case != "gauss_48x96" {
                    same(&widened, &golden.floats(&format!("{case}__{name}_deq")), &format!("{case} {name}"));
                }
            }
        }
    }

    /// bitsandbytes 0.50 looks its 8-bit code up approximately on CPUs: a few numbers, and exact zeros, get a value that
    /// is not the nearest. Its other kernels take the nearest, and so is done here.
    #[test]
    fn blockwise_numbers_are_those_of_bitsandbytes_or_nearer() {
        let golden = Golden::read();
        same(&*super::blockwise::CODE, &golden.floats("dynamic_code8"), "the code");
        for case in CASES {
            let numbers = golden.floats(&format!("{case}__w"));
            let rounded = Blockwise::round(&numbers);
            same(&rounded.absmax, &golden.floats(&format!("{case}__blockwise8_absmax")), case);
            let reference = golden.floats(&format!("{case}__blockwise8_deq"));
            let widened: Vec<f32> = (0..numbers.len()).map(|index| rounded.get(index)).collect();
            let differing: Vec<usize> = (0..numbers.len())
                .filter(|at| numbers[*at] != 0.0 && widened[*at].to_bits() != reference[*at].to_bits())
                .collect();
            assert!(differing.len() * 50 <= numbers.len(), "{case}: {} differ", differing.len());
            for at in differing {
                let error = |value: f32| (value - numbers[at]).abs();
                assert!(error(widened[at]) <= error(reference[at]), "{case}: number {at}, {}", numbers[at]);
            }
            let zeros = (0..numbers.len()).filter(|at| numbers[*at] == 0.0);
            zeros.for_each(|at| assert!(widened[at] == 0.0, "{case}: number {at}"));
        }
    }

    #[test]
    fn rounded_scales_are_those_of_bitsandbytes_to_a_step_of_their_code() {
        let golden = Golden::read();
        for case in CASES {
            let floats = |name: &str| golden.floats(&format!("{case}__{name}"));
            let (rounded, _) = four_bit(&floats("w"), FourBitCode::Nf4, true);
            same(rounded.quants(), &golden.bytes(&format!("{case}__nf4dq_packed")), case);
            let (table, most, mean) = (floats("nf4dq_code2"), floats("nf4dq_absmax2"), floats("nf4dq_offset")[0]);
            let reference = golden.bytes(&format!("{case}__nf4dq_absmax_q"));
            let mut differing = 0;
            for (block, (quant, exact)) in reference.iter().zip(floats("nf4_b64_absmax")).enumerate() {
                let expected = table[usize::from(*quant)] * most[block / 256] + mean;
                let found = rounded.scale(block);
                // The mean is summed in another order than torch's, so its last bit may differ.
                if (found - expected).abs() > 2.4e-7 * expected {
                    differing += 1;
                    assert!((found - exact).abs() <= (expected - exact).abs(), "{case}: scale {block}");
                }
            }
            assert!(differing * 20 <= reference.len(), "{case}: {differing} scales differ");
        }
    }

    /// The layers of the fixture are bitsandbytes' own, on a matrix whose width is a multiple of the block.
    #[test]
    fn layers_of_4_and_8_bits_have_the_outputs_of_bitsandbytes() {
        let golden = Golden::read();
        let (numbers, x) = (golden.floats("gauss_64x64__w"), golden.floats("linear4bit_x"));
        let product = |weight: &[f32]| -> Vec<f32> {
            let rows = x.chunks_exact(64).flat_map(|x| weight.chunks_exact(64).map(move |row| (x, row)));
            rows.map(|(x, row)| x.iter().zip(row).map(|(a, b)| a * b).sum()).collect()
        };
        let (_, widened) = four_bit(&numbers, FourBitCode::Nf4, false);
        assert!(apart(&product(&widened), &golden.floats("linear4bit_y")) <= 1e-6);
        let int8 = Int8::round(&numbers, 64);
        let mut widened = vec![0.0; numbers.len()];
        widened.chunks_exact_mut(64).enumerate().for_each(|(row, out)| int8.decode_row(row, out));
        assert!(apart(&product(&widened), &golden.floats("linear8_y")) <= 1e-6);
        // Unrounded weights are thousands of times further away, so the bounds can fail.
        assert!(apart(&product(&numbers), &golden.floats("linear8_y")) > 1e-3);
    }

    #[test]
    fn rows_of_8_bits_are_those_of_bitsandbytes() {
        let golden = Golden::read();
        for case in CASES {
            let width = golden.width(&format!("{case}__w"));
            let numbers = golden.floats(&format!("{case}__w"));
            let rounded = Int8::round(&numbers, width);
            let quants: Vec<u8> = rounded.quants().iter().map(|quant| quant.cast_unsigned()).collect();
            same(&quants, &golden.bytes(&format!("{case}__int8_rowwise_q")), case);
            let mut widened = vec![0.0; numbers.len()];
            widened.chunks_exact_mut(width).enumerate().for_each(|(row, out)| rounded.decode_row(row, out));
            // The factor is one product here and two in the reference: the last bit may differ.
            let expected = golden.floats(&format!("{case}__int8_rowwise_deq"));
            let largest = expected.iter().fold(0.0_f32, |most, number| most.max(number.abs()));
            assert!(apart(&widened, &expected) <= 1.2e-7 * largest, "{case}: {}", apart(&widened, &expected));
        }
    }

    #[test]
    fn a_part_is_widened_as_the_whole_is_wherever_it_begins() {
        let numbers: Vec<f32> = (0..1000_u16).map(|index| (f32::from(index) * 0.37).sin()).collect();
        let (rounded, whole) = four_bit(&numbers, FourBitCode::Nf4, false);
        for (first, count) in [(0, 1), (1, 63), (63, 2), (64, 64), (77, 333), (999, 1), (500, 0)] {
            let mut part = vec![0.0; count];
            rounded.decode(first, &mut part);
            assert_eq!(part, whole[first..first + count], "{first} {count}");
        }
    }

    #[test]
    fn zeros_and_numbers_beyond_half_precision_are_rounded_without_a_panic() {
        for numbers in [vec![0.0; 128], vec![f32::INFINITY; 128], vec![f32::NAN; 128], vec![1e30; 128]] {
            let _ = four_bit(&numbers, FourBitCode::Nf4, true);
            let _ = four_bit(&numbers, FourBitCode::Fp4, false);
            Int8::round(&numbers, 64).decode_row(1, &mut vec![0.0; 64]);
        }
        let zeros = vec![0.0; 128];
        assert_eq!(four_bit(&zeros, FourBitCode::Nf4, false).1, zeros);
    }
}
