//! Which pixels support an answer: the gradient of a network's value with respect to its input.
//!
//! The paper shows guided back-propagation (section IV; Springenberg et al. 2015). Each rectifier propagates only
//! values that are positive in the forward and in the backward pass, so the picture shows what supports the answer. The
//! plain gradient and Grad-CAM (Selvaraju et al. 2017) are for comparison.
//!
//! An [`Explainer`] uses the [`Model`](crate::network::Model) that classifies: graph and weights are the same. The
//! gradient is added behind the forward pass, and tract runs both.

mod explainer;
mod face;
mod graph;
mod local_gradient;
mod parameters;
mod window;

use opencv::core::Size;
use tract_onnx::prelude::*;

pub use explainer::Explainer;
pub use face::{ExplainError, Explanation, FaceExplainer};
pub use parameters::{Method, SaliencyParameters, SaliencyTarget};

use crate::network::RunError;

/// One value of a layer, the paper's `f^L(i, j)`. For a class, the channel is its position, row and column are 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields say what they are")]
pub struct Neuron {
    pub channel: usize,
    pub row: usize,
    pub column: usize,
}

impl Neuron {
    /// The class at that position of [`Attribute::CLASSES`](crate::attributes::Attribute::CLASSES).
    pub fn class(position: usize) -> Self {
        Self { channel: position, row: 0, column: 0 }
    }
}

/// Why a network cannot be explained.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum SaliencyError {
    #[error("the network has no layer '{layer}'; it has {}", known.join(", "))]
    UnknownLayer { layer: String, known: Vec<String> },
    #[error("no gradient is known of the operator {operator} ({layer})")]
    UnsupportedOperator { layer: String, operator: String },
    #[error("the network does not end with a softmax over the classes")]
    NoSoftmax,
    #[error("Grad-CAM needs a convolution on the way from the image to {layer}")]
    NoConvolution { layer: String },
    #[error("{layer} has no neuron at channel {}, row {}, column {}: its shape is {shape:?}", neuron.channel, neuron.row, neuron.column)]
    NoSuchNeuron { layer: String, neuron: Neuron, shape: Vec<usize> },
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    OpenCv(#[from] opencv::Error),
    #[error("tract cannot compute the gradient ({0})")]
    Tract(String),
}

impl From<TractError> for SaliencyError {
    fn from(error: TractError) -> Self {
        Self::Tract(format!("{error:#}"))
    }
}

/// How much each pixel of a network's input supports a value.
#[derive(Debug, Clone, PartialEq)]
pub struct Saliency {
    /// Size of the network's input, in pixels.
    pub size: Size,
    /// One value per pixel, row by row. For the gradients: how fast the value grows with the pixel, in the value's unit
    /// per unit of the network's input range. For Grad-CAM: 0 or more, without a unit.
    pub values: Vec<f32>,
    /// The network's output from the same pass: one probability per class.
    pub probabilities: Vec<f32>,
}

impl Saliency {
    /// The mean of this and the saliency of the mirrored picture. Left and right of the latter are exchanged first.
    fn averaged_with_mirrored(mut self, mirrored: &Self) -> Self {
        let width = self.size.width as usize;
        let rows = self.values.chunks_exact_mut(width).zip(mirrored.values.chunks_exact(width));
        for (value, other) in rows.flat_map(|(row, mirrored)| row.iter_mut().zip(mirrored.iter().rev())) {
            *value = (*value + other) / 2.0;
        }
        for (probability, other) in self.probabilities.iter_mut().zip(&mirrored.probabilities) {
            *probability = (*probability + other) / 2.0;
        }
        self
    }
}
