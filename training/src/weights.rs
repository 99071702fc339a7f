//! Weights of a network, by the names in its table.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use face_attributes_training::architecture::{Network, Node, Op};
use ndarray::{Array, ArrayD};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

use crate::data::hex;

/// One tensor for each [`Parameter`](face_attributes_training::architecture::Parameter) of a network, in the
/// parameter's shape, all values finite.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights(BTreeMap<String, ArrayD<f32>>);

impl Weights {
    /// Checks that there is a tensor for each parameter of `network`, and no other tensor.
    pub fn new(network: &Network, tensors: BTreeMap<String, ArrayD<f32>>) -> anyhow::Result<Self> {
        let mut count = 0;
        for parameter in network.parameters() {
            let name = &parameter.name;
            let tensor = tensors.get(name).with_context(|| format!("{name} is missing"))?;
            ensure!(
                tensor.shape() == parameter.shape,
                "{name} has shape {:?}, expected {:?}",
                tensor.shape(),
                parameter.shape
            );
            ensure!(tensor.iter().all(|value| value.is_finite()), "{name} holds a value that is not finite");
            count += 1;
        }
        ensure!(count == tensors.len(), "{} tensors belong to no parameter", tensors.len() - count);
        Ok(Self(tensors))
    }

    /// Random initial weights: uniform for convolutions, by Glorot and Bengio (2010) as in Keras, and the identity for batch
    /// normalizations.
    pub fn random(network: &Network, seed: u64) -> anyhow::Result<Self> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let tensors = network.parameters().map(|parameter| {
            let shape = &parameter.shape;
            let tensor = match (parameter.name.rsplit('.').next(), &shape[..]) {
                (Some("weight"), &[filters, channels, rows, columns]) => {
                    let limit = (6.0 / ((filters + channels) * rows * columns) as f32).sqrt();
                    Array::from_shape_simple_fn(shape.clone(), || random.random_range(-limit..=limit))
                }
                (Some("scale" | "variance"), _) => Array::ones(shape.clone()),
                _ => Array::zeros(shape.clone()),
            };
            (parameter.name, tensor)
        });
        Self::new(network, tensors.collect())
    }

    /// The weights with which `network` gives `softmax(logits / temperature)` where it gave `softmax(logits)`.
    pub fn with_temperature(mut self, network: &Network, temperature: f32) -> anyhow::Result<Self> {
        ensure!(temperature.is_finite() && temperature > 0.0, "temperature {temperature}, expected more than 0");
        for parameter in classifying_convolution(network)?.parameters() {
            *self.get_mut(&parameter.name)? /= temperature;
        }
        Ok(self)
    }

    /// The tensor of a parameter.
    pub fn get(&self, name: &str) -> anyhow::Result<&ArrayD<f32>> {
        self.0.get(name).with_context(|| format!("{name} is missing"))
    }

    /// The same, to change its values.
    pub fn get_mut(&mut self, name: &str) -> anyhow::Result<&mut ArrayD<f32>> {
        self.0.get_mut(name).with_context(|| format!("{name} is missing"))
    }

    /// SHA-256 of all values as little-endian float32, in the order of the parameters' names.
    pub fn sha256_hex(&self) -> String {
        let mut digest = Sha256::new();
        for value in self.0.values().flatten() {
            digest.update(value.to_le_bytes());
        }
        hex(&digest.finalize())
    }

    /// Names and tensors, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &ArrayD<f32>)> {
        self.0.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }
}

/// The convolution whose filters are the classes.
pub fn classifying_convolution(network: &Network) -> anyhow::Result<&Node> {
    let scales_nothing = |op| matches!(op, Op::Softmax | Op::GlobalAveragePool | Op::Dropout { .. });
    let last = network.nodes().iter().rev().find(|node| !scales_nothing(node.op));
    let conv = last.filter(|node| matches!(node.op, Op::Conv { .. }));
    conv.with_context(|| format!("{} does not end with a convolution", network.name()))
}

