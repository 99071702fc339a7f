//! Writes a network and its weights as an ONNX model, for one image at a time.
//!
//! Nodes carry the names of the table, initializers those of its parameters, and the output of a
//! node the name of the node, so that a reader of the model finds every layer of the table in it.

use anyhow::{Context, bail};
use face_attributes::architecture::{BATCH_NORM_EPSILON, Network, Node, Op, Pads};
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::type_proto;
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto, TensorProto,
    TensorShapeProto, TypeProto, ValueInfoProto,
};

use crate::task::Task;
use crate::weights::Weights;

/// Name of the output, `[1, classes]`.
const OUTPUT_NAME: &str = "probabilities";
/// The newest operator set in which every operator used here has kept its attributes as written.
const OPSET_VERSION: i64 = 13;
/// The version of the file format that belongs to [`OPSET_VERSION`].
const IR_VERSION: i64 = 7;

/// What a model file says about itself, besides its graph.
pub struct ModelCard {
    /// What it decides.
    pub task: Task,
    /// Files that the weights were read from, and their package.
    pub source: String,
    /// SHA-256 of these files, in the same order.
    pub source_sha256: String,
    /// Licence of the weights.
    pub license: String,
}

/// The model: input `image`, float32 `[1, channels, height, width]` in -1 to 1; output
/// `probabilities`, float32 `[1, classes]`.
pub fn onnx_from_network(network: &Network, weights: &Weights, card: &ModelCard) -> anyhow::Result<ModelProto> {
    let input = network.input_shape();
    let graph = GraphProto {
        name: network.name().to_owned(),
        node: nodes(network.nodes())?,
        initializer: weights
            .iter()
            .map(|(name, tensor)| TensorProto {
                name: name.to_owned(),
                dims: tensor.shape().iter().map(|&size| size as i64).collect(),
                data_type: DataType::Float as i32,
                raw_data: tensor.iter().flat_map(|value| value.to_le_bytes()).collect(),
                ..Default::default()
            })
            .collect(),
        input: vec![value_info(Network::INPUT_NAME, &[1, input.channels, input.height, input.width])],
        output: vec![value_info(OUTPUT_NAME, &[1, network.output_shape().channels])],
        ..Default::default()
    };
    let metadata = [
        ("task", card.task.name().to_owned()),
        ("architecture", network.name().to_owned()),
        ("labels", card.task.labels().join(",")),
        ("input_size", format!("{}x{}", input.width, input.height)),
        ("input_channels", input.channels.to_string()),
        ("pixel_range", "-1,1".to_owned()),
        ("source", card.source.clone()),
        ("source_sha256", card.source_sha256.clone()),
        ("license", card.license.clone()),
    ];
    Ok(ModelProto {
        ir_version: IR_VERSION,
        opset_import: vec![OperatorSetIdProto { version: OPSET_VERSION, ..Default::default() }],
        producer_name: env!("CARGO_PKG_NAME").to_owned(),
        graph: Some(graph),
        metadata_props: metadata.map(|(key, value)| StringStringEntryProto { key: key.to_owned(), value }).to_vec(),
        ..Default::default()
    })
}

fn nodes(nodes: &[Node]) -> anyhow::Result<Vec<NodeProto>> {
    let mut value_names = vec![Network::INPUT_NAME.to_owned()];
    let mut protos: Vec<NodeProto> = Vec::new();
    for node in &nodes[1..] {
        let mut inputs: Vec<String> = node.inputs.iter().map(|&input| value_names[input].clone()).collect();
        if let Op::Dropout { .. } = node.op {
            value_names.push(inputs.swap_remove(0));
            continue;
        }
        inputs.extend(node.parameters().into_iter().map(|parameter| parameter.name));
        value_names.push(node.name.clone());
        let (op_type, attribute) = operator(node)?;
        protos.push(NodeProto {
            name: node.name.clone(),
            op_type: op_type.to_owned(),
            input: inputs,
            output: vec![node.name.clone()],
            attribute,
            ..Default::default()
        });
    }
    let last = protos.last_mut().context("the network has no layers")?;
    if last.op_type != "Softmax" {
        bail!("the network ends with {}, expected a softmax", last.name);
    }
    last.output = vec![OUTPUT_NAME.to_owned()];
    Ok(protos)
}

/// Type of an ONNX operator and its attributes.
fn operator(node: &Node) -> anyhow::Result<(&'static str, Vec<AttributeProto>)> {
    Ok(match node.op {
        Op::Conv { kernel, stride, pads, groups, .. } => {
            let mut attributes = window(kernel, stride, pads);
            attributes.push(int("group", groups as i64));
            ("Conv", attributes)
        }
        Op::BatchNorm => ("BatchNormalization", vec![float("epsilon", BATCH_NORM_EPSILON)]),
        Op::Relu => ("Relu", Vec::new()),
        Op::MaxPool { kernel, stride, pads } => ("MaxPool", window(kernel, stride, pads)),
        Op::AveragePool { kernel, stride, pads } => ("AveragePool", window(kernel, stride, pads)),
        Op::Add => ("Add", Vec::new()),
        // Without the two axes of size 1 that GlobalAveragePool would leave.
        Op::GlobalAveragePool => ("ReduceMean", vec![ints("axes", &[2, 3]), int("keepdims", 0)]),
        Op::Softmax => ("Softmax", vec![int("axis", 1)]),
        Op::Input | Op::Dropout { .. } => bail!("{} is not at its place", node.name),
    })
}

fn window(kernel: usize, stride: usize, pads: Pads) -> Vec<AttributeProto> {
    let Pads { top, left, bottom, right } = pads;
    vec![
        ints("kernel_shape", &[kernel, kernel]),
        ints("strides", &[stride, stride]),
        ints("pads", &[top, left, bottom, right]),
    ]
}

fn ints(name: &str, values: &[usize]) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Ints as i32,
        ints: values.iter().map(|&value| value as i64).collect(),
        ..Default::default()
    }
}

fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { name: name.to_owned(), r#type: AttributeType::Int as i32, i: value, ..Default::default() }
}

fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto { name: name.to_owned(), r#type: AttributeType::Float as i32, f: value, ..Default::default() }
}

fn value_info(name: &str, shape: &[usize]) -> ValueInfoProto {
    let dim = shape
        .iter()
        .map(|&size| Dimension { value: Some(dimension::Value::DimValue(size as i64)), ..Default::default() })
        .collect();
    let tensor = type_proto::Tensor { elem_type: DataType::Float as i32, shape: Some(TensorShapeProto { dim }) };
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..Default::default() }),
        ..Default::default()
    }
}
