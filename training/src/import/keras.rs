//! Reads the HDF5 files that Keras 2 writes with `Model.save`. The architecture is JSON in the
//! attribute `model_config`. The weights of layer L are in the group `model_weights/L`.

use std::path::Path;

use anyhow::{Context, ensure};
use face_attributes_training::architecture::{BATCH_NORM_EPSILON, Padding, Shape};
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

/// Reads a file. Layers that mini-Xception does not have are refused by name.
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

/// Appends one layer. A separable convolution is appended as two convolutions.
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

#[cfg(test)]
mod tests {
    use hdf5_writer::{AttributeBuilder, DatasetBuilder, Hdf5Builder, WriteOptions};
    use serde_json::{Value, json};

    use super::*;

    fn layer(class_name: &str, name: &str, input: &str, config: Value) -> Value {
        let inbound_nodes = if input.is_empty() { json!([]) } else { json!([[[input, 0, 0, {}]]]) };
        json!({
            "class_name": class_name, "name": name, "config": config, "inbound_nodes": inbound_nodes
        })
    }

    fn convolution() -> Value {
        json!({
            "strides": [2, 2], "padding": "same", "dilation_rate": [1, 1], "use_bias": true,
            "activation": "linear"
        })
    }

    /// A small network with every kind of layer that has weights, in the order and with the fields
    /// of a file by Keras 2.0.5.
    fn small_network() -> Vec<Value> {
        let separable = json!({
            "strides": [1, 1], "padding": "same", "dilation_rate": [1, 1], "use_bias": false,
            "activation": "linear", "depth_multiplier": 1
        });
        let input = json!({"batch_input_shape": [null, 12, 16, 2]});
        vec![
            layer("InputLayer", "input_1", "", input),
            layer("Conv2D", "conv2d_1", "input_1", convolution()),
            layer("BatchNormalization", "bn", "conv2d_1", json!({"epsilon": 0.001, "axis": -1})),
            layer("SeparableConv2D", "separable", "bn", separable),
            layer("Activation", "activation_1", "separable", json!({"activation": "relu"})),
        ]
    }

    /// The shape of each tensor, by layer; the values count up.
    const TENSORS: [(&str, &str, &[u64]); 8] = [
        ("conv2d_1", "kernel", &[3, 3, 2, 4]),
        ("conv2d_1", "bias", &[4]),
        ("bn", "gamma", &[4]),
        ("bn", "beta", &[4]),
        ("bn", "moving_mean", &[4]),
        ("bn", "moving_variance", &[4]),
        ("separable", "depthwise_kernel", &[3, 3, 4, 1]),
        ("separable", "pointwise_kernel", &[1, 1, 4, 5]),
    ];

    fn read_file_of(layers: &[Value], tensors: &[(&str, &str, &[u64])]) -> anyhow::Result<SourceNetwork> {
        let config = json!({"class_name": "Model", "config": {"layers": layers}});
        let mut file = Hdf5Builder::new().attribute(AttributeBuilder::fixed_string("model_config", config.to_string()));
        for layer in ["conv2d_1", "bn", "separable"] {
            let names: Vec<_> = tensors
                .iter()
                .filter(|(owner, ..)| *owner == layer)
                .map(|(_, name, _)| format!("{layer}_1/{name}:0"))
                .collect();
            let names = AttributeBuilder::fixed_string_vector("weight_names", &names)?;
            file = file.group_attribute(format!("model_weights/{layer}"), names);
        }
        for (layer, name, shape) in tensors {
            let values: Vec<f32> = (0..shape.iter().product()).map(|it| it as f32).collect();
            let path = format!("model_weights/{layer}/{layer}_1/{name}:0");
            file = file.dataset(DatasetBuilder::typed_data(path, *shape, &values)?);
        }
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("small.hdf5");
        std::fs::write(&path, file.into_plan()?.encode(WriteOptions::default())?)?;
        read(&path)
    }

