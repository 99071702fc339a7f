//! The graph of a network, read from its ONNX nodes. Batch norms, rectifiers and sums become parts of convolutions.

use std::collections::HashMap;
use std::ops::Range;

use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, TensorProto};

use super::onnx::{Attributes, Weights};

/// The size of a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
}

/// The position of a map in [`Graph::maps`].
pub type MapId = usize;

/// The nodes in an order in which they can run.
#[derive(Debug)]
pub struct Graph {
    /// The first one is the picture.
    pub maps: Vec<Shape>,
    pub nodes: Vec<Node>,
    pub outputs: Vec<MapId>,
}

/// An operation that makes a map from another one.
#[derive(Debug)]
pub struct Node {
    pub op: Op,
    pub input: MapId,
    pub output: MapId,
}

impl Node {
    pub fn reads(&self, map: MapId) -> bool {
        self.input == map || matches!(&self.op, Op::Convolution(Convolution { add: Some(add), .. }) if *add == map)
    }
}

#[derive(Debug)]
pub enum Op {
    Convolution(Convolution),
    MaxPool(Window),
    /// `counts_padding`: a window at the border is divided by its whole size.
    AveragePool {
        window: Window,
        counts_padding: bool,
    },
    GlobalMean,
    /// For each position of the kernel and each channel, the mean over all windows: `[height][width][channels]` as channels.
    TapMeans {
        window: Window,
        /// Height and width of what a convolution with these windows gives.
        pixels: [usize; 2],
    },
    Softmax,
    Sigmoid,
}

/// Where the windows of an operation lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Height and width.
    pub kernel: [usize; 2],
    /// Down and to the right.
    pub strides: [usize; 2],
    /// Top, left, bottom, right.
    pub pads: [usize; 4],
}

impl Window {
    const POINT: Self = Self { kernel: [1; 2], strides: [1; 2], pads: [0; 4] };

    /// The part of a window that lies in a map of this size. `axis`: 0 is down, 1 to the right.
    pub fn part(&self, axis: usize, position: usize, size: usize) -> Range<usize> {
        let (first, pad) = (position * self.strides[axis], self.pads[axis]);
        first.saturating_sub(pad)..(first + self.kernel[axis] - pad).min(size)
    }

    fn output(&self, input: Shape, channels: usize) -> Result<Shape, String> {
        let side = |size: usize, axis: usize| {
            let padded = size + self.pads[axis] + self.pads[axis + 2];
            let room = padded.checked_sub(self.kernel[axis])?;
            Some(room.checked_div(self.strides[axis])? + 1)
        };
        let sides = (side(input.height, 0), side(input.width, 1));
        let (Some(height), Some(width)) = sides else { return Err(format!("{self:?} on {input:?}")) };
        Ok(Shape { height, width, channels })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Dense,
    /// Dense, computed in patches of the map with fewer multiplications (Winograd). Only a rewrite makes it.
    Patches,
    /// One filter for each channel.
    Depthwise,
    /// Each pixel becomes a block as large as the kernel; blocks do not overlap.
    Transposed,
}

#[derive(Debug)]
pub struct Convolution {
    pub kind: Kind,
    pub window: Window,
    /// `[output][input][height][width]`; depthwise, there is one input.
    pub weights: Vec<f32>,
    pub bias: Vec<f32>,
    /// Added to the result, of the same shape.
    pub add: Option<MapId>,
    /// The result is limited to these, after all.
    pub limits: [f32; 2],
}

const UNLIMITED: [f32; 2] = [f32::NEG_INFINITY, f32::INFINITY];

impl Convolution {
    /// Of single pixels, without weights yet.
    pub fn point(kind: Kind) -> Self {
        Self { kind, window: Window::POINT, weights: vec![], bias: vec![], add: None, limits: UNLIMITED }
    }

    /// Leaves each channel as it is.
    fn identity(channels: usize) -> Self {
        Self { weights: vec![1.0; channels], bias: vec![0.0; channels], ..Self::point(Kind::Depthwise) }
    }

