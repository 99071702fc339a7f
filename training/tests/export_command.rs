//! The subcommand `export`: what it writes, the robot runs.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use assert_cmd::Command;
use face_attributes::attributes::{Attribute, Emotion, Gender};
use face_attributes::network::Model;
use log::{LevelFilter, Log, Metadata, Record};
use prost::Message;
use tract_onnx::pb::ModelProto;

fn export(arguments: &[&str], out: &Path) -> assert_cmd::assert::Assert {
    let mut command = Command::cargo_bin("face_attributes_training").unwrap();
    command.arg("export").args(arguments).arg("--out").arg(out).assert()
}

fn assert_refused(arguments: &[&str], out: &Path, reason: &str) {
    let assert = export(arguments, out).failure();
    let message = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
    assert!(message.contains(reason), "{message}");
    assert!(!out.exists());
}

fn pixels(count: i32) -> Vec<u8> {
    (0..count).map(|it| (it * 7 % 251) as u8).collect()
}

fn released_gender_model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/released/gender_mini_xception.onnx")
}

#[test]
fn any_network_can_be_had_with_random_weights() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("network.onnx");
    for (architecture, side) in [("sequential_fully_cnn", 64), ("mini_xception", 48), ("deep_residual_cnn", 48)] {
        let side_px = side.to_string();
        let arguments = ["--architecture", architecture, "--task", "emotion", "--seed", "1", "--side-px", &side_px];
        export(&arguments, &out).success();
        let model = Model::load(&out, &Emotion::outputs()).unwrap();
        assert_eq!(model.input_size().width, side);
        assert_eq!(model.run(&pixels(side * side)).unwrap().len(), 7);
    }
}

/// What the library logs of networks that its kernels do not know.
struct Refusals(Mutex<Vec<String>>);

static REFUSALS: Refusals = Refusals(Mutex::new(Vec::new()));

impl Log for Refusals {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.target().starts_with("face_attributes::network")
    }

    fn log(&self, record: &Record) {
        if self.enabled(record.metadata()) {
            self.0.lock().unwrap().push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}

// The network with another rectifier shows that a refusal would be seen.
#[test]
fn the_fast_kernels_know_every_network() {
    log::set_logger(&REFUSALS).unwrap();
    log::set_max_level(LevelFilter::Debug);
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("network.onnx");
    for architecture in ["mini_xception", "sequential_fully_cnn", "residual_cnn", "deep_residual_cnn"] {
        export(&["--architecture", architecture, "--task", "emotion", "--side-px", "48"], &out).success();
        Model::load(&out, &Emotion::outputs()).unwrap();
    }
    let refusals = || std::mem::take(&mut *REFUSALS.0.lock().unwrap());
    assert_eq!(refusals(), [""; 0]);
    let mut model = ModelProto::decode(std::fs::read(&out).unwrap().as_slice()).unwrap();
    let nodes = &mut model.graph.as_mut().unwrap().node;
    nodes.iter_mut().find(|node| node.op_type == "Relu").unwrap().op_type = "LeakyRelu".to_owned();
    std::fs::write(&out, model.encode_to_vec()).unwrap();
    Model::load(&out, &Emotion::outputs()).unwrap();
    assert!(refusals().iter().any(|refusal| refusal.contains("LeakyRelu")));
}

#[test]
fn a_temperature_divides_the_logits() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("calibrated.onnx");
    let released = released_gender_model();
    export(&["--model", released.to_str().unwrap(), "--temperature", "2.5"], &out).success();
    let logit_difference = |path: &Path| {
        let probabilities = Model::load(path, &Gender::outputs()).unwrap().run(&pixels(64 * 64)).unwrap();
        (probabilities[0] / probabilities[1]).ln()
    };
    let (before, after) = (logit_difference(&released), logit_difference(&out));
    // Float32 rounding of probabilities that lie between 0.01 and 0.99.
    assert!((before / 2.5 - after).abs() < 1e-4 && before.abs() > 0.1, "{before} became {after}");

    let model = ModelProto::decode(std::fs::read(&out).unwrap().as_slice()).unwrap();
    let temperature = model.metadata_props.iter().find(|entry| entry.key == "temperature").unwrap();
    assert_eq!(temperature.value, "2.5");
    let again = ["--model", out.to_str().unwrap(), "--temperature", "2"];
    assert_refused(&again, &folder.path().join("again.onnx"), "divided by a temperature before");
}

#[test]
fn what_cannot_be_exported_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("no.onnx");
    let vgg = ["--architecture", "vgg", "--task", "gender"];
    assert_refused(&vgg, &out, "there is no network 'vgg'; there are mini_xception");
    let too_small = ["--architecture", "mini_xception", "--task", "gender", "--side-px", "3"];
    assert_refused(&too_small, &out, "does not fit");
    assert_refused(&["--model", "missing.onnx"], &out, "missing.onnx");
    assert_refused(&["--architecture", "mini_xception"], &out, "--task");
    assert_refused(&[], &out, "--architecture");
}
