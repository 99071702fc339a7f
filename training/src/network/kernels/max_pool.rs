//! The largest value in each window, with paddings smaller than the window.

use std::ops::Range;

use rayon::prelude::*;

use super::{Maps, Window, vectorized};

/// Result of [`forward`].
pub struct Pooled {
    /// The largest values.
    pub output: Vec<f32>,
    /// The position of each value in its plane of the input.
    pub sources: Vec<u32>,
}

/// The pooling; padded elements are ignored. Of equal values in a window, the uppermost one in the leftmost column is used. NaN
/// is larger than every number, so that it is not lost.
pub fn forward(x: &[f32], maps: Maps, window: Window) -> Pooled {
    let output = window.output(maps);
    let mut pooled =
        Pooled { output: vec![0.0; output.batch * output.image()], sources: vec![0; output.batch * output.image()] };
    let results = pooled.output.par_chunks_mut(output.plane()).zip(pooled.sources.par_chunks_mut(output.plane()));
    results.zip(x.par_chunks(maps.plane())).for_each_init(
        || Columns { largest: vec![0.0; maps.width], rows: vec![0; maps.width] },
        |columns, ((values, sources), x)| {
            let results = values.chunks_exact_mut(output.width).zip(sources.chunks_exact_mut(output.width));
            for (row, (values, sources)) in results.enumerate() {
                let rows = covered(row, window, window.pads.top, maps.height);
                vectorized(
                    #[inline(always)]
                    || columns.look_at(x, rows),
                );
                for (column, (value, source)) in values.iter_mut().zip(sources).enumerate() {
                    let covered = covered(column, window, window.pads.left, maps.width);
                    (*value, *source) = columns.largest_of(covered);
                }
            }
        },
    );
    pooled
}

/// Gradient of [`forward`] with respect to `x`, given the gradient of its result. `maps` are the sizes of `x`.
pub fn x_grad(grad: &[f32], maps: Maps, sources: &[u32], window: Window) -> Vec<f32> {
    let plane = window.output(maps).plane();
    let mut result = vec![0.0; maps.batch * maps.image()];
    let grads = grad.par_chunks(plane).zip(sources.par_chunks(plane));
    result.par_chunks_mut(maps.plane()).zip(grads).for_each(|(result, (grad, sources))| {
        grad.iter().zip(sources).for_each(|(grad, source)| result[*source as usize] += grad);
    });
    result
}

/// The rows or columns, of `length`, under the window at `position`.
fn covered(position: usize, window: Window, pad: usize, length: usize) -> Range<usize> {
    let start = position * window.stride;
    start.saturating_sub(pad)..(start + window.kernel - pad).min(length)
}

/// Whether `value` is larger or NaN.
#[inline(always)]
fn exceeds(value: f32, largest: f32) -> bool {
    value > largest || value.is_nan()
}

/// The largest values of each column within some rows.
struct Columns {
    largest: Vec<f32>,
    rows: Vec<u32>,
}

impl Columns {
    #[inline(always)]
    fn look_at(&mut self, plane: &[f32], rows: Range<usize>) {
        let width = self.largest.len();
        let row_of = |row: usize| &plane[row * width..][..width];
        self.largest.copy_from_slice(row_of(rows.start));
        self.rows.fill(rows.start as u32);
        for row in rows.skip(1) {
            let columns = self.largest.iter_mut().zip(&mut self.rows).zip(row_of(row));
            for ((largest, largest_row), value) in columns {
                let is_larger = exceeds(*value, *largest);
                *largest = if is_larger { *value } else { *largest };
                *largest_row = if is_larger { row as u32 } else { *largest_row };
            }
        }
    }

    /// The largest of all within some columns, and its position in the plane.
    fn largest_of(&self, columns: Range<usize>) -> (f32, u32) {
        let mut best = columns.start;
        for column in columns {
            if exceeds(self.largest[column], self.largest[best]) {
                best = column;
            }
        }
        (self.largest[best], self.rows[best] * self.largest.len() as u32 + best as u32)
    }
}
