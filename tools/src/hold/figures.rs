//! How good answers over time are.

use serde::Serialize;

use super::{RATE_HZ, Sequence, Shown};
use crate::evaluation::Prediction;
use crate::evaluation::calibration::Calibration;
use face_attributes::attributes::{Attribute, Estimate};

/// Number of answers of which the most frequent one counts, in the program of Arriaga, Ploger and Valdenegro.
pub const MODE_FRAMES: usize = 10;
/// After this time in seconds, what holds is expected to be better than the answer for one frame.
const SETTLED_SECS: f64 = 3.0;
/// From this share of right raw labels on, the network knows the picture.
const KNOWN_SHARE: f64 = 0.9;

/// The figures of one way to answer. A figure without examples is `null`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// Share of frames whose most probable class is right, 0 to 1.
    pub accuracy: Option<f64>,
    /// The same, from 3 s after the picture appeared on.
    pub accuracy_after_3_s: Option<f64>,
    /// Share of frames with the label unknown.
    pub unknown: Option<f64>,
    /// Changes of the label per minute. Unknown counts as a label.
    pub changes_per_minute: Option<f64>,
    /// Time in seconds from a new picture until its class is the label, over [`Figures::known_changes`].
    pub delay: Option<Delay>,
    /// Number of pictures that follow one of another class, and whose class is the raw label in at least 90 % of their frames.
    pub known_changes: usize,
    /// Expected calibration error, 0 to 1. `null` for a way without probabilities.
    pub calibration_error: Option<f64>,
}

/// Time in seconds. A label that never comes counts as the time for which the picture is shown.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Delay {
    /// The median.
    pub median: f64,
    /// The 90th percentile.
    pub p90: f64,
}

/// The figures of the three ways.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Changes per minute of the class that is shown; `null` without sequences.
    pub true_changes_per_minute: Option<f64>,
    /// The answer for each frame alone.
    pub raw: Figures,
    /// What holds.
    pub held: Figures,
    /// The most frequent one of the last ten raw answers.
    pub mode: Figures,
}

impl Comparison {
    /// Compares the answers for all `sequences`.
    pub fn of<A: Attribute>(sequences: &[Sequence<A>]) -> Self {
        let figures = |answers: fn(&Shown<A>) -> Vec<Estimate<A>>| {
            figures(sequences, &sequences.iter().map(|it| it.iter().map(answers).collect()).collect::<Vec<_>>())
        };
        let modes: Vec<_> = sequences.iter().map(modes).collect();
        Self {
            true_changes_per_minute: true_changes_per_minute(sequences),
            raw: figures(|shown| shown.raw.clone()),
            held: figures(|shown| shown.held.clone()),
            mode: self::figures(sequences, &modes),
        }
    }
}

/// The most frequent class of the last [`MODE_FRAMES`] answers of a person, the earliest one of equally frequent ones.
fn modes<A: Attribute>(sequence: &Sequence<A>) -> Vec<Vec<Estimate<A>>> {
    let mut window: Vec<usize> = Vec::new();
    let mut mode = |answer: &Estimate<A>| {
        window.push(answer.best_position());
        if window.len() > MODE_FRAMES {
            window.remove(0);
        }
        let count = |class: &usize| window.iter().filter(|other| *other == class).count();
        // Of equal elements, `max_by_key` gives the last one.
        let mode = window.iter().rev().max_by_key(|class| count(class)).and_then(|class| A::CLASSES.get(*class));
        Estimate::of_label(mode.copied(), Vec::new())
    };
    sequence.iter().map(|shown| shown.raw.iter().map(&mut mode).collect()).collect()
}

/// The figures of `answers`: for each sequence and picture, one answer per frame.
fn figures<A: Attribute>(sequences: &[Sequence<A>], answers: &[Vec<Vec<Estimate<A>>>]) -> Figures {
    let mut right = Share::default();
    let (mut settled, mut unknown, mut changed) = (Share::default(), Share::default(), 0);
    let (mut predictions, mut delays) = (Vec::new(), Vec::new());
    for (sequence, answers) in sequences.iter().zip(answers) {
        for (shown, answers) in sequence.iter().zip(answers) {
            for (frame, answer) in answers.iter().enumerate() {
                let is_right = best(answer) == Some(shown.truth);
                right.add(is_right);
                if frame as f64 >= SETTLED_SECS * RATE_HZ {
                    settled.add(is_right);
                }
                unknown.add(answer.label.is_none());
                predictions.extend(Prediction::new(shown.truth, answer.probabilities.clone(), None));
            }
        }
        let labels: Vec<_> = answers.iter().flatten().map(|answer| answer.label).collect();
        changed += labels.windows(2).filter(|pair| pair[0] != pair[1]).count();
        let successive = sequence.iter().zip(sequence.iter().zip(answers).skip(1));
        let known = successive.filter(|(before, (shown, _))| before.truth != shown.truth && is_known(shown));
        delays.extend(known.map(|(_, (shown, answers))| delay(shown.truth, answers)));
    }
    Figures {
        accuracy: right.share(),
        accuracy_after_3_s: settled.share(),
        unknown: unknown.share(),
        changes_per_minute: per_minute(changed, right.of as usize),
        known_changes: delays.len(),
        delay: Delay::of(delays),
        calibration_error: Calibration::of(&predictions).expected_error,
    }
}

fn true_changes_per_minute<A: Attribute>(sequences: &[Sequence<A>]) -> Option<f64> {
    let changes =
        sequences.iter().flat_map(|sequence| sequence.windows(2)).filter(|pair| pair[0].truth != pair[1].truth);
    per_minute(changes.count(), sequences.iter().flatten().map(|shown| shown.raw.len()).sum())
}

