//! Every instruction set against plain loops, with slices that end where the last pixel does.

use super::*;

/// Numbers from -1 to 1 without a pattern, always the same for a `seed`.
fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// What a row is made of, with borders beside the pixels.
struct Case {
    pixels: usize,
    stride: usize,
    rows: usize,
    runs: usize,
    inputs: usize,
    outputs: usize,
    adds: bool,
}

const CASES: [Case; 7] = [
    Case { pixels: 1, stride: 1, rows: 1, runs: 1, inputs: 3, outputs: 8, adds: false },
    Case { pixels: 25, stride: 1, rows: 3, runs: 3, inputs: 1, outputs: 8, adds: true },
    Case { pixels: 23, stride: 1, rows: 3, runs: 3, inputs: 5, outputs: 16, adds: true },
    Case { pixels: 10, stride: 2, rows: 3, runs: 3, inputs: 8, outputs: 32, adds: false },
    Case { pixels: 31, stride: 2, rows: 1, runs: 1, inputs: 24, outputs: 24, adds: true },
    Case { pixels: 7, stride: 1, rows: 5, runs: 2, inputs: 40, outputs: 40, adds: true },
    Case { pixels: 12, stride: 3, rows: 2, runs: 4, inputs: 16, outputs: 48, adds: false },
];

const LIMITS: [f32; 2] = [-0.75, 1.5];

impl Case {
    fn padded(&self, depthwise: bool) -> usize {
        if depthwise { self.inputs.next_multiple_of(LANES) } else { self.inputs }
    }

    /// The window, with a row step that is larger than a row.
    fn window(&self, channels: usize) -> Window {
        let row_step = (self.pixels * self.stride + self.runs + 1) * channels;
        Window { rows: self.rows, row_step, runs: self.runs, run_step: channels, run_length: channels }
    }

    fn src(&self, window: Window) -> Vec<f32> {
        numbers(1, (self.pixels - 1) * self.stride * window.run_step + window.span())
    }

    fn value(&self, window: Window, src: &[f32], pixel: usize, [row, run, channel]: [usize; 3]) -> f32 {
        src[row * window.row_step + (pixel * self.stride + run) * window.run_step + channel]
    }

    /// The positions of a window with all its channels, in the order of the weights.
    fn positions(&self, channels: usize) -> impl Iterator<Item = [usize; 3]> + use<> {
        let [rows, runs] = [self.rows, self.runs];
        (0..rows * runs * channels).map(move |at| [at / (runs * channels), at / channels % runs, at % channels])
    }
}

/// Sums of up to 300 products of numbers below 1 differ that much where they are summed in another order.
const ROUNDING: f32 = 2e-5;

/// Winograd's transforms multiply the rounding errors.
const ROUNDING_OF_TRANSFORMS: f32 = 1e-4;

fn check_close(isa: Isa, expected: &[f32], got: &[f32], rounding: f32) {
    assert_eq!(expected.len(), got.len());
    for (position, (expected, got)) in expected.iter().zip(got).enumerate() {
        assert!((expected - got).abs() <= rounding, "{isa:?}, number {position}: {got} instead of {expected}");
    }
}

#[test]
fn dense_convolutions_are_sums_of_products() {
    for case in CASES {
        let window = case.window(case.inputs);
        // Pixels of one channel follow each other without a gap.
        let joined = Window { runs: 1, run_length: case.runs, ..window };
        let src = case.src(window);
        for isa in Isa::available() {
            let mut first = 0;
            while first < case.outputs {
                let channels = isa.tile_channels(case.outputs - first);
                let weights = numbers(2, case.rows * case.runs * case.inputs * channels);
                let (bias, add) = (numbers(3, channels), numbers(4, (case.pixels - 1) * 50 + channels));
                let mut dst = vec![9.0; (case.pixels - 1) * 50 + channels];
                let mut expected = dst.clone();
                for (pixel, channel) in (0..case.pixels).flat_map(|pixel| (0..channels).map(move |one| (pixel, one))) {
                    let products = case.positions(case.inputs).enumerate();
                    let sum: f32 = products
                        .map(|(at, position)| {
                            case.value(window, &src, pixel, position) * weights[at * channels + channel]
                        })
                        .sum();
                    let added = if case.adds { add[pixel * 50 + channel] } else { 0.0 };
                    expected[pixel * 50 + channel] = (sum + bias[channel] + added).clamp(LIMITS[0], LIMITS[1]);
                }
                let mut row = Row {
                    weights: &weights,
                    bias: &bias,
                    add: case.adds.then_some(&add),
                    add_step: 50,
                    limits: LIMITS,
                    ..Row::pool(
                        case.pixels,
                        if case.inputs == 1 { joined } else { window },
                        (&src, case.stride * case.inputs),
                        (&mut dst, 50),
                    )
                };
                convolve(isa, channels, &mut row);
                check_close(isa, &expected, &dst, ROUNDING);
                first += channels;
            }
        }
    }
}

