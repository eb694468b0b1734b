//! The words of a text, as hashes: what two texts share when case, punctuation and layout are left aside.
//!
//! A word is a run of alphanumeric characters in lower case. Scripts without spaces between words therefore give long
//! words, and runs of words are rarely shared there.

/// An odd constant with well-spread bits: 2^64 over the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// The hash of a word, from its lower-case bytes: eight at a time, the last padded with zeros.
#[derive(Default)]
struct WordHash {
    mixed: u64,
    length: u64,
}

impl WordHash {
    #[inline]
    fn push(&mut self, eight: u64, count: u64) {
        self.mixed = spread(self.mixed ^ eight);
        self.length += count;
    }

    #[inline]
    fn finish(self) -> u64 {
        spread(self.mixed ^ self.length.wrapping_mul(SPREAD))
    }

    fn of(word: &[u8]) -> u64 {
        let mut hash = Self::default();
        for part in word.chunks(8) {
            hash.push(load(part), part.len() as u64);
        }
        hash.finish()
    }
}

/// Up to eight bytes as a number, the first in the low bits.
#[inline]
pub(crate) fn load(bytes: &[u8]) -> u64 {
    match bytes.first_chunk() {
        Some(eight) => u64::from_le_bytes(*eight),
        None => bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)),
    }
}

/// How many of the eight bytes, from the first on, are ASCII letters or digits.
#[inline]
const fn letters(eight: u64) -> u32 {
    // With the high bit cleared, adding `0x80 - k` sets it again exactly in bytes of at least `k`.
    let low = eight & !HIGHS;
    let folded = low | (ONES * 0x20);
    let digit = (low + ONES * 0x50) & !(low + ONES * 0x46);
    let letter = (folded + ONES * 0x1f) & !(folded + ONES * 0x05);
    let other = !((digit | letter) & !eight) & HIGHS;
    other.trailing_zeros() / 8
}

/// Mixes the bits of a number (a step of MurmurHash3's finaliser).
#[inline]
pub(crate) const fn spread(value: u64) -> u64 {
    let value = (value ^ (value >> 32)).wrapping_mul(SPREAD);
    value ^ (value >> 29)
}

/// Hashes the words of a JSON string's inside in canonical spelling, and gives each with where it ends.
#[inline]
pub(crate) fn for_each_word(text: &[u8], mut found: impl FnMut(u64, usize)) {
    let mut at = 0;
    while at < text.len() {
        let start = at;
        let mut word = WordHash::default();
        loop {
            let eight = load(&text[at..]);
            let count = letters(eight);
            let part = if count < 8 { eight & ((1 << (count * 8)) - 1) } else { eight };
            if count > 0 {
                // Setting this bit lowers letters and leaves digits as they are.
                let case = (ONES * 0x20) & if count < 8 { (1 << (count * 8)) - 1 } else { u64::MAX };
                word.push(part | case, u64::from(count));
            }
            at += count as usize;
            if count < 8 {
                break;
            }
        }
        match text.get(at) {
            Some(0x80..) => at = wide_word(text, start, &mut found),
            next => {
                if at > start {
                    found(word.finish(), at);
                }
                // Every escape of the canonical spelling stands for a character that is in no word.
                at += match (next, text.get(at + 1)) {
                    (Some(b'\\'), Some(b'u')) => 6,
                    (Some(b'\\'), _) => 2,
                    _ => 1,
                };
            }
        }
    }
}

/// Reads a word, or what parts words, that holds characters beyond ASCII, and says where it ends.
#[inline(never)]
fn wide_word(text: &[u8], start: usize, found: &mut impl FnMut(u64, usize)) -> usize {
    let (mut word, mut at) = (Vec::new(), start);
    while let Some(character) = character_at(text, at).filter(|character| character.is_alphanumeric()) {
        for lower in character.to_lowercase() {
            word.extend_from_slice(lower.encode_utf8(&mut [0; 4]).as_bytes());
        }
        at += character.len_utf8();
    }
    if at > start {
        found(WordHash::of(&word), at);
        return at;
    }
    at + character_at(text, at).map_or(1, char::len_utf8)
}

fn character_at(text: &[u8], at: usize) -> Option<char> {
    let length = match text.get(at)? {
        ..0x80 => 1,
        0xf0.. => 4,
        0xe0.. => 3,
        _ => 2,
    };
    str::from_utf8(text.get(at..at + length)?).ok()?.chars().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<u64> {
        let mut words = Vec::new();
        for_each_word(text.as_bytes(), |hash, _| words.push(hash));
        words
    }

    #[test]
    fn case_punctuation_and_escapes_do_not_matter() {
        assert_eq!(words("What's ACME's  YoY-growth?"), words(r"what s acme s\nyoy growth"));
        assert_eq!(words("Größe: Ünï"), words("größe ünï"));
        assert_eq!(words(r"a\u001fb"), words("a b"));
        assert_eq!(words("… — !"), Vec::<u64>::new());
    }

    #[test]
    fn different_words_differ() {
        assert_ne!(words("ab c"), words("a bc"));
        assert_ne!(words("abcdefgh"), words("abcdefghabcdefgh"));
        assert_ne!(words("abcdefgh"), words("abcdefg h"));
        assert_ne!(words("18"), words("81"));
        assert_ne!(words("a"), words("a\u{30}"));
    }

    #[test]
    fn a_words_hash_does_not_depend_on_what_is_around_it() {
        for length in 1..30 {
            let word: String = "Abcdefghij0123456789klmnopqrstuvwxyz".chars().take(length).collect();
            let hash = WordHash::of(word.to_lowercase().as_bytes());
            for text in [
                word.clone(),
                format!("{word}."),
                format!("{word} {word}"),
                format!("– {word}\\n"),
                format!("x{}{word}", "\\u001f"),
            ] {
                assert!(words(&text).contains(&hash), "{text}");
            }
        }
        assert_eq!(words("\u{212a}elvin"), words("kelvin"));
    }

    #[test]
    fn exactly_letters_and_digits_make_words() {
        for byte in 0..=0x7f_u8 {
            let count = letters(u64::from_le_bytes([byte, b' ', 0, 0, 0, 0, 0, 0]));
            assert_eq!(count == 1, byte.is_ascii_alphanumeric(), "{byte}");
        }
        assert_eq!((letters(load(b"aZ09zA5x")), letters(load(b"aZ09zA5-")), letters(load(b"a\xffb"))), (8, 7, 1));
    }

    #[test]
    fn a_truncated_character_ends_nothing_badly() {
        for_each_word(&[b'a', 0xe2, 0x82], |_, _| {});
        for_each_word(b"a\\", |_, _| {});
        for_each_word(b"a\\u00", |_, _| {});
    }
}
