//! How well a network does on labelled images of faces.
//!
//! [`dataset`] finds the images and what they show, [`answer`] asks a network the way the pipeline does, [`metrics`] counts
//! and [`plot`] draws.

pub mod dataset;
pub mod metrics;
pub mod plot;

use std::path::Path;

use opencv::prelude::*;

use crate::classifier::{BuiltIn, Classifier, ClassifyError};
use crate::geometry::BoundingBox;
use crate::parameters::ClassifierParameters;
use crate::source::{SourceError, read_gray};

/// Why there is no answer for an image.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum AnswerError {
    #[error(transparent)]
    Image(#[from] SourceError),
    #[error("{file}: {error}")]
    Classification { file: String, error: ClassifyError },
    #[error("{file}: the {task} network answers with no number")]
    NoAnswer { file: String, task: &'static str },
}

/// The class that a network gives to an image file which is the crop of one face.
///
/// The whole image stands for the face's box, so a margin continues the image's border outwards. No answer is withheld,
/// whatever the minimum confidence.
///
/// # Errors
/// [`AnswerError`] names the file that is missing, no image, or that the network fails on.
pub fn answer<A: BuiltIn>(
    classifier: &Classifier<A>,
    image: &Path,
    parameters: &ClassifierParameters,
) -> Result<A, AnswerError> {
    let gray = read_gray(image)?;
    let file = || image.display().to_string();
    let face = BoundingBox::of_image(gray.cols(), gray.rows());
    let parameters = ClassifierParameters { min_confidence: 0.0, ..parameters.clone() };
    let estimate = classifier
        .classify(&gray, face, &parameters)
        .map_err(|error| AnswerError::Classification { file: file(), error })?;
    estimate.label.ok_or_else(|| AnswerError::NoAnswer { file: file(), task: A::TASK })
}
