//! The steps of a network for one size of picture: where the maps lie, how the weights are packed, and how long each task takes.

use std::ops::Range;

use super::arena::{Arena, Kept, Layout, Slots};
use super::bands::{self, Band};
use super::graph::{Convolution, Graph, Kind, MapId, Node, Op, Shape, Window};
use super::run::{Filters, Rows, run};
use super::simd::{self, Isa, LANES, Patches};
use super::winograd;

/// What moving a number to or from memory costs, in multiply-adds.
const MOVE_COST: usize = 8;

/// The steps of a network for one size of picture.
pub struct Plan {
    layouts: Vec<Layout>,
    steps: Vec<Step>,
    tasks: Vec<Task>,
    slot_sizes: Vec<usize>,
    scratch_len: usize,
    outputs: Vec<MapId>,
}

/// What makes a map.
pub struct Step {
    pub work: Work,
    pub isa: Isa,
}

pub enum Work {
    Convolution {
        filters: Vec<Filters>,
        is_depthwise: bool,
        limits: [f32; 2],
        window: simd::Window,
    },
    /// A convolution by [`winograd`]. `channels` of the input are not 0.
    Winograd {
        channels: usize,
        weights: Vec<f32>,
        bias: Vec<f32>,
        limits: [f32; 2],
        /// Top and left. The border of the input may be wider, for another step that reads it.
        pads: [usize; 2],
    },
    MaxPool(Window),
    AveragePool {
        window: Window,
        counts_padding: bool,
    },
    GlobalMean,
    TapMeans {
        window: Window,
        pixels: [usize; 2],
    },
    Softmax,
    Sigmoid,
}

/// A step for some rows of its map.
pub struct Task {
    pub step: usize,
    pub rows: Range<usize>,
    pub input: Layout,
    pub add: Option<Layout>,
    pub output: Layout,
    /// What the band of the output keeps.
    pub kept: Option<Kept>,
    /// Where the rows of a convolution are.
    pub convolved: Option<Rows>,
    /// The share of the run's work that is done after this task, 0 to 1.
    done: f64,
}

impl Plan {
    pub fn new(graph: Graph, isa: Isa) -> Result<Self, String> {
        if graph.nodes.is_empty() {
            return Err("no operation".to_owned());
        }
        let chains = bands::chains(&graph);
        let mut layouts = layouts(&graph)?;
        let bands: Vec<_> = chains.iter().flat_map(|chain| bands::schedule(&graph, chain, &mut layouts)).collect();
        let slot_sizes = assign_slots(&graph, &chains, &mut layouts);
        let mut passed = 0.0;
        let mut tasks: Vec<_> = bands.into_iter().map(|band| Task::new(&graph, &layouts, band, &mut passed)).collect();
        for task in &mut tasks {
            task.done /= passed;
        }
        let mut scratch_len = 0;
        let steps = graph.nodes.into_iter().map(|Node { op, input, output }| {
            let (input, output) = (layouts[input], layouts[output]);
            let work = match op {
                Op::Convolution(convolution) => {
                    if convolution.kind == Kind::Patches {
                        scratch_len = scratch_len.max(Patches::scratch_len(input.step, output.step));
                    }
                    pack(&convolution, isa, &input, &output)
                }
                Op::MaxPool(window) => Work::MaxPool(window),
                Op::AveragePool { window, counts_padding } => Work::AveragePool { window, counts_padding },
                Op::GlobalMean => Work::GlobalMean,
                Op::TapMeans { window, pixels } => Work::TapMeans { window, pixels },
                Op::Softmax => Work::Softmax,
                Op::Sigmoid => Work::Sigmoid,
            };
            Step { work, isa }
        });
        let steps = steps.collect();
        Ok(Self { layouts, steps, tasks, slot_sizes, scratch_len, outputs: graph.outputs })
    }

    pub fn arena(&self) -> Arena {
        let sizes = self.outputs.iter().map(|output| {
            let shape = self.layouts[*output].shape;
            shape.height * shape.width * shape.channels
        });
        Arena::new(&self.slot_sizes, self.scratch_len, sizes)
    }

