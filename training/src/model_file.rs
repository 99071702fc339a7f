//! A network with its weights, as an ONNX file of this project.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use clap::ValueEnum;
use face_attributes::network::MAX_INPUT_SIDE_PX;
use face_attributes_tools::task::Task;
use face_attributes_training::architecture::{Network, Shape, architecture};
use ndarray::{ArrayD, IxDyn};
use prost::Message;
use tract_onnx::pb::{GraphProto, ModelProto, TensorProto};

use crate::onnx_encoding::encode_model;
use crate::onnx_export::{ModelCard, onnx_from_network};
use crate::weights::{Weights, classifying_convolution};

/// The content of a model file.
pub struct ModelFile {
    /// Task of the network.
    pub task: Task,
    /// The network, built from its table.
    pub network: Network,
    /// The weights.
    pub weights: Weights,
    /// See [`ModelCard::provenance`].
    pub provenance: Vec<(String, String)>,
}

impl ModelFile {
    /// Reads a file that [`ModelFile::write`] wrote.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::from_bytes(&bytes).with_context(|| format!("model {}", path.display()))
    }

    fn from_bytes(bytes: &[u8]) -> anyhow::Result<Self> {
        let model = ModelProto::decode(bytes).context("not an ONNX file")?;
        let mut metadata = model.metadata_props.into_iter().map(|entry| (entry.key, entry.value)).collect();
        let task = take(&mut metadata, "task")?;
        let task = Task::from_str(&task, false).map_err(|_| anyhow::anyhow!("metadata 'task' is '{task}'"))?;
        let name = take(&mut metadata, "architecture")?;
        let labels = take(&mut metadata, "labels")?;
        ensure!(labels == task.labels().join(","), "metadata 'labels' is '{labels}'");
        let size = take(&mut metadata, "input_size")?;
        let sides = size.split_once('x').and_then(|(width, height)| Some((side(width)?, side(height)?)));
        let (width, height) = sides.with_context(|| format!("metadata 'input_size' is '{size}'"))?;
        let channels = take(&mut metadata, "input_channels")?;
        let channels = channels.parse().with_context(|| format!("metadata 'input_channels' is '{channels}'"))?;
        let range = take(&mut metadata, "pixel_range")?;
        ensure!(range == "-1,1", "metadata 'pixel_range' is '{range}', expected '-1,1'");

        let input = Shape { channels, height, width };
        let network = Network::build(&architecture(&name, input, task.labels().len())?)?;
        let weights = weights_of_graph(model.graph, &network)?;
        Ok(Self { task, network, weights, provenance: metadata })
    }

    /// Writes the file for the robot.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        fs::write(path, self.to_bytes()?).with_context(|| format!("cannot write {}", path.display()))
    }

    /// The file for the robot.
    pub fn to_bytes(&self) -> anyhow::Result<Vec<u8>> {
        let card = ModelCard { task: self.task, provenance: self.provenance.clone() };
        encode_model(&onnx_from_network(&self.network, &self.weights, &card)?)
    }
}

/// The weights in a model file of `network`. Its metadata are ignored.
pub fn weights_from_onnx(bytes: &[u8], network: &Network) -> anyhow::Result<Weights> {
    weights_of_graph(ModelProto::decode(bytes).context("not an ONNX file")?.graph, network)
}

/// The weights in a model file of `network` as it was trained for another task, and the name of that task. The convolution whose
/// filters are the classes is that of `fresh`. `None` for a file that names no other task.
pub fn weights_of_another_task(
    bytes: &[u8],
    network: &Network,
    task: Task,
    fresh: &Weights,
) -> anyhow::Result<Option<(Weights, String)>> {
    let model = ModelProto::decode(bytes).context("not an ONNX file")?;
    let of_file = model.metadata_props.into_iter().find(|entry| entry.key == "task").map(|entry| entry.value);
    let Some(of_file) = of_file.filter(|of_file| of_file != task.name()) else { return Ok(None) };
    let mut tensors = tensors(model.graph)?;
    for parameter in classifying_convolution(network)?.parameters() {
        let value = fresh.get(&parameter.name)?.clone();
        tensors.insert(parameter.name, value);
    }
    Ok(Some((Weights::new(network, tensors)?, of_file)))
}

