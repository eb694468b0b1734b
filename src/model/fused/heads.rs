//! Between the two orders of attention's numbers.
//!
//! Projections give `[tokens, heads * head_dim]`: the heads of a token lie together. Attention works on one head of one
//! row at a time and wants `[length, head_dim]` in one piece: row by row, head by head. The rotary embedding is applied
//! on the way in and undone on the way out, so it costs no pass of its own.

use rayon::prelude::*;

use super::simd::vectorised;
use crate::model::batch::Rows;
use crate::model::rope::RotaryTable;

/// Tokens one task brings back.
const TOKENS_PER_TASK: usize = 64;

/// The sizes that say where a head's numbers are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heads<'a> {
    pub(super) rows: &'a Rows,
    pub(super) count: usize,
    pub(super) head_dim: usize,
}

impl Heads<'_> {
    /// How many numbers there are in all.
    pub(super) fn len(self) -> usize {
        self.rows.tokens() * self.count * self.head_dim
    }

    /// Splits numbers in head order into the pieces of each row and head.
    pub(super) fn split_mut(self, mut numbers: &mut [f32]) -> Vec<&mut [f32]> {
        assert_eq!(numbers.len(), self.len(), "every head of every row has its piece");
        let mut pieces = Vec::with_capacity(self.rows.count() * self.count);
        for row in self.rows.iter() {
            for _ in 0..self.count {
                let (piece, rest) = numbers.split_at_mut(row.len() * self.head_dim);
                pieces.push(piece);
                numbers = rest;
            }
        }
        pieces
    }

    /// The piece of `head` in the row that covers `row`, of numbers in head order.
    pub(super) fn piece<'n>(self, numbers: &'n [f32], row: &std::ops::Range<usize>, head: usize) -> &'n [f32] {
        let start = (row.start * self.count + head * row.len()) * self.head_dim;
        &numbers[start..start + row.len() * self.head_dim]
    }

    /// From token order to head order, turned by the rotary embedding if one is given.
    ///
    /// # Shapes
    /// `[tokens, heads * head_dim]` -> for each row and head `[length, head_dim]`, f32.
    pub(super) fn gather(self, numbers: &[f32], rotary: Option<&RotaryTable>) -> Vec<f32> {
        let mut gathered = vec![0.0; self.len()];
        let places = self.rows.iter().flat_map(|row| (0..self.count).map(move |head| (row.start, head)));
        let width = self.count * self.head_dim;
        let tasks: Vec<_> = self.split_mut(&mut gathered).into_iter().zip(places).collect();
        tasks.into_par_iter().for_each(|(piece, (start, head))| {
            for (position, out) in piece.chunks_exact_mut(self.head_dim).enumerate() {
                let from = (start + position) * width + head * self.head_dim;
                out.copy_from_slice(&numbers[from..from + self.head_dim]);
                if let Some(table) = rotary {
                    let (cosines, sines) = table.at(position);
                    turn(out, cosines, sines, 1.0);
                }
            }
        });
        gathered
    }

    /// From head order back to token order, the sum of each `group` neighbouring heads, the rotary embedding undone.
    ///
    /// # Shapes
    /// For each row and head `[length, head_dim]` -> `[tokens, heads / group * head_dim]`, f32.
    pub(super) fn scatter(self, numbers: &[f32], group: usize, rotary: Option<&RotaryTable>) -> Vec<f32> {
        let width = self.count / group * self.head_dim;
        let mut scattered = vec![0.0; self.rows.tokens() * width];
        let mut tasks = Vec::new();
        let mut rest = scattered.as_mut_slice();
        for row in self.rows.iter() {
            for first in (0..row.len()).step_by(TOKENS_PER_TASK) {
                let tokens = TOKENS_PER_TASK.min(row.len() - first);
                let (out, after) = rest.split_at_mut(tokens * width);
                tasks.push((row.clone(), first, out));
                rest = after;
            }
        }
        tasks.into_par_iter().for_each(|(row, first, out)| {
            for (offset, token) in out.chunks_exact_mut(width).enumerate() {
                let position = first + offset;
                for (index, out) in token.chunks_exact_mut(self.head_dim).enumerate() {
                    for head in index * group..(index + 1) * group {
                        let from = &self.piece(numbers, &row, head)[position * self.head_dim..][..self.head_dim];
                        out.iter_mut().zip(from).for_each(|(sum, number)| *sum += number);
                    }
                    if let Some(table) = rotary {
                        let (cosines, sines) = table.at(position);
                        turn(out, cosines, sines, -1.0);
                    }
                }
            }
        });
        scattered
    }
}

vectorised! {
    /// Turns each pair (i, i + head_dim / 2) by its angle, or back when `direction` is -1.
    pub(crate) fn turn(head: &mut [f32], cosines: &[f32], sines: &[f32], direction: f32) {
        let (left, right) = head.split_at_mut(cosines.len());
        for ((x, y), (cosine, sine)) in left.iter_mut().zip(right).zip(cosines.iter().zip(sines)) {
            let sine = sine * direction;
            (*x, *y) = (*x * cosine - *y * sine, *y * cosine + *x * sine);
        }
    }
}
