//! Convolution of 3x3 windows by Winograd's minimal filtering, F(4x4, 3x3) (Lavin, Gray: "Fast Algorithms for Convolutional
//! Neural Networks", 2016, Section 4.3): 36 products instead of 144 for 16 output pixels.

use std::mem::MaybeUninit;

use super::Patches;
use super::tile::Vector;

/// Output pixels of a patch along each axis.
pub const SIDE: usize = 4;
/// Input pixels of a patch along each axis.
pub const WINDOW: usize = SIDE + 2;
/// The products of a patch for each pair of channels.
pub const PRODUCTS: usize = WINDOW * WINDOW;
/// How many patches are computed at once: enough sums for the processor to work on while each one waits.
pub const AT_ONCE: usize = 8;

/// The transform of a 3x3 filter along one axis (G of Lavin and Gray, 2016, Section 4.3).
const FILTER_TRANSFORM: [[f64; 3]; WINDOW] = [
    [1.0 / 4.0, 0.0, 0.0],
    [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
    [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
    [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
    [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
    [0.0, 0.0, 1.0],
];

/// The weights of 3x3 filters `[output][input][row][column]` for the products: `[product][input][output]`, with `outputs` outputs.
pub fn transform_filters(filters: &[f32], inputs: usize, outputs: usize) -> Vec<f32> {
    let mut transformed = vec![0.0; PRODUCTS * inputs * outputs];
    for (index, filter) in filters.chunks_exact(9).enumerate() {
        let (output, input) = (index / inputs, index % inputs);
        for product in 0..PRODUCTS {
            let [down, right] = [product / WINDOW, product % WINDOW].map(|axis| FILTER_TRANSFORM[axis]);
            let value: f64 = (0..9).map(|at| f64::from(filter[at]) * down[at / 3] * right[at % 3]).sum();
            transformed[(product * inputs + input) * outputs + output] = value as f32;
        }
    }
    transformed
}

/// Computes all patches: `V` for most channels, `Rest` for the last 8. The transformed windows and their products lie in the
/// scratch memory as `[product][vector of channels][patch]`.
///
/// # Safety
/// All that [`super::winograd`] checks holds, and the processor has the instructions.
#[inline(always)]
pub unsafe fn compute<V: Vector, Rest: Vector>(patches: &mut Patches) {
    let Patches { src_step, src_row_step, dst_step, .. } = *patches;
    let [height, width] = patches.size.map(|side| side.div_ceil(SIDE));
    let (windows, products) = patches.scratch.split_at_mut(PRODUCTS * AT_ONCE * src_step);
    let (windows, products) = (windows.as_mut_ptr(), products.as_mut_ptr());
    let (whole_src, whole_dst) = (src_step - src_step % V::LANES, dst_step - dst_step % V::LANES);
    for first in (0..height * width).step_by(AT_ONCE) {
        let count = AT_ONCE.min(height * width - first);
        // SAFETY: the caller's.
        unsafe {
            for patch in 0..count {
                let (row, column) = ((first + patch) / width * SIDE, (first + patch) % width * SIDE);
                let src = patches.src.as_ptr().add(row * src_row_step + column * src_step);
                for channel in (0..whole_src).step_by(V::LANES) {
                    let to = windows.add(channel * AT_ONCE + patch * V::LANES);
                    transform_window::<V>(patches, src.add(channel), to);
                }
                if whole_src < src_step {
                    let to = windows.add(whole_src * AT_ONCE + patch * Rest::LANES);
                    transform_window::<Rest>(patches, src.add(whole_src), to);
                }
            }
            for product in 0..PRODUCTS {
                for channel in (0..whole_dst).step_by(V::LANES) {
                    multiply::<V, V, Rest>(patches, product, channel, windows, products);
                }
                if whole_dst < dst_step {
                    multiply::<Rest, V, Rest>(patches, product, whole_dst, windows, products);
                }
            }
            for patch in 0..count {
                let corner = [(first + patch) / width * SIDE, (first + patch) % width * SIDE];
                for channel in (0..whole_dst).step_by(V::LANES) {
                    let from = products.add(channel * AT_ONCE + patch * V::LANES);
                    transform_products::<V>(patches, from, channel, corner);
                }
                if whole_dst < dst_step {
                    let from = products.add(whole_dst * AT_ONCE + patch * Rest::LANES);
                    transform_products::<Rest>(patches, from, whole_dst, corner);
                }
            }
        }
    }
}

/// Transforms one window, for one vector of channels.
#[inline(always)]
unsafe fn transform_window<V: Vector>(patches: &Patches, src: *const f32, to: *mut f32) {
    let Patches { src_row_step, src_step, .. } = *patches;
    let mut between = MaybeUninit::<[[V; WINDOW]; WINDOW]>::uninit();
    let between = between.as_mut_ptr().cast::<V>();
    // SAFETY: the caller's; the first loop writes what the second one reads.
    unsafe {
        for column in 0..WINDOW {
            let at = src.add(column * src_step);
            let column = between.add(column);
            let values = of_window([
                V::load(at),
                V::load(at.add(src_row_step)),
                V::load(at.add(2 * src_row_step)),
                V::load(at.add(3 * src_row_step)),
                V::load(at.add(4 * src_row_step)),
                V::load(at.add(5 * src_row_step)),
            ]);
            column.write(values[0]);
            column.add(WINDOW).write(values[1]);
            column.add(2 * WINDOW).write(values[2]);
            column.add(3 * WINDOW).write(values[3]);
            column.add(4 * WINDOW).write(values[4]);
            column.add(5 * WINDOW).write(values[5]);
        }
        let step = AT_ONCE * src_step;
        for row in 0..WINDOW {
            let values = of_window(between.add(row * WINDOW).cast::<[V; WINDOW]>().read());
            let to = to.add(row * WINDOW * step);
            values[0].store(to);
            values[1].store(to.add(step));
            values[2].store(to.add(2 * step));
            values[3].store(to.add(3 * step));
            values[4].store(to.add(4 * step));
            values[5].store(to.add(5 * step));
        }
    }
}

/// The sums over the input channels of one product, for one vector `Sum` of output channels of all patches. `V` and `Rest` are
/// the vectors of the input channels.
#[inline(always)]
unsafe fn multiply<Sum: Vector, V: Vector, Rest: Vector>(
    patches: &Patches,
    product: usize,
    channel: usize,
    windows: *const f32,
    products: *mut f32,
) {
    let Patches { src_step, dst_step, channels, .. } = *patches;
    let whole = src_step - src_step % V::LANES;
    // SAFETY: the caller's.
    unsafe {
        let mut sums = [Sum::splat(0.0); AT_ONCE];
        let mut weights = patches.weights.as_ptr().add(product * channels * dst_step + channel);
        let windows = windows.add(product * AT_ONCE * src_step);
        for first in (0..whole.min(channels)).step_by(V::LANES) {
            let lanes = V::LANES.min(channels - first);
            add_products(&mut sums, windows.add(first * AT_ONCE), V::LANES, weights, dst_step, lanes);
            weights = weights.add(lanes * dst_step);
        }
        if whole < channels {
            let lanes = channels - whole;
            add_products(&mut sums, windows.add(whole * AT_ONCE), Rest::LANES, weights, dst_step, lanes);
        }
        let to = products.add((product * dst_step + channel) * AT_ONCE);
        for (patch, sum) in sums.into_iter().enumerate() {
            sum.store(to.add(patch * Sum::LANES));
        }
    }
}

/// Adds the products of some channels, which lie `step` apart from one patch to the next.
#[inline(always)]
unsafe fn add_products<Sum: Vector>(
    sums: &mut [Sum; AT_ONCE],
    windows: *const f32,
    step: usize,
    weights: *const f32,
    weights_step: usize,
    channels: usize,
) {
    // SAFETY: the caller's.
    unsafe {
        for channel in 0..channels {
            let factor = Sum::load(weights.add(channel * weights_step));
            let src = windows.add(channel);
            for (patch, sum) in sums.iter_mut().enumerate() {
                *sum = sum.add_product(Sum::splat(*src.add(patch * step)), factor);
            }
        }
    }
}

/// Transforms the products of a patch to its pixels, for one vector of channels.
#[inline(always)]
unsafe fn transform_products<V: Vector>(
    patches: &mut Patches,
    products: *const f32,
    channel: usize,
    [first_row, first_column]: [usize; 2],
) {
    let Patches { dst_row_step, dst_step, .. } = *patches;
    let [rows, columns] = [patches.size[0] - first_row, patches.size[1] - first_column].map(|rest| rest.min(SIDE));
    let mut between = MaybeUninit::<[[V; WINDOW]; SIDE]>::uninit();
    let between = between.as_mut_ptr().cast::<V>();
    // SAFETY: the caller's; the first loop writes what the second one reads.
    unsafe {
        let step = AT_ONCE * dst_step;
        for column in 0..WINDOW {
            let at = products.add(column * step);
            let column = between.add(column);
            let values = of_products([
                V::load(at),
                V::load(at.add(WINDOW * step)),
                V::load(at.add(2 * WINDOW * step)),
                V::load(at.add(3 * WINDOW * step)),
                V::load(at.add(4 * WINDOW * step)),
                V::load(at.add(5 * WINDOW * step)),
            ]);
            column.write(values[0]);
            column.add(WINDOW).write(values[1]);
            column.add(2 * WINDOW).write(values[2]);
            column.add(3 * WINDOW).write(values[3]);
        }
        let bias = V::load(patches.bias.as_ptr().add(channel));
        let (least, most) = (V::splat(patches.limits[0]), V::splat(patches.limits[1]));
        let to = patches.dst.as_mut_ptr().add(first_row * dst_row_step + first_column * dst_step + channel);
        for row in 0..rows {
            let values = of_products(between.add(row * WINDOW).cast::<[V; WINDOW]>().read());
            let to = to.add(row * dst_row_step);
            let values = [
                values[0].add(bias).max(least).min(most),
                values[1].add(bias).max(least).min(most),
                values[2].add(bias).max(least).min(most),
                values[3].add(bias).max(least).min(most),
            ];
            values[0].store(to);
            if columns == SIDE {
                values[1].store(to.add(dst_step));
                values[2].store(to.add(2 * dst_step));
                values[3].store(to.add(3 * dst_step));
            } else {
                for (column, value) in values.into_iter().enumerate().take(columns).skip(1) {
                    value.store(to.add(column * dst_step));
                }
            }
        }
    }
}

/// The transform of a window along one axis (the paper's B transposed).
#[inline(always)]
unsafe fn of_window<V: Vector>([a, b, c, d, e, f]: [V; WINDOW]) -> [V; WINDOW] {
    // SAFETY: the caller's.
    unsafe {
        let (two, minus_two) = (V::splat(2.0), V::splat(-2.0));
        let (four, minus_four, minus_five) = (V::splat(4.0), V::splat(-4.0), V::splat(-5.0));
        let (even, odd) = (e.add_product(c, minus_four), d.add_product(b, minus_four));
        let (outer, inner) = (e.sub(c), d.sub(b));
        [
            e.add_product(c, minus_five).add_product(a, four),
            even.add(odd),
            even.sub(odd),
            outer.add_product(inner, two),
            outer.add_product(inner, minus_two),
            f.add_product(d, minus_five).add_product(b, four),
        ]
    }
}

/// The transform of products to pixels along one axis (the paper's A transposed).
#[inline(always)]
unsafe fn of_products<V: Vector>([a, b, c, d, e, f]: [V; WINDOW]) -> [V; SIDE] {
    // SAFETY: the caller's.
    unsafe {
        let (two, four, eight) = (V::splat(2.0), V::splat(4.0), V::splat(8.0));
        let (near_sum, near, far_sum, far) = (b.add(c), b.sub(c), d.add(e), d.sub(e));
        [
            a.add(near_sum).add(far_sum),
            near.add_product(far, two),
            near_sum.add_product(far_sum, four),
            near.add_product(far, eight).add(f),
        ]
    }
}
