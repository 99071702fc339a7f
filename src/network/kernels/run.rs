//! Execution of one task.

use std::ops::Range;

use super::arena::{Arena, Layout};
use super::graph::{Kind, Shape, Window};
use super::simd::{self, Isa, Patches, Row};
use super::steps::{Step, Task, Work};

/// Some output channels of a convolution.
pub struct Filters {
    pub channels: usize,
    pub weights: Vec<f32>,
    pub bias: Vec<f32>,
    /// The first of the channels.
    pub first: usize,
    /// The row and the column in the block that a transposed convolution makes of each pixel.
    pub position: [usize; 2],
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
    /// The map's own steps, from one row and from one pixel to the next.
    single: [usize; 2],
}

impl Steps {
    /// The pixels of a map from a start on, every `strides`th.
    fn of(layout: &Layout, start: usize, strides: [usize; 2]) -> Self {
        let single = [layout.row_step(), layout.step];
        Self { start, row: single[0] * strides[0], pixel: single[1] * strides[1], single }
    }

    /// Where the outputs of `filters` begin in a row.
    fn of_filters(&self, row: usize, filters: &Filters) -> usize {
        let [down, right] = filters.position;
        self.start + row * self.row + down * self.single[0] + right * self.single[1] + filters.first
    }

    fn is_flat(&self, pixels: usize) -> bool {
        self.row == pixels * self.pixel
    }
}

impl Rows {
    /// What gives these rows of the output. A transposed convolution gives all.
    pub fn new(
        kind: Kind,
        window: Window,
        rows: &Range<usize>,
        [input, output]: [&Layout; 2],
        add: Option<&Layout>,
    ) -> Self {
        let Window { strides, pads, kernel } = window;
        let first = rows.start;
        let (count, width, src, to) = match kind {
            Kind::Transposed => {
                (input.shape.height, input.shape.width, Steps::of(input, input.pixel(0, 0), [1; 2]), kernel)
            }
            Kind::Dense | Kind::Patches | Kind::Depthwise => {
                let start = input.window(first * strides[0], [pads[0], pads[1]]);
                (rows.len(), output.shape.width, Steps::of(input, start, strides), [1; 2])
            }
        };
        let written = |layout: &Layout| Steps::of(layout, layout.pixel(first, 0), to);
        let (add, dst) = (add.map(written), written(output));
        // Rows without borders between them are one row.
        let is_flat = [Some(src), add, Some(dst)].iter().flatten().all(|steps| steps.is_flat(width));
        let (count, pixels) = if is_flat { (1, count * width) } else { (count, width) };
        Self { count, pixels, src, add, dst }
    }
}

/// Runs a task: it reads its maps and writes rows of its own one.
pub fn run(step: &Step, task: &Task, arena: &mut Arena) {
    let (isa, Task { input, output, .. }) = (step.isa, task);
    arena.write(output, &task.rows, task.kept, |arena, dst, scratch| {
        let src = arena.map(input);
        match &step.work {
            Work::Convolution { filters, is_depthwise, limits, window } => {
                let Some(rows) = task.convolved else { return };
                let add = task.add.as_ref().map(|add| arena.map(add));
                for filters in filters {
                    filters.each_row(rows, *window, *limits, (src, add), dst, |channels, row| {
                        if *is_depthwise {
                            simd::depthwise(isa, row);
                        } else {
                            simd::convolve(isa, channels, row);
                        }
                    });
                }
            }
            Work::Winograd { channels, weights, bias, limits, pads } => {
                let patches = &mut Patches {
                    size: [output.shape.height, output.shape.width],
                    src: &src[input.window(0, *pads)..],
                    src_row_step: input.row_step(),
                    src_step: input.step,
                    channels: *channels,
                    weights,
                    bias,
                    limits: *limits,
                    dst: &mut dst[output.pixel(0, 0)..],
                    dst_row_step: output.row_step(),
                    dst_step: output.step,
                    scratch,
                };
                simd::winograd(isa, patches);
            }
            Work::MaxPool(window) => max_pool(isa, window, task, src, dst),
            Work::AveragePool { window, counts_padding } => {
                average_pool(isa, window, *counts_padding, [input, output], src, dst);
            }
            Work::GlobalMean => {
                let Shape { height, width, .. } = input.shape;
                let window = pool_window(input, height, width);
                mean(isa, window, &src[input.pixel(0, 0)..], &mut dst[output.pixel(0, 0)..], height * width);
            }
            Work::TapMeans { window, pixels } => tap_means(isa, window, *pixels, [input, output], src, dst),
            Work::Softmax => {
                let channels = output.shape.channels;
                softmax(&src[input.pixel(0, 0)..][..channels], &mut dst[output.pixel(0, 0)..][..channels]);
            }
            Work::Sigmoid => sigmoid(input, output, src, dst),
        }
    });
}

