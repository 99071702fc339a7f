//! From a table to a checked graph.

use super::node::{Node, Op, Pads, Parameter};
use super::{Architecture, Layer, Padding, Shape};

/// Why no network can be built from a table. `layer` is the name of the layer in the built graph.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum ArchitectureError {
    /// A size is 0 that must be at least 1.
    #[error("{layer}: {what} is 0")]
    Zero {
        /// The layer, or the network's input.
        layer: String,
        /// The size that is 0.
        what: &'static str,
    },
    /// A window without padding is larger than its feature map.
    #[error("{layer}: a {kernel}x{kernel} window without padding does not fit into {input}")]
    WindowTooLarge {
        /// The layer.
        layer: String,
        /// Side of the window.
        kernel: usize,
        /// Shape of the layer's input.
        input: Shape,
    },
    /// The branches of a residual module cannot be summed.
    #[error("{layer}: the main branch gives {main}, the shortcut {shortcut}")]
    BranchesDiffer {
        /// The module.
        layer: String,
        /// Result of the main branch.
        main: Shape,
        /// Result of the shortcut.
        shortcut: Shape,
    },
}

/// A built network: operations in order of computation, with checked shapes.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    name: &'static str,
    nodes: Vec<Node>,
}

impl Network {
    /// Name of the input node.
    pub const INPUT_NAME: &'static str = "image";

    /// Builds the graph of a table.
    ///
    /// # Errors
    /// [`ArchitectureError`] if a size is 0, a window does not fit, or the branches of a
    /// residual module differ in shape.
    pub fn build(architecture: &Architecture) -> Result<Self, ArchitectureError> {
        let input = architecture.input;
        require_positive(Self::INPUT_NAME, "number of channels", input.channels)?;
        require_positive(Self::INPUT_NAME, "height", input.height)?;
        require_positive(Self::INPUT_NAME, "width", input.width)?;
        let image = Node {
            name: Self::INPUT_NAME.to_owned(),
            op: Op::Input,
            inputs: Vec::new(),
            input_shape: input,
            output_shape: input,
        };
        let mut network = Self { name: architecture.name, nodes: vec![image] };
        network.append_all("", &architecture.layers, 0)?;
        Ok(network)
    }

    /// Name of the architecture.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// All operations; the first is the input, the last the result.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Shape of the input image.
    pub fn input_shape(&self) -> Shape {
        self.nodes[0].input_shape
    }

    /// Shape of its result.
    pub fn output_shape(&self) -> Shape {
        self.nodes[self.nodes.len() - 1].output_shape
    }

    /// All weights, in the order of the nodes.
    pub fn parameters(&self) -> impl Iterator<Item = Parameter> + '_ {
        self.nodes.iter().flat_map(Node::parameters)
    }

    /// Number of weights, running statistics of batch normalizations included.
    pub fn parameter_count(&self) -> usize {
        self.parameters().map(|parameter| element_count(&parameter)).sum()
    }

    /// Number of weights that gradient descent changes.
    pub fn trainable_parameter_count(&self) -> usize {
        self.parameters().filter(|parameter| parameter.trainable).map(|parameter| element_count(&parameter)).sum()
    }

    /// Multiplications with addition in the convolutions, for one image.
    pub fn multiply_adds(&self) -> usize {
        self.nodes.iter().map(Node::multiply_adds).sum()
    }

    /// Appends consecutive layers after node `from`. Returns the position of the last node.
    fn append_all(&mut self, scope: &str, layers: &[Layer], from: usize) -> Result<usize, ArchitectureError> {
        let mut kinds_seen = Vec::new();
        layers.iter().try_fold(from, |from, layer| {
            let kind = kind_name(layer);
            kinds_seen.push(kind);
            let number = kinds_seen.iter().filter(|seen| **seen == kind).count();
            self.append(format!("{scope}{kind}_{number}"), layer, from)
        })
    }

    fn append(&mut self, name: String, layer: &Layer, from: usize) -> Result<usize, ArchitectureError> {
        let input = self.nodes[from].output_shape;
        match *layer {
            Layer::Conv { filters, kernel, stride, padding, bias } => {
                let pads = window_pads(&name, input, kernel, stride, padding)?;
                self.push(name, Op::Conv { filters, kernel, stride, pads, groups: 1, bias }, vec![from])
            }
            Layer::SeparableConv { filters, kernel, padding, bias } => {
                let pads = window_pads(&name, input, kernel, 1, padding)?;
                let groups = input.channels;
                let depthwise = Op::Conv { filters: groups, kernel, stride: 1, pads, groups, bias: false };
                let pointwise = Op::Conv { filters, kernel: 1, stride: 1, pads: Pads::default(), groups: 1, bias };
                let middle = self.push(format!("{name}/depthwise"), depthwise, vec![from])?;
                self.push(format!("{name}/pointwise"), pointwise, vec![middle])
            }
            Layer::BatchNorm => self.push(name, Op::BatchNorm, vec![from]),
            Layer::Relu => self.push(name, Op::Relu, vec![from]),
            Layer::MaxPool { kernel, stride, padding } => {
                let pads = window_pads(&name, input, kernel, stride, padding)?;
                self.push(name, Op::MaxPool { kernel, stride, pads }, vec![from])
            }
            Layer::AveragePool { kernel, stride, padding } => {
                let pads = window_pads(&name, input, kernel, stride, padding)?;
                self.push(name, Op::AveragePool { kernel, stride, pads }, vec![from])
            }
            Layer::Dropout { rate } => self.push(name, Op::Dropout { rate }, vec![from]),
            Layer::Residual { ref main, ref shortcut } => {
                let main = self.append_all(&format!("{name}/main/"), main, from)?;
                let shortcut = self.append_all(&format!("{name}/shortcut/"), shortcut, from)?;
                let (main_shape, shortcut_shape) = (self.nodes[main].output_shape, self.nodes[shortcut].output_shape);
                if main_shape != shortcut_shape {
                    return Err(ArchitectureError::BranchesDiffer {
                        layer: name,
                        main: main_shape,
                        shortcut: shortcut_shape,
                    });
                }
                self.push(format!("{name}/add"), Op::Add, vec![main, shortcut])
            }
            Layer::GlobalAveragePool => self.push(name, Op::GlobalAveragePool, vec![from]),
            Layer::Softmax => self.push(name, Op::Softmax, vec![from]),
        }
    }

    fn push(&mut self, name: String, op: Op, inputs: Vec<usize>) -> Result<usize, ArchitectureError> {
        if let Op::Conv { filters, .. } = op {
            require_positive(&name, "number of filters", filters)?;
        }
        let input_shape = self.nodes[inputs[0]].output_shape;
        let output_shape = op.output_shape(input_shape);
        self.nodes.push(Node { name, op, inputs, input_shape, output_shape });
        Ok(self.nodes.len() - 1)
    }
}

