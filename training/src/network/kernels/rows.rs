//! Products of long rows of values that lie in one buffer, where they may overlap.

use pulp::{Arch, Simd, WithSimd};

/// Most values of a row that [`combine`] computes at once: of each of several rows, and of a single one.
const WIDEST: usize = 32;
const WIDEST_SINGLE: usize = 128;

/// Weights as [`combine`] reads them.
pub struct Coefficients {
    values: Vec<f32>,
    rows: usize,
    columns: usize,
}

impl Coefficients {
    /// The weight in `row` and `column` is `weight(row, column)`.
    pub fn new(rows: usize, columns: usize, weight: impl Fn(usize, usize) -> f32) -> Self {
        Self::in_tiles(Arch::new().dispatch(TileHeight { rows }), rows, columns, weight)
    }

    /// The rows of a tile lie side by side. The last tile has rows of zeros.
    fn in_tiles(height: usize, rows: usize, columns: usize, weight: impl Fn(usize, usize) -> f32) -> Self {
        let tiles = (0..rows).step_by(height);
        let positions = tiles.flat_map(|first| {
            (0..columns).flat_map(move |column| (first..first + height).map(move |row| (row, column)))
        });
        let values = positions.map(|(row, column)| if row < rows { weight(row, column) } else { 0.0 }).collect();
        Self { values, rows, columns }
    }
}

/// `result[row][i]` = the sum of `coefficients[row][k] * source[offsets[k] + i]`, for `i` below `length`, which is
/// [`least_length`] or more.
pub fn combine(source: &[f32], offsets: &[usize], coefficients: &Coefficients, length: usize, result: &mut [f32]) {
    debug_assert_eq!(offsets.len(), coefficients.columns);
    Arch::new().dispatch(Combine { source, offsets, coefficients, length, result });
}

/// Least length of the rows of a result of [`combine`] with so many rows.
pub fn least_length(rows: usize) -> usize {
    if rows == 1 { WIDEST_SINGLE } else { WIDEST }
}

/// Copies rows of `width` values, which are `source_stride` and `target_stride` apart.
pub fn copy(source: &[f32], source_stride: usize, target: &mut [f32], target_stride: usize, width: usize) {
    Arch::new().dispatch(Copy { source, source_stride, target, target_stride, width });
}

/// `result[row][k]` += the sum of `rows[row][i] * source[offsets[k] + i]`, for `i` below `length`, the length of the rows.
pub fn correlate(rows: &[f32], source: &[f32], offsets: &[usize], length: usize, result: &mut [f32]) {
    Arch::new().dispatch(Correlate { rows, source, offsets, length, result });
}

/// Number of rows of the block of [`combine`]'s result that is held in registers.
struct TileHeight {
    rows: usize,
}

impl WithSimd for TileHeight {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> usize {
        match (self.rows, has_many_registers::<S>()) {
            (1, _) => 1,
            (_, true) => 8,
            (_, false) => 4,
        }
    }
}

#[inline(always)]
const fn has_many_registers<S: Simd>() -> bool {
    S::REGISTER_COUNT >= 32
}

struct Combine<'a> {
    source: &'a [f32],
    offsets: &'a [usize],
    coefficients: &'a Coefficients,
    length: usize,
    result: &'a mut [f32],
}

impl WithSimd for Combine<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match (TileHeight { rows: self.coefficients.rows }).with_simd(simd) {
            1 => self.tiles::<S, 1, 8>(simd),
            4 => self.tiles::<S, 4, 2>(simd),
            _ => self.tiles::<S, 8, 2>(simd),
        }
    }
}

impl Combine<'_> {
    #[inline(always)]
    fn tiles<S: Simd, const ROWS: usize, const VECTORS: usize>(self, simd: S) {
        let Self { source, offsets, coefficients, length, result } = self;
        let width = VECTORS * S::F32_LANES;
        let (coefficients, _) = coefficients.values.as_chunks::<ROWS>();
        let results = result.chunks_mut(ROWS * length);
        for (coefficients, results) in coefficients.chunks_exact(offsets.len()).zip(results) {
            for start in (0..length).step_by(width) {
                // The last values again, where less than a tile is left.
                let start = start.min(length - width);
                let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
                for (offset, coefficients) in offsets.iter().zip(coefficients) {
                    let (vectors, _) = S::as_simd_f32s(&source[offset + start..][..width]);
                    for (sums, coefficient) in sums.iter_mut().zip(coefficients) {
                        let coefficient = simd.splat_f32s(*coefficient);
                        for vector in 0..VECTORS {
                            sums[vector] = simd.mul_add_f32s(coefficient, vectors[vector], sums[vector]);
                        }
                    }
                }
                for (result, sums) in results.chunks_mut(length).zip(&sums) {
                    let (result, _) = S::as_mut_simd_f32s(&mut result[start..][..width]);
                    result.copy_from_slice(sums);
                }
            }
        }
    }
}

struct Correlate<'a> {
    rows: &'a [f32],
    source: &'a [f32],
    offsets: &'a [usize],
    length: usize,
    result: &'a mut [f32],
}

impl WithSimd for Correlate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match (self.result.len() / self.offsets.len(), has_many_registers::<S>()) {
            (1, true) => self.tiles::<S, 1, 9>(simd),
            (1, false) => self.tiles::<S, 1, 5>(simd),
            (_, true) => self.tiles::<S, 4, 4>(simd),
            (_, false) => self.tiles::<S, 2, 4>(simd),
        }
    }
}

