//! A network's answer for one face.

use super::Attribute;

/// The name of the label where the confidence is below the minimum.
pub const UNKNOWN: &str = "unknown";

/// A network's answer for one face.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate<A> {
    /// Of a single answer: the most probable class, or `None` (unknown) where its probability is below the minimum
    /// confidence. Of what holds over time: the class that was, until another one is clearly more probable.
    pub label: Option<A>,
    /// The probability of the label, 0 to 1. Where the label is unknown, that of the most probable class.
    pub confidence: f32,
    /// One probability per class, in the order of [`Attribute::CLASSES`]. Each is 0 to 1, and their sum is 1.
    pub probabilities: Vec<f32>,
}

impl<A: Attribute> Estimate<A> {
    /// Makes an estimate of probabilities in the order of [`Attribute::CLASSES`]. The label is unknown where its
    /// probability is below `min_confidence`.
    pub fn from_probabilities(probabilities: Vec<f32>, min_confidence: f64) -> Self {
        let mut estimate = Self { label: None, confidence: 0.0, probabilities };
        let best = estimate.best_position();
        estimate.confidence = estimate.probabilities.get(best).copied().unwrap_or_default();
        estimate.label = A::CLASSES.get(best).copied().filter(|_| estimate.confidence >= min_confidence as f32);
        estimate
    }

    /// Makes an estimate of a label that is known already, and of probabilities in the order of [`Attribute::CLASSES`].
    pub fn of_label(label: Option<A>, probabilities: Vec<f32>) -> Self {
        let mut estimate = Self { label, confidence: 0.0, probabilities };
        let position = label.map_or_else(|| estimate.best_position(), A::position);
        estimate.confidence = estimate.probabilities.get(position).copied().unwrap_or_default();
        estimate
    }

    /// The position of the most probable class, also where the label is unknown.
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
    use super::super::{Emotion, Gender};
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
