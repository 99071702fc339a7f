//! The steps of a network for one size of picture: where the maps lie, how the weights are packed, and how long each step takes.

use super::arena::{Arena, Layout, Slots};
use super::graph::{Convolution, Graph, Kind, MapId, Node, Op, Window};
use super::run::{Filters, Rows, run};
use super::simd::{self, Isa, LANES};

/// What moving a number to or from memory costs, in multiply-adds.
const MOVE_COST: usize = 8;

/// The steps of a network for one size of picture.
pub struct Plan {
    layouts: Vec<Layout>,
    steps: Vec<Step>,
    slot_sizes: Vec<usize>,
    outputs: Vec<MapId>,
}

/// A step writes one map.
pub struct Step {
    pub work: Work,
    pub input: Layout,
    pub add: Option<Layout>,
    pub output: Layout,
    pub isa: Isa,
    /// The share of the run's work that is done after this step, 0 to 1.
    done: f64,
}

pub enum Work {
    Convolution { filters: Vec<Filters>, is_depthwise: bool, limits: [f32; 2], window: simd::Window },
    MaxPool(Window),
    AveragePool { window: Window, counts_padding: bool },
    GlobalMean,
    TapMeans { window: Window, pixels: [usize; 2] },
    Softmax,
    Sigmoid,
}

impl Plan {
    pub fn new(graph: Graph, isa: Isa) -> Result<Self, String> {
        if graph.nodes.is_empty() {
            return Err("no operation".to_owned());
        }
        let (layouts, slot_sizes) = layouts(&graph)?;
        let mut steps = Vec::with_capacity(graph.nodes.len());
        let mut passed = 0;
        for Node { op, input, output } in graph.nodes {
            passed += cost(&op, &layouts[input], &layouts[output]);
            let (input, output) = (layouts[input], layouts[output]);
            let add = match &op {
                Op::Convolution(convolution) => convolution.add.map(|add| layouts[add]),
                _ => None,
            };
            let work = match op {
                Op::Convolution(convolution) => pack(&convolution, isa, &input, add.as_ref(), &output),
                Op::MaxPool(window) => Work::MaxPool(window),
                Op::AveragePool { window, counts_padding } => Work::AveragePool { window, counts_padding },
                Op::GlobalMean => Work::GlobalMean,
                Op::TapMeans { window, pixels } => Work::TapMeans { window, pixels },
                Op::Softmax => Work::Softmax,
                Op::Sigmoid => Work::Sigmoid,
            };
            steps.push(Step { work, input, add, output, isa, done: passed as f64 });
        }
        for step in &mut steps {
            step.done /= passed as f64;
        }
        Ok(Self { layouts, steps, slot_sizes, outputs: graph.outputs })
    }

    pub fn arena(&self) -> Arena {
        let sizes = self.outputs.iter().map(|output| {
            let shape = self.layouts[*output].shape;
            shape.height * shape.width * shape.channels
        });
        Arena::new(&self.slot_sizes, sizes)
    }

    /// Lets `write` write each row of the picture.
    pub fn write_input(&self, arena: &mut Arena, mut write: impl FnMut(usize, &mut [f32])) {
        let layout = &self.layouts[0];
        arena.write(layout, |_, map| {
            for row in 0..layout.shape.height {
                write(row, &mut map[layout.pixel(row, 0)..][..layout.shape.width * layout.step]);
            }
        });
    }

    /// The share of the work that is done after this step; `None` after the last one.
    pub fn done_after(&self, step: usize) -> Option<f64> {
        self.steps.get(step).map(|step| step.done)
    }

    pub fn run_step(&self, step: usize, arena: &mut Arena) {
        run(&self.steps[step], arena);
        if step + 1 == self.steps.len() {
            for (position, output) in self.outputs.iter().enumerate() {
                arena.export(&self.layouts[*output], position);
            }
        }
    }
}

/// Places the maps: their borders, and their slots, which they leave after the last step that reads them.
fn layouts(graph: &Graph) -> Result<(Vec<Layout>, Vec<usize>), String> {
    let mut layouts: Vec<_> = graph
        .maps
        .iter()
        .map(|shape| Layout { shape: *shape, step: shape.channels.next_multiple_of(LANES), border: [0; 4], slot: 0 })
        .collect();
    layouts[0].step = graph.maps[0].channels;
    let mut last_read = vec![0; layouts.len()];
    for (position, node) in graph.nodes.iter().enumerate() {
        last_read[node.input] = position;
        let is_dense = matches!(&node.op, Op::Convolution(Convolution { kind: Kind::Dense, .. }));
        if node.input == 0 && !is_dense {
            return Err("the picture does not go into dense convolutions".to_owned());
        }
        if let Op::Convolution(Convolution { window, .. }) | Op::TapMeans { window, .. } = &node.op {
            let border = &mut layouts[node.input].border;
            *border = std::array::from_fn(|side| border[side].max(window.pads[side]));
        }
        if let Op::Convolution(Convolution { add, .. }) = &node.op {
            if let Some(add) = add {
                last_read[*add] = position;
            }
            if *add == Some(0) {
                return Err("the picture is added to a map".to_owned());
            }
        }
    }
    for output in &graph.outputs {
        last_read[*output] = graph.nodes.len();
    }
    let mut slots = Slots::default();
    layouts[0].slot = slots.take(layouts[0].len());
    for (position, node) in graph.nodes.iter().enumerate() {
        layouts[node.output].slot = slots.take(layouts[node.output].len());
        for map in (0..=node.output).filter(|map| last_read[*map] == position) {
            slots.release(layouts[map].slot);
        }
    }
    Ok((layouts, slots.sizes().to_vec()))
}