#[test]
fn depthwise_convolutions_pools_and_means_keep_channels_apart() {
    for case in CASES {
        let channels = case.padded(true);
        let window = case.window(channels);
        let src = case.src(window);
        let weights = numbers(2, case.rows * case.runs * channels);
        let bias = numbers(3, channels);
        let of_window = |pixel: usize, channel: usize| -> Vec<([usize; 3], f32)> {
            let positions = case.positions(channels).filter(|position| position[2] == channel);
            positions.map(|position| (position, case.value(window, &src, pixel, position))).collect()
        };
        let each = |compute: &dyn Fn(usize, usize) -> f32| -> Vec<f32> {
            (0..case.pixels * channels).map(|at| compute(at / channels, at % channels)).collect()
        };
        let convolved = each(&|pixel, channel| {
            let products = of_window(pixel, channel)
                .into_iter()
                .map(|([row, run, _], value)| value * weights[(row * case.runs + run) * channels + channel]);
            (products.sum::<f32>() + bias[channel]).clamp(LIMITS[0], LIMITS[1])
        });
        let largest = each(&|pixel, channel| {
            of_window(pixel, channel).iter().map(|(_, value)| *value).fold(f32::NEG_INFINITY, f32::max)
        });
        let means = each(&|pixel, channel| of_window(pixel, channel).iter().map(|(_, value)| value).sum::<f32>() / 7.0);
        for isa in Isa::available() {
            let steps = [case.stride * channels, channels];
            let run = |compute: &dyn Fn(&mut Row)| {
                let mut dst = vec![9.0; case.pixels * channels];
                let row = Row::pool(case.pixels, window, (&src, steps[0]), (&mut dst, steps[1]));
                compute(&mut Row { weights: &weights, bias: &bias, limits: LIMITS, ..row });
                dst
            };
            check_close(isa, &convolved, &run(&|row| depthwise(isa, row)), ROUNDING);
            check_close(isa, &largest, &run(&|row| max_pool(isa, row)), ROUNDING);
            check_close(isa, &means, &run(&|row| mean(isa, row, 7)), ROUNDING);
        }
    }
}

#[test]
fn winograd_gives_what_a_direct_convolution_gives() {
    for (size, channels, src_step, dst_step) in [([4, 8], 1, 8, 8), ([9, 14], 11, 16, 24), ([6, 33], 24, 24, 40)] {
        let [height, width] = size;
        let [last_row, columns] = size.map(|side: usize| side.next_multiple_of(winograd::SIDE) + 2);
        let src_row_step = (columns + 1) * src_step;
        let mut src = numbers(1, (last_row - 1) * src_row_step + columns * src_step);
        for (position, value) in src.iter_mut().enumerate() {
            if position % src_step >= channels {
                *value = 0.0;
            }
        }
        let filters = numbers(2, dst_step * channels * 9);
        let bias = numbers(3, dst_step);
        let dst_row_step = (width + 2) * dst_step;
        let mut expected = vec![9.0; (height - 1) * dst_row_step + width * dst_step];
        for (pixel, output) in (0..height * width).flat_map(|pixel| (0..dst_step).map(move |one| (pixel, one))) {
            let (row, column) = (pixel / width, pixel % width);
            let products = (0..channels * 9).map(|at| {
                let (channel, position) = (at / 9, at % 9);
                let value = (row + position / 3) * src_row_step + (column + position % 3) * src_step + channel;
                src[value] * filters[(output * channels + channel) * 9 + position]
            });
            expected[row * dst_row_step + column * dst_step + output] =
                (products.sum::<f32>() + bias[output]).clamp(LIMITS[0], LIMITS[1]);
        }
        let weights = winograd::transform_filters(&filters, channels, dst_step);
        for isa in Isa::available() {
            let mut dst = vec![9.0; expected.len()];
            let mut scratch = vec![0.0; Patches::scratch_len(src_step, dst_step)];
            winograd(
                isa,
                &mut Patches {
                    size,
                    src: &src,
                    src_row_step,
                    src_step,
                    channels,
                    weights: &weights,
                    bias: &bias,
                    limits: LIMITS,
                    dst: &mut dst,
                    dst_row_step,
                    dst_step,
                    scratch: &mut scratch,
                },
            );
            check_close(isa, &expected, &dst, ROUNDING_OF_TRANSFORMS);
        }
    }
}

/// Without the checks, the tiles would read or write beyond the slices.
#[test]
fn slices_that_end_too_early_are_refused() {
    let case = &CASES[2];
    let window = case.window(case.inputs);
    let (src, weights, bias) = (case.src(window), numbers(2, 9 * 5 * 8), numbers(3, 8));
    let add = numbers(4, 23 * 8);
    // No tile has so few channels.
    let compute = || {
        let mut dst = vec![0.0; 23 * 8];
        let row = Row::pool(case.pixels, window, (&src, case.inputs), (&mut dst, 8));
        convolve(Isa::fastest(), 4, &mut Row { weights: &weights[..9 * 5 * 4], bias: &bias[..4], ..row });
    };
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(compute)).is_err());
    let refuses = |src: &[f32], weights: &[f32], bias: &[f32], add: &[f32], dst_len: usize| {
        let mut dst = vec![0.0; dst_len];
        let row = Row::pool(case.pixels, window, (src, case.inputs), (&mut dst, 8));
        let mut row = Row { weights, bias, add: Some(add), add_step: 8, ..row };
        let compute = std::panic::AssertUnwindSafe(|| convolve(Isa::fastest(), 8, &mut row));
        std::panic::catch_unwind(compute).is_err()
    };
    assert!(!refuses(&src, &weights, &bias, &add, 23 * 8));
    assert!(refuses(&src[1..], &weights, &bias, &add, 23 * 8));
    assert!(refuses(&src, &weights[1..], &bias, &add, 23 * 8));
    assert!(refuses(&src, &weights, &bias[1..], &add, 23 * 8));
    assert!(refuses(&src, &weights, &bias, &add[1..], 23 * 8));
    assert!(refuses(&src, &weights, &bias, &add, 23 * 8 - 1));
}
