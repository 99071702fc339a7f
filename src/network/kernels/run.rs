//! Execution of one step.

use super::arena::{Arena, Layout};
use super::graph::{Convolution, Kind, Shape, Window};
use super::simd::{self, Isa, Row};
use super::steps::{Step, Work};

/// Some output channels of a convolution.
pub struct Filters {
    pub channels: usize,
    pub weights: Vec<f32>,
    pub bias: Vec<f32>,
    pub rows: Rows,
}

/// Where the rows of a convolution begin in its maps, and the steps from one to the next.
#[derive(Debug, Clone, Copy)]
pub struct Rows {
    count: usize,
    pixels: usize,
    src: Steps,
    add: Option<Steps>,
    dst: Steps,
}

#[derive(Debug, Clone, Copy)]
struct Steps {
    start: usize,
    row: usize,
    pixel: usize,
}

impl Steps {
    /// The pixels of a map, every `strides`th.
    fn of(layout: &Layout, strides: [usize; 2]) -> Self {
        Self { start: layout.origin(), row: layout.row_step() * strides[0], pixel: layout.step * strides[1] }
    }

    fn is_flat(&self, pixels: usize) -> bool {
        self.row == pixels * self.pixel
    }
}

impl Rows {
    pub fn new(convolution: &Convolution, input: &Layout, add: Option<&Layout>, output: &Layout) -> Self {
        let Window { strides, pads, kernel } = convolution.window;
        let (shape, from, to) = match convolution.kind {
            Kind::Transposed => (input.shape, [1; 2], kernel),
            Kind::Dense | Kind::Depthwise => (output.shape, strides, [1; 2]),
        };
        let mut src = Steps::of(input, from);
        src.start -= pads[0] * input.row_step() + pads[1] * input.step;
        let (add, dst) = (add.map(|add| Steps::of(add, to)), Steps::of(output, to));
        let Shape { height, width, .. } = shape;
        // Rows without borders between them are one row.
        let is_flat = [Some(src), add, Some(dst)].iter().flatten().all(|steps| steps.is_flat(width));
        let (count, pixels) = if is_flat { (1, height * width) } else { (height, width) };
        Self { count, pixels, src, add, dst }
    }

    /// The same rows, written elsewhere.
    pub fn moved(mut self, by: usize) -> Self {
        self.dst.start += by;
        if let Some(add) = &mut self.add {
            add.start += by;
        }
        self
    }

    /// The same rows, from an output channel on.
    pub fn at_channel(self, channel: usize) -> Self {
        self.moved(channel)
    }
}

/// Runs a step: it reads its maps and writes its own one.
pub fn run(step: &Step, arena: &mut Arena) {
    let Step { input, add, output, isa, .. } = step;
    arena.write(output, |arena, dst| {
        let src = arena.map(input);
        let add = add.as_ref().map(|add| arena.map(add));
        match &step.work {
            Work::Convolution { filters, is_depthwise, limits, window } => {
                for filters in filters {
                    filters.each_row(*window, *limits, (src, add), dst, |channels, row| {
                        if *is_depthwise {
                            simd::depthwise(*isa, row);
                        } else {
                            simd::convolve(*isa, channels, row);
                        }
                    });
                }
            }
            Work::MaxPool(window) => max_pool(*isa, window, [input, output], src, dst),
            Work::AveragePool { window, counts_padding } => {
                average_pool(window, *counts_padding, [input, output], src, dst);
            }
            Work::GlobalMean => {
                let Shape { height, width, .. } = input.shape;
                let window = pool_window(input, height, width);
                mean(window, &src[input.origin()..], &mut dst[output.origin()..][..output.step], height * width);
            }
            Work::TapMeans { window, pixels } => {
                let [height, width] = *pixels;
                let Window { kernel, strides, pads } = *window;
                let window = simd::Window {
                    rows: height,
                    row_step: input.row_step() * strides[0],
                    runs: width,
                    run_step: input.step * strides[1],
                    run_length: input.shape.channels,
                };
                let first = input.origin() - pads[0] * input.row_step() - pads[1] * input.step;
                let means = dst[output.origin()..].chunks_exact_mut(input.shape.channels);
                for (position, means) in means.take(kernel[0] * kernel[1]).enumerate() {
                    let (row, column) = (position / kernel[1], position % kernel[1]);
                    mean(window, &src[first + row * input.row_step() + column * input.step..], means, height * width);
                }
            }
            Work::Softmax => {
                let channels = output.shape.channels;
                softmax(&src[input.origin()..][..channels], &mut dst[output.origin()..][..channels]);
            }
            Work::Sigmoid => sigmoid(input, output, src, dst),
        }
    });
}

