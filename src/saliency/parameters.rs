//! How answers are explained.

use crate::attributes::{Attribute, Emotion, Gender};

/// How saliency is computed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Method {
    /// The gradient with the guided rule at each rectifier.
    #[default]
    Guided,
    /// The plain gradient.
    Gradient,
    /// Grad-CAM on the input of the last convolution: coarse, never negative.
    GradCam,
}

impl Method {
    /// All methods by their names, the default first.
    pub const NAMES: [(Self, &'static str); 3] =
        [(Self::Guided, "guided"), (Self::Gradient, "gradient"), (Self::GradCam, "grad-cam")];

    /// Its name, in lower case.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(method, _)| *method == self).map_or("", |(_, name)| name)
    }
}

/// The class that is explained.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SaliencyTarget {
    /// The most probable class of each network.
    #[default]
    Predicted,
    /// This emotion. For gender, the most probable class.
    Emotion(Emotion),
    /// This gender. For emotion, the most probable class.
    Gender(Gender),
}

impl SaliencyTarget {
    /// All targets by their names, the default first.
    pub const NAMES: [(Self, &'static str); 10] = [
        (Self::Predicted, "predicted"),
        (Self::Emotion(Emotion::Angry), "angry"),
        (Self::Emotion(Emotion::Disgust), "disgust"),
        (Self::Emotion(Emotion::Fear), "fear"),
        (Self::Emotion(Emotion::Happy), "happy"),
        (Self::Emotion(Emotion::Sad), "sad"),
        (Self::Emotion(Emotion::Surprise), "surprise"),
        (Self::Emotion(Emotion::Neutral), "neutral"),
        (Self::Gender(Gender::Woman), "woman"),
        (Self::Gender(Gender::Man), "man"),
    ];

    /// The emotion, if the target is one.
    pub fn emotion(self) -> Option<Emotion> {
        if let Self::Emotion(emotion) = self { Some(emotion) } else { None }
    }

    /// The gender, if the target is one.
    pub fn gender(self) -> Option<Gender> {
        if let Self::Gender(gender) = self { Some(gender) } else { None }
    }

    /// The task of the network that has this class, or `None` for the predicted class of each network.
    pub fn task(self) -> Option<&'static str> {
        match self {
            Self::Predicted => None,
            Self::Emotion(_) => Some(Emotion::TASK),
            Self::Gender(_) => Some(Gender::TASK),
        }
    }
}

/// How answers are explained, see the table of all parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct SaliencyParameters {
    /// How saliency is computed.
    pub method: Method,
    /// The class that is explained.
    pub target: SaliencyTarget,
    /// Largest number of images per second that are explained, 0.1 to 100.
    pub rate: f64,
    /// Whether the annotated image shows the saliency.
    pub overlay: bool,
}

impl Default for SaliencyParameters {
    fn default() -> Self {
        Self { method: Method::default(), target: SaliencyTarget::default(), rate: 5.0, overlay: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_is_a_target_under_its_own_name() {
        for (target, name) in SaliencyTarget::NAMES {
            let class = target.emotion().map(Emotion::name).or(target.gender().map(Gender::name));
            assert_eq!(class.unwrap_or("predicted"), name);
        }
        assert_eq!(SaliencyTarget::NAMES.len(), 1 + Emotion::CLASSES.len() + Gender::CLASSES.len());
    }
}
