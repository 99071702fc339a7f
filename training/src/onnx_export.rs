//! Writes a network and its weights as an ONNX model, for one image at a time.
//!
//! Nodes have the names of the table, initializers those of its parameters, and the output of a node
//! has the name of the node. So a reader of the model finds each layer of the table in it.

use anyhow::{Context, bail};
use face_attributes_tools::task::Task;
use face_attributes_training::architecture::{BATCH_NORM_EPSILON, Network, Node, Op, Pads};
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::type_proto;
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto, TensorProto,
    TensorShapeProto, TypeProto, ValueInfoProto,
};

use crate::weights::Weights;

/// Name of the output, `[1, classes]`.
const OUTPUT_NAME: &str = "probabilities";
/// The newest operator set in which the attributes of all operators are as written here.
const OPSET_VERSION: i64 = 13;
/// The version of the file format that belongs to [`OPSET_VERSION`].
const IR_VERSION: i64 = 7;

/// The metadata of a model file.
pub struct ModelCard {
    /// Task of the network.
    pub task: Task,
    /// Provenance of the weights, as keys and values. The first one is `source`, in words.
    pub provenance: Vec<(String, String)>,
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
    let what_the_robot_reads = [
        ("task", card.task.name().to_owned()),
        ("architecture", network.name().to_owned()),
        ("labels", card.task.labels().join(",")),
        ("input_size", format!("{}x{}", input.width, input.height)),
        ("input_channels", input.channels.to_string()),
        ("pixel_range", "-1,1".to_owned()),
    ];
    let metadata = what_the_robot_reads.map(|(key, value)| (key.to_owned(), value)).into_iter();
    Ok(ModelProto {
        ir_version: IR_VERSION,
        opset_import: vec![OperatorSetIdProto { version: OPSET_VERSION, ..Default::default() }],
        producer_name: env!("CARGO_PKG_NAME").to_owned(),
        graph: Some(graph),
        metadata_props: metadata
            .chain(card.provenance.iter().cloned())
            .map(|(key, value)| StringStringEntryProto { key, value })
            .collect(),
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
        // Removes the two axes of size 1 that GlobalAveragePool leaves.
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

#[cfg(test)]
mod tests {
    use face_attributes_training::architecture::{
        Architecture, Layer, Padding, Shape, mini_xception, sequential_fully_cnn,
    };
    use ndarray::{Array, ArrayD, IxDyn};
    use tract_onnx::prelude::*;

    use super::*;

    fn card() -> ModelCard {
        ModelCard { task: Task::Gender, provenance: vec![("source".to_owned(), "a file of a package".to_owned())] }
    }

    /// Every weight is `value(parameter name, position)`.
    fn weights(network: &Network, value: impl Fn(&str, usize) -> f32) -> Weights {
        let tensors = network.parameters().map(|parameter| {
            let count = parameter.shape.iter().product();
            let values = (0..count).map(|position| value(&parameter.name, position)).collect();
            let tensor = Array::from_shape_vec(IxDyn(&parameter.shape), values).unwrap();
            (parameter.name, tensor)
        });
        Weights::new(network, tensors.collect()).unwrap()
    }

    /// The values that tract computes for named nodes of a model.
    fn run(model: &ModelProto, outputs: &[&str], image: ArrayD<f32>) -> Vec<ArrayD<f32>> {
        let plan = onnx()
            .model_for_proto_model(model)
            .unwrap()
            .with_outputs_by_name(outputs)
            .unwrap()
            .into_optimized()
            .unwrap()
            .into_runnable()
            .unwrap();
        let results = plan.run(tvec!(Tensor::from(image).into_tvalue())).unwrap();
        results.iter().map(|it| it.to_plain_array_view::<f32>().unwrap().to_owned()).collect()
    }

    // 4 rows with stride 2 are padded only below, 7 columns on both sides. A weight that selects the
    // corner of its window shows that each padding is on the right side.
    #[test]
    fn padding_is_on_its_side() {
        let conv = |filters| Layer::Conv { filters, kernel: 3, stride: 2, padding: Padding::Same, bias: false };
        let network = Network::build(&Architecture {
            name: "test",
            input: Shape { channels: 1, height: 4, width: 7 },
            layers: vec![conv(2), conv(2), Layer::GlobalAveragePool, Layer::Softmax],
        })
        .unwrap();
        // Filter 0 selects the first element of the window, filter 1 the last.
        let weights = weights(&network, |_, position| f32::from(position == 0 || position == 9 + 8));
        let model = onnx_from_network(&network, &weights, &card()).unwrap();
        let image = Array::from_shape_fn((1, 1, 4, 7), |(_, _, row, column)| 10.0 * (row + 1) as f32 + column as f32);
        let maps = run(&model, &["conv_1"], image.into_dyn()).remove(0);
        let first = [0.0, 11.0, 13.0, 15.0, 0.0, 31.0, 33.0, 35.0];
        let last = [31.0, 33.0, 35.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        assert_eq!(maps.shape(), [1, 2, 2, 4]);
        assert_eq!(maps.into_raw_vec_and_offset().0, [first, last].concat());
    }

    // Worked by hand: (x - mean) / sqrt(variance + epsilon) * scale + bias.
    #[test]
    fn batch_norm_uses_its_parameters_in_order() {
        let network = Network::build(&Architecture {
            name: "test",
            input: Shape { channels: 2, height: 1, width: 1 },
            layers: vec![Layer::BatchNorm, Layer::Dropout { rate: 0.5 }, Layer::Softmax],
        })
        .unwrap();
        let weights = weights(&network, |name, position| match name {
            "batch_norm_1.scale" => [2.0, 3.0][position],
            "batch_norm_1.bias" => [5.0, 7.0][position],
            "batch_norm_1.mean" => [11.0, 13.0][position],
            _ => [4.0 - BATCH_NORM_EPSILON, 16.0 - BATCH_NORM_EPSILON][position],
        });
        let model = onnx_from_network(&network, &weights, &card()).unwrap();
        let image = Array::from_shape_vec(IxDyn(&[1, 2, 1, 1]), vec![17.0, 21.0]).unwrap();
        let normalized = run(&model, &["batch_norm_1"], image).remove(0);
        assert_eq!(normalized.into_raw_vec_and_offset().0, [11.0, 13.0]);
    }

    #[test]
    fn both_networks_of_the_paper_run_in_tract() {
        let shape = |channels| Shape { channels, height: 48, width: 40 };
        for table in [mini_xception(shape(1), 2), sequential_fully_cnn(shape(3), 2)] {
            let network = Network::build(&table).unwrap();
            let weights = weights(&network, |name, position| match name.rsplit('.').next() {
                Some("variance" | "scale") => 1.0,
                _ => 0.1 * (position as f32).sin(),
            });
            let model = onnx_from_network(&network, &weights, &card()).unwrap();
            let channels = network.input_shape().channels;
            let image = Array::from_shape_fn((1, channels, 48, 40), |(_, channel, row, column)| {
                ((channel + 3 * row + 7 * column) as f32).sin()
            });
            let probabilities = run(&model, &[OUTPUT_NAME], image.into_dyn()).remove(0);
            assert_eq!(probabilities.shape(), [1, 2], "{}", network.name());
            assert!((probabilities.sum() - 1.0).abs() < 1e-6, "{probabilities}");
        }
    }

    #[test]
    fn a_network_without_probabilities_is_refused() {
        let network = Network::build(&Architecture {
            name: "test",
            input: Shape { channels: 1, height: 2, width: 2 },
            layers: vec![Layer::GlobalAveragePool, Layer::Relu],
        })
        .unwrap();
        let error = onnx_from_network(&network, &weights(&network, |_, _| 0.0), &card());
        assert_eq!(error.unwrap_err().to_string(), "the network ends with relu_1, expected a softmax");
    }
}
