//! What holds over time, measured on labelled pictures that are set in motion.
//!
//! A sequence shows one person: first one picture, then another one, as a camera would see them ([`rendering`]). The emotion
//! changes from picture to picture, the gender does not. [`run_sequence`] classifies each frame and holds the answers as the
//! pipeline does. [`figures`] compares what holds with the raw answers, and with the remedy of Arriaga, Ploger and Valdenegro:
//! the most frequent of the last ten.

pub mod figures;
pub mod rendering;

use std::time::Duration;

use opencv::core::RNG;
use opencv::prelude::*;

use crate::dataset::{Labelled, Sample};
use crate::source::SourceError;
use face_attributes::attributes::{
    AttributeParameters, BuiltIn, Classifier, ClassifierParameters, ClassifyError, Emotion, Estimate, FaceAttributes,
    Gender, Look, People, RawEstimates, Workspace, crop_worth,
};
use face_attributes::faces::{FaceIds, FoundFace};
use rendering::{Conditions, Rendering};

/// Frames per second of all sequences.
pub const RATE_HZ: f64 = 30.0;
/// Number of frames that show the same picture: 4 s.
pub const PICTURE_FRAMES: usize = 120;
/// Number of pictures that each person shows.
pub const PICTURES: usize = 2;

/// An attribute that the pipeline holds over time.
pub trait HeldOverTime: BuiltIn + Labelled {
    /// Whether the class of a person changes from picture to picture, or stays.
    const CHANGES: bool;
    /// Answers for one frame that are only of this attribute.
    fn raw(answer: Estimate<Self>) -> RawEstimates;
    /// What holds.
    fn held(face: FaceAttributes) -> Option<Estimate<Self>>;
    /// The parameters of its classifier.
    fn parameters(parameters: &AttributeParameters) -> &ClassifierParameters;
}

impl HeldOverTime for Emotion {
    const CHANGES: bool = true;

    fn raw(answer: Estimate<Self>) -> RawEstimates {
        RawEstimates { emotion: Some(answer), gender: None }
    }

    fn held(face: FaceAttributes) -> Option<Estimate<Self>> {
        face.emotion
    }

    fn parameters(parameters: &AttributeParameters) -> &ClassifierParameters {
        &parameters.emotion
    }
}

impl HeldOverTime for Gender {
    const CHANGES: bool = false;

    fn raw(answer: Estimate<Self>) -> RawEstimates {
        RawEstimates { emotion: None, gender: Some(answer) }
    }

    fn held(face: FaceAttributes) -> Option<Estimate<Self>> {
        face.gender
    }

    fn parameters(parameters: &AttributeParameters) -> &ClassifierParameters {
        &parameters.gender
    }
}

/// The picture of one class, and what was answered while it was shown: one answer per frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown<A> {
    /// The class of the picture.
    pub truth: A,
    /// The answer for each frame alone.
    pub raw: Vec<Estimate<A>>,
    /// What holds after each frame.
    pub held: Vec<Estimate<A>>,
}

/// The pictures of one person, one after the other.
pub type Sequence<A> = Vec<Shown<A>>;

/// Puts the pictures of the data into sequences of [`PICTURES`] pictures. Successive ones are of different classes where
/// [`HeldOverTime::CHANGES`], and of the same class elsewhere. Each picture is in one sequence at most. The same `seed` gives
/// the same sequences.
///
/// # Errors
/// Only those of OpenCV.
pub fn draw_people<A: HeldOverTime>(
    samples: &[Sample<A>],
    count: usize,
    seed: u64,
) -> opencv::Result<Vec<Vec<&Sample<A>>>> {
    let mut random = RNG::new(seed)?;
    let mut left: Vec<&Sample<A>> = samples.iter().collect();
    let mut people = Vec::new();
    while people.len() < count {
        let mut pictures: Vec<&Sample<A>> = Vec::new();
        while pictures.len() < PICTURES {
            let before = pictures.last().map(|sample| sample.truth);
            let fits = |sample: &Sample<A>| before.is_none_or(|before| (sample.truth != before) == A::CHANGES);
            let fitting: Vec<usize> = (0..left.len()).filter(|n| fits(left[*n])).collect();
            let Ok(count @ 1..) = i32::try_from(fitting.len()) else { return Ok(people) };
            pictures.push(left.swap_remove(fitting[random.uniform(0, count)? as usize]));
        }
        people.push(pictures);
    }
    Ok(people)
}

/// Why there is no sequence of a person.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum SequenceError {
    #[error(transparent)]
    Picture(#[from] SourceError),
    #[error("{picture}: {error}")]
    Classification { picture: String, error: ClassifyError },
    #[error("{picture}: cannot be rendered: {error}")]
    Rendering { picture: String, error: opencv::Error },
}