    /// Whether the result is the plain sum of products and bias.
    pub fn is_linear(&self) -> bool {
        self.add.is_none() && self.limits == UNLIMITED
    }
}

/// Reads the graph for pictures of a shape. An error says what the kernels do not know.
pub fn read(proto: &ModelProto, input: Shape) -> Result<Graph, String> {
    let graph = proto.graph.as_ref().ok_or("no graph")?;
    let mut reader = Reader::new(graph, input)?;
    for node in &graph.node {
        reader.read(node).map_err(|reason| format!("{} '{}': {reason}", node.op_type, node.name))?;
    }
    let outputs = graph.output.iter().map(|output| reader.map(&output.name)).collect::<Result<_, _>>()?;
    Ok(Graph { maps: reader.maps, nodes: reader.nodes, outputs })
}

struct Reader<'a> {
    constants: HashMap<&'a str, &'a TensorProto>,
    /// How many nodes and outputs of the network read a tensor.
    readers: HashMap<&'a str, usize>,
    names: HashMap<&'a str, MapId>,
    maps: Vec<Shape>,
    nodes: Vec<Node>,
}

impl<'a> Reader<'a> {
    fn new(graph: &'a GraphProto, input: Shape) -> Result<Self, String> {
        let constants: HashMap<_, _> = graph.initializer.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
        let mut readers = HashMap::new();
        let outputs = graph.output.iter().map(|output| &output.name);
        for name in graph.node.iter().flat_map(|node| &node.input).chain(outputs) {
            *readers.entry(name.as_str()).or_default() += 1;
        }
        // Old files list the weights among the inputs.
        let picture = graph.input.iter().find(|input| !constants.contains_key(input.name.as_str()));
        let picture = picture.ok_or("no input")?;
        let names = HashMap::from([(picture.name.as_str(), 0)]);
        Ok(Self { constants, readers, names, maps: vec![input], nodes: Vec::new() })
    }

    fn read(&mut self, node: &'a NodeProto) -> Result<(), String> {
        let [output] = &node.output[..] else { return Err("not one output".to_owned()) };
        let attributes = Attributes(node);
        let first = node.input.first().ok_or("no input")?;
        let input = self.map(first)?;
        let shape = self.maps[input];
        let result = match node.op_type.as_str() {
            "Conv" => self.convolution(node, input)?,
            "ConvTranspose" => self.transposed(node, input)?,
            "BatchNormalization" => self.batch_norm(node, input)?,
            "Relu" => self.limit(first, input, [0.0, f32::INFINITY]),
            "Clip" => {
                let limits = self.clip_limits(&attributes)?;
                self.limit(first, input, limits)
            }
            "Add" => self.sum(node)?,
            "MaxPool" => {
                let window = pool_window(&attributes)?;
                self.push(Op::MaxPool(window), input, window.output(shape, shape.channels)?)
            }
            "AveragePool" => {
                let window = pool_window(&attributes)?;
                let counts_padding = attributes.int("count_include_pad", 0) == 1;
                self.push(Op::AveragePool { window, counts_padding }, input, window.output(shape, shape.channels)?)
            }
            "GlobalAveragePool" => self.global_mean(input),
            "ReduceMean" if matches!(attributes.ints("axes"), Some([2, 3] | [-2, -1])) => self.global_mean(input),
            "Sigmoid" => self.push(Op::Sigmoid, input, shape),
            "Softmax" if attributes.int("axis", 1) == 1 && (shape.height, shape.width) == (1, 1) => {
                self.push(Op::Softmax, input, shape)
            }
            "Identity" | "Dropout" => self.pass_on(first, output, input),
            "Flatten" if attributes.int("axis", 1) == 1 && (shape.height, shape.width) == (1, 1) => {
                self.pass_on(first, output, input)
            }
            _ => return Err("not known".to_owned()),
        };
        self.names.insert(output, result);
        Ok(())
    }

    fn map(&self, name: &str) -> Result<MapId, String> {
        self.names.get(name).copied().ok_or_else(|| format!("'{name}' is not a map"))
    }

    fn weights(&self, name: &str) -> Result<Weights, String> {
        let tensor = self.constants.get(name).and_then(|tensor| Weights::read(tensor));
        tensor.ok_or_else(|| format!("'{name}' is no constant of 32-bit numbers"))
    }

