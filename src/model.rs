//! A network's file: ONNX that says of itself what it classifies and which pixels it expects.
//!
//! The metadata keys that are read: `task`, `labels` (comma-separated, in the order of the outputs), `input_size`
//! (width x height in pixels, `64x64`), `input_channels` (`1`) and `pixel_range` (`-1,1` or `0,1`).

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::{fmt, fs, io};

use opencv::core::Size;
use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::*;

use crate::attributes::Attribute;

/// The interval that a network's input pixels are scaled to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PixelRange {
    /// 0 to 1.
    ZeroToOne,
    /// -1 to 1.
    MinusOneToOne,
}

impl PixelRange {
    /// Scales an 8-bit pixel.
    pub fn scale(self, pixel: u8) -> f32 {
        let unit = f32::from(pixel) / 255.0;
        match self {
            Self::ZeroToOne => unit,
            Self::MinusOneToOne => (unit - 0.5) * 2.0,
        }
    }
}

/// Why a file was refused as a network.
#[derive(Debug, thiserror::Error)]
#[error("model {name}: {problem}")]
pub struct ModelError {
    /// The file, or what stands in for it where the network is built in.
    pub name: String,
    /// What is wrong with it.
    #[source]
    pub problem: ModelProblem,
}

/// What is wrong with a network's file.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum ModelProblem {
    #[error("{0}")]
    Unreadable(io::Error),
    #[error("not an ONNX file, or a damaged one ({0})")]
    NotOnnx(String),
    #[error("metadata '{key}' is missing; export the network with this project's tools")]
    MissingMetadata { key: &'static str },
    #[error("metadata '{key}' is '{got}', expected {expected}")]
    Metadata { key: &'static str, expected: String, got: String },
    #[error("{tensor} has shape {got}, expected {expected}")]
    Shape { tensor: &'static str, expected: String, got: String },
    #[error("tract cannot run it ({0})")]
    Unsupported(String),
}

/// A network ready to run: one grey picture in, one probability per class out.
pub struct Model {
    plan: Arc<TypedRunnableModel>,
    input_size: Size,
    pixel_range: PixelRange,
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model")
            .field("input_size", &self.input_size)
            .field("pixel_range", &self.pixel_range)
            .finish_non_exhaustive()
    }
}

impl Model {
    /// Reads a network for the attribute `A` from a file.
    ///
    /// # Errors
    /// [`ModelError`] names the file and what is wrong with it: see [`Model::from_bytes`].
    pub fn load<A: Attribute>(path: &Path) -> Result<Self, ModelError> {
        let name = path.display().to_string();
        let bytes = fs::read(path)
            .map_err(|error| ModelError { name: name.clone(), problem: ModelProblem::Unreadable(error) })?;
        Self::from_bytes::<A>(&name, &bytes)
    }

    /// Reads a network for the attribute `A`; `name` is what errors call it.
    ///
    /// # Errors
    /// [`ModelError`] where the bytes are no ONNX, where the metadata names another task, other labels or another order of
    /// labels than `A`, an input that is not supported, or where the graph's shapes disagree with the metadata.
    pub fn from_bytes<A: Attribute>(name: &str, bytes: &[u8]) -> Result<Self, ModelError> {
        let refuse = |problem| ModelError { name: name.to_owned(), problem };
        let proto = tract_onnx::onnx()
            .proto_model_for_read(&mut &*bytes)
            .map_err(|error| refuse(ModelProblem::NotOnnx(format!("{error:#}"))))?;
        Self::from_proto::<A>(&proto).map_err(refuse)
    }

    fn from_proto<A: Attribute>(proto: &ModelProto) -> Result<Self, ModelProblem> {
        check_outputs(proto)?;
        let metadata = Metadata(proto);
        metadata.expect("task", A::TASK)?;
        let labels: Vec<_> = A::CLASSES.iter().map(|class| class.name()).collect();
        metadata.expect("labels", &labels.join(","))?;
        metadata.expect("input_channels", "1")?;
        let input_size = metadata.input_size()?;
        let pixel_range = metadata.pixel_range()?;

        let unsupported = |error: TractError| ModelProblem::Unsupported(format!("{error:#}"));
        let model = tract_onnx::onnx()
            .model_for_proto_model(proto)
            .and_then(|model| model.into_optimized())
            .map_err(unsupported)?;
        let [width, height] = [input_size.width, input_size.height].map(|side| side as usize);
        let input = model.input_fact(0).map_err(unsupported)?;
        check_shape("the input", input, &[1, 1, height, width])?;
        let output = model.output_fact(0).map_err(unsupported)?;
        check_shape("the output", output, &[1, labels.len()])?;
        let plan = model.into_runnable().map_err(unsupported)?;
        Ok(Self { plan, input_size, pixel_range })
    }

    /// The size of the picture that [`Model::run`] takes, in pixels.
    pub fn input_size(&self) -> Size {
        self.input_size
    }

    /// Runs the network on one grey 8-bit picture, given row by row without padding, of [`Model::input_size`].
    ///
    /// The result is one probability per class, each 0 to 1, of sum 1.
    ///
    /// # Errors
    /// tract's, in particular where the number of pixels is not that of the input size.
    pub fn run(&self, pixels: &[u8]) -> TractResult<Vec<f32>> {
        let [width, height] = [self.input_size.width, self.input_size.height].map(|side| side as usize);
        let scaled = pixels.iter().map(|pixel| self.pixel_range.scale(*pixel)).collect();
        let image = tract_ndarray::Array4::from_shape_vec((1, 1, height, width), scaled)?;
        let outputs = self.plan.run(tvec!(Tensor::from(image).into()))?;
        Ok(outputs[0].to_plain_array_view::<f32>()?.iter().copied().collect())
    }
}

/// tract indexes the graph's outputs by name without looking whether a node makes them; a damaged file must not panic.
fn check_outputs(proto: &ModelProto) -> Result<(), ModelProblem> {
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

fn check_shape(tensor: &'static str, fact: &TypedFact, expected: &[usize]) -> Result<(), ModelProblem> {
    if fact.shape.as_concrete() == Some(expected) && fact.datum_type == f32::datum_type() {
        return Ok(());
    }
    Err(ModelProblem::Shape { tensor, expected: format!("{expected:?} of F32"), got: format!("{fact:?}") })
}

struct Metadata<'a>(&'a ModelProto);

impl Metadata<'_> {
    fn get(&self, key: &'static str) -> Result<&str, ModelProblem> {
        let entry = self.0.metadata_props.iter().find(|entry| entry.key == key);
        entry.map(|entry| entry.value.as_str()).ok_or(ModelProblem::MissingMetadata { key })
    }

    fn expect(&self, key: &'static str, expected: &str) -> Result<(), ModelProblem> {
        let got = self.get(key)?;
        if got == expected {
            return Ok(());
        }
        Err(ModelProblem::Metadata { key, expected: format!("'{expected}'"), got: got.to_owned() })
    }

    fn input_size(&self) -> Result<Size, ModelProblem> {
        let key = "input_size";
        let got = self.get(key)?;
        let sides = got.split_once('x').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
        match sides {
            Some((width, height)) if (1..=1024).contains(&width) && (1..=1024).contains(&height) => {
                Ok(Size::new(width, height))
            }
            _ => Err(ModelProblem::Metadata {
                key,
                expected: "WIDTHxHEIGHT, each 1 to 1024".to_owned(),
                got: got.to_owned(),
            }),
        }
    }

    fn pixel_range(&self) -> Result<PixelRange, ModelProblem> {
        let key = "pixel_range";
        match self.get(key)? {
            "-1,1" => Ok(PixelRange::MinusOneToOne),
            "0,1" => Ok(PixelRange::ZeroToOne),
            got => Err(ModelProblem::Metadata { key, expected: "'-1,1' or '0,1'".to_owned(), got: got.to_owned() }),
        }
    }
}
