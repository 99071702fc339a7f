//! Which convolutions Winograd's minimal filtering makes faster, and their weights for it.

use super::graph::{Convolution, Kind, Shape, Window};
use super::simd::{LANES, winograd};

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

/// The transformed weights, with outputs up to a multiple of 8.
pub fn pack(convolution: &Convolution, outputs: usize) -> Vec<f32> {
    let inputs = convolution.weights.len() / (convolution.bias.len() * 9).max(1);
    winograd::transform_filters(&convolution.weights, inputs, outputs)
}
