//! What holds over time: a filter over the answers about one person.
//!
//! The filter keeps the mean of the logarithms of the probabilities, weighted by time and by the worth of the crops. Successive
//! frames are correlated, and thirty frames per second know little more than ten, so the seconds count and not the frames.
//!
//! - **Change.** Beside the mean, the filter sums for each other class how much more probable it is than the class that holds,
//!   from the last time on at which it was less probable (the CUSUM test of Page, "Continuous Inspection Schemes", 1954). Where
//!   a sum passes its threshold, the answers before are forgotten. So a clear new answer holds soon, and a doubtful one later.
//! - **Confidence.** The mean of equal answers is the answer itself. Answers that differ from frame to frame are independent to
//!   some extent, and each of them is less certain than all together. So the mean is raised by their spread, and calibrated
//!   answers stay calibrated.
//! - **Label.** It has hysteresis between two classes, and between what is known and what is unknown.

use std::mem;
use std::time::Duration;

use super::{Attribute, Estimate};

/// What a single answer counts as, in seconds of answers.
const FIRST_ANSWER_SECS: f64 = 0.1;
/// After so many time constants, an answer has lost two thirds of its weight.
const MEMORY: f64 = 2.0;
/// A class that is so many times as probable as the one that holds takes its place after one time constant.
const CHANGE_RATIO: f64 = 5.0;
/// Largest ratio of two probabilities that counts as evidence of a change, as a logarithm.
const MAX_LOG_RATIO: f64 = 4.0;
/// Without an answer, the logarithms of the probabilities decay to those of equal classes, with this many time constants.
const FORGETTING: f64 = 4.0;
/// Without an answer, nothing holds any more after this many time constants.
const MAX_GAP: f64 = 4.0;
/// By how much the variance of the answers raises the logarithms of the probabilities: one over the variance of answers without
/// disturbance. Chosen for the calibration on FER-2013 and UTKFace.
const SPREAD_GAIN: f64 = 0.7;
/// Time constant in seconds of the variance of the answers.
const SPREAD_SECS: f64 = 1.0;
/// Largest variance that counts: a change of class is no disturbance.
const MAX_SPREAD: f64 = 2.0;
/// A label is left, or is taken after unknown, only where the minimum confidence is passed by so much. Where that would be above 1,
/// no label could be taken. So it is at most half of the distance from the minimum confidence to 1.
const CONFIDENCE_HYSTERESIS: f64 = 0.1;
/// Another class becomes the label only where it is more probable by so much.
const LABEL_HYSTERESIS: f64 = 0.15;
/// Smallest probability that counts. A network's certainty in one frame must not outweigh all others.
const MIN_PROBABILITY: f64 = 1e-3;
/// A crop counts at most so much more than those before.
const MAX_RELATIVE_WORTH: f64 = 2.0;

/// How answers are held.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HoldParameters {
    /// Time constant in seconds: for so long, a class must be five times as probable as the one that holds to take its place. 0
    /// holds nothing.
    pub time_constant: f64,
    /// Probability below which the label is unknown, 0 to 1.
    pub min_confidence: f64,
}

/// The answers about one person up to now. The times count from any fixed origin and do not go back.
#[derive(Debug, Clone)]
pub struct Held<A> {
    memory: Memory,
    /// For each class, the evidence that it holds now.
    challengers: Vec<Challenger>,
    last: Vec<f64>,
    /// Kept for its memory.
    buffer: Vec<f64>,
    /// Variance of the logarithms of the probabilities from answer to answer.
    spread: f64,
    /// Time of the last answer.
    updated: Duration,
    /// Time of the last call.
    asked: Duration,
    label: Option<A>,
}

/// The weighted mean of answers.
#[derive(Debug, Clone, Default)]
struct Memory {
    /// Mean of the logarithms of the probabilities.
    logs: Vec<f64>,
    /// Weight of all answers: their seconds, each times its worth.
    weight: f64,
    /// Seconds of answers.
    secs: f64,
}

