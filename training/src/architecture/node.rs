//! One operation of a built network.

use super::Shape;

/// Rows and columns added around a feature map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pads {
    /// Rows above.
    pub top: usize,
    /// Columns to the left.
    pub left: usize,
    /// Rows below.
    pub bottom: usize,
    /// Columns to the right.
    pub right: usize,
}

impl Pads {
    /// Padding for `ceil(size / stride)` windows per axis. The larger half is at the end, as in
    /// TensorFlow. `stride` is at least 1.
    pub fn same(input: Shape, kernel: usize, stride: usize) -> Self {
        let total = |size: usize| {
            let last_window_start = size.saturating_sub(1) / stride * stride;
            (last_window_start + kernel).saturating_sub(size)
        };
        let (rows, columns) = (total(input.height), total(input.width));
        let (top, left) = (rows / 2, columns / 2);
        Self { top, left, bottom: rows - top, right: columns - left }
    }
}

/// The operation of a [`Node`]. Sizes as in [`Layer`](super::Layer), with resolved padding.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs, reason = "the fields are those of `Layer`, documented there")]
pub enum Op {
    /// The image: the first node and no other.
    Input,
    /// Convolution. `groups` is 1, or the number of input channels for the depth-wise part of a
    /// separable convolution.
    Conv { filters: usize, kernel: usize, stride: usize, pads: Pads, groups: usize, bias: bool },
    /// Batch normalization.
    BatchNorm,
    /// Rectifier.
    Relu,
    /// Maximum over windows.
    MaxPool { kernel: usize, stride: usize, pads: Pads },
    /// Mean over windows.
    AveragePool { kernel: usize, stride: usize, pads: Pads },
    /// Dropout, which does nothing at inference.
    Dropout { rate: f32 },
    /// Sum of the two inputs: first the main branch, then the shortcut.
    Add,
    /// Mean per channel.
    GlobalAveragePool,
    /// Softmax over channels.
    Softmax,
}

impl Op {
    pub(super) fn output_shape(&self, input: Shape) -> Shape {
        let windowed = |channels, kernel, stride, pads: Pads| Shape {
            channels,
            height: (input.height + pads.top + pads.bottom - kernel) / stride + 1,
            width: (input.width + pads.left + pads.right - kernel) / stride + 1,
        };
        match *self {
            Self::Conv { filters, kernel, stride, pads, .. } => windowed(filters, kernel, stride, pads),
            Self::MaxPool { kernel, stride, pads } | Self::AveragePool { kernel, stride, pads } => {
                windowed(input.channels, kernel, stride, pads)
            }
            Self::GlobalAveragePool => Shape { channels: input.channels, height: 1, width: 1 },
            Self::Input | Self::BatchNorm | Self::Relu | Self::Dropout { .. } | Self::Add | Self::Softmax => input,
        }
    }
}

/// A tensor of weights that a node needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Name: the node's, a dot, and the parameter's (`weight`, `bias`, `scale`, `mean`,
    /// `variance`).
    pub name: String,
    /// `[filters, input channels / groups, rows, columns]` for the weight of a convolution,
    /// `[channels]` for all others.
    pub shape: Vec<usize>,
    /// `false` for the running statistics of a batch normalization.
    pub trainable: bool,
}

/// One operation of a built network.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Unique in the network, for example `conv_1` or `module_2/main/separable_conv_1/depthwise`.
    pub name: String,
    /// The operation.
    pub op: Op,
    /// Positions of the inputs in [`Network::nodes`](super::Network::nodes): none for the image, two for a sum, one for all
    /// others. Inputs have lower positions.
    pub inputs: Vec<usize>,
    /// Shape of the input, for a sum that of each input.
    pub input_shape: Shape,
    /// Shape of the output.
    pub output_shape: Shape,
}

impl Node {
    /// The weights, in a fixed order.
    pub fn parameters(&self) -> Vec<Parameter> {
        let parameter = |suffix, shape: &[usize], trainable| Parameter {
            name: format!("{}.{suffix}", self.name),
            shape: shape.to_vec(),
            trainable,
        };
        let channels = self.input_shape.channels;
        match self.op {
            Op::Conv { filters, kernel, groups, bias, .. } => {
                let mut parameters = vec![parameter("weight", &[filters, channels / groups, kernel, kernel], true)];
                parameters.extend(bias.then(|| parameter("bias", &[filters], true)));
                parameters
            }
            Op::BatchNorm => vec![
                parameter("scale", &[channels], true),
                parameter("bias", &[channels], true),
                parameter("mean", &[channels], false),
                parameter("variance", &[channels], false),
            ],
            _ => Vec::new(),
        }
    }

    /// Multiply-adds of the convolutions for one image. Other operations are not counted, as usual in
    /// the literature.
    pub fn multiply_adds(&self) -> usize {
        match self.op {
            Op::Conv { filters, kernel, groups, .. } => {
                let per_element = kernel * kernel * self.input_shape.channels / groups;
                per_element * filters * self.output_shape.height * self.output_shape.width
            }
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Worked by hand: 9 rows with stride 2 need 2 more rows, 14 columns need 1, put at the end.
    #[test]
    fn same_padding_is_resolved_per_axis() {
        let input = Shape { channels: 2, height: 9, width: 14 };
        let pads = Pads::same(input, 3, 2);
        assert_eq!(pads, Pads { top: 1, left: 0, bottom: 1, right: 1 });
        let op = Op::Conv { filters: 5, kernel: 3, stride: 2, pads, groups: 1, bias: false };
        let output_shape = op.output_shape(input);
        assert_eq!(output_shape, Shape { channels: 5, height: 5, width: 7 });
        let node = Node { name: "conv_1".into(), op, inputs: vec![0], input_shape: input, output_shape };
        assert_eq!(node.multiply_adds(), 3 * 3 * 2 * 5 * 5 * 7);
    }

    #[test]
    fn same_padding_is_never_negative() {
        let input = Shape { channels: 1, height: 30, width: 1 };
        assert_eq!(Pads::same(input, 1, 2), Pads::default());
    }
}