#[cfg(test)]
mod tests {
    use face_attributes_training::architecture::{Architecture, Layer, Shape, mini_xception};

    use super::*;

    fn error(tensors: [(&str, ArrayD<f32>); 5]) -> String {
        let network = Network::build(&Architecture {
            name: "test",
            input: Shape { channels: 2, height: 1, width: 1 },
            layers: vec![Layer::BatchNorm],
        })
        .unwrap();
        let tensors = tensors.into_iter().filter(|(name, _)| !name.is_empty());
        match Weights::new(&network, tensors.map(|(name, it)| (name.to_owned(), it)).collect()) {
            Ok(_) => "no error".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    fn good() -> [(&'static str, ArrayD<f32>); 5] {
        ["batch_norm_1.scale", "batch_norm_1.bias", "batch_norm_1.mean", "batch_norm_1.variance", ""]
            .map(|name| (name, Array::ones(vec![2])))
    }

    #[test]
    fn a_set_of_weights_is_complete_and_exact() {
        assert_eq!(error(good()), "no error");

        let mut tensors = good();
        tensors[1].0 = "";
        assert_eq!(error(tensors), "batch_norm_1.bias is missing");

        let mut tensors = good();
        tensors[2].1 = Array::ones(vec![1, 2]);
        assert_eq!(error(tensors), "batch_norm_1.mean has shape [1, 2], expected [2]");

        let mut tensors = good();
        tensors[3].1[[0]] = f32::NAN;
        assert_eq!(error(tensors), "batch_norm_1.variance holds a value that is not finite");

        let mut tensors = good();
        tensors[4].0 = "batch_norm_2.scale";
        assert_eq!(error(tensors), "1 tensors belong to no parameter");
    }

    #[test]
    fn random_weights_come_from_their_seed() {
        let network = Network::build(&mini_xception(Shape { channels: 1, height: 64, width: 64 }, 7)).unwrap();
        let weights = Weights::random(&network, 1).unwrap();
        assert_eq!(weights, Weights::random(&network, 1).unwrap());
        assert_ne!(weights, Weights::random(&network, 2).unwrap());
        // sqrt(6 / ((8 + 1) 3x3)).
        let conv = weights.get("conv_1.weight").unwrap();
        let largest = conv.fold(0.0, |largest: f32, value| largest.max(value.abs()));
        assert!((0.2..=0.2722).contains(&largest), "{largest}");
        assert_eq!(weights.get("batch_norm_1.variance").unwrap(), ArrayD::<f32>::ones(vec![8]));
        assert_eq!(weights.get("conv_3.bias").unwrap(), ArrayD::<f32>::zeros(vec![7]));
    }

    #[test]
    fn a_temperature_divides_the_last_convolution_and_nothing_else() {
        let network = Network::build(&mini_xception(Shape { channels: 1, height: 64, width: 64 }, 7)).unwrap();
        let weights = Weights::random(&network, 1).unwrap();
        let cooled = weights.clone().with_temperature(&network, 2.0).unwrap();
        for (name, tensor) in weights.iter() {
            let expected = if name.starts_with("conv_3.") { tensor / 2.0 } else { tensor.clone() };
            assert_eq!(cooled.get(name).unwrap(), expected, "{name}");
        }
        assert!(weights.with_temperature(&network, 0.0).is_err());
    }

    #[test]
    fn without_a_convolution_at_the_end_there_is_nothing_to_divide() {
        let network = Network::build(&Architecture {
            name: "test",
            input: Shape { channels: 2, height: 1, width: 1 },
            layers: vec![Layer::BatchNorm, Layer::Relu, Layer::Softmax],
        })
        .unwrap();
        let error = Weights::random(&network, 1).unwrap().with_temperature(&network, 2.0).unwrap_err();
        assert_eq!(error.to_string(), "test does not end with a convolution");
    }
}
