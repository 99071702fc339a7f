//! `face_attributes evaluate`: how often a network is right on labelled faces.

use std::io::{self, Write};
use std::path::PathBuf;
use std::str::FromStr;

use clap::ValueEnum;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use face_attributes::attributes::ClassifierParameters;
use face_attributes::attributes::{Attribute, Emotion, Gender};
use face_attributes::attributes::{BuiltIn, Classifier};
use face_attributes::parameters::Parameters;
use face_attributes_tools::corruption::Corruption;
use face_attributes_tools::dataset::{Dataset, DatasetSpec, Labelled};
use face_attributes_tools::evaluation::calibration::{Calibration, fit_temperature, with_temperature};
use face_attributes_tools::evaluation::card::{Described, ModelCard, ModelFacts};
use face_attributes_tools::evaluation::plot::{plot_confusion_matrix, plot_reliability, plot_selective};
use face_attributes_tools::evaluation::report::{EvaluationReport, percent};
use face_attributes_tools::evaluation::robustness::{RobustnessReport, measure_robustness};
use face_attributes_tools::evaluation::selective::SelectiveReport;
use face_attributes_tools::evaluation::{AnswerError, Evaluation, evaluate};
use face_attributes_tools::occlusion::mask::FaceLayout;
use face_attributes_tools::parameters::read_parameters;
use face_attributes_tools::task::Task;
use serde::Serialize;

use crate::outcome::Outcome;
use crate::progress::{print_left_out, progress_bar};

/// Measure how often a network is right on labelled pictures that each show one face and little else.
#[derive(clap::Args)]
pub struct Args {
    /// What to classify.
    #[arg(long)]
    task: Task,
    #[command(flatten)]
    data: DatasetSpec,
    /// What to add around the picture on each side, as a fraction of its longer side, by continuing its border; 0.4 for
    /// utkface, whose pictures are cut close to the face, and 0 for the others, where nothing is given.
    #[arg(long, value_name = "FRACTION")]
    margin: Option<f64>,
    /// Whether to average the answers to each picture and to its mirror image; as the node does where nothing is given.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    mirror: Option<bool>,
    /// ROS 2 parameter file, the same that the node reads; only the network and whether it looks at mirror images are
    /// taken from it, as the rest is for faces that were found in a larger picture.
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
    /// Draw accuracy over confidence into this file.
    #[arg(long, value_name = "FILE.png")]
    plot_reliability: Option<PathBuf>,
    /// Measure the answers also under changes that a robot's camera, its detector and people's heads make: all, or some of
    /// gaussian-blur, motion-blur, noise, jpeg, low-light, back-light, small-face, box-shift, box-size, tilt, turn and glasses,
    /// with commas between them. Each picture is changed in the same way every time.
    #[arg(long, value_name = "all|NAME,...", conflicts_with = "fit_temperature")]
    corrupt: Option<Corruptions>,
    /// Find the confidence from which at most this share of the answers is wrong, 0 to 1, also in every group of people.
    #[arg(long, value_name = "SHARE", value_parser = share, conflicts_with = "fit_temperature")]
    max_error: Option<f64>,
    /// Smaller groups do not decide on that confidence.
    #[arg(long, value_name = "N", default_value_t = 1, requires = "max_error")]
    min_group: u64,
    /// Draw the share of wrong answers over the share of pictures that are answered into this file, for each group.
    #[arg(long, value_name = "FILE.png", requires = "max_error")]
    plot_selective: Option<PathBuf>,
    /// Write a model card about the network into this file, and the picture of its reliability beside it.
    #[arg(long, value_name = "FILE.md")]
    card: Option<PathBuf>,
    /// What the card says of the data: what they are, who published them and on which terms. Needed for folders, which say
    /// nothing of themselves.
    #[arg(long, value_name = "TEXT", requires = "card")]
    data_description: Option<String>,
    /// Find the temperature that makes the network's confidence fit these data best, each picture as it is. Use other data
    /// than those on which calibration is reported.
    #[arg(long, conflicts_with_all = ["mirror", "card"])]
    fit_temperature: bool,
}

