//! Chains of steps that run band by band, so that what one step writes is still in the cache when the next one reads it.

use std::ops::Range;

use super::arena::{Kept, Layout};
use super::graph::{Convolution, Graph, Kind, Node, Op, Window};

/// How many bytes the bands of a chain may take: well within the second-level cache of today's processors. Where all maps
/// between the steps of a chain take less, there are no bands.
const CACHE_BYTES: usize = 512 * 1024;

/// Some rows of a node's map, and what its input and output hold meanwhile.
pub struct Band {
    pub node: usize,
    pub rows: Range<usize>,
    pub first_input_row: usize,
    pub first_output_row: usize,
    pub kept: Option<Kept>,
}

/// The nodes in chains: inside one, each node is all that reads the map of the node before it, row by row.
pub fn chains(graph: &Graph) -> Vec<Range<usize>> {
    let mut chains = Vec::new();
    let mut start = 0;
    for node in 1..=graph.nodes.len() {
        if node == graph.nodes.len() || !follows(graph, node) {
            chains.push(start..node);
            start = node;
        }
    }
    chains
}

fn follows(graph: &Graph, node: usize) -> bool {
    let (before, node) = (&graph.nodes[node - 1], &graph.nodes[node]);
    let map = before.output;
    let is_added = matches!(&node.op, Op::Convolution(Convolution { add: Some(add), .. }) if *add == map);
    let readers = graph.nodes.iter().filter(|node| node.reads(map)).count();
    let is_only_reader = node.input == map && !is_added && readers == 1 && !graph.outputs.contains(&map);
    is_only_reader && row_window(before).is_some() && row_window(node).is_some()
}

/// The windows of a node that can run row by row. Patches are computed for the whole map, from the whole map.
fn row_window(node: &Node) -> Option<Window> {
    match &node.op {
        Op::Convolution(Convolution { kind: Kind::Dense | Kind::Depthwise, window, .. }) | Op::MaxPool(window) => {
            Some(*window)
        }
        _ => None,
    }
}

/// The bands of a chain in the order in which they run. The maps between its steps hold as many rows as the bands need.
pub fn schedule(graph: &Graph, chain: &Range<usize>, layouts: &mut [Layout]) -> Vec<Band> {
    let nodes = &graph.nodes[chain.clone()];
    let between = |layouts: &[Layout]| -> usize {
        let maps = nodes[..nodes.len() - 1].iter().map(|node| layouts[node.output].len() * size_of::<f32>());
        maps.sum()
    };
    let height = |node: &Node| layouts[node.output].shape.height;
    let mut rows = nodes.last().map_or(0, height);
    loop {
        let (bands, held) = in_bands(nodes, chain.start, layouts, rows);
        let mut banded = layouts.to_vec();
        for (node, held) in nodes.iter().zip(held) {
            banded[node.output].held_rows = held;
        }
        if rows <= 1 || between(&banded) <= CACHE_BYTES {
            layouts.copy_from_slice(&banded);
            return bands;
        }
        rows = rows.div_ceil(2);
    }
}

/// The bands where the last step of a chain writes `rows` rows at once, and how many rows the maps then hold.
fn in_bands(nodes: &[Node], first: usize, layouts: &[Layout], rows: usize) -> (Vec<Band>, Vec<usize>) {
    let last = nodes.len() - 1;
    let height = |step: usize| layouts[nodes[step].output].shape.height;
    let windows: Vec<_> = nodes.iter().map(row_window).collect();
    // The row, the border's rows among them, that a step reads first for a row of its map.
    let first_read = |step: usize, row: usize| {
        let top = layouts[nodes[step].input].border[0];
        windows[step].map_or(0, |window| (top + row * window.strides[0]).saturating_sub(window.pads[0]))
    };
    let mut done = vec![0; nodes.len()];
    let mut first_held = vec![0; nodes.len()];
    let mut held: Vec<_> =
        (0..nodes.len()).map(|step| if step == last { layouts[nodes[last].output].held_rows } else { 0 }).collect();
    let mut bands = Vec::new();
    while done[last] < height(last) {
        let mut ends = done.clone();
        ends[last] = height(last).min(done[last] + rows);
        for step in (0..last).rev() {
            let read = windows[step + 1].map_or(height(step), |window| {
                ((ends[step + 1] - 1) * window.strides[0] + window.kernel[0]).saturating_sub(window.pads[0])
            });
            ends[step] = read.clamp(done[step], height(step));
        }
        for step in 0..nodes.len() {
            let written = done[step]..ends[step];
            if written.is_empty() {
                continue;
            }
            let output = &layouts[nodes[step].output];
            let [top, _, bottom, _] = output.border;
            let mut kept = None;
            if step < last {
                let ready = if written.start == 0 { 0 } else { top + written.start };
                let first_row = first_read(step + 1, done[step + 1]).min(ready);
                let row_step = output.row_step();
                if first_row > first_held[step] {
                    let (from, len) = ((first_row - first_held[step]) * row_step, (ready - first_row) * row_step);
                    kept = Some(Kept { from, len });
                    first_held[step] = first_row;
                }
                let end = top + written.end + if written.end == output.shape.height { bottom } else { 0 };
                held[step] = held[step].max(end - first_held[step]);
            }
            let first_input_row = if step == 0 { 0 } else { first_held[step - 1] };
            done[step] = written.end;
            bands.push(Band {
                node: first + step,
                rows: written,
                first_input_row,
                first_output_row: first_held[step],
                kept,
            });
        }
    }
    (bands, held)
}
