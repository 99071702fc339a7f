//! Classifies one attribute of a face: crops the face, runs the network, and makes an estimate of the result.

use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;

use opencv::core::Mat;
use opencv::prelude::*;

use super::crop::{CropError, TiltedFace, write_crop, write_mirrored};
use super::{Attribute, Emotion, Estimate, Gender, Workspace};
use crate::network::{Model, ModelError, RunError};

/// An attribute whose network is built into this library.
pub trait BuiltIn: Attribute {
    /// The network as an ONNX file.
    const MODEL: &'static [u8];
}

impl BuiltIn for Emotion {
    const MODEL: &'static [u8] = include_bytes!("../../models/emotion_mini_xception.onnx");
}

impl BuiltIn for Gender {
    const MODEL: &'static [u8] = include_bytes!("../../models/gender_mini_xception.onnx");
}

/// How one attribute is classified, see the table of all parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassifierParameters {
    /// Whether this attribute is classified.
    pub enabled: bool,
    /// Path of the network's ONNX file; empty for the network that is built in.
    pub model: String,
    /// Probability below which the label is unknown, 0 to 1.
    pub min_confidence: f64,
    /// Margin of the crop on each side of the face, as a fraction of the face's size, 0 to 1.
    pub margin: f64,
    /// Whether the probabilities are averaged with those of the mirrored face.
    pub mirror: bool,
    /// Time constant in seconds of what holds over time, 0 to 60; 0 gives the raw answers.
    pub time_constant: f64,
}

impl ClassifierParameters {
    /// The network's file, or `None` for the built-in one.
    pub fn model_path(&self) -> Option<&Path> {
        // ROS has no optional parameters: an empty path stands for the default.
        (!self.model.is_empty()).then(|| Path::new(&self.model))
    }
}

/// Why a face could not be classified.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it all")]
pub enum ClassifyError {
    #[error(transparent)]
    Crop(#[from] CropError),
    #[error("the {task} network gave no answer: {error}")]
    Network { task: &'static str, error: RunError },
}

/// A network for the attribute `A`.
#[derive(Debug)]
pub struct Classifier<A> {
    model: Arc<Model>,
    attribute: PhantomData<A>,
}

impl<A: BuiltIn> Classifier<A> {
    /// Loads the network at `path`, or the one that is built in where `path` is `None`.
    ///
    /// # Errors
    /// [`ModelError`] names the file and the problem.
    pub fn load(path: Option<&Path>) -> Result<Self, ModelError> {
        let model = match path {
            Some(path) => Model::load(path, &A::outputs())?,
            None => Model::from_bytes(&format!("built-in {}", A::TASK), A::MODEL, &A::outputs())?,
        };
        Ok(Self { model: Arc::new(model), attribute: PhantomData })
    }

    /// The network, which explanations of its answers share.
    pub fn model(&self) -> Arc<Model> {
        Arc::clone(&self.model)
    }

    /// Classifies the face in the box `face` of `gray` (height x width, 8-bit, one channel).
    ///
    /// # Errors
    /// [`ClassifyError`] where the box lies outside the image, or OpenCV or tract fail.
    pub fn classify(
        &self,
        gray: &Mat,
        face: impl Into<TiltedFace>,
        parameters: &ClassifierParameters,
    ) -> Result<Estimate<A>, ClassifyError> {
        self.classify_in(&mut Workspace::default(), gray, face.into(), parameters)
    }

    /// As [`Classifier::classify`], with memory that is kept from face to face.
    ///
    /// # Errors
    /// Those of [`Classifier::classify`].
    pub fn classify_in(
        &self,
        workspace: &mut Workspace,
        gray: &Mat,
        face: TiltedFace,
        parameters: &ClassifierParameters,
    ) -> Result<Estimate<A>, ClassifyError> {
        let Workspace { crop, mirrored, part, .. } = workspace;
        write_crop(gray, face, parameters.margin, self.model.input_size(), part, crop)?;
        let mut probabilities = self.run(crop, <[f32]>::to_vec)?;
        if parameters.mirror {
            write_mirrored(crop, mirrored).map_err(CropError::from)?;
            self.run(mirrored, |others| {
                for (probability, other) in probabilities.iter_mut().zip(others) {
                    *probability = (*probability + other) / 2.0;
                }
            })?;
        }
        Ok(Estimate::from_probabilities(probabilities, parameters.min_confidence))
    }

    fn run<T>(&self, crop: &Mat, read: impl FnOnce(&[f32]) -> T) -> Result<T, ClassifyError> {
        let pixels = crop.data_bytes().map_err(CropError::from)?;
        self.model.run_with(pixels, read).map_err(|error| ClassifyError::Network { task: A::TASK, error })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attributes::AttributeParameters;
    use crate::attributes::crop::mirror;
    use crate::faces::BoundingBox;

    /// A picture without symmetry, of another size than the network's.
    fn lopsided() -> Mat {
        let rows: Vec<Vec<u8>> =
            (0..90).map(|y| (0..70).map(|x| ((3 * x + 2 * y + x * x / 9) % 256) as u8).collect()).collect();
        Mat::from_slice_2d(&rows).unwrap()
    }

    #[test]
    fn mirrored_answers_are_averaged() {
        let gray = lopsided();
        let face = BoundingBox { x: 10, y: 12, width: 40, height: 50 };
        let mirrored_face = BoundingBox { x: 70 - 10 - 40, ..face };
        let mirrored = mirror(&gray).unwrap();
        let classifier = Classifier::<Emotion>::load(None).unwrap();
        let parameters = AttributeParameters::default().emotion;
        let answer = |gray: &Mat, face, mirrored| {
            let parameters = ClassifierParameters { mirror: mirrored, ..parameters.clone() };
            classifier.classify(gray, face, &parameters).unwrap().probabilities
        };
        let (one, other) = (answer(&gray, face, false), answer(&mirrored, mirrored_face, false));
        assert_ne!(one, other);
        let mean: Vec<_> = one.iter().zip(&other).map(|(a, b)| (a + b) / 2.0).collect();
        assert_eq!(answer(&gray, face, true), mean);
    }
}
