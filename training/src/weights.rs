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
