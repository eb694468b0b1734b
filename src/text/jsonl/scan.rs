//! The inner loop of the parser: where a run of plain string bytes ends.

/// How many bytes are looked at together.
const STRIDE: usize = 16;

/// The first offset at or after `from` that holds a quote, a backslash or a byte below `0x20`; the length when none does.
#[inline]
pub(super) fn plain_end(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(stride) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let found = first_special(stride);
        if found < STRIDE {
            return at + found;
        }
        at += STRIDE;
    }
    let tail = bytes.get(at..).unwrap_or_default();
    tail.iter().position(|&byte| is_special(byte)).map_or(bytes.len(), |found| at + found)
}

#[inline]
const fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// The first special byte of a stride; its length when there is none.
#[cfg(target_arch = "x86_64")]
#[inline]
fn first_special(stride: &[u8; STRIDE]) -> usize {
    #[expect(unsafe_code, reason = "Rust asks for it where a function is compiled for named processor features")]
    // SAFETY: the only feature needed is SSE2, which every x86-64 processor has.
    unsafe {
        first_special_sse2(stride)
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "sse2")]
fn first_special_sse2(stride: &[u8; STRIDE]) -> usize {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8,
    };
    let number = u128::from_le_bytes(*stride);
    #[expect(clippy::cast_possible_truncation, reason = "the halves of the stride")]
    let stride = _mm_set_epi64x((number >> 64) as i64, number as i64);
    let control = _mm_cmpeq_epi8(_mm_min_epu8(stride, _mm_set1_epi8(0x1f)), stride);
    let quote = _mm_cmpeq_epi8(stride, _mm_set1_epi8(0x22));
    let backslash = _mm_cmpeq_epi8(stride, _mm_set1_epi8(0x5c));
    let marks = _mm_movemask_epi8(_mm_or_si128(control, _mm_or_si128(quote, backslash)));
    (marks | 1 << STRIDE).trailing_zeros() as usize
}

/// The first special byte of a stride; its length when there is none.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn first_special(stride: &[u8; STRIDE]) -> usize {
    stride.iter().position(|&byte| is_special(byte)).unwrap_or(STRIDE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_at_every_offset_ends_a_run_exactly_when_it_is_special() {
        for byte in 0..=u8::MAX {
            for at in 0..100 {
                let mut bytes = vec![b'a'; 101];
                bytes[at] = byte;
                let special = byte < 0x20 || byte == b'"' || byte == b'\\';
                for from in [0, 1, 9, 40, at].into_iter().filter(|from| *from <= at) {
                    assert_eq!(plain_end(&bytes, from), if special { at } else { 101 }, "{byte} at {at} from {from}");
                }
            }
        }
    }
}
