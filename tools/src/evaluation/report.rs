//! The figures of an evaluation, as data and as text.

use std::fmt;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;

use super::Evaluation;
use super::calibration::{BINS, Calibration};
use super::groups::{Group, Grouping, groupings};
use super::metrics::{ConfusionMatrix, Interval};
use face_attributes::attributes::Attribute;

/// The figures of an evaluation. A figure without examples is `null`. [`fmt::Display`] prints the same figures as text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EvaluationReport {
    /// See [`ConfusionMatrix::accuracy`].
    pub accuracy: Option<f64>,
    /// Its 95 % interval.
    pub accuracy_interval: Option<Interval>,
    /// See [`ConfusionMatrix::balanced_accuracy`].
    pub balanced_accuracy: Option<f64>,
    /// The calibration.
    pub calibration: Calibration,
    /// The names of the classes, in the order of all lists of classes here.
    pub classes: Vec<&'static str>,
    /// Number of examples: a row per true class and a column per answer.
    pub confusion: Vec<Vec<u64>>,
    /// Number of examples in all.
    pub count: u64,
    /// Number of pictures that are not in the figures, because they could not be read or have no label.
    pub failed: u64,
    /// Accuracy by group of people, where the data describe people.
    pub groupings: Vec<Grouping>,
    /// See [`ConfusionMatrix::precision`].
    pub precision: Vec<Option<f64>>,
    /// See [`ConfusionMatrix::recall`].
    pub recall: Vec<Option<f64>>,
    /// Its 95 % intervals.
    pub recall_interval: Vec<Option<Interval>>,
}

impl EvaluationReport {
    /// All figures of an evaluation.
    pub fn new<A: Attribute>(evaluation: &Evaluation<A>) -> Self {
        let matrix: ConfusionMatrix<A> = evaluation.confusion();
        Self {
            accuracy: matrix.accuracy(),
            accuracy_interval: matrix.accuracy_interval(),
            balanced_accuracy: matrix.balanced_accuracy(),
            calibration: Calibration::of(&evaluation.predictions),
            classes: A::CLASSES.iter().map(|class| class.name()).collect(),
            confusion: matrix.rows().to_vec(),
            count: matrix.count(),
            failed: evaluation.failed,
            groupings: groupings(&evaluation.predictions),
            precision: matrix.precision(),
            recall: matrix.recall(),
            recall_interval: matrix.recall_interval(),
        }
    }

    /// The confusion matrix with recall and precision.
    pub(super) fn confusion_table(&self) -> Table {
        let answers = self.classes.iter().map(|class| (*class).to_owned());
        let mut table = table(["truth \\ answer".to_owned()].into_iter().chain(answers).chain(["recall".to_owned()]));
        for ((class, examples), recall) in self.classes.iter().zip(&self.confusion).zip(&self.recall) {
            let examples = examples.iter().map(u64::to_string);
            table.add_row([(*class).to_owned()].into_iter().chain(examples).chain([percent(*recall)]));
        }
        let precision = self.precision.iter().map(|precision| percent(*precision));
        table.add_row(["precision".to_owned()].into_iter().chain(precision).chain([String::new()]));
        align_numbers(table)
    }
}

impl Grouping {
    /// A row per group.
    pub(super) fn table(&self) -> Table {
        let mut table = table([self.by, "accuracy", "95 % interval", "pictures"].map(str::to_owned));
        for Group { name, count, accuracy, accuracy_interval } in &self.groups {
            table.add_row([
                name.clone(),
                percent(Some(*accuracy)),
                percent_interval(Some(*accuracy_interval)),
                count.to_string(),
            ]);
        }
        align_numbers(table)
    }

    /// The group with the lowest accuracy and the smallest group.
    pub(super) fn extremes(&self) -> String {
        let group = |group: Option<&Group>| {
            group.map_or_else(String::new, |g| format!("{}, {} of {}", g.name, percent(Some(g.accuracy)), g.count))
        };
        format!("lowest accuracy: {}; smallest group: {}", group(self.worst()), group(self.smallest()))
    }
}

impl fmt::Display for EvaluationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let styled = |mut table: Table| {
            table.load_style(UTF8_FULL_CONDENSED);
            table
        };
        writeln!(f, "{}", styled(self.confusion_table()))?;
        for grouping in &self.groupings {
            writeln!(f, "{}\n{}", styled(grouping.table()), grouping.extremes())?;
        }
        writeln!(
            f,
            "expected calibration error {} ({BINS} bins), negative log-likelihood {}",
            percent(self.calibration.expected_error),
            self.calibration.negative_log_likelihood.map_or("-".to_owned(), |nats| format!("{nats:.3}")),
        )?;
        write!(
            f,
            "accuracy {} ({}), balanced accuracy {}, {} pictures, {} failed",
            percent(self.accuracy),
            percent_interval(self.accuracy_interval),
            percent(self.balanced_accuracy),
            self.count,
            self.failed,
        )
    }
}

pub(super) fn table(header: impl IntoIterator<Item = String>) -> Table {
    let mut table = Table::new();
    table.set_header(header);
    table
}

/// Aligned to the right, except the first column, which contains names.
pub(super) fn align_numbers(mut table: Table) -> Table {
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// A fraction in percent, `-` where there is none.
pub fn percent(fraction: Option<f64>) -> String {
    fraction.map_or("-".to_owned(), |fraction| format!("{:.1}%", 100.0 * fraction))
}

/// An interval of fractions in percent, `-` where there is none.
pub fn percent_interval(interval: Option<Interval>) -> String {
    interval.map_or("-".to_owned(), |i| format!("{:.1} to {:.1}%", 100.0 * i.low, 100.0 * i.high))
}