    /// The bias that is a node's input, 0 where there is none.
    fn bias(&self, node: &NodeProto, channels: usize) -> Result<Vec<f32>, String> {
        match node.input.get(2).filter(|name| !name.is_empty()) {
            Some(name) => self.per_channel(name, channels),
            None => Ok(vec![0.0; channels]),
        }
    }

    fn per_channel(&self, name: &str, channels: usize) -> Result<Vec<f32>, String> {
        let values = self.weights(name)?.values;
        if values.len() == channels { Ok(values) } else { Err(format!("'{name}' is not one value per channel")) }
    }

    fn push(&mut self, op: Op, input: MapId, shape: Shape) -> MapId {
        let output = self.maps.len();
        self.maps.push(shape);
        self.nodes.push(Node { op, input, output });
        output
    }

    /// Gives a map a second name. What reads either name reads both.
    fn pass_on(&mut self, first: &str, output: &'a str, map: MapId) -> MapId {
        let others = self.readers.get(first).map_or(0, |readers| readers - 1);
        *self.readers.entry(output).or_default() += others;
        map
    }

    fn global_mean(&mut self, input: MapId) -> MapId {
        let channels = self.maps[input].channels;
        self.push(Op::GlobalMean, input, Shape { height: 1, width: 1, channels })
    }

    fn convolution(&mut self, node: &NodeProto, input: MapId) -> Result<MapId, String> {
        let (shape, attributes) = (self.maps[input], Attributes(node));
        let Weights { shape: size, values: weights } = self.weights(node.input.get(1).ok_or("no weights")?)?;
        let [outputs, inputs, height, width] = size[..] else { return Err("not two-dimensional".to_owned()) };
        let groups = attributes.int("group", 1);
        let kind = if groups == 1 && inputs == shape.channels {
            Kind::Dense
        } else if usize::try_from(groups).is_ok_and(|groups| [groups, outputs] == [shape.channels; 2]) && inputs == 1 {
            Kind::Depthwise
        } else {
            return Err(format!("{groups} groups of {inputs} channels"));
        };
        let window = window(&attributes, [height, width])?;
        let bias = self.bias(node, outputs)?;
        let op = Convolution { window, weights, bias, ..Convolution::point(kind) };
        Ok(self.push(Op::Convolution(op), input, window.output(shape, outputs)?))
    }

    fn transposed(&mut self, node: &NodeProto, input: MapId) -> Result<MapId, String> {
        let (shape, attributes) = (self.maps[input], Attributes(node));
        let Weights { shape: size, values } = self.weights(node.input.get(1).ok_or("no weights")?)?;
        let [inputs, outputs, height, width] = size[..] else { return Err("not two-dimensional".to_owned()) };
        let window = window(&attributes, [height, width])?;
        let is_known = inputs == shape.channels
            && attributes.int("group", 1) == 1
            && (window.strides, window.pads) == (window.kernel, [0; 4])
            && attributes.ints("output_padding").is_none_or(|padding| padding.iter().all(|size| *size == 0))
            && attributes.ints("output_shape").is_none();
        if !is_known {
            return Err("its blocks overlap, or it has groups".to_owned());
        }
        let area = height * width;
        let source = |index: usize| {
            let (output, input, position) = (index / (inputs * area), index / area % inputs, index % area);
            values[(input * outputs + output) * area + position]
        };
        let weights = (0..values.len()).map(source).collect();
        let bias = self.bias(node, outputs)?;
        let op = Convolution { window, weights, bias, ..Convolution::point(Kind::Transposed) };
        let larger = Shape { height: shape.height * height, width: shape.width * width, channels: outputs };
        Ok(self.push(Op::Convolution(op), input, larger))
    }

    fn batch_norm(&mut self, node: &NodeProto, input: MapId) -> Result<MapId, String> {
        let channels = self.maps[input].channels;
        let [name, parameters @ ..] = &node.input[..] else { return Err("no input".to_owned()) };
        let parameters: Vec<_> =
            parameters.iter().map(|name| self.per_channel(name, channels)).collect::<Result<_, _>>()?;
        let [scale, shift, mean, variance] = &parameters[..] else { return Err("not four parameters".to_owned()) };
        let epsilon = Attributes(node).float("epsilon", 1e-5);
        let (convolution, map) = self.convolution_before(name, input, Convolution::is_linear);
        let filter = convolution.weights.len() / channels;
        for channel in 0..channels {
            let factor = f64::from(scale[channel]) / (f64::from(variance[channel]) + f64::from(epsilon)).sqrt();
            for weight in &mut convolution.weights[channel * filter..][..filter] {
                *weight = (f64::from(*weight) * factor) as f32;
            }
            let bias = f64::from(convolution.bias[channel]) - f64::from(mean[channel]);
            convolution.bias[channel] = (bias * factor + f64::from(shift[channel])) as f32;
        }
        Ok(map)
    }