    /// Lets `write` write each row of the picture.
    pub fn write_input(&self, arena: &mut Arena, mut write: impl FnMut(usize, &mut [f32])) {
        let layout = &self.layouts[0];
        arena.write(layout, &(0..layout.shape.height), None, |_, map, _| {
            for row in 0..layout.shape.height {
                write(row, &mut map[layout.pixel(row, 0)..][..layout.shape.width * layout.step]);
            }
        });
    }

    /// The share of the work that is done after this task; `None` after the last one.
    pub fn done_after(&self, task: usize) -> Option<f64> {
        self.tasks.get(task).map(|task| task.done)
    }

    pub fn run_task(&self, task: usize, arena: &mut Arena) {
        let is_last = task + 1 == self.tasks.len();
        let task = &self.tasks[task];
        run(&self.steps[task.step], task, arena);
        if is_last {
            for (position, output) in self.outputs.iter().enumerate() {
                arena.export(&self.layouts[*output], position);
            }
        }
    }
}

impl Task {
    /// `passed` is the work of the tasks before it.
    fn new(graph: &Graph, layouts: &[Layout], band: Band, passed: &mut f64) -> Self {
        let Band { node: step, rows, first_input_row, first_output_row, kept } = band;
        let Node { op, input, output } = &graph.nodes[step];
        let input = Layout { first_row: first_input_row, ..layouts[*input] };
        let output = Layout { first_row: first_output_row, ..layouts[*output] };
        *passed += cost(op, &input, &output) as f64 * rows.len() as f64 / output.shape.height as f64;
        let (add, convolved) = match op {
            Op::Convolution(Convolution { kind, window, add, .. }) => {
                let add = add.map(|add| layouts[add]);
                (add, Some(Rows::new(*kind, *window, &rows, [&input, &output], add.as_ref())))
            }
            _ => (None, None),
        };
        Self { step, rows, input, add, output, kept, convolved, done: *passed }
    }
}

/// Lays out the maps with their borders, each as a whole.
fn layouts(graph: &Graph) -> Result<Vec<Layout>, String> {
    let step = |shape: &Shape| shape.channels.next_multiple_of(LANES);
    let mut layouts: Vec<_> = graph.maps.iter().map(|shape| Layout::whole(*shape, step(shape))).collect();
    layouts[0].step = graph.maps[0].channels;
    for node in &graph.nodes {
        let is_dense = matches!(&node.op, Op::Convolution(Convolution { kind: Kind::Dense | Kind::Patches, .. }));
        if node.input == 0 && !is_dense {
            return Err("the picture does not go into dense convolutions".to_owned());
        }
        if let Op::Convolution(Convolution { window, .. }) | Op::TapMeans { window, .. } = &node.op {
            let mut border = window.pads;
            if matches!(&node.op, Op::Convolution(Convolution { kind: Kind::Patches, .. })) {
                let [below, beside] = winograd::overhang(graph.maps[node.output]);
                border[2] += below;
                border[3] += beside;
            }
            let layout = &mut layouts[node.input];
            layout.set_border(std::array::from_fn(|side| layout.border[side].max(border[side])));
        }
        if matches!(&node.op, Op::Convolution(Convolution { add: Some(0), .. })) {
            return Err("the picture is added to a map".to_owned());
        }
    }
    Ok(layouts)
}

