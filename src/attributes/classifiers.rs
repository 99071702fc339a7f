//! All attributes of a face, and the networks that classify them.

use std::sync::Arc;
use std::time::Duration;

use opencv::core::Mat;

use super::crop::TiltedFace;
use super::{BuiltIn, Classifier, ClassifierParameters, ClassifyError, Emotion, Estimate, Gender, Workspace};
use crate::faces::{BoundingBox, FaceId, Landmarks};
use crate::network::{Model, ModelError};

/// How each attribute is classified.
#[derive(Debug, Clone, PartialEq)]
pub struct AttributeParameters {
    /// Emotion.
    pub emotion: ClassifierParameters,
    /// Apparent gender.
    pub gender: ClassifierParameters,
}

impl Default for AttributeParameters {
    /// With these margins, crops show as much of the face as the networks' training data. models/README.md has the
    /// measurements.
    fn default() -> Self {
        Self {
            emotion: ClassifierParameters {
                enabled: true,
                model: String::new(),
                min_confidence: 0.4,
                margin: 0.0,
                // Gains nearly one percentage point of accuracy.
                mirror: true,
                // A new expression is the label within half a second.
                time_constant: 0.5,
            },
            gender: ClassifierParameters {
                enabled: true,
                model: String::new(),
                // From it on, at most 3 % of the answers to single pictures are wrong in all groups of people but two
                // (models/README.md, withheld answers).
                min_confidence: 0.92,
                margin: 0.2,
                // Gains 1.4 percentage points of accuracy, and a steadier answer at the first sight of a face.
                mirror: true,
                // Gender does not change, so that answers accumulate.
                time_constant: 10.0,
            },
        }
    }
}

/// One face and its attributes.
#[derive(Debug, Clone, PartialEq)]
pub struct FaceAttributes {
    /// The same from frame to frame while the face is followed.
    pub id: FaceId,
    /// Where the face is, in pixels of the frame. It lies inside the frame.
    pub roi: BoundingBox,
    /// Whether the face was detected in this frame. Otherwise its place is predicted, and there are no raw answers.
    pub seen: bool,
    /// The time of the first frame in which the face was seen.
    pub followed_since: Duration,
    /// How sure the finder was when it saw the face last, 0 to 1.
    pub confidence: f32,
    /// Points of the face in this frame, where the finder gives them.
    pub landmarks: Option<Landmarks>,
    /// The time of the newest frame whose crop of the face was classified: what holds over time is from there. `None` before the
    /// first.
    pub answered: Option<Duration>,
    /// What holds over time; `None` where emotions are not classified, or no classification has succeeded yet or for long.
    pub emotion: Option<Estimate<Emotion>>,
    /// What holds over time; `None` where gender is not classified, or no classification has succeeded yet or for long.
    pub gender: Option<Estimate<Gender>>,
    /// The answers for this frame alone.
    pub raw: RawEstimates,
}

/// The answers of the networks for one face in one frame.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RawEstimates {
    /// `None` where emotions are not classified, the face is not seen or waits for its turn, or the classification failed.
    pub emotion: Option<Estimate<Emotion>>,
    /// `None` where gender is not classified, the face is not seen or waits for its turn, or the classification failed.
    pub gender: Option<Estimate<Gender>>,
}

/// The networks of all attributes. Cameras share them.
#[derive(Debug)]
pub struct Classifiers {
    emotion: Classifier<Emotion>,
    gender: Classifier<Gender>,
}

impl Classifiers {
    /// Loads all networks. Those that are disabled are loaded too, so that they can be enabled at any time.
    ///
    /// # Errors
    /// [`ModelError`] names the file that is missing, damaged or made for something else.
    pub fn load(parameters: &AttributeParameters) -> Result<Self, ModelError> {
        Ok(Self {
            emotion: Classifier::load(parameters.emotion.model_path())?,
            gender: Classifier::load(parameters.gender.model_path())?,
        })
    }

    /// Classifies a face in `gray` (height x width, 8-bit, one channel).
    ///
    /// Where the classification of an attribute fails, the attribute is `None`, and the error is added to `failures`.
    pub fn classify(
        &self,
        workspace: &mut Workspace,
        gray: &Mat,
        face: TiltedFace,
        parameters: &AttributeParameters,
        failures: &mut Vec<ClassifyError>,
    ) -> RawEstimates {
        RawEstimates {
            emotion: classify(&self.emotion, workspace, gray, face, &parameters.emotion, failures),
            gender: classify(&self.gender, workspace, gray, face, &parameters.gender, failures),
        }
    }

    /// The network that classifies emotions.
    pub fn emotion_model(&self) -> Arc<Model> {
        self.emotion.model()
    }

    /// The network that classifies gender.
    pub fn gender_model(&self) -> Arc<Model> {
        self.gender.model()
    }
}

fn classify<A: BuiltIn>(
    classifier: &Classifier<A>,
    workspace: &mut Workspace,
    gray: &Mat,
    face: TiltedFace,
    parameters: &ClassifierParameters,
    failures: &mut Vec<ClassifyError>,
) -> Option<Estimate<A>> {
    if !parameters.enabled {
        return None;
    }
    classifier.classify_in(workspace, gray, face, parameters).map_err(|error| failures.push(error)).ok()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use opencv::core::CV_8UC1;
    use prost::Message;
    use tract_onnx::pb::ModelProto;

    use super::*;

    /// The emotion network with very large weights. Its output is not a number unless all pixels are equal, so the
    /// trial on a black picture at loading passes.
    fn network_that_fails_on_faces() -> tempfile::NamedTempFile {
        let mut proto = ModelProto::decode(Emotion::MODEL).unwrap();
        let graph = proto.graph.as_mut().unwrap();
        let weights = graph.node.iter().find(|node| node.op_type == "Conv").unwrap().input[1].clone();
        let tensor = graph.initializer.iter_mut().find(|tensor| tensor.name == weights).unwrap();
        // Alternating signs cancel out on a picture of one grey.
        let huge = (0..tensor.raw_data.len() / 4).map(|n| if n % 2 == 0 { f32::MAX } else { -f32::MAX });
        tensor.raw_data = huge.flat_map(f32::to_le_bytes).collect();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&proto.encode_to_vec()).unwrap();
        file
    }

    #[test]
    fn a_network_that_fails_on_a_crop_leaves_the_other_answers() {
        let file = network_that_fails_on_faces();
        let mut parameters = AttributeParameters::default();
        parameters.emotion.model = file.path().display().to_string();
        let classifiers = Classifiers::load(&parameters).unwrap();
        let mut gray = Mat::new_rows_cols_with_default(90, 130, CV_8UC1, 40.into()).unwrap();
        opencv::core::randu(&mut gray, &0.0, &255.0).unwrap();
        let roi = BoundingBox { x: 30, y: 10, width: 60, height: 60 };
        let mut failures = Vec::new();
        let mut workspace = Workspace::default();
        let attributes = classifiers.classify(&mut workspace, &gray, roi.into(), &parameters, &mut failures);
        assert_eq!(attributes.emotion, None);
        assert!(attributes.gender.is_some());
        let [failure] = failures.as_slice() else { panic!("{failures:?}") };
        assert!(failure.to_string().starts_with("the emotion network gave no answer: "), "{failure}");
    }
}
