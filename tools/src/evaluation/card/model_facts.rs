//! Facts about a network, from its file.

use std::path::{Path, PathBuf};
use std::{fs, io};

use sha2::{Digest, Sha256};
use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::Framework;

use face_attributes::attributes::BuiltIn;

/// Facts about a network, from its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFacts {
    /// The file's name, or the name of the built-in network.
    pub name: String,
    /// Size of the file in bytes.
    pub bytes: usize,
    /// Checksum of the file, in hexadecimal.
    pub sha256: String,
    /// Number of weights.
    pub parameters: u64,
    /// Its metadata as keys and values, in the order of the file.
    pub metadata: Vec<(String, String)>,
}

/// Why the facts of a file cannot be read.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum ModelFactsError {
    #[error("model {}: {error}", path.display())]
    Unreadable { path: PathBuf, error: io::Error },
    #[error("model {name}: not an ONNX file, or a damaged one ({reason})")]
    NotOnnx { name: String, reason: String },
}

impl ModelFacts {
    /// The facts of the network at `path`, or of the one for `A` that is built in where `path` is `None`.
    ///
    /// # Errors
    /// [`ModelFactsError`] names the file that cannot be read or is not ONNX.
    pub fn load<A: BuiltIn>(path: Option<&Path>) -> Result<Self, ModelFactsError> {
        let Some(path) = path else { return Self::from_bytes(format!("built-in {}", A::TASK), A::MODEL) };
        let unreadable = |error| ModelFactsError::Unreadable { path: path.to_owned(), error };
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self::from_bytes(name, &fs::read(path).map_err(unreadable)?)
    }

    fn from_bytes(name: String, bytes: &[u8]) -> Result<Self, ModelFactsError> {
        let proto: ModelProto = match tract_onnx::onnx().proto_model_for_read(&mut &*bytes) {
            Ok(proto) => proto,
            Err(error) => return Err(ModelFactsError::NotOnnx { name, reason: format!("{error:#}") }),
        };
        let weights = proto.graph.iter().flat_map(|graph| &graph.initializer);
        let parameters =
            weights.map(|tensor| tensor.dims.iter().map(|size| size.unsigned_abs()).product::<u64>()).sum();
        let sha256 = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let metadata = proto.metadata_props.into_iter().map(|entry| (entry.key, entry.value)).collect();
        Ok(Self { name, bytes: bytes.len(), sha256, parameters, metadata })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use face_attributes::attributes::{Emotion, Gender};

    #[test]
    fn the_built_in_networks_are_those_of_the_paper() {
        let emotion = ModelFacts::load::<Emotion>(None).unwrap();
        let gender = ModelFacts::load::<Gender>(None).unwrap();
        assert_eq!((emotion.parameters, gender.parameters), (58_423, 52_658));
        assert_eq!((emotion.name.as_str(), emotion.bytes), ("built-in emotion", Emotion::MODEL.len()));
        let sums = include_str!("../../../../models/SHA256SUMS");
        assert!(sums.contains(&format!("{}  emotion_mini_xception.onnx", emotion.sha256)), "{}", emotion.sha256);
        assert!(emotion.metadata.contains(&("task".to_owned(), "emotion".to_owned())));
    }

    #[test]
    fn the_cards_in_models_are_about_the_networks_there() {
        let cards = [
            (ModelFacts::load::<Emotion>(None).unwrap(), include_str!("../../../../models/emotion_mini_xception.md")),
            (ModelFacts::load::<Gender>(None).unwrap(), include_str!("../../../../models/gender_mini_xception.md")),
        ];
        for (model, card) in cards {
            assert!(card.contains(&model.sha256), "write the card of {} anew, models/README.md says how", model.name);
        }
    }

    #[test]
    fn a_file_that_is_no_onnx_is_named() {
        let message = ModelFacts::from_bytes("notes.onnx".to_owned(), b"no network").unwrap_err().to_string();
        assert!(message.starts_with("model notes.onnx: not an ONNX file"), "{message}");
        let message = ModelFacts::load::<Emotion>(Some(Path::new("no/such.onnx"))).unwrap_err().to_string();
        assert!(message.contains("no/such.onnx"), "{message}");
    }
}