/// Places the maps in slots, which they leave after the chain of the last node that reads them. Returns the slots' sizes.
fn assign_slots(graph: &Graph, chains: &[Range<usize>], layouts: &mut [Layout]) -> Vec<usize> {
    let mut last_read = vec![0; layouts.len()];
    for (position, chain) in chains.iter().enumerate() {
        for node in &graph.nodes[chain.clone()] {
            last_read[node.input] = position;
            last_read[node.output] = position;
            if let Op::Convolution(Convolution { add: Some(add), .. }) = &node.op {
                last_read[*add] = position;
            }
        }
    }
    for output in &graph.outputs {
        last_read[*output] = chains.len();
    }
    let mut slots = Slots::default();
    layouts[0].slot = slots.take(layouts[0].len());
    let mut made = 0;
    for (position, chain) in chains.iter().enumerate() {
        for node in &graph.nodes[chain.clone()] {
            made = node.output;
            layouts[made].slot = slots.take(layouts[made].len());
        }
        for map in (0..=made).filter(|map| last_read[*map] == position) {
            slots.release(layouts[map].slot);
        }
    }
    slots.sizes().to_vec()
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
fn pack(convolution: &Convolution, isa: Isa, input: &Layout, output: &Layout) -> Work {
    let [height, width] = convolution.window.kernel;
    let limits = convolution.limits;
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
            let filters = vec![Filters { channels: step, weights, bias, first: 0, position: [0; 2] }];
            Work::Convolution { filters, is_depthwise: true, limits, window }
        }
        Kind::Dense => {
            let positions: Vec<_> = (0..height * width).collect();
            let filters = filters(convolution, isa, output.step, &positions, [0; 2]);
            let window = dense_window(input, [height, width]);
            Work::Convolution { filters, is_depthwise: false, limits, window }
        }
        Kind::Patches => {
            let weights = winograd::pack(convolution, output.step);
            let mut bias = convolution.bias.clone();
            bias.resize(output.step, 0.0);
            let [top, left, ..] = convolution.window.pads;
            Work::Winograd { channels: input.shape.channels, weights, bias, limits, pads: [top, left] }
        }
        Kind::Transposed => {
            let block = |position: usize| {
                filters(convolution, isa, output.step, &[position], [position / width, position % width])
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
/// the kernel. `position`: see [`Filters::position`].
fn filters(
    convolution: &Convolution,
    isa: Isa,
    outputs: usize,
    positions: &[usize],
    position: [usize; 2],
) -> Vec<Filters> {
    let area = convolution.window.kernel.iter().product::<usize>();
    let count = convolution.bias.len();
    let inputs = convolution.weights.len() / (count * area).max(1);
    let mut filters = Vec::new();
    let mut first = 0;
    while first < outputs {
        let channels = isa.tile_channels(outputs - first);
        let mut weights = Vec::with_capacity(positions.len() * inputs * channels);
        for at in positions {
            for input in 0..inputs {
                let weight = |output: usize| convolution.weights[(output * inputs + input) * area + at];
                weights
                    .extend((first..first + channels).map(|output| if output < count { weight(output) } else { 0.0 }));
            }
        }
        let bias = (first..first + channels).map(|output| convolution.bias.get(output).copied().unwrap_or(0.0));
        filters.push(Filters { channels, weights, bias: bias.collect(), first, position });
        first += channels;
    }
    filters
}

#[cfg(test)]
impl Plan {
    /// How fast a step was, all of its tasks together.
    pub fn describe(&self, step: usize, nanoseconds: f64) -> String {
        let mut tasks = self.tasks.iter().filter(|task| task.step == step);
        let Some(Task { input, output, .. }) = tasks.next() else { return String::new() };
        let written = output.shape.height * output.shape.width;
        let (kind, products) = match &self.steps[step].work {
            Work::Convolution { filters, is_depthwise, window, .. } => {
                let weights = filters.iter().map(|filters| filters.weights.len()).sum::<usize>();
                let kind = if *is_depthwise { "depthwise" } else { "dense" };
                (format!("{kind} {}x{}", window.rows, window.runs), written * weights)
            }
            Work::Winograd { channels, .. } => ("Winograd".to_owned(), written * output.step * channels * 9),
            Work::MaxPool(_) => ("max pool".to_owned(), written * output.step * 9),
            _ => ("other".to_owned(), 0),
        };
        let speed = products as f64 / nanoseconds;
        format!("{kind} {:?} -> {:?} x{}: {speed:.1} GMAC/s", input.shape, output.shape, tasks.count() + 1)
    }

    pub fn step_of(&self, task: usize) -> Option<usize> {
        self.tasks.get(task).map(|task| task.step)
    }
}
