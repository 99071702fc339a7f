//! A network as a module that burn trains.

mod cpu_ops;
mod kernels;

use std::collections::BTreeMap;

use anyhow::{Context, bail, ensure};
use burn::module::{Module, Param, ParamId, RunningState};
use burn::nn::{BatchNorm, BatchNormConfig};
use burn::tensor::activation::relu;
use burn::tensor::module::avg_pool2d;
use burn::tensor::ops::AvgPoolOptions;
use burn::tensor::{Device, Tensor, TensorData};
use face_attributes_training::architecture::{BATCH_NORM_EPSILON, Network, Node, Op};
use ndarray::ArrayD;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::weights::Weights;
use kernels::Window;

/// Weight of a batch's statistics in the running ones: 1 - the momentum of Keras, with which the authors trained.
const BATCH_NORM_MOMENTUM: f64 = 0.01;

/// The weights of a network on a device, as burn trains them: a layer for each node with weights, in their order.
#[derive(Module, Debug)]
pub struct TrainableNetwork {
    layers: Vec<Layer>,
}

#[derive(Module, Debug)]
enum Layer {
    Conv(Conv),
    BatchNorm(BatchNorm),
}

#[derive(Module, Debug)]
struct Conv {
    weight: Param<Tensor<4>>,
    bias: Option<Param<Tensor<1>>>,
}

impl TrainableNetwork {
    /// Copies weights to a device. Gradients are computed where it is an autodiff device.
    pub fn from_weights(network: &Network, weights: &Weights, device: &Device) -> anyhow::Result<Self> {
        let mut loader = Loader { weights, device, parameter_count: 0 };
        let layers = network.nodes().iter().map(|node| loader.layer(node));
        let layers: anyhow::Result<Vec<_>> = layers.filter_map(Result::transpose).collect();
        Ok(Self { layers: layers? })
    }

    /// Copies the weights back.
    pub fn to_weights(&self, network: &Network) -> anyhow::Result<Weights> {
        let mut tensors = BTreeMap::new();
        for (node, layer) in network.nodes().iter().filter(|node| has_weights(node)).zip(&self.layers) {
            let mut insert = |suffix, data: TensorData| -> anyhow::Result<()> {
                let shape = data.shape().to_vec();
                let values = data.try_into_vec::<f32>().map_err(|error| anyhow::anyhow!("{}: {error:?}", node.name))?;
                tensors.insert(format!("{}.{suffix}", node.name), ArrayD::from_shape_vec(shape, values)?);
                Ok(())
            };
            match layer {
                Layer::Conv(conv) => {
                    insert("weight", conv.weight.val().into_data())?;
                    if let Some(bias) = &conv.bias {
                        insert("bias", bias.val().into_data())?;
                    }
                }
                Layer::BatchNorm(norm) => {
                    insert("scale", norm.gamma.val().into_data())?;
                    insert("bias", norm.beta.val().into_data())?;
                    insert("mean", norm.running_mean.value_sync().into_data())?;
                    insert("variance", norm.running_var.value_sync().into_data())?;
                }
            }
        }
        Weights::new(network, tensors)
    }

    /// The logits of the network, `[batch, classes]`, for images `[batch, channels, height, width]` in -1 to 1.
    ///
    /// `dropout` has the random numbers for dropout. Without it, nothing is dropped out.
    pub fn logits(
        &self,
        network: &Network,
        images: Tensor<4>,
        mut dropout: Option<ChaCha8Rng>,
    ) -> anyhow::Result<Tensor<2>> {
        let nodes = network.nodes();
        let Some((Op::Softmax, nodes)) = nodes.split_last().map(|(last, rest)| (last.op, rest)) else {
            bail!("{} does not end with a softmax", network.name());
        };
        let mut layers = self.layers.iter();
        // A value is released with the last node that uses it, so that the next operation can work in place.
        let mut uses_left: Vec<_> = (0..nodes.len()).map(|position| uses(nodes, position)).collect();
        let mut values: Vec<Option<Tensor<4>>> = vec![None; nodes.len()];
        let mut images = Some(images);
        for (position, node) in nodes.iter().enumerate() {
            let mut inputs = node.inputs.iter().map(|&input| {
                uses_left[input] -= 1;
                let value = &mut values[input];
                if uses_left[input] == 0 { value.take() } else { value.clone() }
            });
            let input = if node.op == Op::Input { images.take() } else { inputs.next().flatten() };
            let input = input.with_context(|| format!("{} has no input", node.name))?;
            let layer = if has_weights(node) { layers.next() } else { None };
            let value = match node.op {
                Op::Add => input + inputs.next().flatten().with_context(|| format!("{} has one input", node.name))?,
                Op::Dropout { rate } => match &mut dropout {
                    Some(numbers) => dropped_out(input, rate, numbers),
                    None => input,
                },
                _ => apply(node, layer, input)?,
            };
            values[position] = Some(value);
        }
        let last = values.pop().flatten().context("the network has no layers")?;
        ensure!(last.dims()[2..] == [1, 1], "{} classifies every pixel by itself", network.name());
        Ok(last.flatten(1, 3))
    }

