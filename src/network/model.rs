//! A network ready to run in kernels or in tract, from its ONNX file.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::{fmt, fs};

use opencv::core::Size;
use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::*;

use super::input::ModelInput;
use super::kernels::{Kernels, Progress};
use super::metadata::{Outputs, read_input};
use super::{ModelError, ModelProblem, RunError};
use crate::panics::catch_panic;

/// A network ready to run. It takes one grey picture and returns one probability per class.
pub struct Model {
    plan: Arc<TypedRunnableModel>,
    /// `None` where only tract's operators can run the network.
    kernels: Option<Arc<Kernels>>,
    proto: ModelProto,
    input: ModelInput,
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model").field("input", &self.input).finish_non_exhaustive()
    }
}

impl Model {
    /// Reads a network that classifies `outputs` from a file.
    ///
    /// # Errors
    /// [`ModelError`] names the file and the problem: see [`Model::from_bytes`].
    pub fn load(path: &Path, outputs: &Outputs) -> Result<Self, ModelError> {
        let name = path.display().to_string();
        let bytes = fs::read(path)
            .map_err(|error| ModelError { name: name.clone(), problem: ModelProblem::Unreadable(error) })?;
        Self::from_bytes(&name, &bytes, outputs)
    }

    /// Reads a network that classifies `outputs`. Errors contain `name`.
    ///
    /// # Errors
    /// [`ModelError`] where the bytes are not an ONNX file, where the metadata name another task, other labels or
    /// another order of labels than `outputs`, where the input is not supported, or where the graph's shapes disagree
    /// with the metadata.
    pub fn from_bytes(name: &str, bytes: &[u8], outputs: &Outputs) -> Result<Self, ModelError> {
        let refuse = |problem| ModelError { name: name.to_owned(), problem };
        let proto = tract_onnx::onnx()
            .proto_model_for_read(&mut &*bytes)
            .map_err(|error| refuse(ModelProblem::NotOnnx(format!("{error:#}"))))?;
        Self::from_proto(proto, outputs).map_err(refuse)
    }

    fn from_proto(proto: ModelProto, outputs: &Outputs) -> Result<Self, ModelProblem> {
        check_outputs(&proto)?;
        let input = read_input(&proto, outputs)?;
        let classes = outputs.labels.len();

        // tract panics in many places where a graph is damaged, for example where a stride is 0.
        catch_panic(|| {
            let mut model = Self { plan: plan(&proto, input.size, classes)?, kernels: None, proto, input };
            model.run(&vec![0; input.size.area() as usize]).map_err(ModelProblem::Trial)?;
            model.kernels = model.kernels()?;
            Ok(model)
        })
        .unwrap_or_else(|panic| Err(ModelProblem::Unsupported(panic)))
    }

    /// The size of the picture that [`Model::run`] takes, in pixels.
    pub fn input_size(&self) -> Size {
        self.input.size
    }

    pub(crate) fn input(&self) -> ModelInput {
        self.input
    }

    /// The contents of the file that the network was read from.
    pub(crate) fn proto(&self) -> &ModelProto {
        &self.proto
    }

    /// Runs the network on one grey 8-bit picture, given row by row without padding, of [`Model::input_size`].
    ///
    /// The result is one probability per class. Each is 0 to 1, and their sum is 1.
    ///
    /// # Errors
    /// [`RunError`] where the number of pixels is not that of the input size, where tract fails, or where the output is
    /// not a probability for each class.
    pub fn run(&self, pixels: &[u8]) -> Result<Vec<f32>, RunError> {
        self.run_with(pixels, <[f32]>::to_vec)
    }

    /// As [`Model::run`], and lets `read` see the probabilities. In kernels, nothing is allocated.
    ///
    /// # Errors
    /// Those of [`Model::run`].
    pub fn run_with<T>(&self, pixels: &[u8], read: impl FnOnce(&[f32]) -> T) -> Result<T, RunError> {
        match &self.kernels {
            Some(kernels) => Ok(read(check_probabilities(output_of(&mut self.run_in_kernels(kernels, pixels)?))?)),
            None => Ok(read(check_probabilities(&self.run_in_tract(pixels)?)?)),
        }
    }

