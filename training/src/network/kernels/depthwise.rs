//! Convolution in each channel by itself, with stride 1 and paddings smaller than the window.

use face_attributes::architecture::Pads;
use pulp::Arch;
use rayon::prelude::*;

use super::{Maps, Window, pad};

/// The convolution: `weight` is channels x kernel x kernel.
pub fn forward(x: &[f32], maps: Maps, weight: &[f32], window: Window) -> Vec<f32> {
    let (output, padded_width) = (window.output(maps), window.padded(maps).width);
    let mut result = vec![0.0; output.batch * output.image()];
    result.par_chunks_mut(output.plane()).zip(x.par_chunks(maps.plane())).enumerate().for_each_init(
        Vec::new,
        |padded, (position, (result, x))| {
            let channel = position % maps.channels;
            let weight = &weight[channel * window.taps()..][..window.taps()];
            Arch::new().dispatch(|| {
                pad(x, maps, window, padded);
                for (row, result) in result.chunks_exact_mut(output.width).enumerate() {
                    for (tap, weight) in weight.iter().enumerate() {
                        let (down, across) = (tap / window.kernel, tap % window.kernel);
                        let source = &padded[(row + down) * padded_width + across..][..output.width];
                        result.iter_mut().zip(source).for_each(|(result, source)| *result += weight * source);
                    }
                }
            });
        },
    );
    result
}

/// Gradient of [`forward`] with respect to `x`, given that of its result; `maps` are those of `x`.
pub fn x_grad(grad: &[f32], maps: Maps, weight: &[f32], window: Window) -> Vec<f32> {
    let turned: Vec<f32> = weight.chunks_exact(window.taps()).flat_map(|weight| weight.iter().rev().copied()).collect();
    forward(grad, window.output(maps), &turned, transposed(window))
}

/// The window that leads from the output back to the input.
fn transposed(window: Window) -> Window {
    let Pads { top, left, bottom, right } = window.pads;
    let rest = |pad: usize| window.kernel - 1 - pad;
    Window { pads: Pads { top: rest(top), left: rest(left), bottom: rest(bottom), right: rest(right) }, ..window }
}

/// Gradient of [`forward`] with respect to `weight`, given that of its result.
pub fn weight_grad(x: &[f32], maps: Maps, grad: &[f32], window: Window) -> Vec<f32> {
    let (output, padded_width) = (window.output(maps), window.padded(maps).width);
    let of_channel = |channel: usize| {
        // Sums per column first: those need no order of additions within a vector register.
        let mut sums = vec![0.0; window.taps() * output.width];
        let mut padded = Vec::new();
        Arch::new().dispatch(|| {
            for (x, grad) in x.chunks_exact(maps.image()).zip(grad.chunks_exact(output.image())) {
                let x = &x[channel * maps.plane()..][..maps.plane()];
                let grad = &grad[channel * output.plane()..][..output.plane()];
                pad(x, maps, window, &mut padded);
                for (row, grad) in grad.chunks_exact(output.width).enumerate() {
                    for (tap, sums) in sums.chunks_exact_mut(output.width).enumerate() {
                        let (down, across) = (tap / window.kernel, tap % window.kernel);
                        let source = &padded[(row + down) * padded_width + across..][..output.width];
                        for ((sum, grad), source) in sums.iter_mut().zip(grad).zip(source) {
                            *sum += grad * source;
                        }
                    }
                }
            }
        });
        sums.chunks_exact(output.width).map(|sums| sums.iter().sum()).collect::<Vec<f32>>()
    };
    (0..maps.channels).into_par_iter().flat_map_iter(of_channel).collect()
}
