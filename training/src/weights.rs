//! Weights of a network, by the names that its table gives them.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use face_attributes::architecture::Network;
use ndarray::ArrayD;

/// One tensor for each [`Parameter`](face_attributes::architecture::Parameter) of a network, in the
/// parameter's shape, all values finite.
pub struct Weights(BTreeMap<String, ArrayD<f32>>);

impl Weights {
    /// Checks that there is a tensor for every parameter of `network`, and no other.
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

    /// Names and tensors, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &ArrayD<f32>)> {
        self.0.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }
}

#[cfg(test)]
mod tests {
    use face_attributes::architecture::{Architecture, Layer, Shape};
    use ndarray::Array;

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
}
