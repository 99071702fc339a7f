//! The networks as data: a table of layers per network, and the checked graph that is built from
//! it.
//!
//! A [`Layer`] list describes a network as the paper's figures do. [`Network::build`] converts it
//! to a flat list of [`Node`]s in which every layer has a name, every padding is resolved, every
//! shape is checked, and parameters and multiply-adds can be counted. Training, import and ONNX
//! export read this list, so a new network needs only a new table.
//!
//! Source of the paper's tables: Arriaga, Ploger, Valdenegro, "Real-time Convolutional Neural Networks
//! for Emotion and Gender Classification", 2017, arXiv:1710.07557.

mod network;
mod node;
mod tables;

use std::fmt;

pub use network::{ArchitectureError, Network};
pub use node::{Node, Op, Pads, Parameter};
pub use tables::{
    Table, UnknownArchitecture, architecture, deep_residual_cnn, mini_xception, residual_cnn, sequential_fully_cnn,
};

/// Added to the variance by every batch normalization (the default of Keras, with which the paper's
/// networks were trained).
pub const BATCH_NORM_EPSILON: f32 = 1e-3;

/// Shape of a feature map, in elements. Data is laid out channels first (CHW).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Number of channels.
    pub channels: usize,
    /// Number of rows.
    pub height: usize,
    /// Number of columns.
    pub width: usize,
}

impl fmt::Display for Shape {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}x{}x{}", self.channels, self.height, self.width)
    }
}

/// The treatment of windows that reach over the edge of their input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// Only windows inside the input.
    Valid,
    /// `ceil(size / stride)` windows per axis. For an odd number of padded rows or columns, the
    /// larger half is at the end, as in TensorFlow.
    Same,
}

/// One line of a network's table. Kernels are square, strides are equal on both axes, in elements.
#[derive(Clone, Debug, PartialEq)]
pub enum Layer {
    /// Convolution over all channels.
    Conv {
        /// Number of output channels.
        filters: usize,
        /// Side of the window.
        kernel: usize,
        /// Step of the window.
        stride: usize,
        /// Treatment of the edge.
        padding: Padding,
        /// Whether a bias per filter is added.
        bias: bool,
    },
    /// Depth-wise separable convolution, stride 1: a convolution in each channel by itself, then a
    /// 1x1 convolution over all channels (paper, Figure 2).
    SeparableConv {
        /// Number of output channels.
        filters: usize,
        /// Side of the window of the depth-wise part.
        kernel: usize,
        /// Treatment of the edge in the depth-wise part.
        padding: Padding,
        /// Whether the 1x1 convolution adds a bias per filter.
        bias: bool,
    },
    /// Batch normalization per channel, with [`BATCH_NORM_EPSILON`].
    BatchNorm,
    /// `max(x, 0)`.
    Relu,
    /// Largest value in each window; padded elements are ignored.
    MaxPool {
        /// Side of the window.
        kernel: usize,
        /// Step of the window.
        stride: usize,
        /// Treatment of the edge.
        padding: Padding,
    },
    /// Mean of each window; padded elements are ignored.
    AveragePool {
        /// Side of the window.
        kernel: usize,
        /// Step of the window.
        stride: usize,
        /// Treatment of the edge.
        padding: Padding,
    },
    /// Drops elements while training; does nothing at inference.
    Dropout {
        /// Probability of dropping an element, 0 to 1.
        rate: f32,
    },
    /// Two branches from the same input, summed element by element.
    Residual {
        /// The branch that learns the residual.
        main: Vec<Layer>,
        /// The branch that brings the input to the main branch's shape; empty for the identity.
        shortcut: Vec<Layer>,
    },
    /// Mean of each channel: any CxHxW becomes Cx1x1.
    GlobalAveragePool,
    /// Softmax over the channels.
    Softmax,
}

/// A network as a table: its input and its layers in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Architecture {
    /// Name, as written into a model file.
    pub name: &'static str,
    /// Shape of the input image.
    pub input: Shape,
    /// The layers, from the image to the probabilities.
    pub layers: Vec<Layer>,
}
