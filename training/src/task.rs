//! What a network decides.

use clap::ValueEnum;
use face_attributes::attributes::{Attribute, Emotion, Gender};
use serde::{Deserialize, Serialize};

/// What a network decides, and with it the meaning of its outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// One of the seven emotions of FER-2013.
    Emotion,
    /// Apparent gender.
    Gender,
}

impl Task {
    /// Name, as written into a model file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Emotion => Emotion::TASK,
            Self::Gender => Gender::TASK,
        }
    }

    /// Labels in the order of the network's outputs, which is that of the authors' released networks.
    pub fn labels(self) -> Vec<&'static str> {
        match self {
            Self::Emotion => Emotion::CLASSES.iter().map(|class| class.name()).collect(),
            Self::Gender => Gender::CLASSES.iter().map(|class| class.name()).collect(),
        }
    }
}
