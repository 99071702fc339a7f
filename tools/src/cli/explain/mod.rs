//! `face_attributes explain`: which pixels support an answer.

mod explanation;
mod faces;
mod grid;
mod measure;

use std::path::PathBuf;

use anyhow::Context;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use face_attributes::attributes::{BuiltIn, ClassifierParameters, Emotion, Gender};
use face_attributes::parameters::Parameters;
use face_attributes::saliency::{Method, Neuron};
use face_attributes_tools::evaluation::card::ModelFacts;
use face_attributes_tools::parameters::read_parameters;
use face_attributes_tools::task::Task;

use crate::outcome::Outcome;
use explanation::Explanation;

/// Show which pixels of a face support a network's answer.
#[derive(clap::Args)]
#[command(group(clap::ArgGroup::new("labelled").args(["grid", "measure"])))]
pub struct Args {
    /// What is classified.
    #[arg(long, default_value = "emotion")]
    task: Task,
    /// How saliency is computed.
    #[arg(long, default_value = Method::default().name(), value_parser = method_parser())]
    method: Method,
    /// The class to explain; predicted is that of each answer.
    #[arg(long, value_name = "predicted|CLASS", default_value = PREDICTED)]
    target: String,
    /// Explain a neuron of this layer, by its name in the network's file, for example module_2/add.
    #[arg(long, value_name = "NAME", requires = "neuron", conflicts_with = "target")]
    layer: Option<String>,
    /// Which neuron of the layer.
    #[arg(long, value_name = "CHANNEL,ROW,COLUMN", requires = "layer", value_parser = neuron)]
    neuron: Option<Neuron>,
    /// ONNX file of the network, in place of the one built in and of the parameter file's.
    #[arg(long, value_name = "FILE")]
    model: Option<String>,
    /// ROS 2 parameter file, the same that the node reads.
    #[arg(long, value_name = "FILE")]
    params: Option<PathBuf>,
    /// Take each image for a face already, instead of looking for faces in it.
    #[arg(long)]
    cropped: bool,
    /// What to add around a face on each side, as a fraction of its longer side; where nothing is given, 0 for faces that are
    /// cropped already, and the parameter of the node for faces that were found.
    #[arg(long, value_name = "FRACTION")]
    margin: Option<f64>,
    /// The picture to write; explain.png where neither this nor --json is given.
    #[arg(long, value_name = "FILE.png")]
    out: Option<PathBuf>,
    /// Print one JSON object per face, each on a line of its own: what was explained, the pixels that the network saw and
    /// the saliency of each, row by row. With --measure, print its figures as one JSON object.
    #[arg(long, conflicts_with = "grid")]
    json: bool,
    /// Draw a row per class from `DIR/<class>/<image>`, as evaluate reads them: samples with the pixels that support the answer
    /// to each, and the mean over the class of the pixels that support the class.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["images", "target", "layer"])]
    grid: Option<PathBuf>,
    /// Print how much of the saliency lies on eyes, brows and mouth, and how stable it is within a class, for the faces in
    /// `DIR/<class>/<image>`. The regions are where the features are in the mean face.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["images", "target", "layer", "out"])]
    measure: Option<PathBuf>,
    /// ONNX file of a second network to show in the grid or to measure.
    #[arg(long, value_name = "FILE", requires = "labelled")]
    second: Option<String>,
    /// Samples of each class in the grid, spread evenly over its files; with 0 there are only the means, a column per class.
    #[arg(long, value_name = "N", default_value_t = 4, requires = "grid")]
    samples: usize,
    /// Images of each class, spread evenly over its files, that the means are taken over.
    #[arg(long, value_name = "N", default_value_t = 200, requires = "labelled")]
    average: usize,
    /// Image files, or folders of them.
    #[arg(required_unless_present = "labelled", value_name = "PATH")]
    images: Vec<PathBuf>,
}

impl Args {
    /// The picture to write, where one is wanted.
    fn picture_path(&self) -> PathBuf {
        self.out.clone().unwrap_or_else(|| DEFAULT_OUT.into())
    }
}

const PREDICTED: &str = "predicted";

/// Where the picture goes if nothing else is said.
const DEFAULT_OUT: &str = "explain.png";

fn method_parser() -> impl TypedValueParser<Value = Method> {
    let named = |name: String| Method::NAMES.iter().find(|(_, known)| *known == name).map(|(method, _)| *method);
    PossibleValuesParser::new(Method::NAMES.map(|(_, name)| name)).map(move |name| named(name).unwrap_or_default())
}

fn neuron(text: &str) -> Result<Neuron, String> {
    let numbers: Result<Vec<usize>, _> = text.split(',').map(|number| number.trim().parse()).collect();
    match numbers.as_deref() {
        Ok(&[channel, row, column]) => Ok(Neuron { channel, row, column }),
        _ => Err("expected three numbers, CHANNEL,ROW,COLUMN".to_owned()),
    }
}

pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    match args.task {
        Task::Emotion => run_task::<Emotion>(args),
        Task::Gender => run_task::<Gender>(args),
    }
}

fn run_task<A: BuiltIn>(args: &Args) -> anyhow::Result<Outcome> {
    let parameters = parameters(args)?;
    let of_task = args.task.parameters(&parameters.pipeline.attributes);
    match (&args.grid, &args.measure) {
        (Some(folder), _) => grid::run(args, folder, networks::<A>(args, of_task)?),
        (None, Some(folder)) => measure::run(args, folder, of_task.margin, networks::<A>(args, of_task)?),
        (None, None) => faces::run(args, &parameters.pipeline.faces, &Explanation::<A>::new(args, of_task)?),
    }
}

/// A network, and what its file says of it.
struct Network<A> {
    facts: ModelFacts,
    explanation: Explanation<A>,
}

/// The network that the parameters name, and the second one where there is one.
fn networks<A: BuiltIn>(args: &Args, parameters: &ClassifierParameters) -> anyhow::Result<Vec<Network<A>>> {
    let second = args.second.as_ref().map(|model| ClassifierParameters { model: model.clone(), ..parameters.clone() });
    let load = |parameters: &ClassifierParameters| {
        let facts = ModelFacts::load::<A>(parameters.model_path())?;
        Ok(Network { facts, explanation: Explanation::new(args, parameters)? })
    };
    std::iter::once(parameters).chain(&second).map(load).collect()
}

/// The parameters with the options in place of what the file says.
fn parameters(args: &Args) -> anyhow::Result<Parameters> {
    let task = args.task.name();
    let mut parameters = read_parameters(args.params.as_deref())?;
    let are_cropped = args.cropped || args.grid.is_some() || args.measure.is_some();
    if let Some(margin) = args.margin.or(are_cropped.then_some(0.0)) {
        parameters.set(&format!("{task}.margin"), &margin.into())?;
    }
    if let Some(model) = &args.model {
        parameters.set(&format!("{task}.model"), &model.as_str().into())?;
    }
    Ok(parameters)
}

/// Writes a picture to the file that was asked for.
fn write_picture(args: &Args, picture: &opencv::core::Mat) -> anyhow::Result<()> {
    let path = args.picture_path();
    let written =
        opencv::imgcodecs::imwrite_def(&path, picture).with_context(|| format!("cannot write {}", path.display()))?;
    anyhow::ensure!(written, "cannot write {}", path.display());
    Ok(())
}