/// About how long an operation takes, in multiply-adds.
fn cost(op: &Op, input: &Layout, output: &Layout) -> usize {
    let [read, written] = [input, output].map(|layout| layout.shape.height * layout.shape.width * layout.step);
    let products = match op {
        Op::Convolution(Convolution { kind: Kind::Transposed, .. }) => written * input.step,
        Op::Convolution(Convolution { kind: Kind::Depthwise, window, .. }) | Op::MaxPool(window) => {
            written * window.kernel[0] * window.kernel[1]
        }
        Op::Convolution(Convolution { window, .. }) => written * window.kernel[0] * window.kernel[1] * input.step,
        Op::TapMeans { pixels, .. } => written * pixels[0] * pixels[1],
        Op::AveragePool { .. } | Op::GlobalMean | Op::Softmax => read,
        Op::Sigmoid => read * 20,
    };
    products + (read + written) * MOVE_COST
}

/// Packs a convolution's weights as its tiles read them.
fn pack(convolution: &Convolution, isa: Isa, input: &Layout, add: Option<&Layout>, output: &Layout) -> Work {
    let [height, width] = convolution.window.kernel;
    let limits = convolution.limits;
    let rows = Rows::new(convolution, input, add, output);
    match convolution.kind {
        Kind::Depthwise => {
            let (channels, step, area) = (input.shape.channels, input.step, height * width);
            let mut weights = vec![0.0; area * step];
            for (channel, filter) in convolution.weights.chunks_exact(area).enumerate().take(channels) {
                for (position, weight) in filter.iter().enumerate() {
                    weights[position * step + channel] = *weight;
                }
            }
            let mut bias = convolution.bias.clone();
            bias.resize(step, 0.0);
            let window = simd::Window {
                rows: height,
                row_step: input.row_step(),
                runs: width,
                run_step: step,
                run_length: step,
            };
            let filters = vec![Filters { channels: step, weights, bias, rows }];
            Work::Convolution { filters, is_depthwise: true, limits, window }
        }
        Kind::Dense => {
            let positions: Vec<_> = (0..height * width).collect();
            let filters = filters(convolution, isa, output.step, &positions, rows);
            let window = dense_window(input, [height, width]);
            Work::Convolution { filters, is_depthwise: false, limits, window }
        }
        Kind::Transposed => {
            let block = |position: usize| {
                let start = position / width * output.row_step() + position % width * output.step;
                filters(convolution, isa, output.step, &[position], rows.moved(start))
            };
            let filters = (0..height * width).flat_map(block).collect();
            let window = dense_window(input, [1, 1]);
            Work::Convolution { filters, is_depthwise: false, limits, window }
        }
    }
}

/// Pixels of a row that follow each other without a gap are one run.
fn dense_window(input: &Layout, [rows, columns]: [usize; 2]) -> simd::Window {
    let (channels, row_step) = (input.shape.channels, input.row_step());
    if channels == input.step {
        simd::Window { rows, row_step, runs: 1, run_step: 0, run_length: columns * channels }
    } else {
        simd::Window { rows, row_step, runs: columns, run_step: input.step, run_length: channels }
    }
}

/// The filters of a dense convolution in groups of as many output channels as a tile takes, with the weights at some positions of
/// the kernel.
fn filters(convolution: &Convolution, isa: Isa, outputs: usize, positions: &[usize], rows: Rows) -> Vec<Filters> {
    let area = convolution.window.kernel.iter().product::<usize>();
    let count = convolution.bias.len();
    let inputs = convolution.weights.len() / (count * area).max(1);
    let mut filters = Vec::new();
    let mut first = 0;
    while first < outputs {
        let channels = isa.tile_channels(outputs - first);
        let mut weights = Vec::with_capacity(positions.len() * inputs * channels);
        for position in positions {
            for input in 0..inputs {
                let weight = |output: usize| convolution.weights[(output * inputs + input) * area + position];
                weights
                    .extend((first..first + channels).map(|output| if output < count { weight(output) } else { 0.0 }));
            }
        }
        let bias = (first..first + channels).map(|output| convolution.bias.get(output).copied().unwrap_or(0.0));
        filters.push(Filters { channels, weights, bias: bias.collect(), rows: rows.at_channel(first) });
        first += channels;
    }
    filters
}

#[cfg(test)]
impl Plan {
    pub fn describe(&self, step: usize, nanoseconds: f64) -> String {
        let Step { work, input, output, .. } = &self.steps[step];
        let written = output.shape.height * output.shape.width;
        let (kind, products) = match work {
            Work::Convolution { filters, is_depthwise, window, .. } => {
                let weights = filters.iter().map(|filters| filters.weights.len()).sum::<usize>();
                let kind = if *is_depthwise { "depthwise" } else { "dense" };
                (format!("{kind} {}x{}", window.rows, window.runs), written * weights)
            }
            Work::MaxPool(_) => ("max pool".to_owned(), written * output.step * 9),
            _ => ("other".to_owned(), 0),
        };
        format!("{kind} {:?} -> {:?}: {:.1} GMAC/s", input.shape, output.shape, products as f64 / nanoseconds)
    }
}
