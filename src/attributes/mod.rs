//! The attributes of a face, their classes, and how a face's crop is classified.

mod classifier;
mod classifiers;
pub mod crop;
mod estimate;
pub mod held;
mod people;
mod turns;
mod workspace;
mod worth;

pub use classifier::{BuiltIn, Classifier, ClassifierParameters, ClassifyError};
pub use classifiers::{AttributeParameters, Classifiers, FaceAttributes, RawEstimates};
pub use estimate::{Estimate, UNKNOWN};
pub use people::{Look, People};
pub use workspace::Workspace;
pub use worth::crop_worth;

use std::fmt::Debug;

use crate::network::Outputs;

/// A property of a face that a network classifies.
///
/// The order of [`Attribute::CLASSES`] is the order of the network's outputs, of the probabilities in an [`Estimate`] and
/// of the constants in the ROS messages.
pub trait Attribute: Copy + Eq + Debug + Send + Sync + 'static {
    /// The name of the task in model files, and of the group of parameters.
    const TASK: &'static str;
    /// The classes, in the order of the network's outputs.
    const CLASSES: &'static [Self];

    /// The class's name, in lower case.
    fn name(self) -> &'static str;

    /// What a network for this attribute classifies.
    fn outputs() -> Outputs {
        Outputs { task: Self::TASK, labels: Self::CLASSES.iter().map(|class| class.name()).collect() }
    }

    /// The class's position in [`Attribute::CLASSES`].
    fn position(self) -> usize {
        // Every variant is in the list, so the default is never used.
        Self::CLASSES.iter().position(|class| *class == self).unwrap_or_default()
    }
}

/// The seven classes of FER-2013, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the variants say what they are")]
pub enum Emotion {
    Angry,
    Disgust,
    Fear,
    Happy,
    Sad,
    Surprise,
    Neutral,
}

impl Attribute for Emotion {
    const TASK: &'static str = "emotion";
    const CLASSES: &'static [Self] =
        &[Self::Angry, Self::Disgust, Self::Fear, Self::Happy, Self::Sad, Self::Surprise, Self::Neutral];

    fn name(self) -> &'static str {
        match self {
            Self::Angry => "angry",
            Self::Disgust => "disgust",
            Self::Fear => "fear",
            Self::Happy => "happy",
            Self::Sad => "sad",
            Self::Surprise => "surprise",
            Self::Neutral => "neutral",
        }
    }
}

/// Apparent gender: the choice of annotators between two classes, by the face alone. It is no statement about the
/// person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the variants say what they are")]
pub enum Gender {
    Woman,
    Man,
}

impl Attribute for Gender {
    const TASK: &'static str = "gender";
    const CLASSES: &'static [Self] = &[Self::Woman, Self::Man];

    fn name(self) -> &'static str {
        match self {
            Self::Woman => "woman",
            Self::Man => "man",
        }
    }
}
