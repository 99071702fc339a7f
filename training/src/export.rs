//! The subcommand `export`: writes an ONNX file for the robot, from a run, from another file, or with random weights.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use face_attributes_tools::task::Task;
use face_attributes_training::architecture::{Network, Shape, architecture};

use crate::model_file::ModelFile;
use crate::train::RunFolder;
use crate::weights::Weights;

/// Arguments of the subcommand.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    source: Source,
    /// Task of the network of `--architecture`.
    #[arg(long, requires = "architecture")]
    task: Option<Task>,
    /// Side of the input image of the network of `--architecture`, in pixels.
    #[arg(long, value_name = "PX", default_value_t = 64, requires = "architecture")]
    side_px: usize,
    /// Seed of the random weights of `--architecture`.
    #[arg(long, default_value_t = 0, requires = "architecture")]
    seed: u64,
    /// Divide the logits by this number. This calibrates the probabilities and changes no answer (Guo et al. 2017). The number
    /// is folded into the last convolution.
    #[arg(long, value_name = "NUMBER")]
    temperature: Option<f32>,
    /// The ONNX file to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Source {
    /// The folder of a run, whose best model is exported.
    #[arg(value_name = "RUN")]
    run: Option<PathBuf>,
    /// A model file of this project, for calibration.
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// A network by name, with random weights: to measure its speed, not for use.
    #[arg(long, value_name = "NAME", requires = "task")]
    architecture: Option<String>,
}

/// Reads or draws the weights, calibrates them, and writes the file.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut model = match &arguments.source {
        Source { run: Some(folder), .. } => ModelFile::read(&folder.join(RunFolder::MODEL))?,
        Source { model: Some(path), .. } => ModelFile::read(path)?,
        Source { architecture: Some(name), .. } => untrained(name, arguments)?,
        Source { .. } => anyhow::bail!("nothing to export"),
    };
    if let Some(temperature) = arguments.temperature {
        model = calibrated(model, temperature)?;
    }
    note(&mut model.provenance, "weights_sha256", model.weights.sha256_hex());
    model.write(&arguments.out)?;
    println!("{}: {} parameters", arguments.out.display(), model.network.parameter_count());
    Ok(())
}

fn untrained(name: &str, arguments: &Arguments) -> anyhow::Result<ModelFile> {
    let task = arguments.task.context("--architecture needs --task")?;
    let input = Shape { channels: 1, height: arguments.side_px, width: arguments.side_px };
    let network = Network::build(&architecture(name, input, task.labels().len())?)
        .with_context(|| format!("{name} for {} pixels", arguments.side_px))?;
    let weights = Weights::random(&network, arguments.seed)?;
    let source = format!("random weights of seed {}, not trained", arguments.seed);
    Ok(ModelFile { task, network, weights, provenance: vec![("source".to_owned(), source)] })
}

/// The model with its logits divided by `temperature`, which is recorded in it.
fn calibrated(model: ModelFile, temperature: f32) -> anyhow::Result<ModelFile> {
    const KEY: &str = "temperature";
    let ModelFile { task, network, weights, mut provenance } = model;
    let is_calibrated = provenance.iter().any(|(key, _)| key == KEY);
    ensure!(!is_calibrated, "the model has been divided by a temperature before; start from the model it was made of");
    let weights = weights.with_temperature(&network, temperature)?;
    note(&mut provenance, KEY, temperature.to_string());
    Ok(ModelFile { task, network, weights, provenance })
}

/// Records a value and replaces an earlier one with the same key.
fn note(provenance: &mut Vec<(String, String)>, key: &str, value: String) {
    provenance.retain(|(it, _)| it != key);
    provenance.push((key.to_owned(), value));
}
