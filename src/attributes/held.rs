//! What holds over time: a filter over the answers about one person.
//!
//! The filter keeps the logarithms of the probabilities. Each answer moves them by a share that grows with the time since the
//! answer before, not with the number of frames: successive frames are correlated, and thirty frames per second know little
//! more than ten. This is a forward filter whose evidence is discounted, and whose transition is the power steady model of
//! Smith, "A Generalization of the Bayesian Steady Forecasting Model" (1979): the past is forgotten by an exponent below 1.
//! An answer that stays the same is the result, so that calibrated answers stay calibrated.

use std::time::Duration;

use super::{Attribute, Estimate};

/// What a single answer counts as, in seconds of answers.
const FIRST_ANSWER_SECS: f64 = 0.1;
/// Without an answer, the logarithms of the probabilities decay to those of equal classes, with this many time constants.
const FORGETTING: f64 = 4.0;
/// A label is left, or is taken after unknown, only where the minimum confidence is passed by so much.
const CONFIDENCE_HYSTERESIS: f64 = 0.1;
/// Another class becomes the label only where it is more probable by so much.
const LABEL_HYSTERESIS: f64 = 0.1;
/// Smallest probability that counts. A network's certainty in one frame must not outweigh all others.
const MIN_PROBABILITY: f64 = 1e-3;

/// How answers are held.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HoldParameters {
    /// Time constant in seconds: after it, an answer has lost two thirds of its weight. 0 holds nothing.
    pub time_constant: f64,
    /// Probability below which the label is unknown, 0 to 1.
    pub min_confidence: f64,
}

/// The answers about one person up to now. The times count from any fixed origin and do not go back.
#[derive(Debug, Clone)]
pub struct Held<A> {
    /// Weighted mean of the logarithms of the probabilities.
    log_probabilities: Vec<f64>,
    /// Weight of all answers up to `updated`, in seconds of answers.
    weight: f64,
    /// Time of the last answer.
    updated: Duration,
    /// Time of the last call.
    asked: Duration,
    label: Option<A>,
}

impl<A: Attribute> Held<A> {
    /// Begins with the answer at `time`, which is the first result. `worth` is its weight, above 0 to 1.
    pub fn new(time: Duration, answer: &Estimate<A>, worth: f64) -> Self {
        Self {
            log_probabilities: log_probabilities(answer),
            weight: FIRST_ANSWER_SECS * worth,
            updated: time,
            asked: time,
            label: answer.label,
        }
    }

    /// Adds the answer at `time`. `worth` is its weight, above 0 to 1.
    pub fn add(&mut self, time: Duration, answer: &Estimate<A>, worth: f64, parameters: HoldParameters) {
        let tau = parameters.time_constant;
        // Between two answers, at most the time since the last frame belongs to this one: it says nothing about a gap.
        let dt = time.saturating_sub(self.asked).as_secs_f64();
        let gap = time.saturating_sub(self.updated).as_secs_f64();
        let (kept, added) = if tau > 0.0 {
            (self.weight * (-gap / tau).exp(), worth * tau * (1.0 - (-dt / tau).exp()))
        } else {
            (0.0, worth)
        };
        let total = kept + added;
        if total > 0.0 {
            for (held, new) in self.log_probabilities.iter_mut().zip(log_probabilities(answer)) {
                *held = (*held * kept + new * added) / total;
            }
            (self.weight, self.updated) = (total, time);
        }
    }

    /// What holds at `time`. To be called once per frame.
    pub fn estimate(&mut self, time: Duration, parameters: HoldParameters) -> Estimate<A> {
        self.asked = time;
        let gap = time.saturating_sub(self.updated).as_secs_f64();
        let exponent = if gap > 0.0 { (-gap / (FORGETTING * parameters.time_constant)).exp() } else { 1.0 };
        // Relative to the largest, so that none overflows.
        let largest = self.log_probabilities.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let powers: Vec<f64> = self.log_probabilities.iter().map(|log| ((log - largest) * exponent).exp()).collect();
        let sum: f64 = powers.iter().sum();
        let probabilities: Vec<f64> = powers.iter().map(|power| power / sum).collect();
        self.label = next_label(self.label, &probabilities, parameters.min_confidence);
        Estimate::of_label(self.label, probabilities.into_iter().map(|p| p as f32).collect())
    }

    /// The time of the last answer.
    pub fn updated(&self) -> Duration {
        self.updated
    }
}

fn log_probabilities<A>(answer: &Estimate<A>) -> Vec<f64> {
    answer.probabilities.iter().map(|p| f64::from(*p).max(MIN_PROBABILITY).ln()).collect()
}

/// The label that follows `label`, with hysteresis between labels, and between a label and unknown.
fn next_label<A: Attribute>(label: Option<A>, probabilities: &[f64], min_confidence: f64) -> Option<A> {
    let of = |class: A| probabilities.get(class.position()).copied().unwrap_or_default();
    let best = A::CLASSES.iter().copied().max_by(|a, b| of(*a).total_cmp(&of(*b)))?;
    match label {
        None => (of(best) >= (min_confidence + CONFIDENCE_HYSTERESIS).min(1.0)).then_some(best),
        Some(held) if of(best) >= min_confidence && of(best) > of(held) + LABEL_HYSTERESIS => Some(best),
        Some(held) => (of(held) >= min_confidence - CONFIDENCE_HYSTERESIS).then_some(held),
    }
}

#[cfg(test)]
#[path = "held_tests.rs"]
mod tests;