impl Filters {
    fn each_row(
        &self,
        window: simd::Window,
        limits: [f32; 2],
        (src, add): (&[f32], Option<&[f32]>),
        dst: &mut [f32],
        compute: impl Fn(usize, &mut Row),
    ) {
        let Rows { count, pixels, src: from, add: added, dst: to } = self.rows;
        for row in 0..count {
            let start = |steps: Steps| steps.start + row * steps.row;
            compute(
                self.channels,
                &mut Row {
                    pixels,
                    window,
                    src: &src[start(from)..],
                    src_step: from.pixel,
                    weights: &self.weights,
                    bias: &self.bias,
                    add: add.zip(added).map(|(add, steps)| &add[start(steps)..]),
                    add_step: added.map_or(0, |steps| steps.pixel),
                    dst: &mut dst[start(to)..],
                    dst_step: to.pixel,
                    limits,
                },
            );
        }
    }
}

fn max_pool(isa: Isa, window: &Window, [input, output]: [&Layout; 2], src: &[f32], dst: &mut [f32]) {
    let [columns, width] = [output.shape.width, input.shape.width];
    for row in 0..output.shape.height {
        let rows = window.part(0, row, input.shape.height);
        let mut first = 0;
        while first < columns {
            // Whole windows are one row of tiles, those that are cut by the border are rows of one pixel.
            let is_whole = |column: usize| window.part(1, column, width).len() == window.kernel[1];
            let pixels = (first..columns).take_while(|column| is_whole(*column)).count().max(1);
            let part = window.part(1, first, width);
            simd::max_pool(
                isa,
                &mut Row {
                    pixels,
                    window: pool_window(input, rows.len(), part.len()),
                    src: &src[input.pixel(rows.start, part.start)..],
                    src_step: window.strides[1] * input.step,
                    weights: &[],
                    bias: &[],
                    add: None,
                    add_step: 0,
                    dst: &mut dst[output.pixel(row, first)..],
                    dst_step: output.step,
                    limits: [f32::NEG_INFINITY, f32::INFINITY],
                },
            );
            first += pixels;
        }
    }
}

fn average_pool(window: &Window, counts_padding: bool, [input, output]: [&Layout; 2], src: &[f32], dst: &mut [f32]) {
    for row in 0..output.shape.height {
        let rows = window.part(0, row, input.shape.height);
        for column in 0..output.shape.width {
            let columns = window.part(1, column, input.shape.width);
            let pixels = if counts_padding { window.kernel.iter().product() } else { rows.len() * columns.len() };
            let part = pool_window(input, rows.len(), columns.len());
            let dst = &mut dst[output.pixel(row, column)..][..output.step];
            mean(part, &src[input.pixel(rows.start, columns.start)..], dst, pixels);
        }
    }
}

fn pool_window(input: &Layout, rows: usize, columns: usize) -> simd::Window {
    simd::Window { rows, row_step: input.row_step(), runs: columns, run_step: input.step, run_length: input.step }
}

/// The sum of a window over `count`, for each channel.
fn mean(window: simd::Window, src: &[f32], dst: &mut [f32], count: usize) {
    dst.fill(0.0);
    for row in 0..window.rows {
        for pixel in 0..window.runs {
            for (sum, value) in dst.iter_mut().zip(&src[row * window.row_step + pixel * window.run_step..]) {
                *sum += value;
            }
        }
    }
    for sum in dst {
        *sum /= count as f32;
    }
}

fn softmax(logits: &[f32], probabilities: &mut [f32]) {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for (probability, logit) in probabilities.iter_mut().zip(logits) {
        *probability = (logit - largest).exp();
    }
    let sum: f32 = probabilities.iter().sum();
    for probability in probabilities {
        *probability /= sum;
    }
}

fn sigmoid(input: &Layout, output: &Layout, src: &[f32], dst: &mut [f32]) {
    let channels = output.shape.channels;
    for row in 0..output.shape.height {
        for column in 0..output.shape.width {
            let values = &src[input.pixel(row, column)..][..channels];
            for (value, result) in values.iter().zip(&mut dst[output.pixel(row, column)..]) {
                *result = 1.0 / (1.0 + (-value).exp());
            }
        }
    }
}
