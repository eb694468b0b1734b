//! Loops compiled twice, for any CPU and for AVX2 with FMA, and chosen when they run; and the functions they need.
//!
//! The compiler vectorises plain loops well, but only for the instructions it may assume, which for a portable binary
//! are those of 2003. [`vectorised!`] wraps a function so that the wide version is used where the CPU has it.

#![expect(clippy::inline_always, reason = "a helper must be compiled into both versions of its caller")]

/// Numbers summed side by side before they are added up: the order of a sum is then the same on every CPU.
pub(crate) const LANES: usize = 16;

/// Defines a function whose body is compiled for AVX2 and FMA too, and called so where the CPU has them.
macro_rules! vectorised {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $result:ty)? $body:block) => {
        $(#[$meta])*
        $vis fn $name($($argument: $type),*) $(-> $result)? {
            #[inline(always)]
            fn portable($($argument: $type),*) $(-> $result)? $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                fn wide($($argument: $type),*) $(-> $result)? {
                    portable($($argument),*)
                }
                if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
                    #[expect(unsafe_code, reason = "the CPU's features are known only at run time")]
                    // SAFETY: the CPU has just been found to have both features.
                    return unsafe { wide($($argument),*) };
                }
            }
            portable($($argument),*)
        }
    };
}
pub(crate) use vectorised;

/// e^x in f32 without a branch, so that a loop over it vectorises; relative error below 2e-7 in [-87, 88].
///
/// x = n ln 2 + r with |r| <= ln 2 / 2, e^r by the polynomial of Cephes' `expf`, and 2^n by adding n to the exponent
/// bits. Adding 1.5 * 2^23 rounds to an integer, which is then in the low bits. Arguments are clamped to that range,
/// so e^-inf is about 1e-38, not 0.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(2.121_944_4e-4, n.mul_add(-0.693_359_4, x));
    let series = 1.987_569_2e-4_f32
        .mul_add(r, 1.398_2e-3)
        .mul_add(r, 8.333_452e-3)
        .mul_add(r, 4.166_579_6e-2)
        .mul_add(r, 1.666_666_5e-1)
        .mul_add(r, 0.5);
    let exp_r = series.mul_add(r * r, r) + 1.0;
    f32::from_bits(exp_r.to_bits().wrapping_add(shifted.to_bits() << 23))
}

/// 1 / (1 + e^-x).
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// The sum of `term` over two slices of equal length, in lanes.
#[inline(always)]
pub(crate) fn sum_of(left: &[f32], right: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let (left_blocks, left_rest) = left.as_chunks::<LANES>();
    let (right_blocks, right_rest) = right.as_chunks::<LANES>();
    for (left, right) in left_blocks.iter().zip(right_blocks) {
        for lane in 0..LANES {
            lanes[lane] += term(left[lane], right[lane]);
        }
    }
    for (lane, (left, right)) in left_rest.iter().zip(right_rest).enumerate() {
        lanes[lane] += term(*left, *right);
    }
    lanes.iter().sum()
}

/// The dot product, with fused multiply-adds in lanes.
#[inline(always)]
pub(crate) fn dot(left: &[f32], right: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let (left_blocks, left_rest) = left.as_chunks::<LANES>();
    let (right_blocks, right_rest) = right.as_chunks::<LANES>();
    for (left, right) in left_blocks.iter().zip(right_blocks) {
        for lane in 0..LANES {
            lanes[lane] = left[lane].mul_add(right[lane], lanes[lane]);
        }
    }
    for (lane, (left, right)) in left_rest.iter().zip(right_rest).enumerate() {
        lanes[lane] = left.mul_add(*right, lanes[lane]);
    }
    lanes.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    vectorised! {
        fn exp_all(numbers: &mut [f32]) {
            for number in numbers {
                *number = exp(*number);
            }
        }
    }

    #[test]
    fn exp_agrees_with_the_library_to_two_in_ten_million() {
        let arguments: Vec<f32> = (-8700..8800_i16).map(|hundredth| f32::from(hundredth) / 100.0).collect();
        let mut values = arguments.clone();
        exp_all(&mut values);
        for (x, value) in arguments.iter().zip(values) {
            let expected = f64::from(*x).exp();
            let error = ((f64::from(value) - expected) / expected).abs();
            assert!(error < 2e-7, "exp({x}) is {value}; expected {expected}");
        }
    }
}