/// What speaks for another class than the one that holds.
#[derive(Debug, Clone, Default)]
struct Challenger {
    /// Sum of the logarithms of its ratio to the class that holds, times seconds. It is never below 0.
    evidence: f64,
    /// The answers since the evidence was 0.
    memory: Memory,
}

impl<A: Attribute> Held<A> {
    /// Begins with the answer at `time`, which is the first result. `worth` is its weight, above 0 to 1.
    pub fn new(time: Duration, answer: &Estimate<A>, worth: f64) -> Self {
        let mut logs = Vec::new();
        write_centred_logs(answer, &mut logs);
        Self {
            challengers: vec![Challenger::default(); logs.len()],
            last: logs.clone(),
            buffer: Vec::new(),
            memory: Memory { logs, weight: FIRST_ANSWER_SECS * worth, secs: FIRST_ANSWER_SECS },
            spread: 0.0,
            updated: time,
            asked: time,
            label: answer.label,
        }
    }

    /// Adds the answer at `time`. `worth` is its weight, above 0 to 1.
    pub fn add(&mut self, time: Duration, answer: &Estimate<A>, worth: f64, parameters: HoldParameters) {
        if parameters.time_constant <= 0.0 {
            *self = Self::new(time, answer, worth);
            return;
        }
        // Between two answers, at most the time since the last frame belongs to this one: it says nothing about a gap. A face that
        // waited for its turn was there all the time.
        let secs = time.saturating_sub(self.asked).as_secs_f64();
        let gap = time.saturating_sub(self.updated).as_secs_f64();
        if worth * secs <= 0.0 {
            return;
        }
        let mut logs = mem::take(&mut self.buffer);
        write_centred_logs(answer, &mut logs);
        self.add_spread(&logs, secs);
        let usual_worth = self.memory.weight / self.memory.secs;
        let relative_worth = (worth / usual_worth).min(MAX_RELATIVE_WORTH);
        self.memory.forget(gap / (MEMORY * parameters.time_constant));
        self.memory.add(&logs, worth, secs);
        self.challenge(&logs, worth, secs, relative_worth, parameters.time_constant);
        self.buffer = mem::replace(&mut self.last, logs);
        self.updated = time;
    }

    fn add_spread(&mut self, logs: &[f64], secs: f64) {
        // Of two independent answers, the squared difference is twice the variance.
        let squares = logs.iter().zip(&self.last).map(|(new, last)| (new - last).powi(2) / 2.0);
        // The logarithms have mean 0, so that one of them follows from the others.
        let variance = squares.sum::<f64>() / (logs.len().max(2) - 1) as f64;
        self.spread += (1.0 - (-secs / SPREAD_SECS).exp()) * (variance.min(MAX_SPREAD) - self.spread);
    }

