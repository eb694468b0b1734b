//! Finds rows that came before, exactly: a fingerprint makes a suspect, the bytes already written decide.
//!
//! 32 bytes are kept for each distinct row. Nothing rests on the fingerprint being free of collisions.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::io;

use super::overlap::{Origin, Spread};
use super::words::{load, spread};

/// A distinct row: where it was read, and where its record was written.
#[derive(Debug, Clone, Copy)]
struct First {
    source: u32,
    is_dev: bool,
    line: u64,
    offset: u64,
}

/// The rows seen so far.
#[derive(Debug, Default)]
pub(crate) struct FirstSeen(HashMap<u64, First, BuildHasherDefault<Spread>>);

/// Where a record is, or would be, written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Location {
    /// Which side of the split.
    pub is_dev: bool,
    /// The byte where it begins.
    pub offset: u64,
}

impl FirstSeen {
    /// Notes a row and says where an equal one was before, if there was one; `equals` compares its record with the one
    /// that was written at a location.
    ///
    /// # Errors
    /// Whatever the comparison fails with.
    pub fn note(
        &mut self,
        fingerprint: u64,
        origin: Origin,
        location: Location,
        mut equals: impl FnMut(Location) -> io::Result<bool>,
    ) -> io::Result<Option<Origin>> {
        let mut key = fingerprint;
        // Different rows with the same fingerprint take the next free key.
        while let Some(first) = self.0.get(&key) {
            if equals(Location { is_dev: first.is_dev, offset: first.offset })? {
                return Ok(Some(Origin { source: first.source, line: first.line }));
            }
            key = key.wrapping_add(1);
        }
        let Location { is_dev, offset } = location;
        self.0.insert(key, First { source: origin.source, is_dev, line: origin.line, offset });
        Ok(None)
    }
}

/// A fingerprint of some bytes, by folded multiplication; the same everywhere and for ever.
pub(crate) fn fingerprint(bytes: &[u8]) -> u64 {
    let fold = |left: u64, right: u64| {
        let product = u128::from(left) * u128::from(right);
        #[expect(clippy::cast_possible_truncation, reason = "both halves are used")]
        let (low, high) = (product as u64, (product >> 64) as u64);
        low ^ high
    };
    let mut hash = spread(bytes.len() as u64);
    for pair in bytes.chunks(16) {
        let (left, right) = pair.split_at(pair.len().min(8));
        hash = fold(load(left) ^ hash, load(right) ^ 0xd6e8_feb8_6659_fd93).wrapping_add(hash.rotate_left(23));
    }
    spread(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_equal_only_when_their_bytes_are_even_if_fingerprints_collide() {
        let written = ["a", "b", "c"];
        let mut seen = FirstSeen::default();
        let mut note = |row: &str, line: u64| {
            let location = Location { is_dev: false, offset: line };
            let equals = |place: Location| Ok(written[usize::try_from(place.offset).unwrap()] == row);
            seen.note(7, Origin { source: 0, line }, location, equals).unwrap().map(|origin| origin.line)
        };
        assert_eq!([note("a", 0), note("b", 1), note("c", 2)], [None; 3]);
        assert_eq!([note("b", 3), note("a", 4), note("c", 5)], [Some(1), Some(0), Some(2)]);
    }

    #[test]
    fn the_fingerprint_sees_every_byte_and_the_length() {
        let base = [7_u8; 70];
        let mut all = vec![fingerprint(&base)];
        for at in 0..base.len() {
            for bit in 0..8 {
                let mut other = base;
                other[at] ^= 1 << bit;
                all.push(fingerprint(&other));
            }
        }
        all.extend((0..70).map(|length| fingerprint(&base[..length])));
        all.extend((1..70).map(|length| fingerprint(&vec![0; length])));
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
