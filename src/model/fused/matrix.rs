//! Matrix products of plain slices, by the `gemm` crate that flex itself uses.
//!
//! Called directly because flex's own product cannot add into its output, nor write where a tensor already is. `gemm`
//! splits the output between threads, never the summed dimension, so the bits do not depend on the number of threads.

use gemm::Parallelism;

/// Below this many multiply-adds a product is done by one thread: waking another costs more.
const PARALLEL_FROM: usize = 1 << 20;

/// A matrix in a slice, possibly seen transposed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Matrix<'a> {
    numbers: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// A row-major matrix that is the whole of `numbers`.
    pub(crate) fn new(numbers: &'a [f32], rows: usize, columns: usize) -> Self {
        assert_eq!(numbers.len(), rows * columns, "a matrix of {rows} by {columns} fills its slice");
        Self { numbers, rows, columns, row_stride: columns, column_stride: 1 }
    }

    /// How many rows there are.
    pub(crate) const fn rows(self) -> usize {
        self.rows
    }

    /// Some neighbouring columns; nothing moves.
    pub(crate) fn columns(self, first: usize, count: usize) -> Self {
        assert!(first + count <= self.columns, "columns {first} to {} of {}", first + count, self.columns);
        // An empty matrix has no first number to begin at.
        let start = (first * self.column_stride).min(self.numbers.len());
        Self { numbers: &self.numbers[start..], columns: count, ..self }
    }

    /// The same numbers with rows and columns exchanged; nothing moves.
    pub(crate) const fn transposed(self) -> Self {
        Self {
            numbers: self.numbers,
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
        }
    }
}

/// What a product does to the numbers already in its output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Into {
    /// They are replaced.
    Replace,
    /// The product is added to them.
    Add,
}

/// Who computes a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Threads {
    /// The calling thread: for callers that are parallel already.
    One,
    /// All threads of the pool, if the product is large enough.
    All,
}

/// out = factor * left * right, or out += factor * left * right.
///
/// # Shapes
/// left `[m, k]`, right `[k, n]`, out `[m, n]` row-major, all f32.
pub(crate) fn multiply(out: &mut [f32], left: Matrix, right: Matrix, factor: f32, into: Into, threads: Threads) {
    let (m, n) = (left.rows, right.columns);
    assert_eq!(out.len(), m * n, "the output of a product is {m} by {n}");
    product(out, n, left, right, factor, into, threads);
}

/// Columns of out = left * right, from column `first` on; the others stay.
///
/// # Shapes
/// left `[m, k]`, right `[k, n]`, out `[m, width]` row-major, all f32.
pub(crate) fn multiply_into(out: &mut [f32], first: usize, width: usize, left: Matrix, right: Matrix) {
    assert_eq!(out.len(), left.rows * width, "the output is {} by {width}", left.rows);
    assert!(first + right.columns <= width, "columns {first} to {} of {width}", first + right.columns);
    product(&mut out[first..], width, left, right, 1.0, Into::Replace, Threads::All);
}

/// The product, into rows that begin `stride` numbers apart.
fn product(out: &mut [f32], stride: usize, left: Matrix, right: Matrix, factor: f32, into: Into, threads: Threads) {
    let (m, k, n) = (left.rows, left.columns, right.columns);
    assert_eq!(k, right.rows, "the inner dimensions of a product agree");
    assert!(m == 0 || (n <= stride && out.len() >= (m - 1) * stride + n), "the product is inside its output");
    let parallel = threads == Threads::All && m * n * k >= PARALLEL_FROM;
    let parallelism = if parallel { Parallelism::Rayon(0) } else { Parallelism::None };
    let add = into == Into::Add;
    #[expect(unsafe_code, reason = "gemm takes raw pointers")]
    // SAFETY: `Matrix::new` is the only constructor, `transposed` and `columns` its only changes, and `columns` keeps
    // inside, so every number of both inputs is inside their slices; so is every number of the output, as has just been
    // checked, and `out` is exclusively borrowed, so nothing overlaps it. Strides fit in isize because the slices exist.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            stride.cast_signed(),
            add,
            left.numbers.as_ptr(),
            left.column_stride.cast_signed(),
            left.row_stride.cast_signed(),
            right.numbers.as_ptr(),
            right.column_stride.cast_signed(),
            right.row_stride.cast_signed(),
            if add { 1.0 } else { 0.0 },
            factor,
            false,
            false,
            false,
            parallelism,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::float_cmp, reason = "small whole numbers are exact")]
    fn products_of_transposed_matrices_add_and_replace() {
        let left = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let right = [1.0, 0.0, 2.0, 0.0, 1.0, 2.0];
        let mut out = [10.0; 4];
        let (left, right) = (Matrix::new(&left, 2, 3), Matrix::new(&right, 2, 3));
        multiply(&mut out, left, right.transposed(), 1.0, Into::Add, Threads::One);
        assert_eq!(out, [17.0, 18.0, 26.0, 27.0]);
        multiply(&mut out, left, right.transposed(), 2.0, Into::Replace, Threads::All);
        assert_eq!(out, [14.0, 16.0, 32.0, 34.0]);
    }
}