fn per_minute(count: usize, frames: usize) -> Option<f64> {
    (frames > 0).then(|| count as f64 / (frames as f64 / RATE_HZ / 60.0))
}

/// The class that an answer is for, also where the label is unknown.
fn best<A: Attribute>(answer: &Estimate<A>) -> Option<A> {
    // The mode has no probabilities.
    if answer.probabilities.is_empty() { answer.label } else { A::CLASSES.get(answer.best_position()).copied() }
}

fn is_known<A: Attribute>(shown: &Shown<A>) -> bool {
    let right = shown.raw.iter().filter(|raw| raw.label == Some(shown.truth)).count();
    right as f64 >= KNOWN_SHARE * shown.raw.len() as f64
}

fn delay<A: Attribute>(truth: A, answers: &[Estimate<A>]) -> f64 {
    answers.iter().position(|answer| answer.label == Some(truth)).unwrap_or(answers.len()) as f64 / RATE_HZ
}

impl Delay {
    fn of(mut delays: Vec<f64>) -> Option<Self> {
        delays.sort_unstable_by(f64::total_cmp);
        let last = delays.len().checked_sub(1)?;
        let quantile = |share: f64| delays.get((share * last as f64).round() as usize).copied();
        Some(Self { median: quantile(0.5)?, p90: quantile(0.9)? })
    }
}

/// How many of how many.
#[derive(Default)]
struct Share {
    part: u64,
    of: u64,
}

impl Share {
    fn add(&mut self, is_part: bool) {
        self.part += u64::from(is_part);
        self.of += 1;
    }

    fn share(&self) -> Option<f64> {
        (self.of > 0).then(|| self.part as f64 / self.of as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use face_attributes::attributes::Gender::{self, Man, Woman};

    /// One answer per character: `w` and `m` are certain, `W` and `M` are unknown with this class as the most probable one.
    fn answers(text: &str) -> Vec<Estimate<Gender>> {
        let answer = |character| {
            let woman = match character {
                'w' => 0.9,
                'W' => 0.55,
                'M' => 0.45,
                _ => 0.1,
            };
            Estimate::from_probabilities(vec![woman, 1.0 - woman], 0.6)
        };
        text.chars().map(answer).collect()
    }

    fn shown(truth: Gender, raw: &str, held: &str) -> Shown<Gender> {
        Shown { truth, raw: answers(raw), held: answers(held) }
    }

    #[test]
    fn accuracy_is_of_the_most_probable_class_and_unknown_is_a_label_that_changes() {
        let comparison = Comparison::of(&[vec![shown(Woman, "wwMW", "wwww"), shown(Man, "mmmm", "wwmm")]]);
        assert_eq!(comparison.true_changes_per_minute, Some(225.0));
        let Comparison { raw, held, .. } = comparison;
        assert_eq!((raw.accuracy, held.accuracy), (Some(7.0 / 8.0), Some(6.0 / 8.0)));
        assert_eq!((raw.unknown, held.unknown), (Some(2.0 / 8.0), Some(0.0)));
        // Eight frames at 30 Hz.
        assert_eq!((raw.changes_per_minute, held.changes_per_minute), (Some(2.0 * 225.0), Some(225.0)));
        assert_eq!((raw.accuracy_after_3_s, held.accuracy_after_3_s), (None, None));
    }

    #[test]
    fn after_3_seconds_answers_count_as_settled() {
        let sequence = vec![shown(Woman, &"w".repeat(100), &["m".repeat(90), "w".repeat(8), "m".repeat(2)].concat())];
        let held = Comparison::of(&[sequence]).held;
        assert_eq!((held.accuracy, held.accuracy_after_3_s), (Some(0.08), Some(0.8)));
    }

    #[test]
    fn the_delay_is_of_changes_that_the_network_knows() {
        let change = |raw: &str, held: &str| vec![shown(Woman, "wwww", "wwww"), shown(Man, raw, held)];
        let known = [change("mmmm", "wwmm"), change("mmmm", "wmmm"), change("mmmm", "wwww")];
        let same = vec![shown(Man, "mmmm", "wwww"), shown(Man, "mmmm", "wwww")];
        let unknown = [change("wwmm", "mmmm"), change("MMmm", "mmmm"), same];
        let held = Comparison::of(&[&known[..], &unknown[..]].concat()).held;
        assert_eq!(held.known_changes, 3);
        assert_eq!(held.delay, Some(Delay { median: 2.0 / 30.0, p90: 4.0 / 30.0 }));
        let none = Comparison::of(&unknown).held;
        assert_eq!((none.known_changes, none.delay), (0, None));
    }

    #[test]
    fn the_mode_is_of_the_last_ten_answers_and_the_earliest_of_equals() {
        let sequence = vec![shown(Woman, "wwwwwwwwww", ""), shown(Man, "mmmmMmmm", "")];
        let labels: Vec<_> = modes(&sequence)[1].iter().map(|mode| mode.label).collect();
        assert_eq!(labels, [Woman, Woman, Woman, Woman, Woman, Man, Man, Man].map(Some));
        let mode = Comparison::of(&[sequence]).mode;
        assert_eq!((mode.accuracy, mode.unknown, mode.calibration_error), (Some(13.0 / 18.0), Some(0.0), None));
    }

    #[test]
    fn without_sequences_there_are_no_figures() {
        let raw = Comparison::of::<Gender>(&[]).raw;
        assert_eq!((raw.accuracy, raw.changes_per_minute, raw.delay, raw.calibration_error), (None, None, None, None));
    }
}
