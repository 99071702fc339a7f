//! Counts of right and wrong answers, and fractions of them.

use serde::Serialize;

use face_attributes::attributes::Attribute;

/// The number of each answer for each class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfusionMatrix<A: 'static> {
    examples: Vec<Vec<u64>>,
    classes: &'static [A],
}

impl<A: Attribute> Default for ConfusionMatrix<A> {
    fn default() -> Self {
        let classes = A::CLASSES;
        Self { examples: vec![vec![0; classes.len()]; classes.len()], classes }
    }
}

impl<A: Attribute> ConfusionMatrix<A> {
    /// Counts one example.
    pub fn add(&mut self, truth: A, answer: A) {
        for (class, row) in self.classes.iter().zip(&mut self.examples) {
            for (column, examples) in self.classes.iter().zip(row) {
                *examples += u64::from((*class, *column) == (truth, answer));
            }
        }
    }

    /// The counts: a row per true class and a column per answer, both in the order of [`Attribute::CLASSES`].
    pub fn rows(&self) -> &[Vec<u64>] {
        &self.examples
    }

    /// Number of examples.
    pub fn count(&self) -> u64 {
        self.examples.iter().flatten().sum()
    }

    /// Fraction of right answers, 0 to 1; `None` where nothing was counted.
    pub fn accuracy(&self) -> Option<f64> {
        fraction(self.right(), self.count())
    }

    /// Mean recall over the classes that occur, 0 to 1: the accuracy for equally frequent classes.
    ///
    /// `None` where nothing was counted.
    pub fn balanced_accuracy(&self) -> Option<f64> {
        let recalls: Vec<_> = self.recall().into_iter().flatten().collect();
        (!recalls.is_empty()).then(|| recalls.iter().sum::<f64>() / recalls.len() as f64)
    }

    /// For each class the fraction of its examples with the right answer, 0 to 1; `None` for a class without examples.
    pub fn recall(&self) -> Vec<Option<f64>> {
        let rows = self.examples.iter().enumerate();
        rows.map(|(class, row)| fraction(row[class], row.iter().sum())).collect()
    }

    /// For each class the fraction of its answers that are right, 0 to 1; `None` for a class that was never the answer.
    pub fn precision(&self) -> Vec<Option<f64>> {
        (0..self.classes.len())
            .map(|class| fraction(self.examples[class][class], self.examples.iter().map(|row| row[class]).sum()))
            .collect()
    }

    /// For each class the 95 % interval of [`ConfusionMatrix::recall`].
    pub fn recall_interval(&self) -> Vec<Option<Interval>> {
        let rows = self.examples.iter().enumerate();
        rows.map(|(class, row)| wilson_interval(row[class], row.iter().sum())).collect()
    }

    /// The 95 % interval of [`ConfusionMatrix::accuracy`].
    pub fn accuracy_interval(&self) -> Option<Interval> {
        wilson_interval(self.right(), self.count())
    }

    fn right(&self) -> u64 {
        (0..self.classes.len()).map(|class| self.examples[class][class]).sum()
    }
}

fn fraction(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// A confidence interval of a fraction.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// Lower end, at least 0.
    pub low: f64,
    /// Upper end, at most 1.
    pub high: f64,
}

/// The quantile of the normal distribution that leaves 2.5 % above it.
const NORMAL_97_5: f64 = 1.959_963_984_540_054;

/// The 95 % interval of a probability after `part` successes in `whole` trials (Wilson 1927); `None` where `whole` is 0.
/// Unlike the normal approximation, it is valid for few trials and near 0 and 1 too.
pub fn wilson_interval(part: u64, whole: u64) -> Option<Interval> {
    let share = fraction(part, whole)?;
    let (n, z) = (whole as f64, NORMAL_97_5);
    let centre = share + z * z / (2.0 * n);
    let reach = z * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
    let end = |value: f64| (value / (1.0 + z * z / n)).clamp(0.0, 1.0);
    Some(Interval { low: end(centre - reach), high: end(centre + reach) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use face_attributes::attributes::{Emotion, Gender};

    fn gender(examples: &[(Gender, Gender, u64)]) -> ConfusionMatrix<Gender> {
        let mut matrix = ConfusionMatrix::default();
        for (truth, answer, count) in examples {
            (0..*count).for_each(|_| matrix.add(*truth, *answer));
        }
        matrix
    }

    #[test]
    fn the_figures_of_an_uneven_matrix() {
        use Gender::{Man, Woman};
        let matrix = gender(&[(Woman, Woman, 6), (Woman, Man, 2), (Man, Woman, 4), (Man, Man, 28)]);
        assert_eq!(matrix.rows(), [[6, 2], [4, 28]]);
        assert_eq!((matrix.count(), matrix.accuracy()), (40, Some(0.85)));
        assert_eq!(matrix.recall(), [Some(0.75), Some(0.875)]);
        assert_eq!(matrix.precision(), [Some(0.6), Some(28.0 / 30.0)]);
        assert_eq!(matrix.balanced_accuracy(), Some(0.8125));
    }

    #[test]
    fn a_class_that_does_not_occur_has_no_recall_and_does_not_count_in_the_balance() {
        let matrix = gender(&[(Gender::Man, Gender::Man, 3), (Gender::Man, Gender::Woman, 1)]);
        assert_eq!(matrix.recall(), [None, Some(0.75)]);
        assert_eq!(matrix.precision(), [Some(0.0), Some(1.0)]);
        assert_eq!(matrix.balanced_accuracy(), Some(0.75));
    }

    // 8 of 10: (0.8 + 0.19207 -+ 1.95996 * sqrt(0.016 + 0.0096037)) / 1.384146.
    #[test]
    fn the_interval_of_a_few_trials() {
        let near = |interval: Option<Interval>, low: f64, high: f64| {
            let Interval { low: got_low, high: got_high } = interval.unwrap();
            assert!((got_low - low).abs() < 1e-5 && (got_high - high).abs() < 1e-5, "{interval:?}");
        };
        near(wilson_interval(8, 10), 0.49016, 0.94332);
        // Nothing seen in n trials: from 0 to z^2 / (n + z^2).
        near(wilson_interval(0, 10), 0.0, 0.27754);
        near(wilson_interval(10, 10), 0.72246, 1.0);
        assert_eq!(wilson_interval(0, 0), None);
    }

    proptest! {
        #[test]
        fn accuracy_is_the_mean_of_recall_weighted_by_examples(answers in prop::collection::vec((0..7usize, 0..7usize), 1..200)) {
            let mut matrix = ConfusionMatrix::default();
            for (truth, answer) in &answers {
                matrix.add(Emotion::CLASSES[*truth], Emotion::CLASSES[*answer]);
            }
            prop_assert_eq!(matrix.count(), answers.len() as u64);
            let examples = matrix.rows().iter().map(|row| row.iter().sum::<u64>() as f64);
            let weighted: f64 = matrix.recall().iter().zip(examples).map(|(recall, n)| recall.unwrap_or(0.0) * n).sum();
            let accuracy = matrix.accuracy().unwrap();
            prop_assert!((accuracy - weighted / answers.len() as f64).abs() < 1e-12);
            prop_assert!((0.0..=1.0).contains(&matrix.balanced_accuracy().unwrap()));
        }
    }
}
