//! Finds for each node of a network the layer of an imported file that computes it.
//!
//! Layers are matched by their operations and inputs, starting at the image, and not by name or by
//! order. So a file with another network is refused, even if its tensors would fit.

use std::collections::BTreeMap;

use anyhow::{bail, ensure};
use face_attributes_training::architecture::{BATCH_NORM_EPSILON, Network, Node, Op};
use ndarray::{Array1, ArrayD};

use super::source::{SourceLayer, SourceOp};
use crate::weights::Weights;

/// The weights of `layers` under the names of `network`.
///
/// A batch normalization that the file has folded into its convolution is restored as one that only
/// adds the folded bias: scale 1, mean 0, variance 1 - epsilon.
pub fn weights_from_layers(network: &Network, layers: &[SourceLayer]) -> anyhow::Result<Weights> {
    let nodes = network.nodes();
    let mut tensors = BTreeMap::new();
    let mut matched: Vec<&SourceLayer> = Vec::with_capacity(nodes.len());
    for (position, node) in nodes.iter().enumerate() {
        let inputs: Vec<&SourceLayer> = node.inputs.iter().map(|&input| matched[input]).collect();
        if let Some(offset) = folded_offset(nodes, node, &inputs) {
            insert_batch_norm(&mut tensors, node, identity_batch_norm(offset));
            matched.push(inputs[0]);
            continue;
        }
        let layer = find_layer(nodes, position, layers, &inputs)?;
        insert_weights(&mut tensors, node, &layer.op);
        matched.push(layer);
    }
    for layer in layers {
        let has_weights = matches!(layer.op, SourceOp::Conv { .. } | SourceOp::BatchNorm { .. });
        let is_matched = matched.iter().any(|it| it.name == layer.name);
        ensure!(is_matched || !has_weights, "layer {} has no counterpart in {}", layer.name, network.name());
    }
    Weights::new(network, tensors)
}

/// The bias that remains of the batch normalization `node`, if the file has folded it into the
/// convolution before it.
fn folded_offset<'a>(nodes: &[Node], node: &Node, inputs: &[&'a SourceLayer]) -> Option<&'a Array1<f32>> {
    match (node.op, &inputs.first()?.op, nodes[node.inputs[0]].op) {
        (Op::BatchNorm, SourceOp::Conv { offset, .. }, Op::Conv { bias: false, .. }) => offset.as_ref(),
        _ => None,
    }
}

fn find_layer<'a>(
    nodes: &[Node],
    position: usize,
    layers: &'a [SourceLayer],
    inputs: &[&SourceLayer],
) -> anyhow::Result<&'a SourceLayer> {
    let node = &nodes[position];
    let normalized_next = nodes.iter().any(|next| next.op == Op::BatchNorm && next.inputs == [position]);
    let op_of = |layer: &SourceLayer| match layer.op.op(node.input_shape) {
        Op::Conv { filters, kernel, stride, pads, groups, bias } => {
            // A bias before a batch normalization is the rest of a folded one.
            let bias = bias && !normalized_next;
            Op::Conv { filters, kernel, stride, pads, groups, bias }
        }
        op => op,
    };
    let mut input_names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
    input_names.sort_unstable();
    let followers: Vec<&SourceLayer> = layers
        .iter()
        .filter(|layer| {
            let mut names: Vec<&str> = layer.inputs.iter().map(String::as_str).collect();
            names.sort_unstable();
            names == input_names
        })
        .collect();
    let candidates: Vec<_> = followers.iter().filter(|layer| op_of(layer) == node.op).collect();
    match candidates[..] {
        [layer] => Ok(layer),
        [] => {
            let found: Vec<_> = followers.iter().map(|layer| format!("{} ({:?})", layer.name, op_of(layer))).collect();
            bail!(
                "no layer for {}: expected {:?} of {} after [{}], found [{}]",
                node.name,
                node.op,
                node.input_shape,
                input_names.join(", "),
                found.join(", ")
            )
        }
        _ => bail!(
            "more than one layer for {}: {}",
            node.name,
            candidates.iter().map(|layer| layer.name.as_str()).collect::<Vec<_>>().join(", ")
        ),
    }
}

