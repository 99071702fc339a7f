//! What to classify.

use face_attributes::attributes::{Attribute, Emotion, Gender};
use face_attributes::parameters::{ClassifierParameters, Parameters};

/// One of the two networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Task {
    Emotion,
    Gender,
}

impl Task {
    pub fn name(self) -> &'static str {
        match self {
            Self::Emotion => Emotion::TASK,
            Self::Gender => Gender::TASK,
        }
    }

    /// The parameters of its classifier.
    pub fn parameters(self, parameters: &Parameters) -> &ClassifierParameters {
        match self {
            Self::Emotion => &parameters.emotion,
            Self::Gender => &parameters.gender,
        }
    }
}
