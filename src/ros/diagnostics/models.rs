//! Which networks are loaded.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;
use face_attributes::attributes::{BuiltIn, Classifiers, Emotion, Gender};
use face_attributes::faces::SearchNetwork;
use face_attributes::pipeline::PipelineParameters;
use sha2::{Digest, Sha256};

/// A network that is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedModel {
    /// What it does.
    pub key: &'static str,
    /// Its file, or `built in`.
    pub origin: String,
    /// Size of its input in pixels.
    pub input: String,
    /// Checksum of its file.
    pub sha256: String,
}

/// The networks that were loaded with these parameters.
///
/// # Errors
/// Where a file cannot be read any more.
pub fn loaded_models(parameters: &PipelineParameters, classifiers: &Classifiers) -> anyhow::Result<Vec<LoadedModel>> {
    let attributes = &parameters.attributes;
    let search = &parameters.faces.search;
    let side = |size: opencv::core::Size| format!("{}x{}", size.width, size.height);
    Ok(vec![
        model(
            "search",
            search.model_path(),
            SearchNetwork::BUILT_IN,
            format!("up to {} wide or high", search.longer_side),
        )?,
        model(
            "emotion",
            attributes.emotion.model_path(),
            Emotion::MODEL,
            side(classifiers.emotion_model().input_size()),
        )?,
        model("gender", attributes.gender.model_path(), Gender::MODEL, side(classifiers.gender_model().input_size()))?,
    ])
}

fn model(key: &'static str, path: Option<&Path>, built_in: &[u8], input: String) -> anyhow::Result<LoadedModel> {
    let (origin, sha256) = match path {
        Some(path) => {
            let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            (path.display().to_string(), sha256(&bytes))
        }
        None => ("built in".to_owned(), sha256(built_in)),
    };
    Ok(LoadedModel { key, origin, input, sha256 })
}

fn sha256(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in Sha256::digest(bytes) {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_file() {
        // As `sha256sum` prints it.
        assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"abc").unwrap();
        let model = model("emotion", Some(file.path()), b"", "64x64".to_owned()).unwrap();
        assert_eq!((model.origin, model.sha256), (file.path().display().to_string(), sha256(b"abc")));
    }
}