impl Correlate<'_> {
    #[inline(always)]
    fn tiles<S: Simd, const ROWS: usize, const COLUMNS: usize>(self, simd: S) {
        let Self { rows, source, offsets, length, result } = self;
        let row_count = result.len() / offsets.len();
        for first_row in (0..row_count).step_by(ROWS) {
            // At the end, the last row or column several times.
            let rows: [_; ROWS] = std::array::from_fn(|row| {
                S::as_simd_f32s(&rows[(first_row + row).min(row_count - 1) * length..][..length])
            });
            for first_column in (0..offsets.len()).step_by(COLUMNS) {
                let columns: [_; COLUMNS] = std::array::from_fn(|column| {
                    S::as_simd_f32s(&source[offsets[(first_column + column).min(offsets.len() - 1)]..][..length])
                });
                let mut sums = [[simd.splat_f32s(0.0); COLUMNS]; ROWS];
                for i in 0..length / S::F32_LANES {
                    let columns: [_; COLUMNS] = std::array::from_fn(|column| columns[column].0[i]);
                    for row in 0..ROWS {
                        let value = rows[row].0[i];
                        for column in 0..COLUMNS {
                            sums[row][column] = simd.mul_add_f32s(value, columns[column], sums[row][column]);
                        }
                    }
                }
                if length % S::F32_LANES > 0 {
                    let columns = columns.map(|(_, rest)| simd.partial_load_f32s(rest));
                    for (sums, (_, rest)) in sums.iter_mut().zip(&rows) {
                        let value = simd.partial_load_f32s(rest);
                        for column in 0..COLUMNS {
                            sums[column] = simd.mul_add_f32s(value, columns[column], sums[column]);
                        }
                    }
                }
                for (row, sums) in (first_row..row_count).zip(&sums) {
                    let results = &mut result[row * offsets.len()..][..offsets.len()];
                    for (result, sum) in results[first_column..].iter_mut().zip(sums) {
                        *result += simd.reduce_sum_f32s(*sum);
                    }
                }
            }
        }
    }
}

struct Copy<'a> {
    source: &'a [f32],
    source_stride: usize,
    target: &'a mut [f32],
    target_stride: usize,
    width: usize,
}

impl WithSimd for Copy<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { source, source_stride, target, target_stride, width } = self;
        for (source, target) in source.chunks(source_stride).zip(target.chunks_mut(target_stride)) {
            let (source, target) = (&source[..width], &mut target[..width]);
            let (vectors, rest) = S::as_simd_f32s(source);
            let (targets, target_rest) = S::as_mut_simd_f32s(target);
            for (target, vector) in targets.iter_mut().zip(vectors) {
                *target = *vector;
            }
            if !rest.is_empty() {
                simd.partial_store_f32s(target_rest, simd.partial_load_f32s(rest));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFSETS: [usize; 11] = [0, 3, 1, 40, 41, 77, 5, 90, 91, 12, 60];

    fn values(count: usize, factor: f32) -> Vec<f32> {
        (0..count).map(|it| ((it * it + 3 * it) as f32 * factor).sin()).collect()
    }

    /// All products for the instructions `S`, against loops over single values.
    struct Products;

    impl WithSimd for Products {
        type Output = ();

        fn with_simd<S: Simd>(self, simd: S) {
            for (rows, length) in [1, 2, 4, 7, 8, 19].into_iter().flat_map(|rows| [128, 131, 200].map(|it| (rows, it)))
            {
                let (source, weights) = (values(length + 91, 0.3), values(rows * OFFSETS.len(), 0.7));
                let weight = |row: usize, column: usize| weights[row * OFFSETS.len() + column];
                let height = TileHeight { rows }.with_simd(simd);
                let coefficients = Coefficients::in_tiles(height, rows, OFFSETS.len(), weight);
                let mut result = vec![f32::NAN; rows * length];
                let combine = Combine {
                    source: &source,
                    offsets: &OFFSETS,
                    coefficients: &coefficients,
                    length,
                    result: &mut result,
                };
                simd.vectorize(combine);
                for (position, result) in result.iter().enumerate() {
                    let (row, i) = (position / length, position % length);
                    let expected: f32 = OFFSETS
                        .iter()
                        .enumerate()
                        .map(|(column, offset)| weight(row, column) * source[offset + i])
                        .sum();
                    assert!((result - expected).abs() < 1e-5, "{rows} rows of {length}: {result}, not {expected}");
                }

                let grads = values(rows * length, 0.9);
                let mut result = vec![2.0; rows * OFFSETS.len()];
                let correlate =
                    Correlate { rows: &grads, source: &source, offsets: &OFFSETS, length, result: &mut result };
                simd.vectorize(correlate);
                for (position, result) in result.iter().enumerate() {
                    let (row, column) = (position / OFFSETS.len(), position % OFFSETS.len());
                    let products = (0..length).map(|i| grads[row * length + i] * source[OFFSETS[column] + i]);
                    let expected = 2.0 + products.sum::<f32>();
                    assert!((result - expected).abs() < 1e-4, "{rows} rows of {length}: {result}, not {expected}");
                }
            }
        }
    }

    #[test]
    fn products_are_those_of_single_values_with_all_instructions() {
        Simd::vectorize(pulp::Scalar::new(), Products);
        Arch::new().dispatch(Products);
        #[cfg(target_arch = "x86_64")]
        if let Some(avx2) = pulp::x86::V3::try_new() {
            Simd::vectorize(avx2, Products);
        }
    }

    #[test]
    fn a_copy_leaves_what_lies_between_the_rows() {
        for width in [1, 5, 8, 16, 21, 40] {
            let source = values(3 * (width + 2), 0.5);
            let mut target = vec![7.0; 3 * (width + 3)];
            copy(&source, width + 2, &mut target, width + 3, width);
            for (source, target) in source.chunks(width + 2).zip(target.chunks(width + 3)) {
                assert_eq!(source[..width], target[..width]);
                assert_eq!(target[width..], [7.0; 3]);
            }
        }
    }
}
