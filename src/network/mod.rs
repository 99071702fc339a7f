//! Networks: ONNX files whose metadata describe input and outputs, and their execution in kernels or in tract.

mod input;
mod kernels;
mod metadata;
mod model;

use std::io;

use tract_onnx::prelude::TractError;

pub(crate) use input::ModelInput;
pub use input::{MAX_INPUT_SIDE_PX, PixelRange};
pub(crate) use kernels::{Kernels, Progress};
pub use metadata::Outputs;
pub use model::Model;
pub(crate) use model::{agree, can_run, check_outputs, check_shape, noise};

/// Why a file was refused as a network.
#[derive(Debug, thiserror::Error)]
#[error("model {name}: {problem}")]
pub struct ModelError {
    /// The path of the file, or a description of the built-in network.
    pub name: String,
    /// What is wrong with it.
    pub problem: ModelProblem,
}

/// What is wrong with a network's file.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum ModelProblem {
    #[error("{0}")]
    Unreadable(io::Error),
    #[error("not an ONNX file, or a damaged one ({0})")]
    NotOnnx(String),
    #[error("metadata '{key}' is missing; export the network with this project's tools")]
    MissingMetadata { key: &'static str },
    #[error("metadata '{key}' is '{got}', expected {expected}")]
    Metadata { key: &'static str, expected: String, got: String },
    #[error("{tensor} has shape {got}, expected {expected}")]
    Shape { tensor: &'static str, expected: String, got: String },
    #[error("tract cannot run it ({0})")]
    Unsupported(String),
    #[error("at a trial, {0}")]
    Trial(RunError),
}

/// Why a network returned no result.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum RunError {
    #[error("it takes {expected} pixels, got {got}")]
    PixelCount { expected: usize, got: usize },
    #[error("tract failed ({0})")]
    Tract(String),
    #[error("its kernels failed ({0})")]
    Kernels(String),
    #[error("its output is not a probability for each class: {output:?}")]
    NotProbabilities { output: Vec<f32> },
    #[error("its heat map has the value {value}, expected 0 to 1")]
    NotHeat { value: f32 },
}

impl From<TractError> for RunError {
    fn from(error: TractError) -> Self {
        Self::Tract(format!("{error:#}"))
    }
}
