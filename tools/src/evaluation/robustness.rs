//! How a network's answers change under the faults of a camera, in one table.

use comfy_table::Table;
use serde::Serialize;

use super::calibration::Calibration;
use super::metrics::{Interval, wilson_interval};
use super::report::{align_numbers, percent, percent_interval, table};
use super::{AnswerError, Prediction, predict_face};
use crate::corruption::{Change, Corruption};
use crate::dataset::{Dataset, Sample};
use crate::occlusion::mask::FaceLayout;
use face_attributes::attributes::{Attribute, BuiltIn, Classifier, ClassifierParameters};
use face_attributes::faces::BoundingBox;
use opencv::prelude::*;

/// Figures of all changes. Those of the unchanged pictures are in the [`EvaluationReport`](super::report::EvaluationReport).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RobustnessReport {
    /// One per change, in their order.
    pub corruptions: Vec<RobustnessRow>,
}

/// The figures of one change. Shares are 0 to 1, and `None` without pictures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RobustnessRow {
    /// Its kind, see [`Corruption::name`].
    pub corruption: String,
    /// See [`Change::severity`].
    pub severity: String,
    /// Number of pictures.
    pub count: u64,
    /// Share of right answers.
    pub accuracy: Option<f64>,
    /// Its 95 % interval.
    pub accuracy_interval: Option<Interval>,
    /// Its difference from the same pictures without the change.
    pub accuracy_change: Option<f64>,
    /// Share of the answers that differ from those without the change.
    pub answers_changed: Option<f64>,
    /// Its 95 % interval.
    pub answers_changed_interval: Option<Interval>,
    /// See [`Calibration`].
    pub expected_calibration_error: Option<f64>,
}

/// A picture's answers without a change and with it.
type Pair<A> = (Prediction<A>, Prediction<A>);

/// The answers of a network under each change of the kinds `corruptions`. Pictures are measured as
/// [`evaluate`](super::evaluate) does. `layout` says where the eyes are, for glasses. `on_picture` is called after each
/// picture, with the error where it could not be measured.
pub fn measure_robustness<A: BuiltIn>(
    classifier: &Classifier<A>,
    dataset: &Dataset<A>,
    parameters: &ClassifierParameters,
    corruptions: &[Corruption],
    layout: Option<FaceLayout>,
    mut on_picture: impl FnMut(Option<AnswerError>),
) -> RobustnessReport {
    let changes: Vec<_> =
        corruptions.iter().flat_map(|kind| kind.changes().into_iter().map(|change| (*kind, change))).collect();
    let mut pairs: Vec<Vec<Pair<A>>> = vec![Vec::new(); changes.len()];
    for sample in &dataset.samples {
        match answers(classifier, sample, parameters, &changes, layout) {
            Ok((before, after)) => {
                for (pairs, after) in pairs.iter_mut().zip(after) {
                    pairs.push((before.clone(), after));
                }
                on_picture(None);
            }
            Err(error) => on_picture(Some(error)),
        }
    }
    let rows = changes.iter().zip(&pairs).map(|((kind, change), pairs)| RobustnessRow::new(*kind, change, pairs));
    RobustnessReport { corruptions: rows.collect() }
}

fn answers<A: BuiltIn>(
    classifier: &Classifier<A>,
    sample: &Sample<A>,
    parameters: &ClassifierParameters,
    changes: &[(Corruption, Change)],
    layout: Option<FaceLayout>,
) -> Result<(Prediction<A>, Vec<Prediction<A>>), AnswerError> {
    let gray = sample.picture.read_gray()?;
    let whole = BoundingBox::of_image(gray.cols(), gray.rows());
    let before = predict_face(classifier, sample, &gray, whole, parameters)?;
    let after = changes.iter().map(|(_, change)| {
        let unchanged = |error| AnswerError::Change { picture: sample.picture.to_string(), error };
        let changed = change.apply(&gray, &sample.picture, layout).map_err(unchanged)?;
        predict_face(classifier, sample, &changed.gray, changed.face, parameters)
    });
    let after = after.collect::<Result<_, _>>()?;
    Ok((before, after))
}

