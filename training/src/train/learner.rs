//! A network in training: one step, one validation, one checkpoint.

use anyhow::Context;
use burn::module::Module;
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Bytes, Device, Tensor, TensorData};
use face_attributes_training::architecture::Network;

use super::batches::Batch;
use super::state::{State, ensure_finite};
use crate::augment::PIXEL_RANGE;
use crate::data::Example;
use crate::network::TrainableNetwork;
use crate::progress::Progress;
use crate::random::{Purpose, numbers};
use crate::recipe::Recipe;
use crate::weights::Weights;

/// The epsilon of Keras' Adam. That of burn is larger.
const ADAM_EPSILON: f32 = 1e-7;

/// Number of images that are validated at a time.
const VALIDATION_BATCH_SIZE: usize = 64;

/// A network in training.
pub struct Learner<'a> {
    recipe: &'a Recipe,
    network: &'a Network,
    device: Device,
    learning: TrainableNetwork,
    average: Option<TrainableNetwork>,
    optimizer: ModuleOptimizer,
    /// How far it has come.
    pub state: State,
}

/// The complete state of a [`Learner`].
pub struct Snapshot {
    /// The weights that the optimizer changes.
    pub weights: Weights,
    /// Their running average, if the recipe has one.
    pub average: Option<Weights>,
    /// The optimizer's record in burn's format.
    pub optimizer: Vec<u8>,
    /// How far it has come.
    pub state: State,
}

/// Figures of one step.
pub struct Step {
    /// Mean loss over the batch.
    pub loss: f64,
    /// Number of right answers.
    pub right: usize,
}

/// Answers on the validation images.
pub struct Validation {
    /// Mean cross-entropy.
    pub loss: f64,
    /// Positions of the most probable classes, in the order of the images.
    pub answers: Vec<usize>,
}

impl<'a> Learner<'a> {
    /// A learner that starts with `weights`.
    pub fn new(recipe: &'a Recipe, network: &'a Network, weights: &Weights) -> anyhow::Result<Self> {
        let device = device();
        let average = recipe.average_decay.map(|_| TrainableNetwork::from_weights(network, weights, &device));
        Ok(Self {
            recipe,
            network,
            learning: TrainableNetwork::from_weights(network, weights, &device.clone().autodiff())?,
            average: average.transpose()?,
            optimizer: optimizer(),
            state: State::default(),
            device,
        })
    }

    /// A learner that is resumed from `snapshot`.
    pub fn resume(recipe: &'a Recipe, network: &'a Network, snapshot: Snapshot) -> anyhow::Result<Self> {
        let mut learner = Self::new(recipe, network, &snapshot.weights)?;
        if let Some(average) = &snapshot.average {
            learner.average = Some(TrainableNetwork::from_weights(network, average, &learner.device)?);
        }
        learner.optimizer = optimizer()
            .from_bytes(Bytes::from_bytes_vec(snapshot.optimizer))
            .context("damaged optimizer.bpk of the checkpoint")?;
        learner.state = snapshot.state;
        Ok(learner)
    }

    /// The state to resume from.
    pub fn snapshot(&self) -> anyhow::Result<Snapshot> {
        let average = self.average.as_ref().map(|average| average.to_weights(self.network));
        Ok(Snapshot {
            weights: self.learning.to_weights(self.network)?,
            average: average.transpose()?,
            optimizer: self.optimizer.into_bytes()?.to_vec(),
            state: self.state.clone(),
        })
    }

    /// The weights that are validated and exported.
    pub fn result(&self) -> anyhow::Result<Weights> {
        self.average.as_ref().unwrap_or(&self.learning).to_weights(self.network)
    }

