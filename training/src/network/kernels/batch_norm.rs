//! Batch normalization with the statistics of the batch (Ioffe and Szegedy 2015).

use rayon::prelude::*;

use super::{LANES, Maps, vectorized};

/// Result of [`forward`].
pub struct Normalized {
    /// The normalized feature maps.
    pub output: Vec<f32>,
    /// Mean per channel.
    pub mean: Vec<f32>,
    /// Biased variance per channel of the batch (divided by the number of elements).
    pub variance: Vec<f32>,
}

/// The normalization.
pub fn forward(x: &[f32], maps: Maps, scale: &[f32], bias: &[f32], epsilon: f32) -> Normalized {
    let count = (maps.batch * maps.plane()) as f32;
    let statistics = |channel: usize| {
        let mean = sum_of_channel(x, maps, channel, |x| x) / count;
        let variance = sum_of_channel(x, maps, channel, |x| (x - mean) * (x - mean)) / count;
        (mean, variance)
    };
    let (mean, variance): (Vec<_>, Vec<_>) = (0..maps.channels).into_par_iter().map(statistics).unzip();
    let mut output = vec![0.0; x.len()];
    output.par_chunks_mut(maps.plane()).zip(x.par_chunks(maps.plane())).enumerate().for_each(
        |(position, (output, x))| {
            let channel = position % maps.channels;
            let factor = scale[channel] / (variance[channel] + epsilon).sqrt();
            let offset = bias[channel] - mean[channel] * factor;
            vectorized(
                #[inline(always)]
                || output.iter_mut().zip(x).for_each(|(output, x)| *output = x * factor + offset),
            );
        },
    );
    Normalized { output, mean, variance }
}

/// Gradients of [`forward`].
pub struct Grads {
    /// With respect to the feature maps.
    pub x: Vec<f32>,
    /// With respect to the scale.
    pub scale: Vec<f32>,
    /// With respect to the bias.
    pub bias: Vec<f32>,
}

/// Gradients of [`forward`], given the gradient of its output.
pub fn grads(
    x: &[f32],
    maps: Maps,
    scale: &[f32],
    (mean, variance): (&[f32], &[f32]),
    epsilon: f32,
    grad: &[f32],
) -> Grads {
    let count = (maps.batch * maps.plane()) as f32;
    let inverse_deviation = |channel: usize| 1.0 / (variance[channel] + epsilon).sqrt();
    let sums = |channel: usize| {
        let (scale, bias) = sums_of_products(x, grad, maps, channel, mean[channel]);
        (scale * inverse_deviation(channel), bias)
    };
    let (scale_grad, bias_grad): (Vec<_>, Vec<_>) = (0..maps.channels).into_par_iter().map(sums).unzip();
    let mut x_grad = vec![0.0; x.len()];
    let planes = x.par_chunks(maps.plane()).zip(grad.par_chunks(maps.plane()));
    x_grad.par_chunks_mut(maps.plane()).zip(planes).enumerate().for_each(|(position, (x_grad, (x, grad)))| {
        let channel = position % maps.channels;
        let inverse = inverse_deviation(channel);
        let factor = scale[channel] * inverse;
        // factor * (grad - mean of grad - normalized x * mean of grad * normalized x), as a linear function of x and grad.
        let slope = -factor * inverse * scale_grad[channel] / count;
        let offset = -factor * bias_grad[channel] / count - slope * mean[channel];
        vectorized(
            #[inline(always)]
            || {
                for ((x_grad, x), grad) in x_grad.iter_mut().zip(x).zip(grad) {
                    *x_grad = factor * grad + slope * x + offset;
                }
            },
        );
    });
    Grads { x: x_grad, scale: scale_grad, bias: bias_grad }
}

fn sum_of_channel(x: &[f32], maps: Maps, channel: usize, value: impl Fn(f32) -> f32) -> f32 {
    let mut sum = 0.0;
    vectorized(
        #[inline(always)]
        || {
            for image in x.chunks_exact(maps.image()) {
                let (chunks, rest) = image[channel * maps.plane()..][..maps.plane()].as_chunks::<LANES>();
                let mut lanes = [0.0; LANES];
                for chunk in chunks {
                    lanes.iter_mut().zip(chunk).for_each(|(lane, x)| *lane += value(*x));
                }
                sum += lanes.iter().sum::<f32>() + rest.iter().map(|x| value(*x)).sum::<f32>();
            }
        },
    );
    sum
}

/// Sum of `(x - mean) * grad` and sum of `grad` over a channel.
fn sums_of_products(x: &[f32], grad: &[f32], maps: Maps, channel: usize, mean: f32) -> (f32, f32) {
    let (mut products, mut grads) = (0.0, 0.0);
    vectorized(
        #[inline(always)]
        || {
            for (x, grad) in x.chunks_exact(maps.image()).zip(grad.chunks_exact(maps.image())) {
                let (x_chunks, x_rest) = x[channel * maps.plane()..][..maps.plane()].as_chunks::<LANES>();
                let (grad_chunks, grad_rest) = grad[channel * maps.plane()..][..maps.plane()].as_chunks::<LANES>();
                let (mut product_lanes, mut grad_lanes) = ([0.0; LANES], [0.0; LANES]);
                for (x, grad) in x_chunks.iter().zip(grad_chunks) {
                    for lane in 0..LANES {
                        product_lanes[lane] += (x[lane] - mean) * grad[lane];
                        grad_lanes[lane] += grad[lane];
                    }
                }
                let products_rest: f32 = x_rest.iter().zip(grad_rest).map(|(x, grad)| (x - mean) * grad).sum();
                products += product_lanes.iter().sum::<f32>() + products_rest;
                grads += grad_lanes.iter().sum::<f32>() + grad_rest.iter().sum::<f32>();
            }
        },
    );
    (products, grads)
}
