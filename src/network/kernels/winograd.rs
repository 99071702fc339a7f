//! Which convolutions Winograd's minimal filtering makes faster, and their weights for it.

use super::graph::{Convolution, Kind, Shape, Window};
use super::simd::{LANES, winograd};

/// The transform of a 3x3 filter along one axis (G of Lavin and Gray, 2016, Section 4.3).
const FILTER_TRANSFORM: [[f64; 3]; winograd::WINDOW] = [
    [1.0 / 4.0, 0.0, 0.0],
    [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
    [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
    [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
    [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
    [0.0, 0.0, 1.0],
];

/// What the transforms cost per vector of 8 channels, in multiply-adds of such vectors: of a window, and to the pixels.
const TRANSFORM_COSTS: [usize; 2] = [200, 150];

/// Whether a convolution is faster so than directly: 3x3 windows side by side, and enough of them and of channels.
pub fn suits(convolution: &Convolution, input: Shape, output: Shape) -> bool {
    let Window { kernel, strides, .. } = convolution.window;
    if convolution.kind != Kind::Dense || kernel != [3, 3] || strides != [1, 1] || convolution.add.is_some() {
        return false;
    }
    let [read, written] = [input.channels, output.channels].map(|channels| channels.div_ceil(LANES));
    let patches = output.height.div_ceil(winograd::SIDE) * output.width.div_ceil(winograd::SIDE);
    let patches = patches.next_multiple_of(winograd::AT_ONCE);
    let of_patch =
        winograd::PRODUCTS * input.channels * written + TRANSFORM_COSTS[0] * read + TRANSFORM_COSTS[1] * written;
    let directly = output.height * output.width * 9 * input.channels * written;
    input.channels >= 4 && patches * of_patch < directly
}

/// How far beyond the map its windows reach at the bottom and on the right, where patches are cut.
pub fn overhang(output: Shape) -> [usize; 2] {
    [output.height, output.width].map(|side| side.next_multiple_of(winograd::SIDE) - side)
}

/// The transformed weights: `[product][input][output]`, with outputs up to a multiple of 8.
pub fn pack(convolution: &Convolution, outputs: usize) -> Vec<f32> {
    let count = convolution.bias.len();
    let inputs = convolution.weights.len() / (count * 9).max(1);
    let mut packed = vec![0.0; winograd::PRODUCTS * inputs * outputs];
    for (index, filter) in convolution.weights.chunks_exact(9).enumerate() {
        let (output, input) = (index / inputs, index % inputs);
        for row in 0..winograd::WINDOW {
            for column in 0..winograd::WINDOW {
                let [down, right] = [row, column].map(|axis| FILTER_TRANSFORM[axis]);
                let value: f64 = (0..9).map(|at| f64::from(filter[at]) * down[at / 3] * right[at % 3]).sum();
                packed[((row * winograd::WINDOW + column) * inputs + input) * outputs + output] = value as f32;
            }
        }
    }
    packed
}