/// What `--corrupt` names.
#[derive(Debug, Clone)]
struct Corruptions(Vec<Corruption>);

impl FromStr for Corruptions {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "all" {
            return Ok(Self(Corruption::ALL.to_vec()));
        }
        let named = |name: &str| <Corruption as ValueEnum>::from_str(name, false);
        let known = || Corruption::ALL.map(Corruption::name).join(", ");
        let unknown = |name: &str| format!("'{name}' is no change; there are all, {}", known());
        text.split(',').map(|name| named(name).map_err(|_| unknown(name))).collect::<Result<_, _>>().map(Self)
    }
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| format!("expected a share of 0 to 1, got '{text}'"))
}

pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    match args.task {
        Task::Emotion => run_task::<Emotion>(args),
        Task::Gender => run_task::<Gender>(args),
    }
}

fn run_task<A: BuiltIn + Labelled + Described>(args: &Args) -> anyhow::Result<Outcome> {
    let parameters = parameters::<A>(args)?;
    let parameters = args.task.parameters(&parameters.pipeline.attributes);
    let dataset = args.data.load::<A>()?;
    let model = ModelFacts::load::<A>(parameters.model_path())?;
    let classifier = Classifier::load(parameters.model_path())?;
    let evaluation = measure(&classifier, &dataset, parameters);
    let report = EvaluationReport::new(&evaluation);
    let selective =
        args.max_error.map(|max_error| SelectiveReport::new(&evaluation.predictions, max_error, args.min_group));
    let (robustness, has_failed) = measure_changes(args, &classifier, &dataset, parameters)?;
    let output = Output {
        report: &report,
        temperature: args.fit_temperature.then(|| TemperatureFit::new(&evaluation)),
        selective: selective.as_ref(),
        robustness: robustness.as_ref(),
    };
    writeln!(io::stdout(), "{}", if args.json { serde_json::to_string(&output)? } else { output.to_text() })?;
    if let Some(path) = &args.plot {
        plot_confusion_matrix(&evaluation.confusion(), path)?;
    }
    if let Some(path) = &args.plot_reliability {
        plot_reliability(A::TASK, &report.calibration, path)?;
    }
    if let Some(path) = &args.card {
        let data = args.data_description.as_ref().unwrap_or(&dataset.description);
        let ClassifierParameters { margin, mirror, .. } = *parameters;
        let (selective, robustness) = (selective.as_ref(), robustness.as_ref());
        let left_out = &dataset.left_out;
        ModelCard { model, data, left_out, margin, mirror, report: &report, selective, robustness }.write::<A>(path)?;
    }
    if let (Some(path), Some(report)) = (&args.plot_selective, &selective) {
        plot_selective(A::TASK, report, path)?;
    }
    Ok(if evaluation.failed > 0 || has_failed { Outcome::AnInputFailed } else { Outcome::Done })
}

/// The parameters with the options in place of what the file says.
fn parameters<A: Attribute>(args: &Args) -> anyhow::Result<Parameters> {
    let margin = args.margin.unwrap_or(args.data.format.default_margin());
    let mut parameters = read_parameters(args.params.as_deref())?;
    parameters.set(&format!("{}.margin", A::TASK), &margin.into())?;
    if let Some(mirror) = args.mirror.or(args.fit_temperature.then_some(false)) {
        parameters.set(&format!("{}.mirror", A::TASK), &mirror.into())?;
    }
    if let Some(model) = &args.model {
        parameters.set(&format!("{}.model", A::TASK), &model.as_str().into())?;
    }
    Ok(parameters)
}

