//! Convolution as products of long rows.
//!
//! The planes of some images, with zeros around them, are one long row for each channel. The input of an element of the window
//! is this row from an offset on, so a product of rows computes all pixels without a copy for each element (im2col). At the
//! ends of the plane's rows, it also computes values between the rows, which are ignored. With a stride above 1, the pixels
//! that an element of the window meets have a row of their own for each of the stride's phases.

use std::ops::Range;

use face_attributes_training::architecture::Pads;
use rayon::prelude::*;

use super::rows::{Coefficients, combine, copy, correlate, least_length};
use super::{Maps, Window};

/// Least number of images whose weight gradients are summed one after the other. It is fixed, so that the order of the sum does
/// not depend on the number of threads.
const IMAGES_PER_SUM: usize = 4;

/// Length from which on a row is long enough. Planes of several images are put into one row up to it.
const LONG_ROW: usize = 512;

/// A convolution. The channels are in `groups`, which do not meet: 1, or as many as channels for a depth-wise one.
#[derive(Clone, Copy, Debug)]
pub struct Convolution {
    /// Sizes of the input.
    pub maps: Maps,
    /// Number of channels of the output.
    pub filters: usize,
    /// Divides the channels and the filters.
    pub groups: usize,
    /// The window.
    pub window: Window,
}

impl Convolution {
    /// Sizes of the result.
    pub fn output(&self) -> Maps {
        Maps { channels: self.filters, ..self.window.output(self.maps) }
    }

    /// The convolution: `weight` is filters x (channels / groups) x kernel x kernel.
    pub fn forward(&self, x: &[f32], weight: &[f32]) -> Vec<f32> {
        let (grid, output) = (Grid::new(self), self.output());
        let (channels, filters) = (self.channels_per_group(), self.filters_per_group());
        let columns = channels * self.window.taps();
        let of_group =
            |weight: &[f32]| Coefficients::new(filters, columns, |row, column| weight[row * columns + column]);
        let coefficients: Vec<_> = weight.chunks_exact(filters * columns).map(of_group).collect();
        let mut result = vec![0.0; output.batch * output.image()];
        let images =
            result.par_chunks_mut(grid.images * output.image()).zip(x.par_chunks(grid.images * self.maps.image()));
        images.for_each_init(Buffers::default, |buffers, (result, x)| {
            let rows = grid.input_rows(x.len() / self.maps.image(), channels);
            let offsets = grid.input_offsets(&rows);
            for (group, coefficients) in coefficients.iter().enumerate() {
                if grid.is_plain() {
                    combine(x, &offsets, coefficients, rows.length, result);
                    continue;
                }
                buffers.prepare(rows.images, grid.phases().len() * rows.values() + grid.slack(), filters * rows.length);
                grid.write_input(x, group * channels, &rows, &mut buffers.input);
                combine(&buffers.input, &offsets, coefficients, rows.length, &mut buffers.output);
                for (filter, sums) in buffers.output.chunks_exact(rows.length).enumerate() {
                    for (image, result) in result.chunks_exact_mut(output.image()).enumerate() {
                        let result = &mut result[(group * filters + filter) * output.plane()..][..output.plane()];
                        copy(&sums[image * rows.plane..], grid.width, result, output.width, output.width);
                    }
                }
            }
        });
        result
    }