    fn error(layers: &[Value], tensors: &[(&str, &str, &[u64])]) -> String {
        match read_file_of(layers, tensors) {
            Ok(_) => "no error".to_owned(),
            Err(error) => format!("{error:#}"),
        }
    }

    #[test]
    fn kernels_come_out_channels_first() {
        let network = read_file_of(&small_network(), &TENSORS).unwrap();
        assert_eq!(network.input, Shape { channels: 2, height: 12, width: 16 });
        assert_eq!(network.files[0].name, "small.hdf5");
        let names: Vec<_> = network.layers.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["input_1", "conv2d_1", "bn", "separable/depthwise", "separable", "activation_1"]);
        assert_eq!(network.layers[3].inputs, ["bn"]);
        assert_eq!(network.layers[4].inputs, ["separable/depthwise"]);

        let SourceOp::Conv { weight, offset, stride: 2, padding: Padding::Same } = &network.layers[1].op else {
            panic!("not the convolution that was written");
        };
        assert_eq!(weight.dim(), (4, 2, 3, 3));
        // Position ((row x 3 + column) x 2 + input channel) x 4 + filter in the file.
        assert_eq!(weight[[3, 1, 2, 0]], (((2 * 3) * 2 + 1) * 4 + 3) as f32);
        assert_eq!(offset.as_ref().unwrap().to_vec(), [0.0, 1.0, 2.0, 3.0]);

        let SourceOp::Conv { weight, offset: None, stride: 1, .. } = &network.layers[3].op else {
            panic!("not the depth-wise part that was written");
        };
        assert_eq!(weight.dim(), (4, 1, 3, 3));
        assert_eq!(weight[[3, 0, 0, 2]], (2 * 4 + 3) as f32);

        let SourceOp::Conv { weight, offset: None, stride: 1, .. } = &network.layers[4].op else {
            panic!("not the point-wise part that was written");
        };
        assert_eq!(weight.dim(), (5, 4, 1, 1));
        assert_eq!(weight[[4, 1, 0, 0]], (5 + 4) as f32);
    }

    #[test]
    fn errors_name_the_layer() {
        let with = |position: usize, layer| {
            let mut layers = small_network();
            layers[position] = layer;
            error(&layers, &TENSORS)
        };
        assert_eq!(
            with(2, layer("BatchNormalization", "bn", "conv2d_1", json!({"epsilon": 0.5}))),
            "layer \"bn\": epsilon is 0.5, expected 0.001"
        );
        let mut dilated = convolution();
        dilated["dilation_rate"] = json!([2, 2]);
        assert_eq!(with(1, layer("Conv2D", "conv2d_1", "input_1", dilated)), "layer \"conv2d_1\": it is dilated");
        let mut oblong = convolution();
        oblong["strides"] = json!([1, 2]);
        assert_eq!(
            with(1, layer("Conv2D", "conv2d_1", "input_1", oblong.clone())),
            "layer \"conv2d_1\": 1x2 is no square"
        );
        oblong["strides"] = json!([0, 0]);
        assert_eq!(with(1, layer("Conv2D", "conv2d_1", "input_1", oblong)), "layer \"conv2d_1\": 0x0 is no square");
        let message = with(4, layer("Dense", "dense_1", "separable", json!({"units": 7})));
        assert!(message.starts_with("layer \"dense_1\": unknown variant `Dense`"), "{message}");
        assert_eq!(error(&small_network()[1..], &TENSORS), "there is no InputLayer");
    }

    #[test]
    fn errors_name_the_tensor() {
        assert_eq!(
            error(&small_network(), &TENSORS[..7]),
            "layer \"separable\": no tensor pointwise_kernel among \
             [\"separable_1/depthwise_kernel:0\"]"
        );
        let mut tensors = TENSORS;
        tensors[1].2 = &[2, 2];
        let message = error(&small_network(), &tensors);
        let expected = "layer \"conv2d_1\": conv2d_1_1/bias:0 has shape [2, 2]";
        assert!(message.starts_with(expected), "{message}");
    }
}