    fn limit(&mut self, name: &str, input: MapId, [least, most]: [f32; 2]) -> MapId {
        let (convolution, map) = self.convolution_before(name, input, |_| true);
        convolution.limits = convolution.limits.map(|limit| limit.max(least).min(most));
        map
    }

    /// Two maps of one shape.
    fn sum(&mut self, node: &NodeProto) -> Result<MapId, String> {
        let [first, second] = &node.input[..] else { return Err("not two inputs".to_owned()) };
        let maps = [self.map(first)?, self.map(second)?];
        if self.maps[maps[0]] != self.maps[maps[1]] {
            return Err("maps of several shapes".to_owned());
        }
        let made_last = if self.maker(maps[0]) > self.maker(maps[1]) { 0 } else { 1 };
        let (name, add) = ([first, second][made_last], maps[1 - made_last]);
        let (convolution, map) = self.convolution_before(name, maps[made_last], Convolution::is_linear);
        convolution.add = Some(add);
        Ok(map)
    }

    fn maker(&self, map: MapId) -> Option<usize> {
        self.nodes.iter().position(|node| node.output == map)
    }

    /// The convolution that makes a map that nothing else reads, if it is `suitable`; otherwise a new one that copies the map.
    fn convolution_before(
        &mut self,
        name: &str,
        map: MapId,
        suitable: impl Fn(&Convolution) -> bool,
    ) -> (&mut Convolution, MapId) {
        let is_suitable = |node: &Node| matches!(&node.op, Op::Convolution(convolution) if suitable(convolution));
        let made = self.maker(map).filter(|_| self.readers.get(name) == Some(&1));
        let position = made.filter(|node| is_suitable(&self.nodes[*node])).unwrap_or_else(|| {
            let shape = self.maps[map];
            self.push(Op::Convolution(Convolution::identity(shape.channels)), map, shape);
            self.nodes.len() - 1
        });
        let node = &mut self.nodes[position];
        match &mut node.op {
            Op::Convolution(convolution) => (convolution, node.output),
            _ => unreachable!("found or pushed as a convolution"),
        }
    }

    fn clip_limits(&self, attributes: &Attributes) -> Result<[f32; 2], String> {
        let limit = |input: usize, name, default| match attributes.0.input.get(input).filter(|name| !name.is_empty()) {
            Some(name) => Ok(self.per_channel(name, 1)?[0]),
            None => Ok::<_, String>(attributes.float(name, default)),
        };
        Ok([limit(1, "min", f32::NEG_INFINITY)?, limit(2, "max", f32::INFINITY)?])
    }
}

/// The window of an operation with a kernel of this height and width.
fn window(attributes: &Attributes, kernel: [usize; 2]) -> Result<Window, String> {
    let strides = attributes.sizes("strides", 1)?;
    let pads = attributes.sizes("pads", 0)?;
    let is_known = attributes.sizes("dilations", 1)? == [1; 2]
        && attributes.text("auto_pad").is_none_or(|text| text.is_empty() || text == b"NOTSET")
        && attributes.sizes::<2>("kernel_shape", 0).is_ok_and(|shape| shape == kernel || shape == [0; 2])
        && attributes.int("ceil_mode", 0) == 0
        && !kernel.contains(&0)
        && !strides.contains(&0);
    // Every window of a pool has at least one pixel.
    let is_covered = (0..4).all(|side| pads[side] < kernel[side % 2] || pads[side] == 0);
    if is_known && is_covered { Ok(Window { kernel, strides, pads }) } else { Err("its windows".to_owned()) }
}

fn pool_window(attributes: &Attributes) -> Result<Window, String> {
    window(attributes, attributes.sizes("kernel_shape", 0)?)
}
