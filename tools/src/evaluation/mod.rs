//! The accuracy of a network on labelled pictures of faces.
//!
//! [`evaluate`] runs a network as the pipeline does. [`metrics`], [`calibration`], [`groups`] and [`selective`] compute figures
//! from the answers, and [`robustness`] from answers to changed pictures. [`report`] collects the figures, [`plot`] draws them,
//! and [`card`] writes the model card.

pub mod calibration;
pub mod card;
pub mod groups;
pub mod metrics;
pub mod plot;
pub mod report;
pub mod robustness;
pub mod selective;

use opencv::core::Mat;
use opencv::prelude::*;

use crate::dataset::{Dataset, Person, Sample};
use crate::evaluation::metrics::ConfusionMatrix;
use crate::source::SourceError;
use face_attributes::attributes::ClassifierParameters;
use face_attributes::attributes::{Attribute, Estimate};
use face_attributes::attributes::{BuiltIn, Classifier, ClassifyError};
use face_attributes::faces::BoundingBox;

/// Why there is no answer for a picture.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum AnswerError {
    #[error(transparent)]
    Picture(#[from] SourceError),
    #[error("{picture}: {error}")]
    Classification { picture: String, error: ClassifyError },
    #[error("{picture}: it cannot be changed: {error}")]
    Change { picture: String, error: opencv::Error },
    #[error("{picture}: the {task} network answers with no number")]
    NoAnswer { picture: String, task: &'static str },
}

/// The answer of a network for one labelled picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction<A> {
    /// The class that the picture shows.
    pub truth: A,
    /// The most probable class.
    pub answer: A,
    /// One probability per class, in the order of [`Attribute::CLASSES`].
    pub probabilities: Vec<f32>,
    /// The known properties of the person.
    pub person: Option<Person>,
}

impl<A: Attribute> Prediction<A> {
    /// The answer from a network's output; `None` where the output is not a probability for each class.
    pub fn new(truth: A, probabilities: Vec<f32>, person: Option<Person>) -> Option<Self> {
        let Estimate { label, probabilities, .. } = Estimate::from_probabilities(probabilities, 0.0);
        (probabilities.len() == A::CLASSES.len()).then_some(())?;
        Some(Self { truth, answer: label?, probabilities, person })
    }

    /// Whether the answer is right.
    pub fn is_right(&self) -> bool {
        self.answer == self.truth
    }

    /// The probability of the answer, 0 to 1.
    pub fn confidence(&self) -> f64 {
        self.probability_of(self.answer)
    }

    /// The probability of a class, 0 to 1.
    pub fn probability_of(&self, class: A) -> f64 {
        let probability = A::CLASSES.iter().zip(&self.probabilities).find(|(c, _)| **c == class);
        probability.map_or(0.0, |(_, probability)| f64::from(*probability))
    }
}

/// The answers of a network for labelled pictures.
#[derive(Debug, Clone)]
pub struct Evaluation<A> {
    /// The answers, in the order of the pictures.
    pub predictions: Vec<Prediction<A>>,
    /// Number of pictures without an answer.
    pub failed: u64,
}

impl<A: Attribute> Evaluation<A> {
    /// The number of each answer for each class.
    pub fn confusion(&self) -> ConfusionMatrix<A> {
        let mut matrix = ConfusionMatrix::default();
        self.predictions.iter().for_each(|prediction| matrix.add(prediction.truth, prediction.answer));
        matrix
    }
}

/// Runs a network on each picture of a dataset. `on_answer` is called after each picture, with the error where there is no
/// answer.
///
/// Only margin and mirror are used of the parameters. Pictures that the dataset refused count as failed, without a call.
pub fn evaluate<A: BuiltIn>(
    classifier: &Classifier<A>,
    dataset: &Dataset<A>,
    parameters: &ClassifierParameters,
    mut on_answer: impl FnMut(Option<AnswerError>),
) -> Evaluation<A> {
    let mut evaluation = Evaluation { predictions: Vec::new(), failed: dataset.refused.len() as u64 };
    for sample in &dataset.samples {
        match predict(classifier, sample, parameters) {
            Ok(prediction) => {
                evaluation.predictions.push(prediction);
                on_answer(None);
            }
            Err(error) => {
                evaluation.failed += 1;
                on_answer(Some(error));
            }
        }
    }
    evaluation
}

/// The answer of a network for a picture that is the crop of one face.
///
/// The whole picture is the face's box, so a margin replicates the picture's border. The minimum confidence is ignored.
///
/// # Errors
/// [`AnswerError`] names the picture that is missing, is not an image, or on which the network fails.
pub fn predict<A: BuiltIn>(
    classifier: &Classifier<A>,
    sample: &Sample<A>,
    parameters: &ClassifierParameters,
) -> Result<Prediction<A>, AnswerError> {
    let gray = sample.picture.read_gray()?;
    predict_face(classifier, sample, &gray, BoundingBox::of_image(gray.cols(), gray.rows()), parameters)
}

/// The answer of a network for the face at `face` in `gray`, which shows what `sample` does.
fn predict_face<A: BuiltIn>(
    classifier: &Classifier<A>,
    sample: &Sample<A>,
    gray: &Mat,
    face: BoundingBox,
    parameters: &ClassifierParameters,
) -> Result<Prediction<A>, AnswerError> {
    let picture = || sample.picture.to_string();
    let estimate = classifier
        .classify(gray, face, parameters)
        .map_err(|error| AnswerError::Classification { picture: picture(), error })?;
    Prediction::new(sample.truth, estimate.probabilities, sample.person)
        .ok_or_else(|| AnswerError::NoAnswer { picture: picture(), task: A::TASK })
}
