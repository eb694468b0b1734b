//! A matrix of fewer bits than f32, and how its rows are widened.

use std::sync::Arc;

use rayon::prelude::*;

use super::Precision;
use super::four_bit::FourBit;
use super::int8::Int8;
use crate::model::weights::{StoredFormat, Twist, WeightView};

/// Numbers one task widens at least.
const PER_TASK: usize = 1 << 14;

/// A frozen matrix `[rows, columns]` that is f32 only where it is used. A clone shares the bytes.
#[derive(Debug, Clone)]
pub(crate) struct PackedMatrix {
    shape: [usize; 2],
    storage: Arc<Storage>,
}

#[derive(Debug)]
enum Storage {
    /// As a weight file has it.
    Stored {
        format: StoredFormat,
        twist: Twist,
        bytes: Box<[u8]>,
    },
    Int8(Int8),
    FourBit(FourBit),
}

impl PackedMatrix {
    /// A copy of what a file holds; `None` when that is f32 already, or rounded when `precision` says so.
    ///
    /// # Panics
    /// When the view is no matrix.
    pub(crate) fn new(view: WeightView, precision: Precision) -> Option<Self> {
        let shape: [usize; 2] = view.shape.try_into().expect("only matrices are packed");
        let storage = match precision {
            Precision::Full => return None,
            // Of what a converter does to tensors, only the order of rows is undone while rows are widened.
            Precision::AsStored if view.format.is_f32() || view.twist == Twist::OneMore => return None,
            Precision::AsStored => Storage::Stored { format: view.format, twist: view.twist, bytes: view.bytes.into() },
            Precision::Int8 => Storage::Int8(Int8::round(&view.to_f32(), shape[1])),
            Precision::FourBit { code, double_quant } => {
                Storage::FourBit(FourBit::round(&view.to_f32(), code, double_quant))
            }
        };
        Some(Self { shape, storage: Arc::new(storage) })
    }

    /// `[rows, columns]`.
    pub(crate) const fn shape(&self) -> [usize; 2] {
        self.shape
    }

    /// Bytes in memory.
    pub(crate) fn size_bytes(&self) -> usize {
        match &*self.storage {
            Storage::Stored { bytes, .. } => bytes.len(),
            Storage::Int8(int8) => int8.size_bytes(),
            Storage::FourBit(four_bit) => four_bit.size_bytes(),
        }
    }

    /// Widens one row.
    ///
    /// # Shapes
    /// out `[columns]`.
    pub(crate) fn decode_row(&self, row: usize, out: &mut [f32]) {
        let [rows, columns] = self.shape;
        debug_assert_eq!(out.len(), columns, "a row fills its slice");
        match &*self.storage {
            Storage::Stored { format, twist, bytes } => {
                let stride = bytes.len() / rows;
                format.decode_into(&bytes[twist.source(row, rows) * stride..][..stride], out);
            }
            Storage::Int8(int8) => int8.decode_row(row, out),
            Storage::FourBit(four_bit) => four_bit.decode(row * columns, out),
        }
    }

    /// Widens rows from `first` on, all threads at work.
    ///
    /// # Shapes
    /// out `[n, columns]`.
    pub(crate) fn decode_rows(&self, first: usize, out: &mut [f32]) {
        let columns = self.shape[1];
        let rows_per_task = PER_TASK.div_ceil(columns);
        out.par_chunks_mut(rows_per_task * columns).enumerate().for_each(|(task, out)| {
            for (index, out) in out.chunks_exact_mut(columns).enumerate() {
                self.decode_row(first + task * rows_per_task + index, out);
            }
        });
    }

    /// Every number, widened.
    pub(crate) fn to_f32(&self) -> Vec<f32> {
        let mut out = vec![0.0; self.shape[0] * self.shape[1]];
        self.decode_rows(0, &mut out);
        out
    }
}