/// Shows each of the `pictures` of one person for `frames` frames, classifies each frame, and holds the answers as the pipeline
/// does.
///
/// # Errors
/// [`SequenceError`] names the picture that is missing, is not an image, or on which the network fails.
pub fn run_sequence<A: HeldOverTime>(
    classifier: &Classifier<A>,
    pictures: &[&Sample<A>],
    frames: usize,
    conditions: &Conditions,
    seed: u64,
    parameters: &AttributeParameters,
) -> Result<Sequence<A>, SequenceError> {
    let id = FaceIds::of_camera(0).next_id();
    let (mut people, mut workspace, mut rendering) = (People::default(), Workspace::default(), None);
    let mut times = (0_u32..).map(|frame| Duration::from_secs_f64(f64::from(frame) / RATE_HZ));
    let mut sequence = Vec::new();
    for sample in pictures {
        let picture = || sample.picture.to_string();
        let not_rendered = |error| SequenceError::Rendering { picture: picture(), error };
        let not_classified = |error| SequenceError::Classification { picture: picture(), error };
        let gray = sample.picture.read_gray()?;
        let rendering = match &mut rendering {
            Some(rendering) => rendering,
            none => none.insert(Rendering::new(conditions, seed).map_err(not_rendered)?),
        };
        rendering.show(&gray).map_err(not_rendered)?;
        let mut shown = Shown { truth: sample.truth, raw: Vec::new(), held: Vec::new() };
        for time in times.by_ref().take(frames) {
            let (gray, roi) = rendering.next_frame().map_err(not_rendered)?;
            let raw = classifier.classify(&gray, roi, A::parameters(parameters)).map_err(not_classified)?;
            let face =
                FoundFace { id, roi, seen: true, followed_since: Duration::ZERO, confidence: 1.0, landmarks: None };
            let worth = crop_worth(&gray, &face, &mut workspace).map_err(not_rendered)?;
            let look = Look::Classified { raw: A::raw(raw.clone()), worth };
            shown.held.extend(A::held(people.describe(face, time, look, parameters)));
            shown.raw.push(raw);
        }
        sequence.push(shown);
    }
    Ok(sequence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Picture;
    use rendering::{NOISY, STEADY};

    fn sample<A>(truth: A, name: u8) -> Sample<A> {
        let size = opencv::core::Size::new(48, 48);
        let pixels = (0..48 * 48).map(|n| (n % 251) as u8 ^ name).collect();
        Sample { picture: Picture::Pixels { name: name.to_string(), size, pixels }, truth, person: None }
    }

    fn samples<A: Copy>(classes: &[A]) -> Vec<Sample<A>> {
        classes.iter().zip(0..).map(|(class, name)| sample(*class, name)).collect()
    }

    #[test]
    fn the_emotion_changes_and_no_picture_is_shown_twice() {
        let samples =
            samples(&[Emotion::Happy, Emotion::Happy, Emotion::Happy, Emotion::Sad, Emotion::Fear, Emotion::Fear]);
        let people = draw_people(&samples, 99, 1).unwrap();
        assert!((2..=3).contains(&people.len()));
        assert!(people.iter().all(|pictures| pictures[0].truth != pictures[1].truth));
        let mut names: Vec<_> = people.iter().flatten().map(|sample| sample.picture.to_string()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), PICTURES * people.len());
        assert_eq!(people, draw_people(&samples, 99, 1).unwrap());
        assert!(draw_people(&samples[..3], 99, 1).unwrap().is_empty());
    }

    #[test]
    fn the_gender_does_not_change() {
        let samples = samples(&[Gender::Woman, Gender::Man, Gender::Woman, Gender::Man]);
        let people = draw_people(&samples, 99, 1).unwrap();
        assert_eq!(people.len(), 2);
        assert!(people.iter().all(|pictures| pictures[0].truth == pictures[1].truth));
    }

    #[test]
    fn a_sequence_has_both_answers_for_each_frame_and_is_the_same_again() {
        let (happy, sad) = (sample(Emotion::Happy, 3), sample(Emotion::Sad, 90));
        let classifier = Classifier::load(None).unwrap();
        let run = |conditions, seed| {
            let parameters = AttributeParameters::default();
            run_sequence(&classifier, &[&happy, &sad], 4, conditions, seed, &parameters).unwrap()
        };
        let steady = run(&STEADY, 1);
        assert_eq!(steady.iter().map(|shown| shown.truth).collect::<Vec<_>>(), [Emotion::Happy, Emotion::Sad]);
        for shown in &steady {
            assert_eq!((shown.raw.len(), shown.held.len()), (4, 4));
        }
        assert_eq!(steady[0].raw[0], steady[0].held[0]);
        assert_eq!(steady, run(&STEADY, 1));
        assert_ne!(steady, run(&STEADY, 2));
        assert_ne!(steady, run(&NOISY, 1));
    }
}
