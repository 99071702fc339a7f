//! Tiles, whatever the instruction set is.

use super::Window;

/// Some pixels of a row, see [`super::Row`].
#[derive(Clone, Copy)]
pub struct Tile {
    pub window: Window,
    pub src: *const f32,
    pub src_step: usize,
    pub weights: *const f32,
    pub bias: *const f32,
    pub add: Option<*const f32>,
    pub add_step: usize,
    pub dst: *mut f32,
    pub dst_step: usize,
    pub limits: [f32; 2],
}

impl Tile {
    /// The tile that begins `pixels` after this one.
    ///
    /// # Safety
    /// The row has these pixels.
    #[inline(always)]
    pub unsafe fn after(self, pixels: usize) -> Self {
        // SAFETY: the caller's.
        unsafe {
            Self {
                src: self.src.add(pixels * self.src_step),
                add: self.add.map(|add| add.add(pixels * self.add_step)),
                dst: self.dst.add(pixels * self.dst_step),
                ..self
            }
        }
    }
}

/// Computes this number of tiles, which follow each other. All that their windows and steps reach must be readable or writable,
/// and the processor must have the instructions.
pub type TilesFn = unsafe fn(Tile, usize);

/// Numbers that one instruction computes at once. Its functions are inlined into functions with the instructions'
/// `target_feature`, and must only be called from there.
pub trait Vector: Copy {
    const LANES: usize;
    unsafe fn splat(value: f32) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn sub(self, other: Self) -> Self;
    unsafe fn max(self, other: Self) -> Self;
    unsafe fn min(self, other: Self) -> Self;
    /// `self + a * b`
    unsafe fn add_product(self, a: Self, b: Self) -> Self;
}

#[inline(always)]
pub unsafe fn convolve_tile<V: Vector, const PIXELS: usize, const VECTORS: usize>(tile: &Tile) {
    let Window { rows, row_step, runs, run_step, run_length } = tile.window;
    // SAFETY: the caller's, see `TileFn`.
    unsafe {
        let mut sums = [[V::splat(0.0); VECTORS]; PIXELS];
        for vector in 0..VECTORS {
            let bias = V::load(tile.bias.add(vector * V::LANES));
            for sums in &mut sums {
                sums[vector] = bias;
            }
        }
        let mut weights = tile.weights;
        for row in 0..rows {
            for run in 0..runs {
                let mut src = tile.src.add(row * row_step + run * run_step);
                for _ in 0..run_length {
                    let mut factors = [V::splat(0.0); VECTORS];
                    for (vector, factor) in factors.iter_mut().enumerate() {
                        *factor = V::load(weights.add(vector * V::LANES));
                    }
                    for (pixel, sums) in sums.iter_mut().enumerate() {
                        let value = V::splat(*src.add(pixel * tile.src_step));
                        for (sum, factor) in sums.iter_mut().zip(factors) {
                            *sum = sum.add_product(value, factor);
                        }
                    }
                    src = src.add(1);
                    weights = weights.add(VECTORS * V::LANES);
                }
            }
        }
        for (pixel, sums) in sums.iter().enumerate() {
            for (vector, sum) in sums.iter().enumerate() {
                finish(tile, pixel, vector * V::LANES, *sum);
            }
        }
    }
}

/// As [`convolve_tile`] for windows that are 3 wide and side by side in a map of one channel: each number is loaded once for all
/// windows that it is in.
#[inline(always)]
pub unsafe fn gray_tile<V: Vector, const PIXELS: usize>(tile: &Tile) {
    // SAFETY: the caller's, see `TilesFn`.
    unsafe {
        let mut sums = [V::load(tile.bias); PIXELS];
        for row in 0..tile.window.rows {
            let src = tile.src.add(row * tile.window.row_step);
            let weights = tile.weights.add(row * 3 * V::LANES);
            let factors = [V::load(weights), V::load(weights.add(V::LANES)), V::load(weights.add(2 * V::LANES))];
            let mut values = [V::splat(*src), V::splat(*src.add(1)), V::splat(*src.add(2))];
            for (pixel, sum) in sums.iter_mut().enumerate() {
                *sum = sum.add_product(values[0], factors[0]);
                *sum = sum.add_product(values[1], factors[1]);
                *sum = sum.add_product(values[2], factors[2]);
                if pixel + 1 < PIXELS {
                    values = [values[1], values[2], V::splat(*src.add(pixel + 3))];
                }
            }
        }
        for (pixel, sum) in sums.iter().enumerate() {
            finish(tile, pixel, 0, *sum);
        }
    }
}