fn measure<A: BuiltIn>(
    classifier: &Classifier<A>,
    dataset: &Dataset<A>,
    parameters: &ClassifierParameters,
) -> Evaluation<A> {
    let progress = progress_bar("pictures");
    progress.set_length(dataset.samples.len() as u64);
    dataset.refused.iter().for_each(|error| eprintln!("error: {error}"));
    print_left_out(&progress, &dataset.left_out);
    let evaluation = evaluate(classifier, dataset, parameters, |error| {
        if let Some(error) = error {
            progress.suspend(|| eprintln!("error: {error}"));
        }
        progress.inc(1);
    });
    progress.finish_and_clear();
    evaluation
}

/// The figures under the changes that were asked for, and whether a picture could not be measured under them.
fn measure_changes<A: BuiltIn>(
    args: &Args,
    classifier: &Classifier<A>,
    dataset: &Dataset<A>,
    parameters: &ClassifierParameters,
) -> anyhow::Result<(Option<RobustnessReport>, bool)> {
    let Some(Corruptions(mut corruptions)) = args.corrupt.clone() else { return Ok((None, false)) };
    let layout = FaceLayout::of(args.data.format);
    if layout.is_none() && corruptions.iter().any(|corruption| corruption.needs_layout()) {
        let format = args.data.format;
        eprintln!("left out: glasses, as it is not known where the eyes are in {format} pictures");
        corruptions.retain(|corruption| !corruption.needs_layout());
    }
    let progress = progress_bar("pictures");
    progress.set_length(dataset.samples.len() as u64);
    let mut has_failed = false;
    let report = measure_robustness(classifier, dataset, parameters, &corruptions, layout, |error| {
        // A picture that cannot be read was named before.
        if let Some(error) = error {
            has_failed = true;
            if !matches!(error, AnswerError::Picture(_)) {
                progress.suspend(|| eprintln!("error: {error}"));
            }
        }
        progress.inc(1);
    });
    progress.finish_and_clear();
    Ok((Some(report), has_failed))
}

#[derive(Serialize)]
struct Output<'a> {
    #[serde(flatten)]
    report: &'a EvaluationReport,
    /// Only where it was asked for.
    #[serde(flatten)]
    temperature: Option<TemperatureFit>,
    /// Only where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    selective: Option<&'a SelectiveReport>,
    /// Only where they were asked for.
    #[serde(flatten)]
    robustness: Option<&'a RobustnessReport>,
}

impl Output<'_> {
    fn to_text(&self) -> String {
        let temperature = self.temperature.as_ref().map(TemperatureFit::to_text);
        let selective = self.selective.map(SelectiveReport::to_string);
        let robustness = self.robustness.map(|robustness| {
            let mut table = robustness.table();
            table.load_style(UTF8_FULL_CONDENSED);
            table.to_string()
        });
        let parts = [Some(self.report.to_string()), temperature, selective, robustness];
        parts.into_iter().flatten().collect::<Vec<_>>().join("\n")
    }
}

#[derive(Serialize)]
struct TemperatureFit {
    /// `None` where none fits.
    temperature: Option<f64>,
    /// What calibration would be at this temperature, on the same data.
    calibration_at_temperature: Option<Calibration>,
}

impl TemperatureFit {
    fn new<A: Attribute>(evaluation: &Evaluation<A>) -> Self {
        let temperature = fit_temperature(&evaluation.predictions);
        let calibration_at_temperature =
            temperature.map(|temperature| Calibration::of(&with_temperature(&evaluation.predictions, temperature)));
        Self { temperature, calibration_at_temperature }
    }

    fn to_text(&self) -> String {
        let (Some(temperature), Some(calibration)) = (self.temperature, &self.calibration_at_temperature) else {
            return "no temperature fits these data best".to_owned();
        };
        format!(
            "temperature {temperature:.4}: expected calibration error {}, negative log-likelihood {:.3} on these data",
            percent(calibration.expected_error),
            calibration.negative_log_likelihood.unwrap_or_default(),
        )
    }
}
