//! A foreign network, as its file describes it, in this project's terms.

use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use face_attributes_training::architecture::{Op, Padding, Pads, Shape};
use ndarray::{Array1, Array4};

/// A network as read from a file.
pub struct SourceNetwork {
    /// Shape of the image it takes.
    pub input: Shape,
    /// Its layers, in any order.
    pub layers: Vec<SourceLayer>,
    /// What was read.
    pub files: Vec<SourceFile>,
}

/// A file that was read.
pub struct SourceFile {
    /// Name without folder.
    pub name: String,
    /// Content.
    pub bytes: Vec<u8>,
}

/// A layer as read from a file.
pub struct SourceLayer {
    /// Its name there.
    pub name: String,
    /// The layers it takes.
    pub inputs: Vec<String>,
    /// What it computes.
    pub op: SourceOp,
}

/// What a layer computes, with its weights.
pub enum SourceOp {
    /// The image.
    Input,
    /// Convolution, depth-wise if the weight has one input channel per group.
    Conv {
        /// `[filters, input channels / groups, rows, columns]`.
        weight: Array4<f32>,
        /// Added per filter: a bias, or what is left of a batch normalization that was folded into
        /// the weight.
        offset: Option<Array1<f32>>,
        stride: usize,
        padding: Padding,
    },
    BatchNorm {
        scale: Array1<f32>,
        bias: Array1<f32>,
        mean: Array1<f32>,
        variance: Array1<f32>,
    },
    Relu,
    MaxPool {
        kernel: usize,
        stride: usize,
        padding: Padding,
    },
    Add,
    GlobalAveragePool,
    Softmax,
}

impl SourceOp {
    /// The same in the library's terms, for a given input.
    pub fn op(&self, input: Shape) -> Op {
        let resolve = |padding, kernel, stride| match padding {
            Padding::Valid => Pads::default(),
            Padding::Same => Pads::same(input, kernel, stride),
        };
        match *self {
            Self::Input => Op::Input,
            Self::Conv { ref weight, ref offset, stride, padding } => {
                let (filters, channels_per_group, kernel, _) = weight.dim();
                Op::Conv {
                    filters,
                    kernel,
                    stride,
                    pads: resolve(padding, kernel, stride),
                    groups: input.channels / channels_per_group.max(1),
                    bias: offset.is_some(),
                }
            }
            Self::BatchNorm { .. } => Op::BatchNorm,
            Self::Relu => Op::Relu,
            Self::MaxPool { kernel, stride, padding } => {
                Op::MaxPool { kernel, stride, pads: resolve(padding, kernel, stride) }
            }
            Self::Add => Op::Add,
            Self::GlobalAveragePool => Op::GlobalAveragePool,
            Self::Softmax => Op::Softmax,
        }
    }
}

/// `[rows, columns, in, out]`, the layout of TensorFlow, to `[out, in, rows, columns]`.
pub fn oihw_from_hwio(kernel: Array4<f32>) -> Array4<f32> {
    kernel.permuted_axes([3, 2, 0, 1])
}

/// `[rows, columns, channels, multiplier]`, the layout of TensorFlow, to
/// `[channels, multiplier, rows, columns]`. A multiplier other than 1 matches no table.
pub fn depthwise_from_hwcm(kernel: Array4<f32>) -> Array4<f32> {
    kernel.permuted_axes([2, 3, 0, 1])
}

/// The size if it is that of both axes, and not 0.
pub fn square_side([rows, columns]: [usize; 2]) -> anyhow::Result<usize> {
    ensure!(rows == columns && rows > 0, "{rows}x{columns} is no square");
    Ok(rows)
}

/// Reads a file, with its name.
pub fn read_file(path: &Path) -> anyhow::Result<SourceFile> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(SourceFile { name, bytes })
}