impl RobustnessRow {
    fn new<A: Attribute>(kind: Corruption, change: &Change, pairs: &[Pair<A>]) -> Self {
        let count = pairs.len() as u64;
        let number = |has: fn(&Pair<A>) -> bool| pairs.iter().filter(|pair| has(pair)).count() as u64;
        let [right, right_before] = [number(|(_, after)| after.is_right()), number(|(before, _)| before.is_right())];
        let changed = number(|(before, after)| before.answer != after.answer);
        let share = |part: f64| (count > 0).then(|| part / count as f64);
        let after: Vec<_> = pairs.iter().map(|(_, after)| after.clone()).collect();
        Self {
            corruption: kind.name(),
            severity: change.severity(),
            count,
            accuracy: share(right as f64),
            accuracy_interval: wilson_interval(right, count),
            accuracy_change: share(right as f64 - right_before as f64),
            answers_changed: share(changed as f64),
            answers_changed_interval: wilson_interval(changed, count),
            expected_calibration_error: Calibration::of(&after).expected_error,
        }
    }
}

impl RobustnessReport {
    /// A row per change.
    pub fn table(&self) -> Table {
        let columns =
            ["change", "severity", "accuracy", "95 % interval", "difference", "answers that change", "95 % interval"];
        let mut table = table(columns.into_iter().chain(["calibration error"]).map(str::to_owned));
        for row in &self.corruptions {
            let difference = row.accuracy_change.map_or("-".to_owned(), |change| format!("{:+.1}", 100.0 * change));
            table.add_row([
                row.corruption.clone(),
                row.severity.clone(),
                percent(row.accuracy),
                percent_interval(row.accuracy_interval),
                difference,
                percent(row.answers_changed),
                percent_interval(row.answers_changed_interval),
                percent(row.expected_calibration_error),
            ]);
        }
        align_numbers(table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use face_attributes::attributes::Gender;

    fn prediction(truth: Gender, woman: f32) -> Prediction<Gender> {
        Prediction::new(truth, vec![woman, 1.0 - woman], None).unwrap()
    }

    #[test]
    fn figures_of_four_pairs() {
        use Gender::{Man, Woman};
        let pairs = [
            (prediction(Woman, 0.9), prediction(Woman, 0.2)), // was right, is wrong
            (prediction(Man, 0.9), prediction(Man, 0.4)),     // was wrong, is right
            (prediction(Woman, 0.9), prediction(Woman, 0.6)), // stays right
            (prediction(Woman, 0.8), prediction(Woman, 0.3)), // was right, is wrong
        ];
        let row = RobustnessRow::new(Corruption::Noise, &Change::Noise(0.06), &pairs);
        assert_eq!((row.corruption.as_str(), row.severity.as_str()), ("noise", "sigma 0.06 of white"));
        assert_eq!((row.count, row.accuracy, row.accuracy_change), (4, Some(0.5), Some(-0.25)));
        assert_eq!(row.answers_changed, Some(0.75));
        assert_eq!(row.answers_changed_interval, wilson_interval(3, 4));
        // The bins of 0.6 and 0.8 and 0.7: (0.8 - 0 + 0.6 - 1 + 0.6 - 1 + 0.7 - 0) / 4, the two of 0.6 in one bin.
        assert!((row.expected_calibration_error.unwrap() - (0.8 + 0.8 + 0.7) / 4.0).abs() < 1e-6, "{row:?}");
        let none = RobustnessRow::new::<Gender>(Corruption::Noise, &Change::Noise(0.06), &[]);
        assert_eq!((none.accuracy, none.answers_changed, none.accuracy_change), (None, None, None));
    }
}
