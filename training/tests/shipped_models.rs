//! Every model of the repository, trained here or released by the paper's authors, is what its table says, and runs.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use face_attributes::attributes::{Attribute, Emotion, Gender};
use face_attributes::network::Model;
use face_attributes_training::architecture::{Network, Op, Shape, architecture};
use prost::Message;
use sha2::{Digest, Sha256};
use tract_onnx::pb::ModelProto;

fn models_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models")
}

fn models_in(folder: &Path) -> Vec<PathBuf> {
    let paths = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
    let paths: Vec<_> = paths.filter(|path| path.extension().is_some_and(|it| it == "onnx")).collect();
    assert!(!paths.is_empty(), "{}", folder.display());
    paths
}

/// The attribute networks for the robot.
fn robots_models() -> Vec<PathBuf> {
    [models_in(&models_folder()), models_in(&models_folder().join("released"))].concat()
}

/// Those, and the ones that taught them.
fn all_models() -> Vec<PathBuf> {
    [robots_models(), models_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("teachers"))].concat()
}

fn read_model(path: &Path) -> (ModelProto, BTreeMap<String, String>) {
    let model = ModelProto::decode(std::fs::read(path).unwrap().as_slice()).unwrap();
    let metadata = model.metadata_props.iter().map(|it| (it.key.clone(), it.value.clone())).collect();
    (model, metadata)
}

/// The network of the table that the model's metadata names.
fn network(metadata: &BTreeMap<String, String>) -> Network {
    let (width, height) = metadata["input_size"].split_once('x').unwrap();
    let input = Shape {
        channels: metadata["input_channels"].parse().unwrap(),
        height: height.parse().unwrap(),
        width: width.parse().unwrap(),
    };
    let table = architecture(&metadata["architecture"], input, metadata["labels"].split(',').count());
    Network::build(&table.unwrap()).unwrap()
}

#[test]
fn checksums_match() {
    let sums = std::fs::read_to_string(models_folder().join("SHA256SUMS")).unwrap();
    let listed: BTreeSet<String> = sums.lines().map(str::to_owned).collect();
    let computed: BTreeSet<String> = [robots_models(), models_in(&models_folder().join("search"))]
        .concat()
        .iter()
        .map(|path| {
            let digest = Sha256::digest(std::fs::read(path).unwrap());
            let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{hex}  {}", path.strip_prefix(models_folder()).unwrap().display())
        })
        .collect();
    assert_eq!(listed, computed);
}

#[test]
fn layers_and_weights_are_those_of_the_table() {
    for path in all_models() {
        let (model, metadata) = read_model(&path);
        let network = network(&metadata);
        let graph = model.graph.unwrap();

        let names: Vec<_> = graph.node.iter().map(|node| node.name.as_str()).collect();
        // What drops out while training is nothing on the robot.
        let is_exported = |op| !matches!(op, Op::Input | Op::Dropout { .. });
        let expected = network.nodes().iter().filter(|node| is_exported(node.op));
        assert_eq!(names, expected.map(|node| node.name.as_str()).collect::<Vec<_>>());

        let initializers: BTreeMap<_, _> = graph
            .initializer
            .iter()
            .map(|it| (it.name.clone(), it.dims.iter().map(|&size| size as usize).collect()))
            .collect();
        let parameters: BTreeMap<_, Vec<usize>> =
            network.parameters().map(|parameter| (parameter.name, parameter.shape)).collect();
        assert_eq!(initializers, parameters, "{}", path.display());
        let count: usize = initializers.values().map(|shape| shape.iter().product::<usize>()).sum();
        assert_eq!(count, network.parameter_count());
    }
}

/// The largest number of parameters of a robot's network, by the name of its table: the paper's for its two networks.
const LARGEST: [(&str, usize); 3] =
    [("mini_xception", 60_000), ("sequential_fully_cnn", 645_000), ("deep_residual_cnn", 700_000)];

#[test]
fn the_robots_models_are_of_the_papers_size() {
    for path in robots_models() {
        let (_, metadata) = read_model(&path);
        let (_, largest) = LARGEST.into_iter().find(|(name, _)| *name == metadata["architecture"]).unwrap();
        let count = network(&metadata).parameter_count();
        assert!(count <= largest, "{} has {count} parameters", path.display());
        // Four bytes a parameter, and the graph.
        let bytes = std::fs::metadata(&path).unwrap().len();
        assert!(bytes <= 4 * count as u64 + 25_000, "{} has {bytes} bytes", path.display());
    }
}

#[test]
fn the_robot_loads_and_runs_them() {
    for path in all_models() {
        let (_, metadata) = read_model(&path);
        let model = match metadata["task"].as_str() {
            Emotion::TASK => Model::load(&path, &Emotion::outputs()),
            Gender::TASK => Model::load(&path, &Gender::outputs()),
            other => panic!("{}: task {other}", path.display()),
        }
        .unwrap();
        let size = model.input_size();
        let pixels: Vec<u8> = (0..size.area()).map(|it| (it * 7 % 251) as u8).collect();
        let probabilities = model.run(&pixels).unwrap();
        assert_eq!(probabilities.len(), network(&metadata).output_shape().channels);
        let sum: f32 = probabilities.iter().sum();
        assert!((sum - 1.0).abs() < 1e-6, "{}: {probabilities:?}", path.display());
    }
}