    /// Moves each weight and running statistic of `self` by the fraction `step` towards those of `other`.
    pub fn move_towards(self, other: &Self, step: f64) -> Self {
        let layers = self.layers.into_iter().zip(&other.layers).map(|(layer, other)| match (layer, other) {
            (Layer::Conv(conv), Layer::Conv(other)) => Layer::Conv(Conv {
                weight: moved(conv.weight, &other.weight, step),
                bias: conv.bias.zip(other.bias.as_ref()).map(|(bias, other)| moved(bias, other, step)),
            }),
            (Layer::BatchNorm(mut norm), Layer::BatchNorm(other)) => {
                norm.gamma = moved(norm.gamma, &other.gamma, step);
                norm.beta = moved(norm.beta, &other.beta, step);
                // Not `update`, whose value is visible only after the next update.
                let moved = |running: &RunningState<Tensor<1>>, other: &RunningState<Tensor<1>>| {
                    RunningState::new(between(running.value_sync(), other.value_sync(), step))
                };
                norm.running_mean = moved(&norm.running_mean, &other.running_mean);
                norm.running_var = moved(&norm.running_var, &other.running_var);
                Layer::BatchNorm(norm)
            }
            (layer, _) => layer,
        });
        Self { layers: layers.collect() }
    }

    /// Sum of the squared weights of the convolution `name`.
    pub fn squared_weights(&self, network: &Network, name: &str) -> anyhow::Result<Tensor<1>> {
        let mut layers = network.nodes().iter().filter(|node| has_weights(node)).zip(&self.layers);
        match layers.find(|(node, _)| node.name == name) {
            Some((_, Layer::Conv(conv))) => Ok(conv.weight.val().square().sum()),
            _ => bail!("{} has no convolution '{name}'", network.name()),
        }
    }
}

fn moved<const D: usize>(value: Param<Tensor<D>>, other: &Param<Tensor<D>>, step: f64) -> Param<Tensor<D>> {
    value.map(|value| between(value, other.val(), step))
}

fn between<const D: usize>(from: Tensor<D>, to: Tensor<D>, step: f64) -> Tensor<D> {
    from.inner().mul_scalar(1.0 - step) + to.inner().mul_scalar(step)
}

fn has_weights(node: &Node) -> bool {
    matches!(node.op, Op::Conv { .. } | Op::BatchNorm)
}

fn uses(nodes: &[Node], position: usize) -> usize {
    nodes.iter().flat_map(|node| &node.inputs).filter(|&&input| input == position).count()
}

struct Loader<'a> {
    weights: &'a Weights,
    device: &'a Device,
    parameter_count: u64,
}

impl Loader<'_> {
    fn layer(&mut self, node: &Node) -> anyhow::Result<Option<Layer>> {
        Ok(match node.op {
            Op::Conv { bias, .. } => Some(Layer::Conv(Conv {
                weight: self.parameter(node, "weight")?,
                bias: if bias { Some(self.parameter(node, "bias")?) } else { None },
            })),
            Op::BatchNorm => {
                let config = BatchNormConfig::new(node.input_shape.channels)
                    .with_epsilon(f64::from(BATCH_NORM_EPSILON))
                    .with_momentum(BATCH_NORM_MOMENTUM);
                let mut norm = config.init(self.device);
                norm.gamma = self.parameter(node, "scale")?;
                norm.beta = self.parameter(node, "bias")?;
                norm.running_mean = RunningState::new(self.tensor(node, "mean")?);
                norm.running_var = RunningState::new(self.tensor(node, "variance")?);
                Some(Layer::BatchNorm(norm))
            }
            _ => None,
        })
    }

    /// Numbered ids, so that an optimizer's record finds its parameters in another process.
    fn parameter<const D: usize>(&mut self, node: &Node, suffix: &str) -> anyhow::Result<Param<Tensor<D>>> {
        self.parameter_count += 1;
        let tensor = self.tensor(node, suffix)?;
        let tensor = if self.device.is_autodiff() { tensor.require_grad() } else { tensor };
        Ok(Param::initialized(ParamId::from(self.parameter_count), tensor))
    }

    fn tensor<const D: usize>(&self, node: &Node, suffix: &str) -> anyhow::Result<Tensor<D>> {
        let array = self.weights.get(&format!("{}.{suffix}", node.name))?;
        let values: Vec<f32> = array.iter().copied().collect();
        Ok(Tensor::from_data(TensorData::new(values, array.shape().to_vec()), self.device))
    }
}

/// Dropout: sets the share `rate` of the values to 0 and scales the others, so that the mean stays. burn's own dropout uses one
/// generator for the whole process, so a training would not be repeatable.
fn dropped_out(x: Tensor<4>, rate: f32, numbers: &mut ChaCha8Rng) -> Tensor<4> {
    let kept = 1.0 / (1.0 - rate);
    let factor = || if numbers.random::<f32>() < rate { 0.0 } else { kept };
    let factors: Vec<f32> = std::iter::repeat_with(factor).take(x.shape().num_elements()).collect();
    let factors = Tensor::from_data(TensorData::new(factors, x.dims()), &x.device());
    x * factors
}

