//! What changed between two JSON Lines files, row by row, for people: how many rows, and where the first of them are.
//!
//! Rows are told apart by their bytes, wherever they stand: a row that only moved is not changed. Of rows that went and
//! rows that came at the same place (behind the same unchanged row), as many as can be paired count as edited. Blank
//! lines and lines of comment are no rows. Refuses to guess: what is too large to compare quickly is not compared.

use std::collections::{HashMap, VecDeque};
use std::io::{self, BufRead};

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// How many rows of each file are compared at most.
const MOST_ROWS: usize = 1_000_000;
/// How many line numbers are kept.
const MOST_SHOWN: usize = 5;

/// Some rows of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rows {
    /// How many.
    pub count: usize,
    /// The line numbers of the first of them, from 1.
    pub lines: Vec<usize>,
}

/// The difference between two files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowChanges {
    /// Rows that only the new file has, by its lines.
    pub added: Rows,
    /// Rows that only the old file has, by its lines.
    pub removed: Rows,
    /// Rows that were replaced, by the lines of the new file.
    pub edited: Rows,
}

impl Rows {
    fn of(lines: Vec<usize>) -> Self {
        let count = lines.len();
        Self { count, lines: lines.into_iter().take(MOST_SHOWN).collect() }
    }
}

impl RowChanges {
    /// Compares two files; nothing when one has too many rows.
    ///
    /// # Errors
    /// When one can't be read.
    pub fn between(old: impl BufRead, new: impl BufRead) -> io::Result<Option<Self>> {
        let (Some(old), Some(new)) = (read(old)?, read(new)?) else { return Ok(None) };
        let (mut gone, came) = (changed(&old, &new), changed(&new, &old));
        let mut by_place: HashMap<Option<Digest>, VecDeque<usize>> = HashMap::new();
        for (index, gap) in gone.iter().enumerate() {
            by_place.entry(gap.behind).or_default().push_back(index);
        }
        let (mut added, mut edited) = (Vec::new(), Vec::new());
        for gap in came {
            let partner = by_place.get_mut(&gap.behind).and_then(VecDeque::pop_front);
            let pairs = partner.map_or(0, |index| gone[index].lines.len().min(gap.lines.len()));
            if let Some(index) = partner {
                gone[index].lines.drain(..pairs);
            }
            edited.extend(&gap.lines[..pairs]);
            added.extend(&gap.lines[pairs..]);
        }
        let removed = gone.into_iter().flat_map(|gap| gap.lines).collect();
        Ok(Some(Self { added: Rows::of(added), removed: Rows::of(removed), edited: Rows::of(edited) }))
    }

    /// Whether the rows are the same, so that only their order, blank lines or comments differ.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        [&self.added, &self.removed, &self.edited].iter().all(|rows| rows.count == 0)
    }
}

impl std::fmt::Display for RowChanges {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_empty() {
            return out.write_str("the same rows, in another order or between other blank lines");
        }
        let parts = [(&self.added, "added"), (&self.removed, "removed"), (&self.edited, "edited")];
        let shown = parts.iter().filter(|(rows, _)| rows.count > 0).map(|(rows, what)| {
            let lines: Vec<String> = rows.lines.iter().map(ToString::to_string).collect();
            let more = if rows.count > rows.lines.len() { ", …" } else { "" };
            let noun = if rows.count == 1 { "row" } else { "rows" };
            format!("{} {noun} {what} (line {}{more})", rows.count, lines.join(", "))
        });
        out.write_str(&shown.collect::<Vec<_>>().join(", "))
    }
}

/// A row: its line number and what it is.
type Row = (usize, Digest);

fn read(mut file: impl BufRead) -> io::Result<Option<Vec<Row>>> {
    let (mut rows, mut line, mut number) = (Vec::new(), Vec::new(), 0);
    loop {
        line.clear();
        if file.read_until(b'\n', &mut line)? == 0 {
            return Ok(Some(rows));
        }
        number += 1;
        let row = line.trim_ascii();
        if row.is_empty() || row.starts_with(b"//") {
            continue;
        }
        if rows.len() == MOST_ROWS {
            return Ok(None);
        }
        rows.push((number, Digest::of(row)));
    }
}

/// Rows that follow each other and that the other file lacks.
struct Gap {
    /// The unchanged row before them; nothing at the beginning of the file.
    behind: Option<Digest>,
    lines: Vec<usize>,
}

/// What `these` has and `others` lack. Of a row that occurs several times, the first occurrences are the unchanged ones.
fn changed(these: &[Row], others: &[Row]) -> Vec<Gap> {
    let mut left: HashMap<Digest, usize> = HashMap::new();
    for (_, row) in others {
        *left.entry(*row).or_default() += 1;
    }
    let (mut gaps, mut behind): (Vec<Gap>, Option<Digest>) = (Vec::new(), None);
    let mut is_open = false;
    for (line, row) in these {
        match left.get_mut(row).filter(|count| **count > 0) {
            Some(count) => {
                *count -= 1;
                behind = Some(*row);
                is_open = false;
            }
            None if is_open => gaps.last_mut().into_iter().for_each(|gap| gap.lines.push(*line)),
            None => {
                gaps.push(Gap { behind, lines: vec![*line] });
                is_open = true;
            }
        }
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(old: &str, new: &str) -> String {
        let split = |text: &str| text.replace(' ', "\n");
        let changes = RowChanges::between(split(old).as_bytes(), split(new).as_bytes()).expect("memory is readable");
        changes.expect("few rows").to_string()
    }

    #[test]
    fn rows_added_removed_and_edited_are_counted_with_their_lines() {
        assert_eq!(told("a b c", "a b c d"), "1 row added (line 4)");
        assert_eq!(told("a b c", "a c"), "1 row removed (line 2)");
        assert_eq!(told("a b c", "a x c"), "1 row edited (line 2)");
        assert_eq!(told("a b c", "x y b c"), "1 row added (line 2), 1 row edited (line 1)");
        assert_eq!(told("a b c d", "a b"), "2 rows removed (line 3, 4)");
        assert_eq!(told("", "1 2 3 4 5 6 7"), "7 rows added (line 1, 2, 3, 4, 5, …)");
    }

    #[test]
    fn a_row_that_moved_and_a_blank_line_are_no_change_and_a_second_copy_is_one() {
        let same = "the same rows, in another order or between other blank lines";
        assert_eq!(told("a b c", "c a b"), same);
        assert_eq!(told("a b", "a   b //x"), same);
        assert_eq!(told("a b", "a b a"), "1 row added (line 3)");
        assert_eq!(told("a a", "a"), "1 row removed (line 2)");
    }
}
