//! Convolution over all channels as a matrix product (im2col): the pixels under each position of the window are a column.

use face_attributes_training::architecture::Pads;
use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2};
use rayon::prelude::*;

use super::{Maps, Window, pad};

/// Number of images whose weight gradients are summed one after the other. It is fixed, so that the order of the sum does not
/// depend on the number of threads.
const IMAGES_PER_SUM: usize = 4;

/// The convolution: `weight` is filters x channels x kernel x kernel.
pub fn forward(x: &[f32], maps: Maps, weight: &[f32], window: Window) -> Vec<f32> {
    let weight = matrix(weight, maps.channels * window.taps());
    let plane = window.output(maps).plane();
    let image = weight.nrows() * plane;
    let mut result = vec![0.0; maps.batch * image];
    let images = result.par_chunks_mut(image).zip(x.par_chunks(maps.image()));
    images.for_each_init(Columns::default, |columns, (result, x)| {
        let columns = columns.of_image(x, maps, window);
        general_mat_mul(1.0, &weight, &matrix(columns, plane), 0.0, &mut matrix_mut(result, plane));
    });
    result
}

/// Gradient of [`forward`] with respect to `x`, given the gradient of its result. `maps` are the sizes of `x`.
pub fn x_grad(grad: &[f32], maps: Maps, weight: &[f32], window: Window) -> Vec<f32> {
    let weight = matrix(weight, maps.channels * window.taps());
    let plane = window.output(maps).plane();
    let mut result = vec![0.0; maps.batch * maps.image()];
    let images = result.par_chunks_mut(maps.image()).zip(grad.par_chunks(weight.nrows() * plane));
    images.for_each_init(Columns::default, |columns, (result, grad)| {
        let product = |columns: &mut [f32]| {
            general_mat_mul(1.0, &weight.t(), &matrix(grad, plane), 0.0, &mut matrix_mut(columns, plane));
        };
        if is_pointwise(window) {
            product(result);
        } else {
            columns.columns.resize(weight.ncols() * plane, 0.0);
            product(&mut columns.columns);
            columns.add_to_image(result, maps, window);
        }
    });
    result
}

/// Gradient of [`forward`] with respect to `weight`, given the gradient of its result.
pub fn weight_grad(x: &[f32], maps: Maps, grad: &[f32], window: Window) -> Vec<f32> {
    let plane = window.output(maps).plane();
    let (image, filters) = (grad.len() / maps.batch, grad.len() / maps.batch / plane);
    let length = filters * maps.channels * window.taps();
    let groups = x.par_chunks(IMAGES_PER_SUM * maps.image()).zip(grad.par_chunks(IMAGES_PER_SUM * image));
    let sums: Vec<_> = groups
        .map_init(Columns::default, |columns, (x, grad)| {
            let mut sum = vec![0.0; length];
            for (x, grad) in x.chunks(maps.image()).zip(grad.chunks(image)) {
                let columns = matrix(columns.of_image(x, maps, window), plane);
                let mut sum = matrix_mut(&mut sum, length / filters);
                general_mat_mul(1.0, &matrix(grad, plane), &columns.t(), 1.0, &mut sum);
            }
            sum
        })
        .collect();
    let mut result = vec![0.0; length];
    for sum in sums {
        result.iter_mut().zip(sum).for_each(|(result, sum)| *result += sum);
    }
    result
}

/// Whether the columns are the unchanged image.
fn is_pointwise(window: Window) -> bool {
    window == Window { kernel: 1, stride: 1, pads: Pads::default() }
}

/// Memory for the columns of an image, a row for each channel and element of the window.
#[derive(Default)]
struct Columns {
    columns: Vec<f32>,
    padded: Vec<f32>,
}

impl Columns {
    fn of_image<'a>(&'a mut self, x: &'a [f32], maps: Maps, window: Window) -> &'a [f32] {
        if is_pointwise(window) {
            return x;
        }
        let (output, padded_width) = (window.output(maps), window.padded(maps).width);
        self.columns.clear();
        for plane in x.chunks_exact(maps.plane()) {
            pad(plane, maps, window, &mut self.padded);
            for tap in 0..window.taps() {
                for row in 0..output.height {
                    let start = window.start_of(tap, row, padded_width);
                    if window.stride == 1 {
                        self.columns.extend_from_slice(&self.padded[start..][..output.width]);
                    } else {
                        let source = self.padded[start..].iter().step_by(window.stride);
                        self.columns.extend(source.take(output.width));
                    }
                }
            }
        }
        &self.columns
    }

    /// Adds each element of the columns to its pixel (col2im).
    fn add_to_image(&mut self, image: &mut [f32], maps: Maps, window: Window) {
        let (output, padded) = (window.output(maps), window.padded(maps));
        let channels = self.columns.chunks_exact(window.taps() * output.plane());
        for (plane, columns) in image.chunks_exact_mut(maps.plane()).zip(channels) {
            self.padded.clear();
            self.padded.resize(padded.plane(), 0.0);
            for (position, values) in columns.chunks_exact(output.width).enumerate() {
                let (tap, row) = (position / output.height, position % output.height);
                let targets = &mut self.padded[window.start_of(tap, row, padded.width)..];
                // Slices of equal length, which the compiler vectorizes.
                if window.stride == 1 {
                    targets[..output.width].iter_mut().zip(values).for_each(|(target, value)| *target += value);
                } else {
                    let targets = targets.iter_mut().step_by(window.stride);
                    targets.zip(values).for_each(|(target, value)| *target += value);
                }
            }
            for (row, target) in plane.chunks_exact_mut(maps.width).enumerate() {
                let start = (row + window.pads.top) * padded.width + window.pads.left;
                target.copy_from_slice(&self.padded[start..][..maps.width]);
            }
        }
    }
}

impl Window {
    /// The input position of element `tap` of the window, for the first element of row `row` of the output.
    fn start_of(self, tap: usize, row: usize, padded_width: usize) -> usize {
        (row * self.stride + tap / self.kernel) * padded_width + tap % self.kernel
    }
}

#[expect(clippy::expect_used, reason = "the slices are made for their matrices a few lines before")]
fn matrix(values: &[f32], columns: usize) -> ArrayView2<'_, f32> {
    ArrayView2::from_shape((values.len() / columns, columns), values).expect("whole rows")
}

#[expect(clippy::expect_used, reason = "the slices are made for their matrices a few lines before")]
fn matrix_mut(values: &mut [f32], columns: usize) -> ArrayViewMut2<'_, f32> {
    ArrayViewMut2::from_shape((values.len() / columns, columns), values).expect("whole rows")
}