fn insert_weights(tensors: &mut BTreeMap<String, ArrayD<f32>>, node: &Node, op: &SourceOp) {
    match op {
        SourceOp::Conv { weight, offset, .. } => {
            tensors.insert(format!("{}.weight", node.name), weight.clone().into_dyn());
            if let (Op::Conv { bias: true, .. }, Some(offset)) = (node.op, offset) {
                tensors.insert(format!("{}.bias", node.name), offset.clone().into_dyn());
            }
        }
        SourceOp::BatchNorm { scale, bias, mean, variance } => {
            insert_batch_norm(tensors, node, [scale, bias, mean, variance].map(Array1::clone));
        }
        _ => {}
    }
}

fn insert_batch_norm(tensors: &mut BTreeMap<String, ArrayD<f32>>, node: &Node, parts: [Array1<f32>; 4]) {
    for (name, part) in ["scale", "bias", "mean", "variance"].into_iter().zip(parts) {
        tensors.insert(format!("{}.{name}", node.name), part.into_dyn());
    }
}

fn identity_batch_norm(offset: &Array1<f32>) -> [Array1<f32>; 4] {
    let constant = |value| Array1::from_elem(offset.len(), value);
    [constant(1.0), offset.clone(), constant(0.0), constant(1.0 - BATCH_NORM_EPSILON)]
}

#[cfg(test)]
mod tests {
    use face_attributes_training::architecture::{Architecture, Layer, Padding, Shape};
    use ndarray::{Array4, arr1};

    use super::*;

    fn network() -> Network {
        let conv = |filters, kernel, bias| Layer::Conv { filters, kernel, stride: 1, padding: Padding::Same, bias };
        Network::build(&Architecture {
            name: "test",
            input: Shape { channels: 1, height: 4, width: 6 },
            layers: vec![
                Layer::Residual {
                    main: vec![conv(2, 1, false), Layer::BatchNorm, Layer::Relu],
                    shortcut: vec![conv(2, 3, true)],
                },
                conv(1, 1, true),
            ],
        })
        .unwrap()
    }

    fn layer(name: &str, inputs: &[&str], op: SourceOp) -> SourceLayer {
        let inputs = inputs.iter().map(|&input| input.to_owned()).collect();
        SourceLayer { name: name.to_owned(), inputs, op }
    }

    fn conv(shape: (usize, usize, usize), value: f32, offset: Option<Array1<f32>>) -> SourceOp {
        SourceOp::Conv {
            weight: Array4::from_elem((shape.0, shape.1, shape.2, shape.2), value),
            offset,
            stride: 1,
            padding: Padding::Same,
        }
    }

    /// The network above in another order and under other names, the inputs of the sum swapped.
    fn layers() -> Vec<SourceLayer> {
        let batch_norm = SourceOp::BatchNorm {
            scale: arr1(&[1.0, 2.0]),
            bias: arr1(&[3.0, 4.0]),
            mean: arr1(&[5.0, 6.0]),
            variance: arr1(&[7.0, 8.0]),
        };
        vec![
            layer("last", &["sum"], conv((1, 2, 1), 30.0, Some(arr1(&[31.0])))),
            layer("sum", &["side", "rectified"], SourceOp::Add),
            layer("side", &["input"], conv((2, 1, 3), 20.0, Some(arr1(&[21.0, 22.0])))),
            layer("rectified", &["normal"], SourceOp::Relu),
            layer("normal", &["main"], batch_norm),
            layer("main", &["input"], conv((2, 1, 1), 10.0, None)),
            layer("input", &[], SourceOp::Input),
        ]
    }

