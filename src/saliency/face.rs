//! Explains what the pipeline said about a face, from the same crops and the same networks.

use std::marker::PhantomData;
use std::sync::Arc;

use opencv::core::Mat;

use crate::attributes::{Attribute, Emotion, Estimate, Gender};
use crate::crop::{CropError, crop_face};
use crate::geometry::BoundingBox;
use crate::model::Model;
use crate::parameters::{ClassifierParameters, Parameters};
use crate::pipeline::{FaceAttributes, Pipeline};
use crate::saliency::render::display;
use crate::saliency::sheet::{Row, Tile};
use crate::saliency::{Explainer, Method, Neuron, Saliency, SaliencyError};

/// Why the answer about a face could not be explained.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it all")]
pub enum ExplainError {
    #[error(transparent)]
    Crop(#[from] CropError),
    #[error("the {task} network cannot be explained: {error}")]
    Network { task: &'static str, error: Arc<SaliencyError> },
}

/// What speaks for one class of one face.
#[derive(Debug)]
pub struct Explanation {
    /// What the network classifies.
    pub task: &'static str,
    /// The answer's label, which may be withheld.
    pub label: &'static str,
    /// The answer's confidence, 0 to 1.
    pub confidence: f32,
    /// The class that is explained.
    pub class: &'static str,
    /// What the network sees: 8-bit, one channel.
    pub crop: Mat,
    /// Where that lies in the image; parts may lie outside.
    pub square: BoundingBox,
    /// How much each pixel of the crop matters.
    pub saliency: Saliency,
}

impl Explanation {
    /// The crop with the answer and its saliency with the class that it is for, for a contact sheet.
    ///
    /// # Errors
    /// Only those of OpenCV.
    pub fn tiles(&self) -> opencv::Result<[Tile; 2]> {
        let answer = format!("{} {:.0}%", self.label, 100.0 * self.confidence);
        Ok([
            Tile { picture: self.crop.clone(), caption: answer },
            Tile { picture: display(&self.saliency)?, caption: format!("for {}", self.class) },
        ])
    }
}

/// The row of a contact sheet for one face.
///
/// # Errors
/// Only those of OpenCV.
pub fn sheet_row(name: String, explanations: &[Explanation]) -> opencv::Result<Row> {
    let tiles: opencv::Result<Vec<_>> = explanations.iter().map(Explanation::tiles).collect();
    Ok(Row { name, tiles: tiles?.into_iter().flatten().collect() })
}

/// Explains the answers of a pipeline's networks.
#[derive(Debug)]
pub struct FaceExplainer {
    emotion: NetworkExplainer<Emotion>,
    gender: NetworkExplainer<Gender>,
}

impl FaceExplainer {
    /// Shares the networks of `pipeline`.
    pub fn new(pipeline: &Pipeline) -> Self {
        Self {
            emotion: NetworkExplainer::new(pipeline.emotion_model()),
            gender: NetworkExplainer::new(pipeline.gender_model()),
        }
    }

    /// Explains each answer in `face`, by the method and for the target that `parameters` name, from the grey image
    /// (height x width, 8-bit, one channel) in which the pipeline found the face.
    ///
    /// A target is for the network that knows it; the other's most probable class is explained. One result per answer:
    /// [`ExplainError`] where the face lies outside the image, a network holds an operator whose gradient is not known, or
    /// OpenCV or tract fail.
    pub fn explain(
        &mut self,
        gray: &Mat,
        face: &FaceAttributes,
        parameters: &Parameters,
    ) -> Vec<Result<Explanation, ExplainError>> {
        let Parameters { emotion, gender, saliency, .. } = parameters;
        let (method, target) = (saliency.method, saliency.target);
        let explained = [
            face.emotion
                .as_ref()
                .map(|answer| self.emotion.explain(gray, face.roi, answer, target.emotion(), method, emotion)),
            face.gender
                .as_ref()
                .map(|answer| self.gender.explain(gray, face.roi, answer, target.gender(), method, gender)),
        ];
        explained.into_iter().flatten().collect()
    }
}

#[derive(Debug)]
struct NetworkExplainer<A> {
    model: Arc<Model>,
    /// Made when first needed, and anew for another method. What cannot be made is not tried again.
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
        face: BoundingBox,
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
            square: face.square_with_margin(parameters.margin),
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

    use opencv::prelude::*;
    use prost::Message;
    use tract_onnx::pb::ModelProto;

    use super::*;
    use crate::classifier::{BuiltIn, Classifier};
    use crate::crop::mirror;
    use crate::encoding::{ByteOrder, Encoding};
    use crate::frame::Frame;
    use crate::parameters::SaliencyTarget;
    use crate::saliency::sheet::draw_sheet;
    use crate::source::read_bgr;
    use crate::track::Tracker;

    fn portrait() -> Mat {
        let bgr = read_bgr(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/astronaut.jpg")).unwrap();
        Frame::from_bgr(&bgr).unwrap().to_gray().unwrap()
    }

    #[test]
    fn an_answer_that_is_averaged_with_the_mirrored_crop_is_explained_so() {
        let mut parameters = Parameters::default();
        parameters.gender.enabled = false;
        parameters.emotion.mirror = true;
        let pipeline = Pipeline::new(parameters.clone()).unwrap();
        let classifier = Classifier::<Emotion>::load(None).unwrap();
        let mut explainer = FaceExplainer::new(&pipeline);
        let gray = portrait();
        let roi = BoundingBox { x: 165, y: 60, width: 120, height: 140 };
        let mirrored_roi = BoundingBox { x: gray.cols() - roi.right(), ..roi };
        let id = Tracker::default().update(&[roi])[0];
        let mut explain = |gray: &Mat, roi| {
            let emotion = classifier.classify(gray, roi, &parameters.emotion).unwrap();
            let confidence = emotion.confidence;
            let face = FaceAttributes { id, roi, emotion: Some(emotion), gender: None };
            let explanation = explainer.explain(gray, &face, &parameters).remove(0).unwrap();
            assert_eq!(explanation.confidence, confidence);
            let probability = explanation.saliency.probabilities.iter().fold(0.0_f32, |most, p| most.max(*p));
            assert!((probability - confidence).abs() < 1e-6);
            explanation.saliency.values
        };
        let values = explain(&gray, roi);
        let mirrored = explain(&mirror(&gray).unwrap(), mirrored_roi);
        let peak = values.iter().fold(0.0_f32, |peak, value| peak.max(value.abs()));
        for (row, mirrored) in values.chunks_exact(64).zip(mirrored.chunks_exact(64)) {
            let differences = row.iter().zip(mirrored.iter().rev()).map(|(a, b)| (a - b).abs());
            // Scaling the mirrored picture rounds some pixels of the crop the other way.
            assert!(differences.fold(0.0, f32::max) < 0.1 * peak);
        }
    }

    #[test]
    fn the_answers_of_the_pipeline_are_explained_from_its_crops() {
        let mut parameters = Parameters::default();
        let mut pipeline = Pipeline::new(parameters.clone()).unwrap();
        let gray = portrait();
        let (width, height, pixels) = (gray.cols() as usize, gray.rows() as usize, gray.data_bytes().unwrap());
        let frame = Frame::new(width, height, width, Encoding::Mono8, ByteOrder::LittleEndian, pixels).unwrap();
        let face = pipeline.process(&frame).unwrap().remove(0);
        let mut explainer = FaceExplainer::new(&pipeline);

        let explained: Vec<_> = explainer.explain(&gray, &face, &parameters).into_iter().map(Result::unwrap).collect();
        let [emotion, gender] = explained.as_slice() else { panic!("{} explanations", explained.len()) };
        assert_eq!((emotion.task, emotion.class, gender.task), ("emotion", "happy", "gender"));
        // The same crop through the same network; tract may order the operations differently.
        for (explanation, position) in [
            (emotion, face.emotion.as_ref().unwrap().best_position()),
            (gender, face.gender.as_ref().unwrap().best_position()),
        ] {
            assert!((explanation.saliency.probabilities[position] - explanation.confidence).abs() < 1e-6);
        }
        assert!(gender.square.width > emotion.square.width);

        parameters.saliency.target = SaliencyTarget::Sad;
        parameters.saliency.method = Method::GradCam;
        let other: Vec<_> = explainer.explain(&gray, &face, &parameters).into_iter().map(Result::unwrap).collect();
        assert_eq!((other[0].label, other[0].class, other[1].class), ("happy", "sad", gender.class));
        assert!(other[0].saliency.values.iter().all(|value| *value >= 0.0));

        let sheet = draw_sheet(&[sheet_row(face.id.to_string(), &other).unwrap()]).unwrap();
        assert!(sheet.cols() > 4 * 128 && sheet.rows() > 128);
    }

    // A rectifier of another kind, whose gradient is not known: the network classifies, and the other one is explained.
    #[test]
    fn a_network_that_cannot_be_explained_costs_only_itself() {
        let mut proto = ModelProto::decode(Emotion::MODEL).unwrap();
        let nodes = &mut proto.graph.as_mut().unwrap().node;
        nodes.iter_mut().find(|node| node.op_type == "Relu").unwrap().op_type = "LeakyRelu".to_owned();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&proto.encode_to_vec()).unwrap();
        let mut parameters = Parameters::default();
        parameters.emotion.model = file.path().display().to_string();
        let pipeline = Pipeline::new(parameters.clone()).unwrap();
        let mut explainer = FaceExplainer::new(&pipeline);
        let roi = BoundingBox { x: 165, y: 60, width: 120, height: 140 };
        let face = FaceAttributes {
            id: Tracker::default().update(&[roi])[0],
            roi,
            emotion: Some(Estimate::from_probabilities(vec![1.0 / 7.0; 7], 0.0)),
            gender: Some(Estimate::from_probabilities(vec![0.5; 2], 0.0)),
        };
        for _ in 0..2 {
            let explained = explainer.explain(&portrait(), &face, &parameters);
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
        let parameters = Parameters::default();
        let mut explainer = FaceExplainer::new(&Pipeline::new(parameters.clone()).unwrap());
        let gray = Mat::new_rows_cols_with_default(90, 120, opencv::core::CV_8UC1, 70.into()).unwrap();
        let roi = BoundingBox { x: 70, y: 30, width: 50, height: 50 };
        let id = Tracker::default().update(&[roi])[0];
        let face = FaceAttributes { id, roi, emotion: None, gender: None };
        assert!(explainer.explain(&gray, &face, &parameters).is_empty());
    }
}