    fn run_in_kernels(&self, kernels: &Arc<Kernels>, pixels: &[u8]) -> Result<Progress, RunError> {
        self.input.check(pixels)?;
        let lines = pixels.chunks_exact(self.input.size.width as usize);
        let scale = |row: usize, line: &mut [f32]| {
            for (value, pixel) in line.iter_mut().zip(lines.clone().nth(row).unwrap_or_default()) {
                *value = self.input.pixel_range.scale(*pixel);
            }
        };
        let run = || {
            let mut progress = kernels.begin(scale);
            progress.finish();
            progress
        };
        catch_panic(run).map_err(RunError::Kernels)
    }

    fn run_in_tract(&self, pixels: &[u8]) -> Result<Vec<f32>, RunError> {
        let input = self.input.tensor(pixels)?;
        // tract panics where an operator meets what it does not expect.
        let outputs = catch_panic(|| self.plan.run(tvec!(input.into()))).map_err(RunError::Tract)??;
        Ok(outputs[0].to_plain_array_view::<f32>()?.iter().copied().collect())
    }

    /// The network in kernels, if they know all of it and agree with tract on a picture.
    fn kernels(&self) -> Result<Option<Arc<Kernels>>, ModelProblem> {
        let [width, height] = [self.input.size.width, self.input.size.height].map(|side| side as usize);
        let range = [0, u8::MAX].map(|pixel| self.input.pixel_range.scale(pixel));
        let Some(kernels) = Kernels::translate(&self.proto, [1, height, width], range) else { return Ok(None) };
        let noise = noise(width * height);
        let expected = self.run_in_tract(&noise).map_err(ModelProblem::Trial)?;
        let got = self.run_in_kernels(&kernels, &noise);
        let agrees = got.map(|mut got| agree("the network", &[(&expected, output_of(&mut got))]));
        Ok(can_run("the network", agrees).then_some(kernels))
    }
}

/// The only output of a classifier.
fn output_of(progress: &mut Progress) -> &[f32] {
    progress.finish().first().map_or(&[], Vec::as_slice)
}

fn check_probabilities(output: &[f32]) -> Result<&[f32], RunError> {
    let in_range = output.iter().all(|probability| (0.0..=1.0).contains(probability));
    if in_range && (output.iter().sum::<f32>() - 1.0).abs() < MAX_SUM_ERROR {
        Ok(output)
    } else {
        Err(RunError::NotProbabilities { output: output.to_vec() })
    }
}

/// Largest difference of kernels from tract, where outputs are about 1.
const MAX_DIFFERENCE: f32 = 1e-5;

/// Whether all outputs of the kernels are those of tract but for rounding. Otherwise warns: the kernels are not used.
pub(crate) fn agree(network: &str, outputs: &[(&[f32], &[f32])]) -> bool {
    outputs.iter().all(|(expected, got)| {
        let scale = expected.iter().fold(1.0_f32, |scale, value| scale.max(value.abs()));
        let mut differences = expected.iter().zip(*got).map(|(expected, got)| (expected - got).abs());
        // What is not a number is not within the limits either.
        let limits = 0.0..=MAX_DIFFERENCE * scale;
        let other = differences.find(|difference| !limits.contains(difference));
        let agrees = expected.len() == got.len() && other.is_none();
        if !agrees {
            let difference = other.unwrap_or(f32::NAN);
            log::warn!("{network} runs in tract's operators: an output of the faster kernels differs by {difference}");
        }
        agrees
    })
}

/// Whether a trial of the kernels has shown that they can run a network. Warns where they failed: tract runs it.
pub(crate) fn can_run(network: &str, agrees: Result<bool, RunError>) -> bool {
    agrees.unwrap_or_else(|error| {
        log::warn!("{network} runs in tract's operators: {error}");
        false
    })
}

/// Pixels without a pattern, always the same.
pub(crate) fn noise(count: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..count).map(|_| next()).collect()
}

/// Largest difference of the sum of probabilities from 1. Rounding errors are far smaller, and other outputs differ far
/// more.
const MAX_SUM_ERROR: f32 = 1e-3;