    fn values(weights: &Weights, name: &str) -> Vec<f32> {
        let (_, tensor) = weights.iter().find(|(it, _)| *it == name).unwrap();
        tensor.iter().copied().collect()
    }

    fn error(layers: &[SourceLayer]) -> String {
        match weights_from_layers(&network(), layers) {
            Ok(_) => "no error".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn layers_are_found_by_what_they_compute_and_take() {
        let weights = weights_from_layers(&network(), &layers()).unwrap();
        assert_eq!(values(&weights, "module_1/main/conv_1.weight"), [10.0, 10.0]);
        assert_eq!(values(&weights, "module_1/main/batch_norm_1.scale"), [1.0, 2.0]);
        assert_eq!(values(&weights, "module_1/main/batch_norm_1.bias"), [3.0, 4.0]);
        assert_eq!(values(&weights, "module_1/main/batch_norm_1.mean"), [5.0, 6.0]);
        assert_eq!(values(&weights, "module_1/main/batch_norm_1.variance"), [7.0, 8.0]);
        assert_eq!(values(&weights, "module_1/shortcut/conv_1.weight"), [20.0; 18]);
        assert_eq!(values(&weights, "module_1/shortcut/conv_1.bias"), [21.0, 22.0]);
        assert_eq!(values(&weights, "conv_1.bias"), [31.0]);
    }

    #[test]
    fn a_folded_batch_norm_only_adds() {
        let network = Network::build(&Architecture {
            name: "test",
            input: Shape { channels: 1, height: 4, width: 6 },
            layers: vec![
                Layer::Conv { filters: 2, kernel: 1, stride: 1, padding: Padding::Valid, bias: false },
                Layer::BatchNorm,
                Layer::Relu,
            ],
        })
        .unwrap();
        let layers = [
            layer("input", &[], SourceOp::Input),
            layer("fused", &["input"], conv((2, 1, 1), 10.0, Some(arr1(&[3.0, 4.0])))),
            layer("rectified", &["fused"], SourceOp::Relu),
        ];
        let weights = weights_from_layers(&network, &layers).unwrap();
        assert_eq!(values(&weights, "batch_norm_1.scale"), [1.0, 1.0]);
        assert_eq!(values(&weights, "batch_norm_1.bias"), [3.0, 4.0]);
        assert_eq!(values(&weights, "batch_norm_1.mean"), [0.0, 0.0]);
        let variance = values(&weights, "batch_norm_1.variance")[0];
        assert_eq!((variance + BATCH_NORM_EPSILON).sqrt(), 1.0);
    }

    #[test]
    fn another_network_is_refused_by_layer() {
        let mut stride = layers();
        let SourceOp::Conv { stride: side, .. } = &mut stride[0].op else { panic!() };
        *side = 2;
        let message = error(&stride);
        assert!(message.starts_with("no layer for conv_1: expected Conv { filters: 1"), "{message}");
        assert!(message.contains("after [sum], found [last (Conv { filters: 1"), "{message}");

        let mut ambiguous = layers();
        ambiguous.push(layer("twin", &["normal"], SourceOp::Relu));
        assert_eq!(error(&ambiguous), "more than one layer for module_1/main/relu_1: rectified, twin");

        let mut longer = layers();
        longer.push(layer("extra", &["last"], conv((1, 1, 1), 1.0, None)));
        assert_eq!(error(&longer), "layer extra has no counterpart in test");
    }

    #[test]
    fn a_weight_of_another_shape_is_refused_by_name() {
        let mut layers = layers();
        layers[4].op = SourceOp::BatchNorm {
            scale: arr1(&[1.0, 2.0]),
            bias: arr1(&[3.0]),
            mean: arr1(&[5.0, 6.0]),
            variance: arr1(&[7.0, 8.0]),
        };
        assert_eq!(error(&layers), "module_1/main/batch_norm_1.bias has shape [1], expected [2]");
    }
}