    /// Gradient of [`forward`](Self::forward) with respect to `x`, given the gradient of its result.
    pub fn x_grad(&self, grad: &[f32], weight: &[f32]) -> Vec<f32> {
        let (grid, output) = (Grid::new(self), self.output());
        let (channels, filters, taps) = (self.channels_per_group(), self.filters_per_group(), self.window.taps());
        // For each phase, the weights that meet it, with channels and filters exchanged.
        let of_group = |weight: &[f32]| -> Vec<Coefficients> {
            let of_phase = |phase: Phase| {
                let met: Vec<_> = grid.taps_of(phase).collect();
                Coefficients::new(channels, filters * met.len(), |channel, column| {
                    weight[(column / met.len() * channels + channel) * taps + met[column % met.len()]]
                })
            };
            grid.phases().map(of_phase).collect()
        };
        let coefficients: Vec<_> = weight.chunks_exact(filters * channels * taps).map(of_group).collect();
        let mut result = vec![0.0; self.maps.batch * self.maps.image()];
        let images =
            result.par_chunks_mut(grid.images * self.maps.image()).zip(grad.par_chunks(grid.images * output.image()));
        images.for_each_init(Buffers::default, |buffers, (result, grad)| {
            let rows = grid.grad_rows(grad.len() / output.image(), filters);
            for (group, coefficients) in coefficients.iter().enumerate() {
                if !grid.is_plain() {
                    buffers.prepare(rows.images, rows.values() + grid.slack(), channels * rows.length);
                    grid.write_grad(
                        grad,
                        group * filters,
                        grid.reach * grid.width + grid.reach,
                        &rows,
                        &mut buffers.input,
                    );
                }
                for (phase, coefficients) in grid.phases().zip(coefficients) {
                    let offsets = grid.grad_offsets(phase, &rows);
                    if grid.is_plain() {
                        combine(grad, &offsets, coefficients, rows.length, result);
                        continue;
                    }
                    combine(&buffers.input, &offsets, coefficients, rows.length, &mut buffers.output);
                    for (channel, sums) in buffers.output.chunks_exact(rows.length).enumerate() {
                        for (image, result) in result.chunks_exact_mut(self.maps.image()).enumerate() {
                            let plane = (group * channels + channel) * self.maps.plane();
                            grid.read_phase(
                                phase,
                                &sums[image * rows.plane..],
                                &mut result[plane..][..self.maps.plane()],
                            );
                        }
                    }
                }
            }
        });
        result
    }

    /// Gradient of [`forward`](Self::forward) with respect to `weight`, given the gradient of its result.
    pub fn weight_grad(&self, x: &[f32], grad: &[f32]) -> Vec<f32> {
        let (grid, output) = (Grid::new(self), self.output());
        let (channels, filters) = (self.channels_per_group(), self.filters_per_group());
        let columns = channels * self.window.taps();
        let per_sum = IMAGES_PER_SUM.next_multiple_of(grid.images);
        let parts = x.par_chunks(per_sum * self.maps.image()).zip(grad.par_chunks(per_sum * output.image()));
        let sums: Vec<_> = parts
            .map_init(Buffers::default, |buffers, (x, grad)| {
                let mut sum = vec![0.0; self.filters * columns];
                let images = x.chunks(grid.images * self.maps.image()).zip(grad.chunks(grid.images * output.image()));
                for (x, grad) in images {
                    let rows = grid.input_rows(x.len() / self.maps.image(), channels);
                    let offsets = grid.input_offsets(&rows);
                    for (group, sum) in sum.chunks_exact_mut(filters * columns).enumerate() {
                        if grid.is_plain() {
                            correlate(grad, x, &offsets, rows.length, sum);
                            continue;
                        }
                        buffers.prepare(
                            rows.images,
                            grid.phases().len() * rows.values() + grid.slack(),
                            filters * rows.length,
                        );
                        grid.write_input(x, group * channels, &rows, &mut buffers.input);
                        grid.write_grad(
                            grad,
                            group * filters,
                            0,
                            &grid.input_rows(rows.images, filters),
                            &mut buffers.output,
                        );
                        correlate(&buffers.output, &buffers.input, &offsets, rows.length, sum);
                    }
                }
                sum
            })
            .collect();
        let mut result = vec![0.0; self.filters * columns];
        for sum in sums {
            result.iter_mut().zip(sum).for_each(|(result, sum)| *result += sum);
        }
        result
    }

    fn channels_per_group(&self) -> usize {
        self.maps.channels / self.groups
    }

    fn filters_per_group(&self) -> usize {
        self.filters / self.groups
    }
}

/// How planes lie in long rows.
#[derive(Clone, Copy)]
struct Grid {
    convolution: Convolution,
    output: Maps,
    /// Number of steps that the window reaches beyond its first element.
    reach: usize,
    /// Rows and columns of the output with those that the window reaches into.
    height: usize,
    width: usize,
    /// Number of images in a long row.
    images: usize,
}

/// First row and column of the padded input's pixels that some elements of the window meet.
#[derive(Clone, Copy)]
struct Phase {
    row: usize,
    column: usize,
}

