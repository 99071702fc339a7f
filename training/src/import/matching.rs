//! Finds, for every node of a network, the layer of a foreign file that computes it.
//!
//! Layers are matched by what they compute and by what they take, from the image on, never by name
//! or by order: a file with another network in it is refused, also when its tensors would fit.

use std::collections::BTreeMap;

use anyhow::{bail, ensure};
use face_attributes::architecture::{BATCH_NORM_EPSILON, Network, Node, Op};
use ndarray::{Array1, ArrayD};

use super::source::{SourceLayer, SourceOp};
use crate::weights::Weights;

/// The weights of `layers` under the names of `network`.
///
/// A batch normalization that the file has folded into its convolution becomes one that only adds
/// what was left of it: scale 1, mean 0, variance 1 - epsilon.
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

/// What was left of the batch normalization `node`, if the file has folded it into the convolution
/// that precedes it.
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
            // Before a batch normalization an offset is what is left of a folded one.
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
