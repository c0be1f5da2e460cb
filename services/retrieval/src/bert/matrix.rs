//! Matrices of 32-bit floats and their product, with the widest vector instructions that the processor has.
//!
//! The right-hand side is packed once into panels of the width that a tile of registers holds; weights are packed when
//! a model is loaded. The left-hand side is packed while it is used. A tile is [`TALL`] rows by two vectors: twelve
//! sums, two operands and one broadcast value fit into the sixteen registers of AVX2.

use pulp::{Arch, Simd, WithSimd};

/// Rows of a tile.
const TALL: usize = 6;
/// Inner length that is worked on at once: a panel of the right-hand side then stays in the first-level cache.
const DEEP: usize = 384;

/// A right-hand side, packed: for each panel of columns its rows one after the other.
#[derive(Debug, Clone, Default)]
pub(crate) struct Packed {
    rows: usize,
    columns: usize,
    values: Vec<f32>,
}

/// How many columns a panel has on this processor.
fn panel_width() -> usize {
    struct Width;
    impl WithSimd for Width {
        type Output = usize;
        fn with_simd<S: Simd>(self, _: S) -> usize {
            2 * S::F32_LANES
        }
    }
    Arch::new().dispatch(Width)
}

impl Packed {
    /// Packs `columns` rows of `rows` values each, `stride` apart: a matrix that lies there transposed, as the weights
    /// of a linear layer do.
    pub(crate) fn transposed(source: &[f32], rows: usize, columns: usize, stride: usize) -> Self {
        let mut packed = Self::default();
        packed.fill(rows, columns, |row, column| source[column * stride + row]);
        packed
    }

    /// Packs what `at(row, column)` gives.
    pub(crate) fn fill(&mut self, rows: usize, columns: usize, at: impl Fn(usize, usize) -> f32) {
        let wide = panel_width();
        (self.rows, self.columns) = (rows, columns);
        self.values.clear();
        self.values.resize(columns.div_ceil(wide) * wide * rows, 0.0);
        for (panel, values) in self.values.chunks_exact_mut((wide * rows).max(1)).enumerate() {
            let first = panel * wide;
            let here = wide.min(columns - first);
            for (row, values) in values.chunks_exact_mut(wide).enumerate() {
                for (column, value) in values[..here].iter_mut().enumerate() {
                    *value = at(row, first + column);
                }
            }
        }
    }

    /// The inner length.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// The width of a product.
    pub(crate) fn columns(&self) -> usize {
        self.columns
    }
}

/// Part of a matrix in row order: so many values a row, of which rows are `stride` apart.
#[derive(Clone, Copy)]
pub(crate) struct Left<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) rows: usize,
    pub(crate) stride: usize,
}

/// Adds `left · right` to `out`, whose rows are `stride` apart; the columns written are the first `right.columns()` of
/// each. `scratch` is only room.
pub(crate) fn add_product(
    left: Left<'_>,
    right: &Packed,
    out: &mut [f32],
    stride: usize,
    scratch: &mut Scratch,
) {
    Arch::new().dispatch(Product { left, right, out, stride, scratch });
}

/// Room for the packed left-hand side.
pub(crate) type Scratch = Vec<[f32; TALL]>;

struct Product<'a> {
    left: Left<'a>,
    right: &'a Packed,
    out: &'a mut [f32],
    stride: usize,
    scratch: &'a mut Scratch,
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { left, right, out, stride, scratch } = self;
        let (wide, deep) = (2 * S::F32_LANES, right.rows);
        if deep == 0 || left.rows == 0 {
            return;
        }
        for from in (0..deep).step_by(DEEP) {
            let to = deep.min(from + DEEP);
            pack(left, from, to, scratch);
            for (panel, values) in right.values.chunks_exact(wide * deep).enumerate() {
                let first = panel * wide;
                let last = right.columns.min(first + wide);
                let values = S::as_simd_f32s(&values[from * wide..to * wide]).0.as_chunks::<2>().0;
                for (band, tall) in scratch.chunks_exact(to - from).enumerate() {
                    let sums = tile(simd, tall, values);
                    for (row, sums) in sums.into_iter().enumerate().take(left.rows - band * TALL) {
                        let start = (band * TALL + row) * stride;
                        store(simd, &mut out[start + first..start + last], sums);
                    }
                }
            }
        }
    }
}

