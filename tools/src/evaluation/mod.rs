//! How well a network does on labelled pictures of faces.
//!
//! [`evaluate`] asks a network the way the pipeline does; [`metrics`], [`calibration`] and [`groups`] say what the answers
//! are worth, [`report`] puts it together, [`plot`] draws it, and [`card`] writes it down for those who use the network.

pub mod calibration;
pub mod card;
pub mod groups;
pub mod metrics;
pub mod plot;
pub mod report;

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
    #[error("{picture}: the {task} network answers with no number")]
    NoAnswer { picture: String, task: &'static str },
}

/// What a network said of one labelled picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction<A> {
    /// What the picture shows.
    pub truth: A,
    /// The most probable class.
    pub answer: A,
    /// One probability per class, in the order of [`Attribute::CLASSES`].
    pub probabilities: Vec<f32>,
    /// What is known of the person.
    pub person: Option<Person>,
}

impl<A: Attribute> Prediction<A> {
    /// The answer to a network's output, `None` where that is no probability for each class.
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

/// What a network said of labelled pictures.
#[derive(Debug, Clone)]
pub struct Evaluation<A> {
    /// The answers, in the order of the pictures.
    pub predictions: Vec<Prediction<A>>,
    /// Number of pictures without an answer.
    pub failed: u64,
}

impl<A: Attribute> Evaluation<A> {
    /// How often each class was given each answer.
    pub fn confusion(&self) -> ConfusionMatrix<A> {
        let mut matrix = ConfusionMatrix::default();
        self.predictions.iter().for_each(|prediction| matrix.add(prediction.truth, prediction.answer));
        matrix
    }
}

/// Asks a network for each picture of a dataset; `on_answer` is called after each, with the error where there is none.
///
/// Of the parameters, margin and mirror count. What the dataset refused counts as failed, without a call.
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

/// What a network says of a picture which is the crop of one face.
///
/// The whole picture stands for the face's box, so a margin continues the picture's border outwards. No answer is withheld,
/// whatever the minimum confidence.
///
/// # Errors
/// [`AnswerError`] names the picture that is missing, no image, or that the network fails on.
pub fn predict<A: BuiltIn>(
    classifier: &Classifier<A>,
    sample: &Sample<A>,
    parameters: &ClassifierParameters,
) -> Result<Prediction<A>, AnswerError> {
    let gray = sample.picture.read_gray()?;
    let picture = || sample.picture.to_string();
    let face = BoundingBox::of_image(gray.cols(), gray.rows());
    let estimate = classifier
        .classify(&gray, face, parameters)
        .map_err(|error| AnswerError::Classification { picture: picture(), error })?;
    Prediction::new(sample.truth, estimate.probabilities, sample.person)
        .ok_or_else(|| AnswerError::NoAnswer { picture: picture(), task: A::TASK })
}