fn plan(proto: &ModelProto, input_size: Size, classes: usize) -> Result<Arc<TypedRunnableModel>, ModelProblem> {
    let unsupported = |error: TractError| ModelProblem::Unsupported(format!("{error:#}"));
    let model = tract_onnx::onnx()
        .model_for_proto_model(proto)
        .and_then(|model| model.into_optimized())
        .map_err(unsupported)?;
    let [width, height] = [input_size.width, input_size.height].map(|side| side as usize);
    check_shape("the input", model.input_fact(0).map_err(unsupported)?, &[1, 1, height, width])?;
    check_shape("the output", model.output_fact(0).map_err(unsupported)?, &[1, classes])?;
    model.into_runnable().map_err(unsupported)
}

/// Checks that nodes produce the outputs. tract does not check this, and panics on a graph where one is missing.
pub(crate) fn check_outputs(proto: &ModelProto) -> Result<(), ModelProblem> {
    let graph = proto.graph.as_ref().ok_or_else(|| ModelProblem::NotOnnx("no graph".to_owned()))?;
    let made: HashSet<_> = graph.node.iter().flat_map(|node| &node.output).collect();
    if graph.input.is_empty() || graph.output.is_empty() {
        return Err(ModelProblem::NotOnnx("a graph without input or output".to_owned()));
    }
    match graph.output.iter().find(|output| !made.contains(&output.name)) {
        Some(output) => Err(ModelProblem::NotOnnx(format!("no node makes the output '{}'", output.name))),
        None => Ok(()),
    }
}