    /// Lets each class challenge the one that holds.
    fn challenge(&mut self, logs: &[f64], worth: f64, secs: f64, relative_worth: f64, time_constant: f64) {
        let holding = position_of_largest(&self.memory.logs);
        let of_holding = logs.get(holding).copied().unwrap_or_default();
        for (challenger, log) in self.challengers.iter_mut().zip(logs) {
            let log_ratio = (log - of_holding).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO);
            challenger.evidence += log_ratio * secs * relative_worth;
            if challenger.evidence > 0.0 {
                challenger.memory.add(logs, worth, secs);
            } else {
                challenger.clear();
            }
        }
        let strongest = self.challengers.iter().max_by(|a, b| a.evidence.total_cmp(&b.evidence));
        if let Some(challenger) = strongest.filter(|it| it.evidence > CHANGE_RATIO.ln() * time_constant) {
            self.memory = challenger.memory.clone();
            self.challengers.iter_mut().for_each(Challenger::clear);
        }
    }

    /// Whether the last answer still holds at `time`.
    pub fn is_current(&self, time: Duration, parameters: HoldParameters) -> bool {
        time.saturating_sub(self.updated).as_secs_f64() <= MAX_GAP * parameters.time_constant
    }

    /// What holds at `time`. To be called once per frame.
    pub fn estimate(&mut self, time: Duration, parameters: HoldParameters) -> Estimate<A> {
        self.asked = time;
        self.estimate_while_waiting(time, parameters)
    }

    /// What holds at `time`, in place of [`Held::estimate`] where the face is seen and waits for its turn. The next answer counts
    /// for this frame too.
    pub fn estimate_while_waiting(&mut self, time: Duration, parameters: HoldParameters) -> Estimate<A> {
        let gap = time.saturating_sub(self.updated).as_secs_f64();
        let kept = if gap > 0.0 { (-gap / (FORGETTING * parameters.time_constant)).exp() } else { 1.0 };
        let exponent = kept * (1.0 + SPREAD_GAIN * self.spread);
        // Relative to the largest, so that none overflows.
        let largest = self.memory.logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut probabilities = mem::take(&mut self.buffer);
        probabilities.clear();
        probabilities.extend(self.memory.logs.iter().map(|log| ((log - largest) * exponent).exp()));
        let sum: f64 = probabilities.iter().sum();
        probabilities.iter_mut().for_each(|power| *power /= sum);
        self.label = next_label(self.label, &probabilities, parameters.min_confidence);
        let estimate = Estimate::of_label(self.label, probabilities.iter().map(|p| *p as f32).collect());
        self.buffer = probabilities;
        estimate
    }

    /// The time of the last answer.
    pub fn updated(&self) -> Duration {
        self.updated
    }
}

impl Challenger {
    fn clear(&mut self) {
        self.evidence = 0.0;
        self.memory.logs.clear();
        (self.memory.weight, self.memory.secs) = (0.0, 0.0);
    }
}

impl Memory {
    /// Takes weight from all answers, as after this many time constants.
    fn forget(&mut self, time_constants: f64) {
        let kept = (-time_constants).exp();
        self.weight *= kept;
        self.secs *= kept;
    }

    /// Adds an answer of this worth that holds for `secs`.
    fn add(&mut self, logs: &[f64], worth: f64, secs: f64) {
        let added = worth * secs;
        self.logs.resize(logs.len(), 0.0);
        for (mean, log) in self.logs.iter_mut().zip(logs) {
            *mean = (*mean * self.weight + log * added) / (self.weight + added);
        }
        self.weight += added;
        self.secs += secs;
    }
}

/// Writes the logarithms of the probabilities, with mean 0: what is common to all classes says nothing.
fn write_centred_logs<A>(answer: &Estimate<A>, logs: &mut Vec<f64>) {
    logs.clear();
    logs.extend(answer.probabilities.iter().map(|p| f64::from(*p).max(MIN_PROBABILITY).ln()));
    let mean = logs.iter().sum::<f64>() / logs.len().max(1) as f64;
    logs.iter_mut().for_each(|log| *log -= mean);
}

fn position_of_largest(values: &[f64]) -> usize {
    values.iter().enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b)).map_or(0, |(position, _)| position)
}

/// The label that follows `label`. What is known and which class it is have a hysteresis each, so that one class gives way to
/// another one without unknown in between.
fn next_label<A: Attribute>(label: Option<A>, probabilities: &[f64], min_confidence: f64) -> Option<A> {
    let of = |class: A| probabilities.get(class.position()).copied().unwrap_or_default();
    let best = A::CLASSES.iter().copied().max_by(|a, b| of(*a).total_cmp(&of(*b)))?;
    let hysteresis = CONFIDENCE_HYSTERESIS.min((1.0 - min_confidence) / 2.0);
    let Some(held) = label else {
        return (of(best) >= min_confidence + hysteresis).then_some(best);
    };
    let lowest = min_confidence - hysteresis;
    let stays = of(held) >= lowest && of(best) <= of(held) + LABEL_HYSTERESIS;
    (of(best) >= lowest).then_some(if stays { held } else { best })
}

#[cfg(test)]
#[path = "held_tests.rs"]
mod tests;
