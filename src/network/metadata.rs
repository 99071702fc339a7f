//! The ONNX metadata of a network's file. The keys are `task`, `labels` (comma-separated, in the order of the outputs),
//! `input_size` (width x height in pixels, `64x64`), `input_channels` (`1`) and `pixel_range` (`-1,1` or `0,1`).

use opencv::core::Size;
use tract_onnx::pb::ModelProto;

use super::ModelProblem;
use super::input::{MAX_INPUT_SIDE_PX, ModelInput, PixelRange};

/// What a network classifies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outputs {
    /// The name of the task, for example `emotion`.
    pub task: &'static str,
    /// The names of the classes, in the order of the network's outputs.
    pub labels: Vec<&'static str>,
}

/// Reads the input from the metadata of a file, and checks that the file classifies `outputs`.
pub(super) fn read_input(proto: &ModelProto, outputs: &Outputs) -> Result<ModelInput, ModelProblem> {
    let metadata = Metadata(proto);
    metadata.expect("task", outputs.task)?;
    metadata.expect("labels", &outputs.labels.join(","))?;
    metadata.expect("input_channels", "1")?;
    Ok(ModelInput { size: metadata.input_size()?, pixel_range: metadata.pixel_range()? })
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
        let sides_px = 1..=MAX_INPUT_SIDE_PX as i32;
        let sides = got.split_once('x').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
        match sides {
            Some((width, height)) if sides_px.contains(&width) && sides_px.contains(&height) => {
                Ok(Size::new(width, height))
            }
            _ => Err(ModelProblem::Metadata {
                key,
                expected: format!("WIDTHxHEIGHT, each 1 to {MAX_INPUT_SIDE_PX}"),
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
