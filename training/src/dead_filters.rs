//! Filters of a trained network that give 0 for every image, and what makes them learn again.
//!
//! A rectifier passes no gradient to a filter that is never above 0. Such a filter stays as it is in every further training.

use face_attributes_training::architecture::{BATCH_NORM_EPSILON, Network, Node, Op};
use ndarray::Axis;

use crate::weights::Weights;

/// Gives the dead filters of the first convolutions the weights of `fresh`, and what reads them the factor 0 for them, so that the
/// network gives what it gave, until it learns. Returns their number.
///
/// Looked at are convolutions of the image (-1 to 1) that are normalized and rectified, and that only dense convolutions read. A
/// filter is dead if no image makes it larger than 0.
pub fn revive(network: &Network, weights: &mut Weights, fresh: &Weights) -> anyhow::Result<usize> {
    let mut revived = 0;
    for Candidate { conv, norm, readers } in candidates(network) {
        for filter in dead_filters(conv, norm, weights)? {
            revived += 1;
            for parameter in [conv, norm].into_iter().flat_map(Node::parameters) {
                let value = fresh.get(&parameter.name)?.index_axis(Axis(0), filter).to_owned();
                weights.get_mut(&parameter.name)?.index_axis_mut(Axis(0), filter).assign(&value);
            }
            for reader in &readers {
                weights.get_mut(&format!("{}.weight", reader.name))?.index_axis_mut(Axis(1), filter).fill(0.0);
            }
        }
    }
    Ok(revived)
}

/// A convolution whose filters may be dead.
struct Candidate<'a> {
    conv: &'a Node,
    norm: &'a Node,
    /// What reads the rectified result.
    readers: Vec<&'a Node>,
}

fn candidates(network: &Network) -> Vec<Candidate<'_>> {
    let nodes = network.nodes();
    let readers = |position: usize| (0..nodes.len()).filter(move |reader| nodes[*reader].inputs.contains(&position));
    let only_reader = |position: usize, op: Op| {
        let mut readers = readers(position);
        readers.next().filter(|reader| nodes[*reader].op == op && readers.next().is_none())
    };
    let is_dense = |node: &Node| matches!(node.op, Op::Conv { groups: 1, .. });
    let of_image = readers(0).filter(|conv| is_dense(&nodes[*conv]));
    let candidate = |conv: usize| {
        let norm = only_reader(conv, Op::BatchNorm)?;
        let relu = only_reader(norm, Op::Relu)?;
        let readers: Vec<_> = readers(relu).map(|reader| &nodes[reader]).collect();
        let is_complete = readers.iter().all(|reader| is_dense(reader));
        is_complete.then_some(Candidate { conv: &nodes[conv], norm: &nodes[norm], readers })
    };
    of_image.filter_map(candidate).collect()
}

fn dead_filters(conv: &Node, norm: &Node, weights: &Weights) -> anyhow::Result<Vec<usize>> {
    let filters = weights.get(&format!("{}.weight", conv.name))?;
    let bias = weights.get(&format!("{}.bias", conv.name)).ok();
    let of_norm = |suffix| weights.get(&format!("{}.{suffix}", norm.name));
    let (scale, offset, mean, variance) = (of_norm("scale")?, of_norm("bias")?, of_norm("mean")?, of_norm("variance")?);
    let largest = |filter: usize| {
        let factor = scale[[filter]] / (variance[[filter]] + BATCH_NORM_EPSILON).sqrt();
        let products: f32 = filters.index_axis(Axis(0), filter).iter().map(|weight| weight.abs()).sum();
        let constant = bias.map_or(0.0, |bias| bias[[filter]]) - mean[[filter]];
        offset[[filter]] + constant * factor + products * factor.abs()
    };
    Ok((0..filters.len_of(Axis(0))).filter(|filter| largest(*filter) <= 0.0).collect())
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor, TensorData};
    use face_attributes_training::architecture::{Shape, mini_xception};

    use super::*;
    use crate::network::TrainableNetwork;

    fn logits(network: &Network, weights: &Weights) -> Vec<f32> {
        let pixels: Vec<f32> = (0..64 * 64).map(|it| ((it * 7 + it / 64 * 5) % 251) as f32 / 125.0 - 1.0).collect();
        let device = Device::flex();
        let image = Tensor::from_data(TensorData::new(pixels, [1, 1, 64, 64]), &device);
        let trainable = TrainableNetwork::from_weights(network, weights, &device).unwrap();
        trainable.logits(network, image, None).unwrap().into_data().try_into_vec().unwrap()
    }

    #[test]
    fn a_revived_filter_changes_no_answer_and_is_not_dead() {
        let network = Network::build(&mini_xception(Shape { channels: 1, height: 64, width: 64 }, 7)).unwrap();
        let [mut weights, fresh] = [1, 2].map(|seed| Weights::random(&network, seed).unwrap());
        // Filters 2 and 5: 9 weights of 0.1 and 0.2 do not outweigh these offsets; that of filter 6 they do.
        for (filter, weight, offset) in [(2, 0.1, -1.0), (5, -0.2, -2.0), (6, 0.2, -1.0)] {
            weights.get_mut("conv_1.weight").unwrap().index_axis_mut(Axis(0), filter).fill(weight);
            weights.get_mut("batch_norm_1.bias").unwrap()[[filter]] = offset;
        }
        let [conv, norm] =
            ["conv_1", "batch_norm_1"].map(|name| network.nodes().iter().find(|node| node.name == name).unwrap());
        assert_eq!(dead_filters(conv, norm, &weights).unwrap(), [2, 5]);

        let before = weights.clone();
        assert_eq!(revive(&network, &mut weights, &fresh).unwrap(), 2);
        assert!(dead_filters(conv, norm, &weights).unwrap().is_empty());
        assert_eq!(logits(&network, &weights), logits(&network, &before));
        let filter =
            |weights: &Weights, filter| weights.get("conv_1.weight").unwrap().index_axis(Axis(0), filter).to_owned();
        assert_eq!(filter(&weights, 5), filter(&fresh, 5));
        assert_eq!(filter(&weights, 6), filter(&before, 6));
    }
}