/// Long rows of one kind.
struct Rows {
    /// Number of images in a row.
    images: usize,
    /// Number of values of an image in a row.
    plane: usize,
    /// Number of values in a row.
    length: usize,
    /// Number of rows of one phase.
    count: usize,
}

impl Rows {
    fn values(&self) -> usize {
        self.count * self.length
    }
}

impl Grid {
    fn new(convolution: &Convolution) -> Self {
        let (output, Window { kernel, stride, .. }) = (convolution.output(), convolution.window);
        let reach = (kernel - 1) / stride;
        let (height, width) = (output.height + reach, output.width + reach);
        let grid = Self { convolution: *convolution, output, reach, height, width, images: 1 };
        if grid.is_plain() {
            return grid;
        }
        Self { images: (LONG_ROW / (height * width)).clamp(1, convolution.maps.batch), ..grid }
    }

    /// Whether the planes are rows as they are, long enough for all products.
    fn is_plain(&self) -> bool {
        let Convolution { window, groups, maps, filters } = self.convolution;
        let least = least_length(maps.channels).max(least_length(filters));
        window == Window { kernel: 1, stride: 1, pads: Pads::default() } && groups == 1 && maps.plane() >= least
    }

    /// The rows of the input of a phase, for each channel.
    fn input_rows(&self, images: usize, channels: usize) -> Rows {
        self.rows(images, self.height * self.width, channels)
    }

    /// The rows of the output's gradient, for each filter. There are rows of zeros before it and behind it.
    fn grad_rows(&self, images: usize, filters: usize) -> Rows {
        self.rows(images, (self.height + self.reach) * self.width, filters)
    }

    fn rows(&self, images: usize, plane: usize, count: usize) -> Rows {
        let Convolution { maps, filters, groups, .. } = self.convolution;
        let least = least_length(filters / groups).max(least_length(maps.channels / groups));
        Rows { images, plane, length: (images * plane).max(least), count }
    }

    /// Number of values that are read behind the last row.
    fn slack(&self) -> usize {
        self.reach * (self.width + 1)
    }

    fn phases(&self) -> impl ExactSizeIterator<Item = Phase> + use<> {
        let Window { kernel, stride, .. } = self.convolution.window;
        let count = kernel.min(stride);
        (0..count * count).map(move |phase| Phase { row: phase / count, column: phase % count })
    }

    /// The elements of the window that meet a phase.
    fn taps_of(&self, phase: Phase) -> impl Iterator<Item = usize> + use<> {
        let Window { kernel, stride, .. } = self.convolution.window;
        let rows = (phase.row..kernel).step_by(stride);
        rows.flat_map(move |row| (phase.column..kernel).step_by(stride).map(move |column| row * kernel + column))
    }

    /// Where the input of each channel and element of the window begins.
    fn input_offsets(&self, rows: &Rows) -> Vec<usize> {
        let Window { kernel, stride, .. } = self.convolution.window;
        let phases = kernel.min(stride);
        let offset = |channel: usize, tap: usize| {
            let (row, column) = (tap / kernel, tap % kernel);
            let phase = row % stride * phases + column % stride;
            (phase * rows.count + channel) * rows.length + row / stride * self.width + column / stride
        };
        (0..rows.count).flat_map(|channel| (0..kernel * kernel).map(move |tap| offset(channel, tap))).collect()
    }

    /// Where the gradient of each filter begins, for each element of the window that meets the phase.
    fn grad_offsets(&self, phase: Phase, rows: &Rows) -> Vec<usize> {
        let Window { kernel, stride, .. } = self.convolution.window;
        let offset =
            |tap: usize| (self.reach - tap / kernel / stride) * self.width + self.reach - tap % kernel / stride;
        let offsets: Vec<_> = self.taps_of(phase).map(offset).collect();
        (0..rows.count).flat_map(|filter| offsets.iter().map(move |offset| filter * rows.length + offset)).collect()
    }