/// Checks that a tensor of tract's graph has the shape `expected` and 32-bit numbers.
pub(crate) fn check_shape(tensor: &'static str, fact: &TypedFact, expected: &[usize]) -> Result<(), ModelProblem> {
    if fact.shape.as_concrete() == Some(expected) && fact.datum_type == f32::datum_type() {
        return Ok(());
    }
    Err(ModelProblem::Shape { tensor, expected: format!("{expected:?} of F32"), got: format!("{fact:?}") })
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    const EMOTION_MODEL: &[u8] = include_bytes!("../../models/emotion_mini_xception.onnx");

    fn emotion() -> Outputs {
        let labels = vec!["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"];
        Outputs { task: "emotion", labels }
    }

    fn gender() -> Outputs {
        Outputs { task: "gender", labels: vec!["woman", "man"] }
    }

    fn emotion_proto() -> ModelProto {
        ModelProto::decode(EMOTION_MODEL).unwrap()
    }

    fn refusal(proto: &ModelProto, outputs: &Outputs) -> String {
        Model::from_bytes("test.onnx", &proto.encode_to_vec(), outputs).unwrap_err().to_string()
    }

    fn set_metadata(proto: &mut ModelProto, key: &str, value: &str) {
        proto.metadata_props.iter_mut().find(|entry| entry.key == key).unwrap().value = value.to_owned();
    }

    #[test]
    fn what_the_metadata_say_is_checked() {
        let cases = [
            ("task", "age", "'task' is 'age', expected 'emotion'"),
            ("labels", "angry,disgust,fear,happy,sad,neutral,surprise", "'labels' is 'angry,"),
            ("labels", "angry,disgust", "expected 'angry,disgust,fear,happy,sad,surprise,neutral'"),
            ("input_size", "64", "'input_size' is '64', expected WIDTHxHEIGHT"),
            ("input_size", "48x64", "the input has shape"),
            ("input_size", "0x64", "'input_size' is '0x64'"),
            ("input_channels", "3", "'input_channels' is '3', expected '1'"),
            ("pixel_range", "0,255", "'pixel_range' is '0,255', expected '-1,1' or '0,1'"),
        ];
        for (key, value, reason) in cases {
            let mut proto = emotion_proto();
            set_metadata(&mut proto, key, value);
            let message = refusal(&proto, &emotion());
            assert!(message.starts_with("model test.onnx: ") && message.contains(reason), "{message}");
        }
    }

    #[test]
    fn missing_metadata_are_named() {
        for key in ["task", "labels", "input_size", "input_channels", "pixel_range"] {
            let mut proto = emotion_proto();
            proto.metadata_props.retain(|entry| entry.key != key);
            let message = refusal(&proto, &emotion());
            assert!(message.contains(&format!("metadata '{key}' is missing")), "{message}");
        }
    }

    #[test]
    fn a_network_for_another_attribute_is_refused() {
        assert!(refusal(&emotion_proto(), &gender()).contains("'task' is 'emotion', expected 'gender'"));
        let mut proto = emotion_proto();
        set_metadata(&mut proto, "task", "gender");
        set_metadata(&mut proto, "labels", "woman,man");
        assert!(refusal(&proto, &gender()).contains("the output has shape"));
    }

    #[test]
    fn a_truncated_file_is_refused_wherever_it_is_cut() {
        let bytes = EMOTION_MODEL;
        for share in 0..20 {
            let cut = &bytes[..bytes.len() * share / 20];
            let error = Model::from_bytes("cut.onnx", cut, &emotion()).unwrap_err();
            assert!(error.to_string().contains("cut.onnx"), "{error}");
        }
    }

    #[test]
    fn an_output_that_no_node_makes_is_refused() {
        let mut proto = emotion_proto();
        proto.graph.as_mut().unwrap().output[0].name = "elsewhere".to_owned();
        assert!(refusal(&proto, &emotion()).contains("'elsewhere'"));
        proto.graph = None;
        assert!(refusal(&proto, &emotion()).contains("no graph"));
    }

    #[test]
    fn a_graph_that_makes_tract_panic_is_refused() {
        for op in ["Conv", "MaxPool"] {
            let mut proto = emotion_proto();
            let node = proto.graph.as_mut().unwrap().node.iter_mut().find(|node| node.op_type == op).unwrap();
            node.attribute.iter_mut().find(|attribute| attribute.name == "strides").unwrap().ints[0] = 0;
            let message = refusal(&proto, &emotion());
            assert!(message.contains("tract cannot run it"), "{op}: {message}");
        }
    }

    #[test]
    fn an_output_that_is_no_probability_is_refused() {
        let mut no_softmax = emotion_proto();
        let nodes = &mut no_softmax.graph.as_mut().unwrap().node;
        nodes.iter_mut().find(|node| node.op_type == "Softmax").unwrap().op_type = "Relu".to_owned();
        let mut not_a_number = emotion_proto();
        for tensor in &mut not_a_number.graph.as_mut().unwrap().initializer {
            let bytes = tensor.raw_data.len();
            tensor.raw_data = f32::NAN.to_le_bytes().into_iter().cycle().take(bytes).collect();
        }
        for proto in [no_softmax, not_a_number] {
            let message = refusal(&proto, &emotion());
            assert!(message.contains("not a probability for each class"), "{message}");
        }
    }

    #[test]
    fn an_operator_that_the_kernels_do_not_know_leaves_the_network_to_tract() {
        let mut proto = emotion_proto();
        let nodes = &mut proto.graph.as_mut().unwrap().node;
        nodes.iter_mut().find(|node| node.op_type == "Relu").unwrap().op_type = "Elu".to_owned();
        let [known, unknown] = [&emotion_proto(), &proto]
            .map(|proto| Model::from_bytes("test", &proto.encode_to_vec(), &emotion()).unwrap());
        assert_eq!([known.kernels.is_some(), unknown.kernels.is_some()], [true, false]);
        let picture = noise(64 * 64);
        assert_ne!(known.run(&picture).unwrap(), unknown.run(&picture).unwrap());
    }

    #[test]
    fn kernels_agree_only_within_rounding() {
        assert!(agree("test", &[(&[0.5, 1.0], &[0.5, 1.000_005]), (&[-100.0, 0.0], &[-100.0, 0.000_5])]));
        assert!(!agree("test", &[(&[0.5, 1.0], &[0.5, 1.000_02])]));
        assert!(!agree("test", &[(&[0.5], &[0.5]), (&[0.5, 0.1], &[f32::NAN, 0.1])]));
        assert!(!agree("test", &[(&[0.5, 1.0], &[0.5])]));
    }

    #[test]
    fn kernels_that_fail_or_differ_leave_the_network_to_tract() {
        let failure = RunError::Kernels("a panic".to_owned());
        assert_eq!([Ok(true), Ok(false), Err(failure)].map(|agrees| can_run("test", agrees)), [true, false, false]);
    }

    #[test]
    fn a_picture_of_the_wrong_size_is_an_error() {
        let model = Model::from_bytes("emotion", EMOTION_MODEL, &emotion()).unwrap();
        let error = model.run(&[0; 63 * 64]).unwrap_err().to_string();
        assert_eq!(error, "it takes 4096 pixels, got 4032");
    }
}
