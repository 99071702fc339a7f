//! Explains the networks' answers about a face, from the same crops and the same networks.

use std::marker::PhantomData;
use std::sync::Arc;

use opencv::core::Mat;

use super::{Explainer, Method, Neuron, Saliency, SaliencyError, SaliencyParameters};
use crate::attributes::crop::{CropError, TiltedFace, crop_face};
use crate::attributes::{
    Attribute, AttributeParameters, ClassifierParameters, Classifiers, Emotion, Estimate, FaceAttributes, Gender,
};
use crate::faces::BoundingBox;
use crate::network::Model;

/// Why the answer about a face could not be explained.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it all")]
pub enum ExplainError {
    #[error(transparent)]
    Crop(#[from] CropError),
    #[error("the {task} network cannot be explained: {error}")]
    Network { task: &'static str, error: Arc<SaliencyError> },
}

/// Which pixels of a face support one class.
#[derive(Debug)]
pub struct Explanation {
    /// What the network classifies.
    pub task: &'static str,
    /// The answer's label, which may be unknown.
    pub label: &'static str,
    /// The answer's confidence, 0 to 1.
    pub confidence: f32,
    /// The class that is explained.
    pub class: &'static str,
    /// The network's input: 8-bit, one channel.
    pub crop: Mat,
    /// The place of the crop in the image, before it was turned by `roll` about its middle. Parts may lie outside.
    pub square: BoundingBox,
    /// The roll of the head in radians, as far as the crop was turned against it.
    pub roll: f32,
    /// How much each pixel of the crop matters.
    pub saliency: Saliency,
}

/// Explains the answers of the networks about faces.
#[derive(Debug)]
pub struct FaceExplainer {
    emotion: NetworkExplainer<Emotion>,
    gender: NetworkExplainer<Gender>,
}

impl FaceExplainer {
    /// Explains with the networks that classify.
    pub fn new(classifiers: &Classifiers) -> Self {
        Self {
            emotion: NetworkExplainer::new(classifiers.emotion_model()),
            gender: NetworkExplainer::new(classifiers.gender_model()),
        }
    }

    /// Explains each raw answer about `face`, which was classified in `gray` (height x width, 8-bit, one channel) with
    /// `attribute_parameters`. What holds over time has no pixels of its own.
    ///
    /// A target class belongs to one of the networks. For the other network, the most probable class is explained. There
    /// is one result per answer: [`ExplainError`] where the face lies outside the image, a network holds an operator whose
    /// gradient is not known, or OpenCV or tract fail.
    pub fn explain(
        &mut self,
        gray: &Mat,
        face: &FaceAttributes,
        attribute_parameters: &AttributeParameters,
        parameters: &SaliencyParameters,
    ) -> Vec<Result<Explanation, ExplainError>> {
        let SaliencyParameters { method, target, .. } = *parameters;
        let AttributeParameters { emotion, gender } = attribute_parameters;
        let place = TiltedFace::new(face.roi, face.landmarks.as_ref());
        let explained = [
            face.raw
                .emotion
                .as_ref()
                .map(|answer| self.emotion.explain(gray, place, answer, target.emotion(), method, emotion)),
            face.raw
                .gender
                .as_ref()
                .map(|answer| self.gender.explain(gray, place, answer, target.gender(), method, gender)),
        ];
        explained.into_iter().flatten().collect()
    }
}

#[derive(Debug)]
struct NetworkExplainer<A> {
    model: Arc<Model>,
    /// Made when first needed, and made again for another method. After a failure, it is not tried again.
    explainer: Option<(Method, Result<Explainer, Arc<SaliencyError>>)>,
    attribute: PhantomData<A>,
}

impl<A: Attribute> NetworkExplainer<A> {
    fn new(model: Arc<Model>) -> Self {
        Self { model, explainer: None, attribute: PhantomData }
    }

    fn explain(
        &mut self,
        gray: &Mat,
        face: TiltedFace,
        answer: &Estimate<A>,
        target: Option<A>,
        method: Method,
        parameters: &ClassifierParameters,
    ) -> Result<Explanation, ExplainError> {
        let crop = crop_face(gray, face, parameters.margin, self.model.input_size())?;
        let position = target.map_or_else(|| answer.best_position(), A::position);
        let refuse = |error| ExplainError::Network { task: A::TASK, error };
        let explainer = self.explainer(method).map_err(refuse)?;
        let saliency = explainer
            .explain_crop(&crop, Neuron::class(position), parameters.mirror)
            .map_err(|error| refuse(Arc::new(error)))?;
        Ok(Explanation {
            task: A::TASK,
            label: answer.name(),
            confidence: answer.confidence,
            class: A::CLASSES[position].name(),
            square: face.roi.square_with_margin(parameters.margin),
            roll: face.roll,
            crop,
            saliency,
        })
    }

    fn explainer(&mut self, method: Method) -> Result<&Explainer, Arc<SaliencyError>> {
        let made = match self.explainer.take() {
            Some((of, made)) if of == method => made,
            _ => Explainer::of_classes(&self.model, method).map_err(Arc::new),
        };
        let (_, made) = self.explainer.insert((method, made));
        made.as_ref().map_err(Arc::clone)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::Path;
    use std::time::Duration;

    use opencv::imgcodecs::{IMREAD_GRAYSCALE, imread};
    use opencv::prelude::*;
    use prost::Message;
    use tract_onnx::pb::ModelProto;

    use super::super::SaliencyTarget;
    use super::*;
    use crate::attributes::Workspace;
    use crate::attributes::crop::mirror;
    use crate::attributes::{BuiltIn, Classifier, RawEstimates};
    use crate::faces::FaceIds;

    const FACE: BoundingBox = BoundingBox { x: 165, y: 60, width: 120, height: 140 };

    fn portrait() -> Mat {
        imread(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/astronaut.jpg"), IMREAD_GRAYSCALE).unwrap()
    }

    /// A face with these raw answers.
    fn a_face(
        roi: BoundingBox,
        emotion: Option<Estimate<Emotion>>,
        gender: Option<Estimate<Gender>>,
    ) -> FaceAttributes {
        FaceAttributes {
            id: FaceIds::of_camera(0).next_id(),
            roi,
            seen: true,
            followed_since: Duration::ZERO,
            confidence: 1.0,
            landmarks: None,
            answered: None,
            emotion: None,
            gender: None,
            raw: RawEstimates { emotion, gender },
        }
    }

    #[test]
    fn an_answer_that_is_averaged_with_the_mirrored_crop_is_explained_so() {
        let mut parameters = AttributeParameters::default();
        parameters.emotion.mirror = true;
        let classifier = Classifier::<Emotion>::load(None).unwrap();
        let mut explainer = FaceExplainer::new(&Classifiers::load(&parameters).unwrap());
        let gray = portrait();
        let mirrored_roi = BoundingBox { x: gray.cols() - FACE.right(), ..FACE };
        let mut explain = |gray: &Mat, roi| {
            let emotion = classifier.classify(gray, roi, &parameters.emotion).unwrap();
            let confidence = emotion.confidence;
            let face = a_face(roi, Some(emotion), None);
            let mut explanations = explainer.explain(gray, &face, &parameters, &SaliencyParameters::default());
            let explanation = explanations.remove(0).unwrap();
            assert_eq!(explanation.confidence, confidence);
            let probability = explanation.saliency.probabilities.iter().fold(0.0_f32, |most, p| most.max(*p));
            assert!((probability - confidence).abs() < 1e-6);
            explanation.saliency.values
        };
        let values = explain(&gray, FACE);
        let mirrored = explain(&mirror(&gray).unwrap(), mirrored_roi);
        let peak = values.iter().fold(0.0_f32, |peak, value| peak.max(value.abs()));
        for (row, mirrored) in values.chunks_exact(64).zip(mirrored.chunks_exact(64)) {
            let differences = row.iter().zip(mirrored.iter().rev()).map(|(a, b)| (a - b).abs());
            // Scaling the mirrored picture rounds some pixels of the crop the other way.
            assert!(differences.fold(0.0, f32::max) < 0.1 * peak);
        }
    }

    #[test]
    fn the_answers_about_a_face_are_explained_from_its_crops() {
        let attribute_parameters = AttributeParameters::default();
        let classifiers = Classifiers::load(&attribute_parameters).unwrap();
        let gray = portrait();
        let raw =
            classifiers.classify(&mut Workspace::default(), &gray, FACE.into(), &attribute_parameters, &mut Vec::new());
        let face = a_face(FACE, raw.emotion, raw.gender);
        let mut explainer = FaceExplainer::new(&classifiers);
        let mut explain = |parameters: &SaliencyParameters| -> Vec<_> {
            let explained = explainer.explain(&gray, &face, &attribute_parameters, parameters);
            explained.into_iter().map(Result::unwrap).collect()
        };

        let explained = explain(&SaliencyParameters::default());
        let [emotion, gender] = explained.as_slice() else { panic!("{} explanations", explained.len()) };
        assert_eq!((emotion.task, emotion.class, gender.task), ("emotion", "happy", "gender"));
        // The same crop through the same network; tract may order the operations differently.
        for (explanation, position) in [
            (emotion, face.raw.emotion.as_ref().unwrap().best_position()),
            (gender, face.raw.gender.as_ref().unwrap().best_position()),
        ] {
            assert!((explanation.saliency.probabilities[position] - explanation.confidence).abs() < 1e-6);
        }
        assert!(gender.square.width > emotion.square.width);

        let target = SaliencyTarget::Emotion(Emotion::Sad);
        let other = explain(&SaliencyParameters { method: Method::GradCam, target, ..Default::default() });
        assert_eq!((other[0].label, other[0].class, other[1].class), ("happy", "sad", gender.class));
        assert!(other[0].saliency.values.iter().all(|value| *value >= 0.0));
    }

    // The gradient of this rectifier is not known. The network classifies, and the other network is still explained.
    #[test]
    fn a_network_that_cannot_be_explained_leaves_the_other_explanation() {
        let mut proto = ModelProto::decode(Emotion::MODEL).unwrap();
        let nodes = &mut proto.graph.as_mut().unwrap().node;
        nodes.iter_mut().find(|node| node.op_type == "Relu").unwrap().op_type = "LeakyRelu".to_owned();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&proto.encode_to_vec()).unwrap();
        let mut parameters = AttributeParameters::default();
        parameters.emotion.model = file.path().display().to_string();
        let mut explainer = FaceExplainer::new(&Classifiers::load(&parameters).unwrap());
        let emotion = Estimate::from_probabilities(vec![1.0 / 7.0; 7], 0.0);
        let face = a_face(FACE, Some(emotion), Some(Estimate::from_probabilities(vec![0.5; 2], 0.0)));
        for _ in 0..2 {
            let explained = explainer.explain(&portrait(), &face, &parameters, &SaliencyParameters::default());
            let refusal = explained[0].as_ref().unwrap_err().to_string();
            assert!(
                refusal.starts_with("the emotion network cannot be explained: no gradient is known of"),
                "{refusal}"
            );
            assert_eq!(explained[1].as_ref().unwrap().task, "gender");
        }
    }

    #[test]
    fn what_is_not_classified_is_not_explained() {
        let parameters = AttributeParameters::default();
        let mut explainer = FaceExplainer::new(&Classifiers::load(&parameters).unwrap());
        let gray = Mat::new_rows_cols_with_default(190, 320, opencv::core::CV_8UC1, 70.into()).unwrap();
        let face = a_face(FACE, None, None);
        assert!(explainer.explain(&gray, &face, &parameters, &SaliencyParameters::default()).is_empty());
    }
}
