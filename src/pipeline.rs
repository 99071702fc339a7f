//! The way of an image: frame, grey, faces, ids, crops, attributes.

use std::sync::Arc;

use opencv::core;

use crate::attributes::{Emotion, Estimate, Gender};
use crate::classifier::{BuiltIn, Classifier, ClassifyError};
use crate::detect::{CascadeError, FaceDetector};
use crate::frame::Frame;
use crate::geometry::BoundingBox;
use crate::model::{Model, ModelError};
use crate::parameters::{ClassifierParameters, Parameters};
use crate::track::{FaceId, Tracker};

/// One face and what is said about it.
#[derive(Debug, Clone, PartialEq)]
pub struct FaceAttributes {
    /// The same from frame to frame while the face is followed.
    pub id: FaceId,
    /// Where the face is, in pixels of the frame.
    pub roi: BoundingBox,
    /// `None` where emotions are not classified.
    pub emotion: Option<Estimate<Emotion>>,
    /// `None` where gender is not classified.
    pub gender: Option<Estimate<Gender>>,
}

/// Why the pipeline cannot be built.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant is the error of a part")]
pub enum PipelineError {
    #[error(transparent)]
    Cascade(#[from] CascadeError),
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error("OpenCV refuses detector.threads: {0}")]
    Threads(opencv::Error),
}

/// Why one frame could not be processed; the next one may well be.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant is the error of a part")]
pub enum ProcessError {
    #[error("face detection failed: {0}")]
    Detection(#[from] opencv::Error),
    #[error(transparent)]
    Classification(#[from] ClassifyError),
}

/// Finds faces in frames and classifies them, one frame after the other.
#[derive(Debug)]
pub struct Pipeline {
    parameters: Parameters,
    detector: FaceDetector,
    emotion: Classifier<Emotion>,
    gender: Classifier<Gender>,
    tracker: Tracker,
}

impl Pipeline {
    /// Loads the cascade and both networks, also one that is switched off, so that it can be switched on at any time.
    ///
    /// # Errors
    /// [`PipelineError`] names the file that is missing, damaged or made for something else.
    pub fn new(parameters: Parameters) -> Result<Self, PipelineError> {
        let pipeline = Self {
            detector: FaceDetector::load(parameters.detector.cascade_path())?,
            emotion: Classifier::load(parameters.emotion.model_path())?,
            gender: Classifier::load(parameters.gender.model_path())?,
            tracker: Tracker::default(),
            parameters,
        };
        pipeline.apply_threads()?;
        Ok(pipeline)
    }

    /// The parameters in force.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The network that classifies emotions.
    pub fn emotion_model(&self) -> Arc<Model> {
        self.emotion.model()
    }

    /// The network that classifies gender.
    pub fn gender_model(&self) -> Arc<Model> {
        self.gender.model()
    }

    /// Changes parameters between two frames. Files are not loaded anew: those parameters are fixed once a pipeline is made.
    ///
    /// # Errors
    /// [`PipelineError::Threads`] where OpenCV refuses the number of threads.
    pub fn set_parameters(&mut self, parameters: Parameters) -> Result<(), PipelineError> {
        self.parameters = parameters;
        self.apply_threads()
    }

    /// The faces in the next frame, from left to right.
    ///
    /// # Errors
    /// [`ProcessError`] where OpenCV or tract fail on this frame.
    pub fn process(&mut self, frame: &Frame) -> Result<Vec<FaceAttributes>, ProcessError> {
        let gray = frame.to_gray()?;
        let faces = self.detector.detect(&gray, &self.parameters.detector)?;
        let ids = self.tracker.update(&faces);
        let Parameters { emotion, gender, .. } = &self.parameters;
        ids.into_iter()
            .zip(faces)
            .map(|(id, roi)| {
                Ok(FaceAttributes {
                    id,
                    roi,
                    emotion: classify(&self.emotion, &gray, roi, emotion)?,
                    gender: classify(&self.gender, &gray, roi, gender)?,
                })
            })
            .collect()
    }

    /// Forgets the faces seen so far: the next frame has nothing to do with the last one.
    pub fn forget_faces(&mut self) {
        self.tracker = Tracker::default();
    }

    fn apply_threads(&self) -> Result<(), PipelineError> {
        core::set_num_threads(self.parameters.detector.threads).map_err(PipelineError::Threads)
    }
}

fn classify<A: BuiltIn>(
    classifier: &Classifier<A>,
    gray: &core::Mat,
    face: BoundingBox,
    parameters: &ClassifierParameters,
) -> Result<Option<Estimate<A>>, ClassifyError> {
    parameters.enabled.then(|| classifier.classify(gray, face, parameters)).transpose()
}
