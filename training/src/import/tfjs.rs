//! Reads TensorFlow.js graph models. The graph and a list of tensors are JSON. The list names binary
//! files, which contain the values of the tensors one after the other.
//!
//! The converter has folded batch normalizations into the convolutions before them, and has fused
//! these with the activations after them.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use face_attributes_training::architecture::{Padding, Shape};
use ndarray::{Array, Array1, ArrayD, Dimension};
use serde::Deserialize;

use super::source::{
    SourceLayer, SourceNetwork, SourceOp, depthwise_from_hwcm, oihw_from_hwio, read_file, square_side,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GraphModel {
    model_topology: Topology,
    weights_manifest: Vec<WeightsGroup>,
}

#[derive(Deserialize)]
struct Topology {
    node: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct GraphNode {
    name: String,
    #[serde(default)]
    input: Vec<String>,
    #[serde(flatten)]
    kind: NodeKind,
}

#[derive(Deserialize)]
#[serde(tag = "op", content = "attr")]
enum NodeKind {
    Const {},
    Placeholder {
        shape: ShapeAttribute,
    },
    #[serde(rename = "_FusedConv2D")]
    FusedConv2D {
        strides: Axes,
        padding: Text,
        fused_ops: Texts,
    },
    DepthwiseConv2dNative {
        strides: Axes,
        padding: Text,
    },
    MaxPool {
        ksize: Axes,
        strides: Axes,
        padding: Text,
    },
    AddV2 {},
    Mean {},
    Softmax {},
    Identity {},
}

#[derive(Deserialize)]
struct ShapeAttribute {
    shape: Dimensions,
}

#[derive(Deserialize)]
struct Dimensions {
    dim: [DimensionSize; 4],
}

#[derive(Deserialize)]
struct DimensionSize {
    size: String,
}

/// A number per axis: batch, rows, columns, channels.
#[derive(Deserialize)]
struct Axes {
    list: Integers,
}

#[derive(Deserialize)]
struct Integers {
    i: [String; 4],
}

/// A text in base 64.
#[derive(Deserialize)]
struct Text {
    s: String,
}

#[derive(Deserialize)]
struct Texts {
    list: TextList,
}

#[derive(Deserialize)]
struct TextList {
    s: Vec<String>,
}

#[derive(Deserialize)]
struct WeightsGroup {
    paths: Vec<String>,
    weights: Vec<WeightsEntry>,
}

#[derive(Deserialize)]
struct WeightsEntry {
    name: String,
    shape: Vec<usize>,
    dtype: Dtype,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Dtype {
    Float32,
    Int32,
}

type Tensors = HashMap<String, ArrayD<f32>>;

/// Reads the graph at `path` and the binary files beside it. Operations that the converted networks
/// do not have are refused by name.
pub fn read(path: &Path) -> anyhow::Result<SourceNetwork> {
    let json = read_file(path)?;
    let model: GraphModel = serde_json::from_slice(&json.bytes)?;
    let mut files = vec![json];
    let mut tensors = Tensors::new();
    for group in &model.weights_manifest {
        let mut bytes = Vec::new();
        for name in &group.paths {
            let file = read_file(&path.with_file_name(name))?;
            bytes.extend_from_slice(&file.bytes);
            files.push(file);
        }
        let names = group.paths.join(", ");
        read_tensors(&mut tensors, &group.weights, &bytes).context(names)?;
    }

    let mut input = None;
    let mut layers = Vec::new();
    for value in model.model_topology.node {
        let name = value["name"].to_string();
        let context = || format!("node {name}");
        let node: GraphNode = serde_json::from_value(value).with_context(context)?;
        if let NodeKind::Placeholder { shape } = &node.kind {
            input = Some(shape.image_shape().with_context(context)?);
        }
        append_layers(&mut layers, node, &tensors).with_context(context)?;
    }
    Ok(SourceNetwork { input: input.context("there is no Placeholder")?, layers, files })
}

fn read_tensors(tensors: &mut Tensors, entries: &[WeightsEntry], mut bytes: &[u8]) -> anyhow::Result<()> {
    for entry in entries {
        let size = entry.shape.iter().try_fold(4_usize, |size, &side| size.checked_mul(side));
        let size = size.with_context(|| format!("tensor {} has shape {:?}", entry.name, entry.shape))?;
        let (head, rest) = bytes
            .split_at_checked(size)
            .with_context(|| format!("tensor {} needs {size} bytes, {} are left", entry.name, bytes.len()))?;
        bytes = rest;
        let values = head.chunks_exact(4).map(|it| [it[0], it[1], it[2], it[3]]);
        let values: Vec<f32> = match entry.dtype {
            Dtype::Float32 => values.map(f32::from_le_bytes).collect(),
            // Only axes, which are small.
            Dtype::Int32 => values.map(|it| i32::from_le_bytes(it) as f32).collect(),
        };
        tensors.insert(entry.name.clone(), ArrayD::from_shape_vec(entry.shape.clone(), values)?);
    }
    ensure!(bytes.is_empty(), "{} bytes belong to no tensor", bytes.len());
    Ok(())
}

/// Appends the layers of a node: none for a constant, two for a convolution that is fused with its
/// activation.
fn append_layers(layers: &mut Vec<SourceLayer>, node: GraphNode, tensors: &Tensors) -> anyhow::Result<()> {
    let GraphNode { name, mut input, kind } = node;
    let op = match kind {
        NodeKind::Const {} | NodeKind::Identity {} => return Ok(()),
        NodeKind::Placeholder { .. } => SourceOp::Input,
        NodeKind::FusedConv2D { strides, padding, fused_ops } => {
            let convolution = SourceOp::Conv {
                offset: Some(tensor(tensors, &pop(&mut input)?)?),
                weight: oihw_from_hwio(tensor(tensors, &pop(&mut input)?)?),
                stride: strides.side()?,
                padding: padding.padding()?,
            };
            let fused = fused_ops.list.s.iter().map(|it| decode(it));
            match fused.collect::<anyhow::Result<Vec<_>>>()?.join(",").as_str() {
                "BiasAdd" => convolution,
                "BiasAdd,Relu" => {
                    let inner = format!("{name}/BiasAdd");
                    let inputs = std::mem::replace(&mut input, vec![inner.clone()]);
                    layers.push(SourceLayer { name: inner, inputs, op: convolution });
                    SourceOp::Relu
                }
                other => bail!("fused with {other}, expected BiasAdd or BiasAdd,Relu"),
            }
        }
        NodeKind::DepthwiseConv2dNative { strides, padding } => SourceOp::Conv {
            weight: depthwise_from_hwcm(tensor(tensors, &pop(&mut input)?)?),
            offset: None,
            stride: strides.side()?,
            padding: padding.padding()?,
        },
        NodeKind::MaxPool { ksize, strides, padding } => {
            SourceOp::MaxPool { kernel: ksize.side()?, stride: strides.side()?, padding: padding.padding()? }
        }
        NodeKind::AddV2 {} => SourceOp::Add,
        NodeKind::Mean {} => {
            let axes: Array1<f32> = tensor(tensors, &pop(&mut input)?)?;
            ensure!(axes.to_vec() == [1.0, 2.0], "mean over axes {axes}, expected [1, 2]");
            SourceOp::GlobalAveragePool
        }
        NodeKind::Softmax {} => SourceOp::Softmax,
    };
    layers.push(SourceLayer { name, inputs: input, op });
    Ok(())
}

/// Removes the last input, which is a tensor of weights for these operations.
fn pop(inputs: &mut Vec<String>) -> anyhow::Result<String> {
    inputs.pop().context("an input is missing")
}

fn tensor<D: Dimension>(tensors: &Tensors, name: &str) -> anyhow::Result<Array<f32, D>> {
    let tensor = tensors.get(name).with_context(|| format!("there is no tensor {name}"))?;
    tensor.clone().into_dimensionality().with_context(|| format!("tensor {name} has shape {:?}", tensor.shape()))
}

fn decode(text: &str) -> anyhow::Result<String> {
    let bytes = STANDARD.decode(text).with_context(|| format!("{text} is not base 64"))?;
    String::from_utf8(bytes).with_context(|| format!("{text} is not text in base 64"))
}

impl Axes {
    fn side(&self) -> anyhow::Result<usize> {
        let [batch, rows, columns, channels] = &self.list.i;
        ensure!(batch == "1" && channels == "1", "it steps over the batch or the channels");
        square_side([rows.parse()?, columns.parse()?])
    }
}

impl Text {
    fn padding(&self) -> anyhow::Result<Padding> {
        match decode(&self.s)?.as_str() {
            "SAME" => Ok(Padding::Same),
            "VALID" => Ok(Padding::Valid),
            other => bail!("padding {other}, expected SAME or VALID"),
        }
    }
}

impl ShapeAttribute {
    fn image_shape(&self) -> anyhow::Result<Shape> {
        let [_, height, width, channels] = &self.shape.dim;
        Ok(Shape { channels: channels.size.parse()?, height: height.size.parse()?, width: width.size.parse()? })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn axes(rows: &str, columns: &str) -> Value {
        json!({"list": {"i": ["1", rows, columns, "1"]}})
    }

    fn text(text: &str) -> Value {
        json!({"s": STANDARD.encode(text)})
    }

    fn node(op: &str, name: &str, input: &[&str], attr: Value) -> Value {
        json!({"op": op, "name": name, "input": input, "attr": attr})
    }

    fn fused(operations: &[&str]) -> Value {
        let operations: Vec<_> = operations.iter().map(|it| STANDARD.encode(it)).collect();
        json!({
            "strides": axes("2", "2"), "padding": text("VALID"), "fused_ops": {"list": {"s": operations}}
        })
    }

    /// A network of two convolutions and a mean; the last node is an output's name.
    fn small_network() -> Vec<Value> {
        let shape = json!({"dim": [{"size": "-1"}, {"size": "12"}, {"size": "16"}, {"size": "2"}]});
        let depthwise = json!({"strides": axes("1", "1"), "padding": text("SAME")});
        vec![
            node("Placeholder", "x", &[], json!({"shape": {"shape": shape}})),
            node("Const", "w", &[], json!({})),
            node("_FusedConv2D", "relu", &["x", "w", "b"], fused(&["BiasAdd", "Relu"])),
            node("DepthwiseConv2dNative", "depthwise", &["relu", "d"], depthwise),
            node("Mean", "mean", &["depthwise", "axes"], json!({})),
            node("Identity", "Identity", &["mean"], json!({})),
        ]
    }

    /// The tensors of that network; `byte_count` cuts the binary file.
    fn read_files_of(nodes: &[Value], byte_count: usize) -> anyhow::Result<SourceNetwork> {
        let folder = tempfile::tempdir()?;
        let weights = json!([
            {"name": "w", "shape": [3, 3, 2, 4], "dtype": "float32"},
            {"name": "b", "shape": [4], "dtype": "float32"},
            {"name": "d", "shape": [3, 3, 4, 1], "dtype": "float32"},
            {"name": "axes", "shape": [2], "dtype": "int32"},
        ]);
        let graph = json!({
            "modelTopology": {"node": nodes},
            "weightsManifest": [{"paths": ["small.bin"], "weights": weights}],
        });
        let mut bytes: Vec<u8> = (0..72 + 4 + 36).flat_map(|it| (it as f32).to_le_bytes()).collect();
        bytes.extend([1_i32, 2].iter().flat_map(|it| it.to_le_bytes()));
        bytes.resize(byte_count, 0);
        std::fs::write(folder.path().join("small.bin"), bytes)?;
        let path = folder.path().join("small.json");
        std::fs::write(&path, graph.to_string())?;
        read(&path)
    }

    const BYTE_COUNT: usize = (72 + 4 + 36 + 2) * 4;

    fn error(nodes: &[Value], byte_count: usize) -> String {
        match read_files_of(nodes, byte_count) {
            Ok(_) => "no error".to_owned(),
            Err(error) => format!("{error:#}"),
        }
    }

    #[test]
    fn a_fused_convolution_becomes_two_layers() {
        let network = read_files_of(&small_network(), BYTE_COUNT).unwrap();
        assert_eq!(network.input, Shape { channels: 2, height: 12, width: 16 });
        let files: Vec<_> = network.files.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(files, ["small.json", "small.bin"]);
        let layers: Vec<_> = network.layers.iter().map(|it| (it.name.as_str(), it.inputs.join(","))).collect();
        let expected =
            [("x", ""), ("relu/BiasAdd", "x"), ("relu", "relu/BiasAdd"), ("depthwise", "relu"), ("mean", "depthwise")];
        assert_eq!(layers, expected.map(|(name, inputs)| (name, inputs.to_owned())));

        let SourceOp::Conv { weight, offset, stride: 2, padding: Padding::Valid } = &network.layers[1].op else {
            panic!("not the convolution that was written");
        };
        assert_eq!(weight.dim(), (4, 2, 3, 3));
        // Position ((row x 3 + column) x 2 + input channel) x 4 + filter in the file.
        assert_eq!(weight[[3, 1, 2, 0]], (((2 * 3) * 2 + 1) * 4 + 3) as f32);
        assert_eq!(offset.as_ref().unwrap().to_vec(), [72.0, 73.0, 74.0, 75.0]);

        let SourceOp::Conv { weight, offset: None, .. } = &network.layers[3].op else {
            panic!("not the depth-wise convolution that was written");
        };
        assert_eq!(weight[[3, 0, 0, 2]], (76 + 2 * 4 + 3) as f32);
    }

    #[test]
    fn errors_name_the_node() {
        let with = |position: usize, node| {
            let mut nodes = small_network();
            nodes[position] = node;
            error(&nodes, BYTE_COUNT)
        };
        assert_eq!(
            with(2, node("_FusedConv2D", "relu", &["x", "w", "b"], fused(&["BiasAdd", "Elu"]))),
            "node \"relu\": fused with BiasAdd,Elu, expected BiasAdd or BiasAdd,Relu"
        );
        assert_eq!(
            with(2, node("_FusedConv2D", "relu", &["x", "w", "c"], fused(&["BiasAdd"]))),
            "node \"relu\": there is no tensor c"
        );
        assert_eq!(
            with(4, node("Mean", "mean", &["depthwise", "b"], json!({}))),
            "node \"mean\": mean over axes [72, 73, 74, 75], expected [1, 2]"
        );
        let message = with(4, node("MatMul", "dense", &["depthwise"], json!({})));
        assert!(message.starts_with("node \"dense\": unknown variant `MatMul`"), "{message}");
        assert_eq!(error(&small_network()[1..], BYTE_COUNT), "there is no Placeholder");
    }

    #[test]
    fn a_binary_file_of_another_length_is_named() {
        assert_eq!(error(&small_network(), BYTE_COUNT - 4), "small.bin: tensor axes needs 8 bytes, 4 are left");
        assert_eq!(error(&small_network(), BYTE_COUNT + 3), "small.bin: 3 bytes belong to no tensor");
    }
}
