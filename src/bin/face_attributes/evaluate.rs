//! `face_attributes evaluate`: how often a network is right on labelled faces.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::bail;
use clap::ValueEnum;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use face_attributes::attributes::{Attribute, Emotion, Gender};
use face_attributes::classifier::{BuiltIn, Classifier};
use face_attributes::evaluation::answer;
use face_attributes::evaluation::dataset::{LabelledImage, class_folders, utkface};
use face_attributes::evaluation::metrics::{ConfusionMatrix, EvaluationReport};
use face_attributes::evaluation::plot::plot_confusion_matrix;
use face_attributes::parameter_file::read_parameter_file;
use face_attributes::parameters::{ClassifierParameters, Parameters};
use indicatif::ProgressBar;
use serde::Serialize;

use crate::Outcome;
use crate::progress::progress_bar;

/// Measure how often a network is right on labelled images that each show one face and little else.
#[derive(clap::Args)]
pub struct Args {
    /// What to classify.
    #[arg(long)]
    task: Task,
    /// How the images are labelled.
    #[arg(long, default_value = "folders")]
    format: Format,
    /// What to add around the image on each side, as a fraction of its longer side, by continuing its border; 0 for folders
    /// and 0.4 for utkface, with which the built-in network does best, where nothing is given.
    #[arg(long, value_name = "FRACTION")]
    margin: Option<f64>,
    /// Smallest age in years, for utkface; 18 where nothing is given, 0 for children as well.
    #[arg(long, value_name = "YEARS")]
    min_age: Option<u32>,
    /// ROS 2 parameter file, the same that the node reads; only the network is taken from it, as the rest is for faces that
    /// were found in a larger picture.
    #[arg(long, value_name = "FILE")]
    params: Option<PathBuf>,
    /// ONNX file of the network, in place of the one built in and of the parameter file's.
    #[arg(long, value_name = "FILE")]
    model: Option<String>,
    /// Print the figures as one JSON object.
    #[arg(long)]
    json: bool,
    /// Draw the confusion matrix into this file.
    #[arg(long, value_name = "FILE.png")]
    plot: Option<PathBuf>,
    /// The folder with the images.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Task {
    Emotion,
    Gender,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// DIR/<class>/<image>, with a folder for each class.
    Folders,
    /// DIR/<age>_<gender>_<race>_<date>.jpg.chip.jpg, also in folders directly below DIR (gender only).
    Utkface,
}

const ADULT_YEARS: u32 = 18;

/// UTKFace's images are cut close to the face, and the gender network was trained on whole heads: models/README.md has the
/// figures for margins from 0 to 0.6.
const UTKFACE_MARGIN: f64 = 0.4;

pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    if args.format == Format::Folders && args.min_age.is_some() {
        bail!("--min-age needs --format utkface: class folders say nothing of age");
    }
    let parameters = parameters(args)?;
    let mut evaluation = Evaluation { args, progress: progress_bar("images"), failed: 0 };
    match (args.task, args.format) {
        (Task::Emotion, Format::Utkface) => bail!("--format utkface labels gender, not emotion"),
        (Task::Emotion, Format::Folders) => {
            evaluation.run::<Emotion>(&class_folders(&args.folder)?, &parameters.emotion)?;
        }
        (Task::Gender, Format::Folders) => {
            evaluation.run::<Gender>(&class_folders(&args.folder)?, &parameters.gender)?;
        }
        (Task::Gender, Format::Utkface) => {
            let images = evaluation.utkface_images()?;
            evaluation.run::<Gender>(&images, &parameters.gender)?;
        }
    }
    Ok(if evaluation.failed > 0 { Outcome::AnInputFailed } else { Outcome::Done })
}

