//! The task of a network by name: on the command line, in recipes and in a network's file.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use face_attributes::attributes::{Attribute, AttributeParameters, ClassifierParameters, Emotion, Gender};

/// The task of a network, which defines the meaning of its outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// One of the seven emotions of FER-2013.
    Emotion,
    /// Apparent gender.
    Gender,
}

impl Task {
    /// Its name, see [`Attribute::TASK`].
    pub fn name(self) -> &'static str {
        match self {
            Self::Emotion => Emotion::TASK,
            Self::Gender => Gender::TASK,
        }
    }

    /// The names of the classes, in the order of a network's outputs.
    pub fn labels(self) -> Vec<&'static str> {
        match self {
            Self::Emotion => Emotion::CLASSES.iter().map(|class| class.name()).collect(),
            Self::Gender => Gender::CLASSES.iter().map(|class| class.name()).collect(),
        }
    }

    /// The parameters of its classifier.
    pub fn parameters(self, parameters: &AttributeParameters) -> &ClassifierParameters {
        match self {
            Self::Emotion => &parameters.emotion,
            Self::Gender => &parameters.gender,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_called_the_same_everywhere() {
        for task in Task::value_variants() {
            assert_eq!(task.to_possible_value().unwrap().get_name(), task.name());
            assert_eq!(serde_json::to_value(task).unwrap(), task.name());
        }
    }
}