    /// Writes the channels from `first` on into the rows of each phase.
    fn write_input(&self, x: &[f32], first: usize, rows: &Rows, target: &mut [f32]) {
        let maps = self.convolution.maps;
        for (phase, target) in self.phases().zip(target.chunks_mut(rows.values())) {
            for (channel, target) in (first..).zip(target.chunks_exact_mut(rows.length)) {
                for (x, target) in x.chunks_exact(maps.image()).zip(target.chunks_exact_mut(rows.plane)) {
                    self.write_phase(phase, &x[channel * maps.plane()..][..maps.plane()], target);
                }
            }
        }
    }

    /// Writes the gradients of the filters from `first` on into their rows, `skipped` values behind their beginning.
    fn write_grad(&self, grad: &[f32], first: usize, skipped: usize, rows: &Rows, target: &mut [f32]) {
        let output = self.output;
        for (filter, target) in (first..first + rows.count).zip(target.chunks_exact_mut(rows.length)) {
            for (grad, target) in grad.chunks_exact(output.image()).zip(target.chunks_exact_mut(rows.plane)) {
                let grad = &grad[filter * output.plane()..][..output.plane()];
                copy(grad, output.width, &mut target[skipped..], self.width, output.width);
            }
        }
    }

    /// Copies the pixels of a phase from a plane of the input into a row.
    fn write_phase(&self, phase: Phase, plane: &[f32], target: &mut [f32]) {
        let (stride, input_width) = (self.convolution.window.stride, self.convolution.maps.width);
        let (rows, columns) = self.steps(phase);
        if rows.steps.is_empty() || columns.steps.is_empty() {
            return;
        }
        let source = &plane[rows.first * input_width + columns.first..];
        let target = &mut target[rows.steps.start * self.width + columns.steps.start..];
        if stride == 1 {
            copy(source, input_width, target, self.width, columns.steps.len());
            return;
        }
        let pairs = source.chunks(stride * input_width).zip(target.chunks_mut(self.width)).take(rows.steps.len());
        for (source, target) in pairs {
            let source = source.iter().step_by(stride).take(columns.steps.len());
            target.iter_mut().zip(source).for_each(|(target, value)| *target = *value);
        }
    }

    /// Copies the pixels of a phase back.
    fn read_phase(&self, phase: Phase, source: &[f32], plane: &mut [f32]) {
        let (stride, input_width) = (self.convolution.window.stride, self.convolution.maps.width);
        let (rows, columns) = self.steps(phase);
        if rows.steps.is_empty() || columns.steps.is_empty() {
            return;
        }
        let source = &source[rows.steps.start * self.width + columns.steps.start..];
        let target = &mut plane[rows.first * input_width + columns.first..];
        if stride == 1 {
            copy(source, self.width, target, input_width, columns.steps.len());
            return;
        }
        let pairs = source.chunks(self.width).zip(target.chunks_mut(stride * input_width)).take(rows.steps.len());
        for (source, target) in pairs {
            let targets = target.iter_mut().step_by(stride).take(columns.steps.len());
            targets.zip(source).for_each(|(target, value)| *target = *value);
        }
    }

    /// The steps of the window at which its first row and column of a phase lie within the input.
    fn steps(&self, phase: Phase) -> (Steps, Steps) {
        let Convolution { maps, window: Window { stride, pads, .. }, .. } = self.convolution;
        let within = |phase: usize, pad: usize, length: usize, count: usize| {
            let start = pad.saturating_sub(phase).div_ceil(stride);
            let first = start * stride + phase - pad;
            let end = start + length.saturating_sub(first).div_ceil(stride);
            Steps { steps: start..end.min(count), first }
        };
        (within(phase.row, pads.top, maps.height, self.height), within(phase.column, pads.left, maps.width, self.width))
    }
}

struct Steps {
    steps: Range<usize>,
    /// Row or column of the input at the first step.
    first: usize,
}

/// Memory for the rows of some images.
#[derive(Default)]
struct Buffers {
    input: Vec<f32>,
    output: Vec<f32>,
    images: usize,
}

impl Buffers {
    /// Makes room, with zeros around the images. They stay zero from call to call, because the images lie at the same places.
    fn prepare(&mut self, images: usize, input: usize, output: usize) {
        if self.images != images {
            *self = Self { input: vec![0.0; input], output: vec![0.0; output], images };
        }
    }
}