fn element_count(parameter: &Parameter) -> usize {
    parameter.shape.iter().product()
}

fn kind_name(layer: &Layer) -> &'static str {
    match layer {
        Layer::Conv { .. } => "conv",
        Layer::SeparableConv { .. } => "separable_conv",
        Layer::BatchNorm => "batch_norm",
        Layer::Relu => "relu",
        Layer::MaxPool { .. } => "max_pool",
        Layer::AveragePool { .. } => "average_pool",
        Layer::Dropout { .. } => "dropout",
        Layer::Residual { .. } => "module",
        Layer::GlobalAveragePool => "global_average_pool",
        Layer::Softmax => "softmax",
    }
}

fn require_positive(layer: &str, what: &'static str, size: usize) -> Result<(), ArchitectureError> {
    if size == 0 { Err(ArchitectureError::Zero { layer: layer.to_owned(), what }) } else { Ok(()) }
}

/// Checks a window and resolves its padding.
fn window_pads(
    layer: &str,
    input: Shape,
    kernel: usize,
    stride: usize,
    padding: Padding,
) -> Result<Pads, ArchitectureError> {
    require_positive(layer, "side of the window", kernel)?;
    require_positive(layer, "stride", stride)?;
    match padding {
        Padding::Valid if kernel > input.height.min(input.width) => {
            Err(ArchitectureError::WindowTooLarge { layer: layer.to_owned(), kernel, input })
        }
        Padding::Valid => Ok(Pads::default()),
        Padding::Same => Ok(Pads::same(input, kernel, stride)),
    }
}

#[cfg(test)]
mod tests {
    use super::Padding::{Same, Valid};
    use super::*;

    fn build(layers: Vec<Layer>) -> Result<Network, ArchitectureError> {
        Network::build(&Architecture { name: "test", input: Shape { channels: 2, height: 9, width: 14 }, layers })
    }

    fn conv(filters: usize, kernel: usize, stride: usize, padding: Padding) -> Layer {
        Layer::Conv { filters, kernel, stride, padding, bias: false }
    }

    #[test]
    fn names_number_each_kind_within_its_branch() {
        let separable = Layer::SeparableConv { filters: 3, kernel: 3, padding: Same, bias: true };
        let module = Layer::Residual { main: vec![separable, Layer::Relu], shortcut: vec![conv(3, 1, 1, Same)] };
        let network = build(vec![conv(2, 1, 1, Same), Layer::Relu, conv(2, 1, 1, Same), module]).unwrap();
        let names: Vec<_> = network.nodes().iter().map(|node| node.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "image",
                "conv_1",
                "relu_1",
                "conv_2",
                "module_1/main/separable_conv_1/depthwise",
                "module_1/main/separable_conv_1/pointwise",
                "module_1/main/relu_1",
                "module_1/shortcut/conv_1",
                "module_1/add",
            ]
        );
        assert_eq!(network.nodes()[8].inputs, [6, 7]);
        assert_eq!(network.nodes()[7].inputs, [3]);
        let shapes: Vec<_> = network.nodes()[4..6].iter().flat_map(Node::parameters).map(|it| it.shape).collect();
        assert_eq!(shapes, [vec![2, 1, 3, 3], vec![3, 2, 1, 1], vec![3]]);
    }

    #[test]
    fn identity_shortcut_takes_the_modules_input() {
        let network = build(vec![Layer::Residual { main: vec![Layer::Relu], shortcut: Vec::new() }]).unwrap();
        assert_eq!(network.nodes()[2].inputs, [1, 0]);
    }

    #[test]
    fn errors_name_the_layer() {
        let message = |layers| build(layers).unwrap_err().to_string();
        assert_eq!(message(vec![conv(0, 3, 1, Same)]), "conv_1: number of filters is 0");
        assert_eq!(message(vec![conv(1, 3, 0, Same)]), "conv_1: stride is 0");
        assert_eq!(
            message(vec![conv(4, 5, 1, Valid), conv(1, 6, 1, Valid)]),
            "conv_2: a 6x6 window without padding does not fit into 4x5x10"
        );
        let module = Layer::Residual { main: vec![conv(3, 1, 1, Same)], shortcut: Vec::new() };
        assert_eq!(message(vec![module]), "module_1: the main branch gives 3x9x14, the shortcut 2x9x14");
    }
}