/// The left-hand side's columns `from..to` in bands of [`TALL`] rows, each column by column.
#[inline(always)]
fn pack(left: Left<'_>, from: usize, to: usize, scratch: &mut Scratch) {
    let deep = to - from;
    scratch.clear();
    scratch.resize(left.rows.div_ceil(TALL) * deep, [0.0; TALL]);
    for (band, tall) in scratch.chunks_exact_mut(deep).enumerate() {
        for row in 0..TALL.min(left.rows - band * TALL) {
            let start = (band * TALL + row) * left.stride;
            for (to, from) in tall.iter_mut().zip(&left.values[start + from..start + to]) {
                to[row] = *from;
            }
        }
    }
}

#[inline(always)]
fn tile<S: Simd>(simd: S, left: &[[f32; TALL]], right: &[[S::f32s; 2]]) -> [[S::f32s; 2]; TALL] {
    let mut sums = [[simd.splat_f32s(0.0); 2]; TALL];
    for (left, right) in left.iter().zip(right) {
        for (sums, left) in sums.iter_mut().zip(left) {
            let left = simd.splat_f32s(*left);
            sums[0] = simd.mul_add_e_f32s(left, right[0], sums[0]);
            sums[1] = simd.mul_add_e_f32s(left, right[1], sums[1]);
        }
    }
    sums
}

#[inline(always)]
fn store<S: Simd>(simd: S, out: &mut [f32], sums: [S::f32s; 2]) {
    let (whole, rest) = S::as_mut_simd_f32s(out);
    let done = whole.len();
    for (out, sums) in whole.iter_mut().zip(sums) {
        *out = simd.add_f32s(*out, sums);
    }
    if let Some(sums) = sums.get(done).filter(|_| !rest.is_empty()) {
        let before = simd.partial_load_f32s(rest);
        simd.partial_store_f32s(rest, simd.add_f32s(before, *sums));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition.
    fn plain(left: &[f32], right: &[f32], rows: usize, inner: usize, columns: usize) -> Vec<f64> {
        let mut out = vec![0.0; rows * columns];
        for row in 0..rows {
            for column in 0..columns {
                out[row * columns + column] = (0..inner)
                    .map(|at| f64::from(left[row * inner + at]) * f64::from(right[column * inner + at]))
                    .sum();
            }
        }
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn products_are_those_of_the_definition(
            rows in 1usize..20, inner in 1usize..800, columns in 1usize..40, seed in 0u32..1000,
        ) {
            let value = |at: usize| ((at as u32).wrapping_mul(2_654_435_761).wrapping_add(seed) >> 8) as f32
                / 16_777_216.0 - 0.5;
            let left: Vec<f32> = (0..rows * inner).map(value).collect();
            let right: Vec<f32> = (0..columns * inner).map(|at| value(at + 77_777)).collect();
            let packed = Packed::transposed(&right, inner, columns, inner);
            prop_assert_eq!((packed.rows(), packed.columns()), (inner, columns));
            let stride = columns + 3;
            let mut out = vec![1.0; rows * stride];
            let left_part = Left { values: &left, rows, stride: inner };
            add_product(left_part, &packed, &mut out, stride, &mut Vec::new());
            for (at, wanted) in plain(&left, &right, rows, inner, columns).into_iter().enumerate() {
                let got = f64::from(out[at / columns * stride + at % columns]);
                prop_assert!((got - wanted - 1.0).abs() < 1e-4, "{} {}", got, wanted);
            }
            let untouched = (0..rows).all(|row| out[row * stride + columns..(row + 1) * stride] == [1.0; 3]);
            prop_assert!(untouched, "only the product's columns are written");
        }
    }
}