    /// Learns from a batch. `number` is the step of the epoch `epoch`, both from 0, and `progress` the fraction of the epoch
    /// before it.
    pub fn step(&mut self, batch: Batch, epoch: u32, number: u32, progress: f64) -> anyhow::Result<Step> {
        let device = self.device.clone().autodiff();
        let images = self.images(batch.pixels, batch.classes.len(), &device);
        let dropout = numbers(self.recipe.seed, epoch, Purpose::Dropout(number));
        let logits = self.learning.logits(self.network, images, Some(dropout))?;
        let answers = most_probable(logits.clone().inner())?;
        let targets = TensorData::new(batch.targets, [batch.classes.len(), self.class_count()]);
        let targets = Tensor::<2>::from_data(targets, &device);
        let mut loss = (log_softmax(logits, 1) * targets).sum().mul_scalar(-1.0 / batch.classes.len() as f64);
        for (name, factor) in self.recipe.l2_penalty.iter().flatten() {
            loss = loss + self.learning.squared_weights(self.network, name)?.mul_scalar(*factor);
        }
        let loss_value = f64::from(scalar(loss.clone().inner())?);
        ensure_finite(&format!("training loss of step {}", number + 1), loss_value, epoch as usize + 1)?;
        let gradients = GradientsParams::from_grads(loss.backward(), &self.learning);
        let learning_rate = self.state.learning_rate(self.recipe, progress);
        self.learning = self.optimizer.step(learning_rate, self.learning.clone(), gradients);
        if let (Some(average), Some(decay)) = (self.average.take(), self.recipe.average_decay) {
            self.average = Some(average.move_towards(&self.learning, self.state.average_step(decay)));
        }
        self.state.steps += 1;
        let right = answers.iter().zip(&batch.classes).filter(|(answer, class)| answer == class).count();
        Ok(Step { loss: loss_value, right })
    }

    /// Answers on images that the network does not learn from.
    pub fn validate(&self, examples: &[Example<Vec<u8>>], progress: &Progress) -> anyhow::Result<Validation> {
        let model = self.average.clone().unwrap_or_else(|| self.learning.valid());
        let mut answers = Vec::with_capacity(examples.len());
        let mut loss = 0.0;
        for examples in examples.chunks(VALIDATION_BATCH_SIZE) {
            let pixels = examples.iter().flat_map(|example| &example.image).map(|pixel| PIXEL_RANGE.scale(*pixel));
            let images = self.images(pixels.collect(), examples.len(), &self.device);
            let logits = model.logits(self.network, images, None)?;
            answers.extend(most_probable(logits.clone())?);
            let classes: Vec<_> = examples.iter().map(|example| example.class).collect();
            let truth = one_hot(&classes, self.class_count(), &self.device);
            loss -= f64::from(scalar((log_softmax(logits, 1) * truth).sum())?);
            progress.advance(classes.len());
        }
        Ok(Validation { loss: loss / examples.len() as f64, answers })
    }

    fn class_count(&self) -> usize {
        self.network.output_shape().channels
    }

    fn images(&self, pixels: Vec<f32>, count: usize, device: &Device) -> Tensor<4> {
        let shape = self.network.input_shape();
        Tensor::from_data(TensorData::new(pixels, [count, shape.channels, shape.height, shape.width]), device)
    }
}

fn optimizer() -> ModuleOptimizer {
    AdamConfig::new().with_epsilon(ADAM_EPSILON).init()
}

/// The device for training.
fn device() -> Device {
    #[cfg(feature = "cuda")]
    return Device::cuda(0);
    #[cfg(not(feature = "cuda"))]
    Device::flex()
}

fn one_hot(classes: &[usize], class_count: usize, device: &Device) -> Tensor<2> {
    let row = |class: &usize| (0..class_count).map(|it| f32::from(u8::from(it == *class))).collect::<Vec<_>>();
    let values: Vec<_> = classes.iter().flat_map(row).collect();
    Tensor::from_data(TensorData::new(values, [classes.len(), class_count]), device)
}

fn scalar(tensor: Tensor<1>) -> anyhow::Result<f32> {
    values(tensor)?.first().copied().context("an empty tensor")
}

/// Position of the largest value of each row.
fn most_probable(logits: Tensor<2>) -> anyhow::Result<Vec<usize>> {
    let [_, class_count] = logits.dims();
    let position = |row: &[f32]| row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(class, _)| class);
    Ok(values(logits)?.chunks(class_count).map(position).collect())
}

fn values<const D: usize>(tensor: Tensor<D>) -> anyhow::Result<Vec<f32>> {
    tensor.into_data().try_into_vec().map_err(|error| anyhow::anyhow!("not float32: {error:?}"))
}