/// `STRIDE` is the number of pixels from one window to the next where windows are 3 wide: then, the compiler loads pixels once
/// for all windows that they are in. 0 stands for windows of any width.
#[inline(always)]
pub unsafe fn depthwise_tile<V: Vector, const PIXELS: usize, const STRIDE: usize>(
    tile: &Tile,
    channels: std::ops::Range<usize>,
) {
    let Window { rows, row_step, runs, run_step, run_length } = tile.window;
    let (runs, src_step) = if STRIDE == 0 { (runs, tile.src_step) } else { (3, STRIDE * run_step) };
    let mut channel = channels.start;
    // SAFETY: the caller's, see `TileFn`.
    unsafe {
        while channel + V::LANES <= channels.end {
            let mut sums = [V::load(tile.bias.add(channel)); PIXELS];
            let mut weights = tile.weights.add(channel);
            for row in 0..rows {
                let src = tile.src.add(row * row_step + channel);
                if STRIDE == 0 {
                    for run in 0..runs {
                        let factor = V::load(weights.add(run * run_length));
                        for (pixel, sum) in sums.iter_mut().enumerate() {
                            *sum = sum.add_product(V::load(src.add(run * run_step + pixel * src_step)), factor);
                        }
                    }
                } else {
                    let factors =
                        [V::load(weights), V::load(weights.add(run_length)), V::load(weights.add(2 * run_length))];
                    for (pixel, sum) in sums.iter_mut().enumerate() {
                        for (run, factor) in factors.into_iter().enumerate() {
                            let value = V::load(src.add((pixel * STRIDE + run) * run_step));
                            *sum = sum.add_product(value, factor);
                        }
                    }
                }
                weights = weights.add(runs * run_length);
            }
            for (pixel, sum) in sums.iter().enumerate() {
                finish(tile, pixel, channel, *sum);
            }
            channel += V::LANES;
        }
    }
}

/// Adds what is to be added, applies the limits and stores.
#[inline(always)]
unsafe fn finish<V: Vector>(tile: &Tile, pixel: usize, channel: usize, mut sum: V) {
    // SAFETY: the caller's, see `TileFn`.
    unsafe {
        if let Some(add) = tile.add {
            sum = sum.add(V::load(add.add(pixel * tile.add_step + channel)));
        }
        let [least, most] = tile.limits;
        sum.max(V::splat(least)).min(V::splat(most)).store(tile.dst.add(pixel * tile.dst_step + channel));
    }
}

/// `RUNS` is the width of the windows; 0 stands for any width.
#[inline(always)]
pub unsafe fn max_tile<V: Vector, const RUNS: usize>(tile: &Tile, pixels: usize) {
    let Window { rows, row_step, runs, run_step, run_length } = tile.window;
    let runs = if RUNS == 0 { runs } else { RUNS };
    // SAFETY: the caller's: the windows of all `pixels` lie in the source, and the pixels in the destination.
    unsafe {
        for pixel in 0..pixels {
            for channel in (0..run_length).step_by(V::LANES) {
                let src = tile.src.add(pixel * tile.src_step + channel);
                let steps = [row_step, run_step];
                // The usual size is known to the compiler, which makes no loops of it.
                let largest = if RUNS == 3 && rows == 3 {
                    largest::<V>(src, [3, 3], steps)
                } else {
                    largest::<V>(src, [rows, runs], steps)
                };
                largest.store(tile.dst.add(pixel * tile.dst_step + channel));
            }
        }
    }
}

/// The largest number of a window, for each lane. The caller guarantees that the window can be read.
#[inline(always)]
unsafe fn largest<V: Vector>(src: *const f32, [rows, runs]: [usize; 2], [row_step, run_step]: [usize; 2]) -> V {
    // SAFETY: the caller's.
    unsafe {
        let mut largest = V::load(src);
        for row in 0..rows {
            for run in 0..runs {
                largest = largest.max(V::load(src.add(row * row_step + run * run_step)));
            }
        }
        largest
    }
}

/// The sum of each pixel's window over `count`, for each channel; `run_length` may be any number.
#[inline(always)]
pub unsafe fn mean_tile<V: Vector>(tile: &Tile, pixels: usize, count: f32) {
    let Window { rows, row_step, runs, run_step, run_length } = tile.window;
    let whole = run_length - run_length % V::LANES;
    // SAFETY: the caller's: the windows of all `pixels` lie in the source, and the pixels in the destination.
    unsafe {
        let factor = V::splat(1.0 / count);
        for pixel in 0..pixels {
            let (src, dst) = (tile.src.add(pixel * tile.src_step), tile.dst.add(pixel * tile.dst_step));
            for channel in (0..whole).step_by(V::LANES) {
                let mut sum = V::splat(0.0);
                for row in 0..rows {
                    for run in 0..runs {
                        sum = sum.add(V::load(src.add(row * row_step + run * run_step + channel)));
                    }
                }
                V::splat(0.0).add_product(sum, factor).store(dst.add(channel));
            }
            for channel in whole..run_length {
                let mut sum = 0.0;
                for row in 0..rows {
                    for run in 0..runs {
                        sum += *src.add(row * row_step + run * run_step + channel);
                    }
                }
                *dst.add(channel) = sum / count;
            }
        }
    }
}
