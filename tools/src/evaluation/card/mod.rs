//! The model card: facts about a network, its measured figures and its intended use (after Mitchell et al., "Model Cards for
//! Model Reporting", FAT* 2019). All figures come from the measurement, and all facts from the network's file.

mod model_facts;

pub use model_facts::{ModelFacts, ModelFactsError};

use std::path::Path;
use std::{fs, io};

use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;

use super::calibration::BINS;
use super::plot::{PlotError, plot_reliability};
use super::report::{EvaluationReport, percent, percent_interval};
use super::robustness::RobustnessReport;
use super::selective::SelectiveReport;
use crate::dataset::LeftOut;
use face_attributes::attributes::{Attribute, Emotion, Gender};

/// An attribute for which a card can be written.
pub trait Described: Attribute {
    /// Intended use and limits, as sections of Markdown: what is not measured.
    const USE_AND_LIMITS: &'static str;
}

impl Described for Emotion {
    const USE_AND_LIMITS: &'static str = include_str!("emotion.md");
}

impl Described for Gender {
    const USE_AND_LIMITS: &'static str = include_str!("gender.md");
}

/// What the table of changed pictures says.
const ROBUSTNESS_NOTE: &str = "The same pictures, each changed as a camera, a detector or a head changes it, and their answers \
                               against those without the change. No training draws these forms of change: \
                               `tools/src/corruption/` has them. What lies beyond a picture's border is its border, continued.";

/// The content of a card.
#[derive(Debug)]
pub struct ModelCard<'a> {
    /// The network.
    pub model: ModelFacts,
    /// The data of the measurement, with their publisher and terms.
    pub data: &'a str,
    /// Pictures of the data that were not measured.
    pub left_out: &'a [LeftOut],
    /// The margin around the pictures on each side, as a fraction of their longer side.
    pub margin: f64,
    /// Whether answers are averages over a picture and its mirror image.
    pub mirror: bool,
    /// The figures.
    pub report: &'a EvaluationReport,
    /// Figures where uncertain answers are withheld, if they were measured.
    pub selective: Option<&'a SelectiveReport>,
    /// Figures under changes of the pictures, if they were measured.
    pub robustness: Option<&'a RobustnessReport>,
}

/// Why a card could not be written.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum CardError {
    #[error("cannot write the model card {path}: {error}")]
    Unwritable { path: String, error: io::Error },
    #[error(transparent)]
    Plot(#[from] PlotError),
}

impl ModelCard<'_> {
    /// Writes the card of a network for `A` into a Markdown file, and its reliability plot beside it, as
    /// `<name of the file>_reliability.png`.
    ///
    /// # Errors
    /// [`CardError`] names the file that cannot be written.
    pub fn write<A: Described>(&self, path: &Path) -> Result<(), CardError> {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let picture = format!("{stem}_reliability.png");
        let text = self.to_markdown::<A>(&picture);
        fs::write(path, text).map_err(|error| CardError::Unwritable { path: path.display().to_string(), error })?;
        Ok(plot_reliability(A::TASK, &self.report.calibration, &path.with_file_name(picture))?)
    }

    fn to_markdown<A: Described>(&self, picture: &str) -> String {
        let mut sections = vec![
            format!("# Model card: {}", self.model.name),
            "Written by `face_attributes evaluate --card` from the file and from what it measured; do not edit."
                .to_owned(),
            "## Model".to_owned(),
            self.model_table(),
            "## Measured on".to_owned(),
            self.data_list(),
            "## Accuracy".to_owned(),
            self.accuracy_table(),
            self.class_table(),
            "Number of pictures, a row per truth and in it a column per answer:".to_owned(),
            markdown(self.report.confusion_table()),
            "## Calibration".to_owned(),
            self.calibration_text(),
            format!("![Accuracy over confidence, and the share of the answers]({picture})"),
        ];
        sections.extend(self.group_sections());
        if let Some(selective) = self.selective {
            sections.push("## Withheld answers".to_owned());
            sections.push(format!("The answer is `unknown` below a confidence: {}.", selective.summary()));
            sections.push(markdown(selective.table()));
        }
        if let Some(robustness) = self.robustness {
            sections.push("## Under faults of a camera".to_owned());
            sections.push(ROBUSTNESS_NOTE.to_owned());
            sections.push(markdown(robustness.table()));
        }
        sections.push(A::USE_AND_LIMITS.trim_end().to_owned());
        sections.join("\n\n") + "\n"
    }

    fn model_table(&self) -> String {
        let ModelFacts { name, bytes, sha256, parameters, metadata } = &self.model;
        let facts = [
            ("file", format!("`{name}`, {bytes} bytes")),
            ("SHA-256", format!("`{sha256}`")),
            ("parameters", format!("{parameters}, statistics of batch normalization included")),
        ];
        let metadata = metadata.iter().map(|(key, value)| (key.as_str(), value.replace('|', "\\|").replace('\n', " ")));
        markdown_table(["what", "value"], facts.into_iter().chain(metadata).map(|(key, value)| [key.to_owned(), value]))
    }

    fn data_list(&self) -> String {
        let mut lines = vec![format!("- {}: {} pictures.", self.data, self.report.count)];
        if self.report.failed > 0 {
            lines.push(format!("- Broken and not measured: {}.", self.report.failed));
        }
        let left_out = self.left_out.iter().filter(|left_out| left_out.count > 0);
        lines.extend(left_out.map(|LeftOut { what, count, .. }| format!("- Left out: {count} {what}.")));
        let mirror = if self.mirror { "the mean of the answers to it and to its mirror image" } else { "as it is" };
        lines.push(format!(
            "- Margin {} of the picture on each side, its border continued; each picture {mirror}.",
            self.margin
        ));
        lines.join("\n")
    }

    fn accuracy_table(&self) -> String {
        let report = self.report;
        let rows = [
            ("accuracy", percent(report.accuracy), percent_interval(report.accuracy_interval)),
            ("balanced accuracy", percent(report.balanced_accuracy), String::new()),
        ];
        markdown_table(
            ["figure", "value", "95 % interval"],
            rows.map(|(name, value, ends)| [name.to_owned(), value, ends]),
        )
    }

    fn class_table(&self) -> String {
        let report = self.report;
        let rows = (0..report.classes.len()).map(|class| {
            let count: u64 = report.confusion[class].iter().sum();
            [
                report.classes[class].to_owned(),
                percent(report.recall[class]),
                percent_interval(report.recall_interval[class]),
                percent(report.precision[class]),
                count.to_string(),
            ]
        });
        markdown_table(["class", "recall", "95 % interval", "precision", "pictures"], rows)
    }

    fn calibration_text(&self) -> String {
        let calibration = &self.report.calibration;
        let likelihood = calibration.negative_log_likelihood.map_or("-".to_owned(), |nats| format!("{nats:.3}"));
        format!(
            "Expected calibration error {} ({BINS} bins of equal width; Guo et al. 2017), negative log-likelihood {likelihood}.",
            percent(calibration.expected_error)
        )
    }

    fn group_sections(&self) -> Vec<String> {
        let groupings = &self.report.groupings;
        if groupings.is_empty() {
            return Vec::new();
        }
        let mut sections = vec!["## Groups".to_owned()];
        for grouping in groupings {
            sections.push(markdown(grouping.table()));
            sections.push(format!("By {}, {}.", grouping.by, grouping.extremes()));
        }
        sections
    }
}

fn markdown_table<const N: usize>(header: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.set_header(header);
    table.add_rows(rows);
    markdown(table)
}

fn markdown(mut table: Table) -> String {
    table.load_style(ASCII_MARKDOWN);
    table.to_string()
}
