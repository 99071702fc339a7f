//! What is said about a face: the classes of each network, and a network's answer.

use std::fmt::Debug;

/// A property of a face that a network classifies.
///
/// The order of [`Attribute::CLASSES`] is the order of the network's outputs, of the probabilities in an [`Estimate`] and
/// of the constants in the ROS messages.
pub trait Attribute: Copy + Eq + Debug + Send + Sync + 'static {
    /// What a model file calls the task, and parameters their group.
    const TASK: &'static str;
    /// The classes, in the order of the network's outputs.
    const CLASSES: &'static [Self];

    /// The class's name, in lower case.
    fn name(self) -> &'static str;

    /// The class's position in [`Attribute::CLASSES`].
    fn position(self) -> usize {
        // Every variant is in the list, so that the default is never taken.
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

/// The gender that a face appears to have to annotators who were given two choices: nothing about the person.
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

/// The name of a label that is withheld because the network is not sure enough.
pub const UNKNOWN: &str = "unknown";

/// A network's answer for one face.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate<A> {
    /// The most probable class, or `None` (unknown) where its probability is below the minimum confidence.
    pub label: Option<A>,
    /// The probability of the most probable class, 0 to 1, also where the label is withheld.
    pub confidence: f32,
    /// One probability per class, in the order of [`Attribute::CLASSES`], each 0 to 1, of sum 1.
    pub probabilities: Vec<f32>,
}

impl<A: Attribute> Estimate<A> {
    /// Picks the label from probabilities in the order of [`Attribute::CLASSES`], unless it is below `min_confidence`.
    pub fn from_probabilities(probabilities: Vec<f32>, min_confidence: f64) -> Self {
        let mut estimate = Self { label: None, confidence: 0.0, probabilities };
        let best = estimate.best_position();
        estimate.confidence = estimate.probabilities.get(best).copied().unwrap_or_default();
        estimate.label = A::CLASSES.get(best).copied().filter(|_| estimate.confidence >= min_confidence as f32);
        estimate
    }

    /// The position of the most probable class, also where the label is withheld.
    pub fn best_position(&self) -> usize {
        let ordered = self.probabilities.iter().enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b));
        ordered.map_or(0, |(position, _)| position)
    }

    /// The label's name, or [`UNKNOWN`].
    pub fn name(&self) -> &'static str {
        self.label.map_or(UNKNOWN, A::name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_probable_class_is_the_label() {
        let estimate = Estimate::<Gender>::from_probabilities(vec![0.3, 0.7], 0.6);
        assert_eq!((estimate.label, estimate.confidence), (Some(Gender::Man), 0.7));
    }

    #[test]
    fn below_the_minimum_confidence_the_label_is_unknown_and_the_probabilities_stay() {
        let probabilities = vec![0.1, 0.1, 0.1, 0.3, 0.1, 0.1, 0.2];
        let estimate = Estimate::<Emotion>::from_probabilities(probabilities.clone(), 0.31);
        assert_eq!((estimate.label, estimate.name(), estimate.confidence), (None, "unknown", 0.3));
        assert_eq!(estimate.probabilities, probabilities);
    }
}