fn weights_of_graph(graph: Option<GraphProto>, network: &Network) -> anyhow::Result<Weights> {
    Weights::new(network, tensors(graph)?)
}

fn tensors(graph: Option<GraphProto>) -> anyhow::Result<BTreeMap<String, ArrayD<f32>>> {
    graph.context("not an ONNX file: no graph")?.initializer.into_iter().map(named_tensor).collect()
}

fn take(metadata: &mut Vec<(String, String)>, key: &str) -> anyhow::Result<String> {
    match metadata.iter().position(|(it, _)| it == key) {
        Some(position) => Ok(metadata.remove(position).1),
        None => bail!("metadata '{key}' is missing"),
    }
}

fn side(text: &str) -> Option<usize> {
    text.parse().ok().filter(|side| (1..=MAX_INPUT_SIDE_PX).contains(side))
}

fn named_tensor(tensor: TensorProto) -> anyhow::Result<(String, ArrayD<f32>)> {
    let shape: Vec<_> = tensor.dims.iter().map(|&size| size as usize).collect();
    let (values, rest) = tensor.raw_data.as_chunks();
    ensure!(rest.is_empty(), "{} is cut off", tensor.name);
    let values = values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let array = ArrayD::from_shape_vec(IxDyn(&shape), values).with_context(|| tensor.name.clone())?;
    Ok((tensor.name, array))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn shipped_model(task: Task) -> PathBuf {
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
        models.join(format!("{}_mini_xception.onnx", task.name()))
    }

    // The sources of the weights are not in the repository. So the test begins with the weights.
    #[test]
    fn the_shipped_models_are_what_the_exporter_writes() {
        for task in [Task::Emotion, Task::Gender] {
            let path = shipped_model(task);
            let model = ModelFile::read(&path).unwrap();
            assert_eq!(model.task, task);
            assert_eq!(model.provenance[0].0, "source");
            assert!(model.to_bytes().unwrap() == fs::read(&path).unwrap(), "{} differs", path.display());
        }
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told() {
        let read = |change: &dyn Fn(&mut ModelProto)| {
            let mut model = ModelProto::decode(fs::read(shipped_model(Task::Gender)).unwrap().as_slice()).unwrap();
            change(&mut model);
            ModelFile::from_bytes(&model.encode_to_vec()).err().map(|error| format!("{error:#}")).unwrap()
        };
        let with = |key: &str, value: &str| {
            read(&|model| {
                model.metadata_props.iter_mut().find(|entry| entry.key == key).unwrap().value = value.to_owned();
            })
        };
        assert_eq!(with("task", "age"), "metadata 'task' is 'age'");
        assert_eq!(with("labels", "man,woman"), "metadata 'labels' is 'man,woman'");
        assert_eq!(with("input_size", "64x0"), "metadata 'input_size' is '64x0'");
        assert_eq!(with("pixel_range", "0,1"), "metadata 'pixel_range' is '0,1', expected '-1,1'");
        assert!(with("architecture", "vgg").starts_with("there is no network 'vgg'"));
        assert_eq!(read(&|model| model.metadata_props.clear()), "metadata 'task' is missing");
        assert_eq!(read(&|model| model.graph = None), "not an ONNX file: no graph");
        let cut = read(&|model| model.graph.as_mut().unwrap().initializer[0].raw_data.truncate(5));
        assert!(cut.ends_with("is cut off"), "{cut}");
    }
    #[test]
    fn of_a_network_for_another_task_all_but_the_classes_are_taken() {
        let gender = ModelFile::read(&shipped_model(Task::Gender)).unwrap();
        let bytes = gender.to_bytes().unwrap();
        let network = ModelFile::read(&shipped_model(Task::Emotion)).unwrap().network;
        let fresh = Weights::random(&network, 1).unwrap();
        let weights = |task| weights_of_another_task(&bytes, &network, task, &fresh).unwrap();
        let (weights_for_emotion, task) = weights(Task::Emotion).unwrap();
        assert_eq!(task, "gender");
        for (name, tensor) in weights_for_emotion.iter() {
            let source = if name.starts_with("conv_3.") { &fresh } else { &gender.weights };
            assert_eq!(tensor, source.get(name).unwrap(), "{name}");
        }
        assert!(weights(Task::Gender).is_none());
    }
}
