//! Reads the HDF5 files that Keras 2 writes with `Model.save`: the architecture is JSON in the
//! attribute `model_config`, the weights of layer L are in the group `model_weights/L`.

use std::path::Path;

use anyhow::{Context, ensure};
use face_attributes::architecture::{BATCH_NORM_EPSILON, Padding, Shape};
use hdf5_reader::Hdf5File;
use ndarray::{Array1, Array4, ArrayD, Dimension};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::source::{
    SourceLayer, SourceNetwork, SourceOp, depthwise_from_hwcm, oihw_from_hwio, read_file, square_side,
};

#[derive(Deserialize)]
struct ModelConfig {
    config: GraphConfig,
}

#[derive(Deserialize)]
struct GraphConfig {
    layers: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct KerasLayer {
    name: String,
    inbound_nodes: Vec<Vec<InboundNode>>,
    #[serde(flatten)]
    kind: KerasKind,
}

/// Name of a layer, position of its node and of its tensor, arguments.
#[derive(Deserialize)]
struct InboundNode(String, IgnoredAny, IgnoredAny, IgnoredAny);

#[derive(Deserialize)]
#[serde(tag = "class_name", content = "config")]
enum KerasKind {
    InputLayer { batch_input_shape: (Option<usize>, usize, usize, usize) },
    Conv2D(Convolution),
    SeparableConv2D(Convolution),
    BatchNormalization { epsilon: f32 },
    Activation { activation: Activation },
    MaxPooling2D { pool_size: [usize; 2], strides: [usize; 2], padding: KerasPadding },
    Add {},
    GlobalAveragePooling2D {},
}

#[derive(Deserialize)]
struct Convolution {
    strides: [usize; 2],
    padding: KerasPadding,
    dilation_rate: [usize; 2],
    use_bias: bool,
    activation: Activation,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum KerasPadding {
    Same,
    Valid,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Activation {
    Linear,
    Relu,
    Softmax,
}

/// Reads a file. Layers outside of what the paper's networks use are refused by name.
pub fn read(path: &Path) -> anyhow::Result<SourceNetwork> {
    let source_file = read_file(path)?;
    let file = Hdf5File::from_bytes(&source_file.bytes)?;
    let config = file.root_group()?.attribute("model_config").context("attribute model_config")?;
    let config: ModelConfig = serde_json::from_str(&config.read_string()?).context("attribute model_config")?;

    let mut input = None;
    let mut layers = Vec::new();
    for value in config.config.layers {
        let name = value["name"].to_string();
        let context = || format!("layer {name}");
        let layer: KerasLayer = serde_json::from_value(value).with_context(context)?;
        if let KerasKind::InputLayer { batch_input_shape: (_, height, width, channels) } = layer.kind {
            input = Some(Shape { channels, height, width });
        }
        append_layer(&mut layers, &file, layer).with_context(context)?;
    }
    Ok(SourceNetwork { input: input.context("there is no InputLayer")?, layers, files: vec![source_file] })
}

/// Appends one layer; two for a separable convolution, which is two convolutions here.
fn append_layer(layers: &mut Vec<SourceLayer>, file: &Hdf5File, layer: KerasLayer) -> anyhow::Result<()> {
    let KerasLayer { name, inbound_nodes, kind } = layer;
    ensure!(inbound_nodes.len() <= 1, "it is applied {} times", inbound_nodes.len());
    let mut inputs: Vec<String> = inbound_nodes.into_iter().flatten().map(|InboundNode(input, ..)| input).collect();
    let tensors = LayerTensors { file, layer: &name };
    let op = match kind {
        KerasKind::InputLayer { .. } => SourceOp::Input,
        KerasKind::Conv2D(convolution) => {
            let weight = oihw_from_hwio(tensors.read("kernel")?);
            tensors.convolution(&convolution, weight)?
        }
        KerasKind::SeparableConv2D(convolution) => {
            let depthwise_name = format!("{name}/depthwise");
            layers.push(SourceLayer {
                name: depthwise_name.clone(),
                inputs: std::mem::replace(&mut inputs, vec![depthwise_name]),
                op: SourceOp::Conv {
                    weight: depthwise_from_hwcm(tensors.read("depthwise_kernel")?),
                    offset: None,
                    stride: square_side(convolution.strides)?,
                    padding: convolution.padding.into(),
                },
            });
            let weight = oihw_from_hwio(tensors.read("pointwise_kernel")?);
            let pointwise = Convolution { strides: [1, 1], padding: KerasPadding::Valid, ..convolution };
            tensors.convolution(&pointwise, weight)?
        }
        KerasKind::BatchNormalization { epsilon } => {
            ensure!(epsilon == BATCH_NORM_EPSILON, "epsilon is {epsilon}, expected {BATCH_NORM_EPSILON}");
            SourceOp::BatchNorm {
                scale: tensors.read("gamma")?,
                bias: tensors.read("beta")?,
                mean: tensors.read("moving_mean")?,
                variance: tensors.read("moving_variance")?,
            }
        }
        KerasKind::Activation { activation: Activation::Relu } => SourceOp::Relu,
        KerasKind::Activation { activation: Activation::Softmax } => SourceOp::Softmax,
        KerasKind::Activation { activation } => anyhow::bail!("activation {activation:?}"),
        KerasKind::MaxPooling2D { pool_size, strides, padding } => SourceOp::MaxPool {
            kernel: square_side(pool_size)?,
            stride: square_side(strides)?,
            padding: padding.into(),
        },
        KerasKind::Add {} => SourceOp::Add,
        KerasKind::GlobalAveragePooling2D {} => SourceOp::GlobalAveragePool,
    };
    layers.push(SourceLayer { name, inputs, op });
    Ok(())
}

/// The weights of one layer.
struct LayerTensors<'a> {
    file: &'a Hdf5File,
    layer: &'a str,
}

impl LayerTensors<'_> {
    /// Keras lists the full names in an attribute of the group, for example
    /// `conv2d_1_1/kernel:0`; `name` is the part between slash and colon.
    fn read<D: Dimension>(&self, name: &str) -> anyhow::Result<ndarray::Array<f32, D>> {
        let group = format!("model_weights/{}", self.layer);
        let full_names = self
            .file
            .group(&group)?
            .attribute("weight_names")
            .context("attribute weight_names")?
            .read_strings()
            .context("attribute weight_names")?;
        let full_name = full_names
            .iter()
            .find(|it| it.rsplit('/').next().and_then(|it| it.strip_suffix(":0")) == Some(name))
            .with_context(|| format!("no tensor {name} among {full_names:?}"))?;
        let tensor: ArrayD<f32> =
            self.file.dataset(&format!("{group}/{full_name}"))?.read_array().with_context(|| full_name.clone())?;
        let shape = tensor.shape().to_vec();
        tensor.into_dimensionality().with_context(|| format!("{full_name} has shape {shape:?}"))
    }

    fn convolution(&self, convolution: &Convolution, weight: Array4<f32>) -> anyhow::Result<SourceOp> {
        ensure!(convolution.dilation_rate == [1, 1], "it is dilated");
        ensure!(
            convolution.activation == Activation::Linear,
            "it contains the activation {:?}",
            convolution.activation
        );
        let offset: Option<Array1<f32>> = if convolution.use_bias { Some(self.read("bias")?) } else { None };
        Ok(SourceOp::Conv {
            weight,
            offset,
            stride: square_side(convolution.strides)?,
            padding: convolution.padding.into(),
        })
    }
}

impl From<KerasPadding> for Padding {
    fn from(padding: KerasPadding) -> Self {
        match padding {
            KerasPadding::Same => Self::Same,
            KerasPadding::Valid => Self::Valid,
        }
    }
}
