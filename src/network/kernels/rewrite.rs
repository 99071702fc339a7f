//! Exact rewrites of a graph: less arithmetic, the same outputs but for rounding.

use super::graph::{Convolution, Graph, Kind, Op, Shape};
use super::winograd;

/// Removes filters of the first convolution that give 0 for every picture whose pixels are in `range`: `bias` and the largest
/// products have a sum of at most 0, and a rectifier follows.
pub fn remove_dead_filters(graph: &mut Graph, range: [f32; 2]) {
    for node in 0..graph.nodes.len() {
        let (input, map) = (graph.nodes[node].input, graph.nodes[node].output);
        let Op::Convolution(convolution) = &graph.nodes[node].op else { continue };
        let is_rectified = convolution.add.is_none() && convolution.limits[0] == 0.0;
        if input != 0 || convolution.kind != Kind::Dense || !is_rectified || !only_dense_read(graph, map) {
            continue;
        }
        let lives = live_filters(convolution, range);
        let live = lives.iter().filter(|lives| **lives).count();
        if live == 0 || live == lives.len() {
            continue;
        }
        graph.maps[map].channels = live;
        for reader in &mut graph.nodes {
            let Op::Convolution(convolution) = &mut reader.op else { continue };
            if reader.output == map {
                let size = convolution.weights.len() / lives.len();
                convolution.weights = live_parts(&convolution.weights, size, &lives);
                convolution.bias = live_parts(&convolution.bias, 1, &lives);
            } else if reader.input == map {
                let area = convolution.window.kernel.iter().product();
                convolution.weights = live_parts(&convolution.weights, area, &lives);
            }
        }
    }
}

/// Lets the convolutions be computed in patches that are faster so.
pub fn compute_in_patches(graph: &mut Graph) {
    for node in &mut graph.nodes {
        if let Op::Convolution(convolution) = &mut node.op
            && winograd::suits(convolution, graph.maps[node.input], graph.maps[node.output])
        {
            convolution.kind = Kind::Patches;
        }
    }
}

/// The parts of this `size` that belong to live filters, which follow each other again and again.
fn live_parts(values: &[f32], size: usize, lives: &[bool]) -> Vec<f32> {
    let parts = values.chunks_exact(size).zip(lives.iter().cycle());
    parts.filter(|(_, lives)| **lives).flat_map(|(part, _)| part.iter().copied()).collect()
}

/// Whether dense convolutions are all that reads a map.
fn only_dense_read(graph: &Graph, map: usize) -> bool {
    !graph.outputs.contains(&map)
        && graph.nodes.iter().all(|node| match &node.op {
            Op::Convolution(convolution) => {
                convolution.add != Some(map) && (node.input != map || convolution.kind == Kind::Dense)
            }
            _ => node.input != map,
        })
}

/// Whether each filter can give more than 0.
fn live_filters(convolution: &Convolution, [least, most]: [f32; 2]) -> Vec<bool> {
    // The border is 0.
    let range = if convolution.window.pads == [0; 4] { [least, most] } else { [least.min(0.0), most.max(0.0)] };
    let size = convolution.weights.len() / convolution.bias.len();
    let filters = convolution.weights.chunks_exact(size).zip(&convolution.bias);
    let largest =
        |weight: &f32| range.map(|pixel| f64::from(pixel) * f64::from(*weight)).into_iter().fold(f64::MIN, f64::max);
    filters.map(|(filter, bias)| f64::from(*bias) + filter.iter().map(largest).sum::<f64>() > 0.0).collect()
}

/// The mean of a convolution over all pixels is the product of its weights with the means of what each weight meets: far fewer
/// products.
pub fn take_means_first(graph: &mut Graph) {
    for mean in 0..graph.nodes.len() {
        let map = graph.nodes[mean].input;
        let is_only_reader = graph.nodes.iter().filter(|node| node.reads(map)).count() == 1;
        if !matches!(graph.nodes[mean].op, Op::GlobalMean) || !is_only_reader || graph.outputs.contains(&map) {
            continue;
        }
        let Some(maker) = graph.nodes.iter_mut().find(|node| node.output == map) else { continue };
        let inputs = graph.maps[maker.input].channels;
        let size = graph.maps[map];
        let Op::Convolution(convolution) = &mut maker.op else { continue };
        if convolution.kind != Kind::Dense || !convolution.is_linear() {
            continue;
        }
        let area = convolution.window.kernel.iter().product::<usize>();
        graph.maps[map] = Shape { height: 1, width: 1, channels: area * inputs };
        let weight = |index: usize| {
            let (output, position, input) = (index / (area * inputs), index / inputs % area, index % inputs);
            convolution.weights[(output * inputs + input) * area + position]
        };
        let weights = (0..convolution.weights.len()).map(weight).collect();
        let product = Convolution { weights, bias: convolution.bias.clone(), ..Convolution::point(Kind::Dense) };
        maker.op = Op::TapMeans { window: convolution.window, pixels: [size.height, size.width] };
        graph.nodes[mean].op = Op::Convolution(product);
    }
}