/// The parameters with the options in place of what the file says.
fn parameters(args: &Args) -> anyhow::Result<Parameters> {
    let task = match args.task {
        Task::Emotion => Emotion::TASK,
        Task::Gender => Gender::TASK,
    };
    let margin = args.margin.unwrap_or(match args.format {
        Format::Folders => 0.0,
        Format::Utkface => UTKFACE_MARGIN,
    });
    let mut parameters = args.params.as_deref().map(read_parameter_file).transpose()?.unwrap_or_default();
    parameters = parameters.with(&format!("{task}.margin"), margin.into())?;
    if let Some(model) = &args.model {
        parameters = parameters.with(&format!("{task}.model"), model.as_str().into())?;
    }
    Ok(parameters)
}

struct Evaluation<'a> {
    args: &'a Args,
    progress: ProgressBar,
    failed: u64,
}

impl Evaluation<'_> {
    fn utkface_images(&mut self) -> anyhow::Result<Vec<LabelledImage<Gender>>> {
        let min_age = self.args.min_age.unwrap_or(ADULT_YEARS);
        let mut images = Vec::new();
        for face in utkface(&self.args.folder)? {
            match face {
                Ok(face) if face.age_years >= min_age => {
                    images.push(LabelledImage { path: face.path, truth: face.gender });
                }
                Ok(_) => {}
                Err(error) => self.fail(&error.into()),
            }
        }
        if images.is_empty() {
            bail!("{}: no face of {min_age} years or more (--min-age)", self.args.folder.display());
        }
        Ok(images)
    }

    fn run<A: BuiltIn>(
        &mut self,
        images: &[LabelledImage<A>],
        parameters: &ClassifierParameters,
    ) -> anyhow::Result<()> {
        let classifier = Classifier::<A>::load(parameters.model_path())?;
        let mut matrix = ConfusionMatrix::default();
        self.progress.set_length(images.len() as u64);
        for image in images {
            match answer(&classifier, &image.path, parameters) {
                Ok(answer) => matrix.add(image.truth, answer),
                Err(error) => self.fail(&error.into()),
            }
            self.progress.inc(1);
        }
        self.progress.finish_and_clear();
        self.print(&matrix)?;
        if let Some(path) = &self.args.plot {
            plot_confusion_matrix(&matrix, path)?;
        }
        Ok(())
    }

    fn fail(&mut self, error: &anyhow::Error) {
        self.failed += 1;
        self.progress.suspend(|| eprintln!("error: {error:#}"));
    }

    fn print<A: Attribute>(&self, matrix: &ConfusionMatrix<A>) -> anyhow::Result<()> {
        let report = Report { figures: matrix.report(), failed: self.failed };
        let text = if self.args.json { serde_json::to_string(&report)? } else { report.to_text() };
        writeln!(io::stdout(), "{text}")?;
        Ok(())
    }
}

#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    figures: EvaluationReport,
    /// Image files that are not in the figures, as they could not be read or their names say too little.
    failed: u64,
}

impl Report {
    fn to_text(&self) -> String {
        let Self { figures, failed } = self;
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        let answers = figures.classes.iter().map(|class| (*class).to_owned());
        table.set_header(["truth \\ answer".to_owned()].into_iter().chain(answers).chain(["recall".to_owned()]));
        for ((class, examples), recall) in figures.classes.iter().zip(&figures.confusion).zip(&figures.recall) {
            let examples = examples.iter().map(u64::to_string);
            table.add_row([(*class).to_owned()].into_iter().chain(examples).chain([percent(*recall)]));
        }
        let precision = figures.precision.iter().map(|precision| percent(*precision));
        table.add_row(["precision".to_owned()].into_iter().chain(precision).chain([String::new()]));
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        format!(
            "{table}\naccuracy {}, balanced accuracy {}, {} images, {failed} failed",
            percent(figures.accuracy),
            percent(figures.balanced_accuracy),
            figures.count,
        )
    }
}

fn percent(fraction: Option<f64>) -> String {
    fraction.map_or("-".to_owned(), |fraction| format!("{:.1}%", 100.0 * fraction))
}