/// The result of a node with one input.
fn apply(node: &Node, layer: Option<&Layer>, x: Tensor<4>) -> anyhow::Result<Tensor<4>> {
    Ok(match (node.op, layer) {
        (Op::Conv { kernel, stride, pads, groups, .. }, Some(Layer::Conv(conv))) => {
            let window = Window { kernel, stride, pads };
            let y = cpu_ops::conv(x, conv.weight.val(), window, groups);
            match &conv.bias {
                Some(bias) => y + bias.val().reshape([1, -1, 1, 1]),
                None => y,
            }
        }
        (Op::BatchNorm, Some(Layer::BatchNorm(norm))) => cpu_ops::batch_norm(norm, x),
        (Op::Relu, None) => relu(x),
        (Op::MaxPool { kernel, stride, pads }, None) => cpu_ops::max_pool(x, Window { kernel, stride, pads }),
        (Op::AveragePool { kernel, stride, pads }, None) => {
            let options = AvgPoolOptions::new([kernel, kernel]).with_stride([stride, stride]);
            let padding = [(pads.top, pads.bottom), (pads.left, pads.right)];
            avg_pool2d(x, options.with_padding_pairs(padding).with_count_include_pad(false))
        }
        (Op::GlobalAveragePool, None) => x.mean_dim(3).mean_dim(2),
        (Op::Input, None) => x,
        (op, _) => bail!("{}: no training of {op:?} at this place", node.name),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use burn::tensor::activation::softmax;
    use face_attributes::attributes::{Attribute, Emotion};
    use face_attributes::network::{Model, PixelRange};
    use face_attributes_training::architecture::{Shape, sequential_fully_cnn};

    use super::*;
    use crate::model_file::ModelFile;
    use crate::random::{Purpose, numbers};

    #[test]
    fn the_shipped_emotion_network_answers_as_on_the_robot() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/emotion_mini_xception.onnx");
        let model = ModelFile::read(&path).unwrap();
        let device = Device::flex();
        let ours = TrainableNetwork::from_weights(&model.network, &model.weights, &device).unwrap();
        let robots = Model::load(&path, &Emotion::outputs()).unwrap();
        for factor in [3, 7, 11] {
            let pixels: Vec<u8> = (0..64 * 64).map(|it| ((it * factor + it / 64 * 5) % 251) as u8).collect();
            let scaled: Vec<f32> = pixels.iter().map(|pixel| PixelRange::MinusOneToOne.scale(*pixel)).collect();
            let image = Tensor::from_data(TensorData::new(scaled, [1, 1, 64, 64]), &device);
            let logits = ours.logits(&model.network, image, None).unwrap();
            let ours: Vec<f32> = softmax(logits, 1).into_data().try_into_vec().unwrap();
            let robots = robots.run(&pixels).unwrap();
            // Float32 rounding through 45 layers, as between Keras and tract (models/README.md).
            assert!(ours.iter().zip(&robots).all(|(a, b)| (a - b).abs() < 1e-5), "{ours:?}\n{robots:?}");
        }
    }

    #[test]
    fn weights_survive_the_way_to_a_device_and_back() {
        let network = Network::build(&sequential_fully_cnn(Shape { channels: 1, height: 16, width: 16 }, 2)).unwrap();
        let weights = Weights::random(&network, 1).unwrap();
        for device in [Device::flex(), Device::flex().autodiff()] {
            let trainable = TrainableNetwork::from_weights(&network, &weights, &device).unwrap();
            assert_eq!(trainable.num_params(), network.parameter_count());
            assert_eq!(trainable.to_weights(&network).unwrap(), weights);
        }
    }

    #[test]
    fn a_move_is_a_share_of_the_way() {
        let network = Network::build(&sequential_fully_cnn(Shape { channels: 1, height: 16, width: 16 }, 2)).unwrap();
        let [from, to] = [1, 2].map(|seed| Weights::random(&network, seed).unwrap());
        let device = Device::flex();
        let load = |weights: &Weights| TrainableNetwork::from_weights(&network, weights, &device).unwrap();
        let moved = load(&from).move_towards(&load(&to), 0.25).to_weights(&network).unwrap();
        for (name, tensor) in moved.iter() {
            let expected = from.get(name).unwrap() * 0.75 + to.get(name).unwrap() * 0.25;
            assert!((tensor - expected).iter().all(|difference| difference.abs() < 1e-6), "{name}");
        }
    }

    #[test]
    fn dropout_keeps_the_mean_and_repeats_itself() {
        let device = Device::flex();
        let ones = || Tensor::<4>::ones([2, 3, 40, 50], &device);
        let draw = |index| dropped_out(ones(), 0.25, &mut numbers(0, 0, Purpose::Dropout(index))).into_data();
        let values: Vec<f32> = draw(1).try_into_vec().unwrap();
        assert!(values.iter().all(|value| *value == 0.0 || (value - 4.0 / 3.0).abs() < 1e-6));
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        assert!((mean - 1.0).abs() < 0.03, "{mean}");
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