impl Filters {
    fn each_row(
        &self,
        rows: Rows,
        window: simd::Window,
        limits: [f32; 2],
        (src, add): (&[f32], Option<&[f32]>),
        dst: &mut [f32],
        compute: impl Fn(usize, &mut Row),
    ) {
        let Rows { count, pixels, src: from, add: added, dst: to } = rows;
        for row in 0..count {
            compute(
                self.channels,
                &mut Row {
                    pixels,
                    window,
                    src: &src[from.start + row * from.row..],
                    src_step: from.pixel,
                    weights: &self.weights,
                    bias: &self.bias,
                    add: add.zip(added).map(|(add, steps)| &add[steps.of_filters(row, self)..]),
                    add_step: added.map_or(0, |steps| steps.pixel),
                    dst: &mut dst[to.of_filters(row, self)..],
                    dst_step: to.pixel,
                    limits,
                },
            );
        }
    }
}

fn max_pool(isa: Isa, window: &Window, Task { input, output, rows, .. }: &Task, src: &[f32], dst: &mut [f32]) {
    let [columns, width] = [output.shape.width, input.shape.width];
    for row in rows.clone() {
        let rows = window.part(0, row, input.shape.height);
        let mut first = 0;
        while first < columns {
            // Whole windows are one row of tiles, those that are cut by the border are rows of one pixel.
            let is_whole = |column: usize| window.part(1, column, width).len() == window.kernel[1];
            let pixels = (first..columns).take_while(|column| is_whole(*column)).count().max(1);
            let part = window.part(1, first, width);
            let src = (&src[input.pixel(rows.start, part.start)..], window.strides[1] * input.step);
            let dst = (&mut dst[output.pixel(row, first)..], output.step);
            simd::max_pool(isa, &mut Row::pool(pixels, pool_window(input, rows.len(), part.len()), src, dst));
            first += pixels;
        }
    }
}

fn average_pool(
    isa: Isa,
    window: &Window,
    counts_padding: bool,
    [input, output]: [&Layout; 2],
    src: &[f32],
    dst: &mut [f32],
) {
    for row in 0..output.shape.height {
        let rows = window.part(0, row, input.shape.height);
        for column in 0..output.shape.width {
            let columns = window.part(1, column, input.shape.width);
            let pixels = if counts_padding { window.kernel.iter().product() } else { rows.len() * columns.len() };
            let part = pool_window(input, rows.len(), columns.len());
            let src = &src[input.pixel(rows.start, columns.start)..];
            mean(isa, part, src, &mut dst[output.pixel(row, column)..], pixels);
        }
    }
}

/// See [`super::graph::Op::TapMeans`].
fn tap_means(
    isa: Isa,
    window: &Window,
    [height, width]: [usize; 2],
    [input, output]: [&Layout; 2],
    src: &[f32],
    dst: &mut [f32],
) {
    let Window { kernel, strides, pads } = *window;
    let met = simd::Window {
        rows: height,
        row_step: input.row_step() * strides[0],
        runs: width,
        run_step: input.step * strides[1],
        run_length: input.shape.channels,
    };
    let first = input.window(0, [pads[0], pads[1]]);
    let means = dst[output.pixel(0, 0)..].chunks_exact_mut(input.shape.channels);
    for (position, means) in means.take(kernel[0] * kernel[1]).enumerate() {
        let (row, column) = (position / kernel[1], position % kernel[1]);
        mean(isa, met, &src[first + row * input.row_step() + column * input.step..], means, height * width);
    }
}

fn pool_window(input: &Layout, rows: usize, columns: usize) -> simd::Window {
    simd::Window { rows, row_step: input.row_step(), runs: columns, run_step: input.step, run_length: input.step }
}

/// The mean of a window over `count`, for each channel.
fn mean(isa: Isa, window: simd::Window, src: &[f32], dst: &mut [f32], count: usize) {
    simd::mean(isa, &mut Row::pool(1, window, (src, 0), (dst, 0)), count);
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
