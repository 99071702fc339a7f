//! How much answers change when a part of the face is hidden.

use serde::Serialize;

/// The answers of a network for one picture, before and after a part is hidden.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// Position of the class that the picture shows.
    pub truth: usize,
    /// One probability per class, for the unchanged picture.
    pub before: Vec<f32>,
    /// One probability per class, for the picture with a hidden part.
    pub after: Vec<f32>,
}

/// A mean over pictures; `None` without pictures.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Mean {
    /// The mean.
    pub mean: Option<f64>,
    /// Half the width of its 95 % interval, by the normal approximation. The approximation is not valid where all pictures
    /// agree.
    pub margin: Option<f64>,
}

/// 95 % of a standard normal distribution are within this distance of 0.
const NORMAL_95: f64 = 1.96;

impl Mean {
    /// The mean of values, one per picture.
    pub fn of(values: impl Iterator<Item = f64> + Clone) -> Self {
        let count = values.clone().count() as f64;
        let mean = (count > 0.0).then(|| values.clone().sum::<f64>() / count);
        let margin = mean.filter(|_| count > 1.0).and_then(|mean| {
            let variance = values.map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
            (variance > 0.0).then(|| NORMAL_95 * (variance / count).sqrt())
        });
        Self { mean, margin }
    }
}

/// The effect of a hidden part on the answers. Shares and probabilities are 0 to 1, differences -1 to 1.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OcclusionFigures {
    /// Number of pictures.
    pub count: u64,
    /// Share of pictures whose answer changes.
    pub answer_changes: Mean,
    /// Change of the probability of the first answer.
    pub probability_change: Mean,
    /// Share of right answers with the hidden part.
    pub accuracy: Mean,
    /// Change of the share of right answers.
    pub accuracy_change: Mean,
    /// Change of the share of right answers among the pictures of each class, in the network's order.
    pub recall_change: Vec<Mean>,
}

impl OcclusionFigures {
    /// The figures of trials of a network with `classes` classes.
    pub fn new(trials: &[Trial], classes: usize) -> Self {
        let rightness_change = |trial: &Trial| {
            let [before, after] = [&trial.before, &trial.after].map(|scores| f64::from(answer(scores) == trial.truth));
            after - before
        };
        let of_class = |class| trials.iter().filter(move |trial| trial.truth == class).map(rightness_change);
        Self {
            count: trials.len() as u64,
            answer_changes: Mean::of(
                trials.iter().map(|trial| f64::from(answer(&trial.before) != answer(&trial.after))),
            ),
            probability_change: Mean::of(trials.iter().map(|trial| {
                let first = answer(&trial.before);
                let [before, after] = [&trial.before, &trial.after].map(|scores| scores.get(first).copied());
                f64::from(after.unwrap_or(0.0)) - f64::from(before.unwrap_or(0.0))
            })),
            accuracy: Mean::of(trials.iter().map(|trial| f64::from(answer(&trial.after) == trial.truth))),
            accuracy_change: Mean::of(trials.iter().map(rightness_change)),
            recall_change: (0..classes).map(|class| Mean::of(of_class(class))).collect(),
        }
    }
}

/// Position of the most probable class.
pub fn answer(probabilities: &[f32]) -> usize {
    let best = probabilities.iter().enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b));
    best.map_or(0, |(class, _)| class)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(truth: usize, before: [f32; 2], after: [f32; 2]) -> Trial {
        Trial { truth, before: before.to_vec(), after: after.to_vec() }
    }

    fn assert_near(got: Mean, mean: f64, margin: f64) {
        let near = |got: Option<f64>, expected: f64| (got.unwrap() - expected).abs() < 1e-6;
        assert!(near(got.mean, mean) && near(got.margin, margin), "{got:?}, expected {mean} +- {margin}");
    }

    #[test]
    fn a_mean_has_the_interval_of_the_normal_approximation() {
        // Mean 4, variance (9 + 1 + 16) / 2 = 13.
        assert_near(Mean::of([1.0, 3.0, 8.0].into_iter()), 4.0, 1.96 * (13.0_f64 / 3.0).sqrt());
        assert_eq!(Mean::of([2.5].into_iter()), Mean { mean: Some(2.5), margin: None });
        assert_eq!(Mean::of([].into_iter()), Mean { mean: None, margin: None });
    }

    #[test]
    fn figures_of_four_trials() {
        let figures = OcclusionFigures::new(
            &[
                trial(0, [0.75, 0.25], [0.25, 0.75]),     // was right, is wrong
                trial(0, [0.75, 0.25], [0.5625, 0.4375]), // stays right
                trial(1, [0.75, 0.25], [0.25, 0.75]),     // was wrong, is right
                trial(0, [0.0, 1.0], [0.0, 1.0]),         // stays wrong
            ],
            3,
        );
        assert_eq!(figures.count, 4);
        // Two of four: variance 4 x 0.25 / 3.
        assert_near(figures.answer_changes, 0.5, 1.96 * (1.0_f64 / 12.0).sqrt());
        assert_eq!(figures.probability_change.mean, Some((-0.5 - 0.1875 - 0.5) / 4.0));
        assert_eq!(figures.accuracy.mean, Some(0.5));
        // -1, 0, 1, 0: variance 2 / 3.
        assert_near(figures.accuracy_change, 0.0, 1.96 * (2.0_f64 / 12.0).sqrt());
        assert_eq!(figures.recall_change[0].mean, Some(-1.0 / 3.0));
        assert_eq!(figures.recall_change[1], Mean { mean: Some(1.0), margin: None });
        assert_eq!(figures.recall_change[2], Mean { mean: None, margin: None });
    }
}
