//! Convolution in each channel by itself, with stride 1 and paddings smaller than the window.
//!
//! A plane with zeros around it is one long row. The input of a tap of the window is this row from an offset on, so one loop
//! computes all pixels. At the ends of the plane's rows, the loop also computes values between the rows, which are ignored.

use face_attributes_training::architecture::Pads;
use rayon::prelude::*;

use super::{LANES, Maps, Window, pad, vectorized};

/// The convolution: `weight` is channels x kernel x kernel.
pub fn forward(x: &[f32], maps: Maps, weight: &[f32], window: Window) -> Vec<f32> {
    let (output, padded_width) = (window.output(maps), window.padded(maps).width);
    let (offsets, length) = (window.offsets(padded_width), (output.height - 1) * padded_width + output.width);
    let mut result = vec![0.0; output.batch * output.image()];
    result.par_chunks_mut(output.plane()).zip(x.par_chunks(maps.plane())).enumerate().for_each_init(
        || (Vec::new(), Vec::new()),
        |(padded, sums), (position, (result, x))| {
            let channel = position % maps.channels;
            let weight = &weight[channel * window.taps()..][..window.taps()];
            pad(x, maps, window, padded);
            sums.clear();
            sums.resize(length, 0.0);
            vectorized(
                #[inline(always)]
                || {
                    for (weight, offset) in weight.iter().zip(&offsets) {
                        let sources = &padded[*offset..][..length];
                        sums.iter_mut().zip(sources).for_each(|(sum, source)| *sum += weight * source);
                    }
                },
            );
            for (result, sums) in result.chunks_exact_mut(output.width).zip(sums.chunks(padded_width)) {
                result.copy_from_slice(&sums[..output.width]);
            }
        },
    );
    result
}

/// Gradient of [`forward`] with respect to `x`, given the gradient of its result. `maps` are the sizes of `x`.
pub fn x_grad(grad: &[f32], maps: Maps, weight: &[f32], window: Window) -> Vec<f32> {
    let turned: Vec<f32> = weight.chunks_exact(window.taps()).flat_map(|weight| weight.iter().rev().copied()).collect();
    forward(grad, window.output(maps), &turned, transposed(window))
}

/// The window of the backward pass, from the output to the input.
fn transposed(window: Window) -> Window {
    let Pads { top, left, bottom, right } = window.pads;
    let rest = |pad: usize| window.kernel - 1 - pad;
    Window { pads: Pads { top: rest(top), left: rest(left), bottom: rest(bottom), right: rest(right) }, ..window }
}

/// Gradient of [`forward`] with respect to `weight`, given the gradient of its result.
pub fn weight_grad(x: &[f32], maps: Maps, grad: &[f32], window: Window) -> Vec<f32> {
    let (output, padded) = (window.output(maps), window.padded(maps));
    let offsets = window.offsets(padded.width);
    let of_channel = |channel: usize| {
        let mut sums = vec![[0.0; LANES]; window.taps()];
        let mut padded_x = Vec::new();
        // Zero between the rows, and up to a whole number of registers.
        let mut long_grad = vec![[0.0; LANES]; (output.height * padded.width).div_ceil(LANES)];
        for (x, grad) in x.chunks_exact(maps.image()).zip(grad.chunks_exact(output.image())) {
            let x = &x[channel * maps.plane()..][..maps.plane()];
            let grad = &grad[channel * output.plane()..][..output.plane()];
            pad(x, maps, window, &mut padded_x);
            padded_x.resize(padded.plane() + window.kernel + LANES, 0.0);
            let rows = long_grad.as_flattened_mut().chunks_mut(padded.width);
            rows.zip(grad.chunks_exact(output.width)).for_each(|(row, grad)| row[..grad.len()].copy_from_slice(grad));
            vectorized(
                #[inline(always)]
                || {
                    for (sum, offset) in sums.iter_mut().zip(&offsets) {
                        // A local copy, which the compiler keeps in registers.
                        let mut lanes = *sum;
                        for (x, grad) in padded_x[*offset..].as_chunks::<LANES>().0.iter().zip(&long_grad) {
                            for lane in 0..LANES {
                                lanes[lane] += x[lane] * grad[lane];
                            }
                        }
                        *sum = lanes;
                    }
                },
            );
        }
        sums.into_iter().map(|lanes| lanes.iter().sum()).collect::<Vec<f32>>()
    };
    (0..maps.channels).into_par_iter().flat_map_iter(of_channel).collect()
}

impl Window {
    /// Offsets of the taps from the window's corner, in a padded plane as one row.
    fn offsets(self, padded_width: usize) -> Vec<usize> {
        (0..self.taps()).map(|tap| tap / self.kernel * padded_width + tap % self.kernel).collect()
    }
}
