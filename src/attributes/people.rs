//! What is known of the people of one camera, by the ids of their faces.

use std::collections::HashMap;
use std::time::Duration;

use super::held::{Held, HoldParameters};
use super::{
    Attribute, AttributeParameters, ClassifierParameters, Emotion, Estimate, FaceAttributes, Gender, RawEstimates,
};
use crate::faces::{FaceId, FoundFace};

/// The answers about each person up to now.
#[derive(Debug, Default)]
pub struct People {
    people: HashMap<FaceId, Person>,
}

#[derive(Debug)]
struct Person {
    emotion: Option<Held<Emotion>>,
    gender: Option<Held<Gender>>,
    last_reported: Duration,
    /// The labels that were logged, so that only changes are.
    logged: (Option<Option<Emotion>>, Option<Option<Gender>>),
}

impl People {
    /// What holds about `face` at `time`, after the answers `raw` for this frame. `worth` is their weight, above 0 to 1.
    pub fn describe(
        &mut self,
        face: FoundFace,
        time: Duration,
        raw: RawEstimates,
        worth: f64,
        parameters: &AttributeParameters,
    ) -> FaceAttributes {
        let nobody = || Person { emotion: None, gender: None, last_reported: time, logged: (None, None) };
        let person = self.people.entry(face.id).or_insert_with(nobody);
        person.last_reported = time;
        let emotion = hold(&mut person.emotion, time, raw.emotion.as_ref(), worth, &parameters.emotion);
        let gender = hold(&mut person.gender, time, raw.gender.as_ref(), worth, &parameters.gender);
        log_change(&mut person.logged.0, face.id, emotion.as_ref(), &parameters.emotion);
        log_change(&mut person.logged.1, face.id, gender.as_ref(), &parameters.gender);
        let FoundFace { id, roi, seen, followed_since, confidence, landmarks } = face;
        FaceAttributes { id, roi, seen, followed_since, confidence, landmarks, emotion, gender, raw }
    }

    /// Forgets those who are not reported for longer than `max_age` before `time`, and those of a time to come.
    pub fn forget(&mut self, time: Duration, max_age: Duration) {
        self.people.retain(|_, person| person.last_reported <= time && time - person.last_reported <= max_age);
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.people.clear();
    }
}

fn hold<A: Attribute>(
    held: &mut Option<Held<A>>,
    time: Duration,
    raw: Option<&Estimate<A>>,
    worth: f64,
    parameters: &ClassifierParameters,
) -> Option<Estimate<A>> {
    let ClassifierParameters { enabled, time_constant, min_confidence, .. } = *parameters;
    if !enabled || time_constant <= 0.0 {
        *held = None;
        return raw.cloned();
    }
    let parameters = HoldParameters { time_constant, min_confidence };
    match (held.as_mut(), raw) {
        (Some(held), Some(raw)) => held.add(time, raw, worth, parameters),
        (None, Some(raw)) => {
            *held = Some(Held::new(time, raw, worth));
            // Of a single answer there is nothing to hold yet.
            return Some(raw.clone());
        }
        (_, None) => {}
    }
    held.as_mut().map(|held| held.estimate(time, parameters))
}

/// Logs what an answer is and why, where its label is another one than before.
fn log_change<A: Attribute>(
    logged: &mut Option<Option<A>>,
    id: FaceId,
    estimate: Option<&Estimate<A>>,
    parameters: &ClassifierParameters,
) {
    let Some(estimate) = estimate.filter(|estimate| *logged != Some(estimate.label)) else { return };
    *logged = Some(estimate.label);
    let (task, confidence, limit) = (A::TASK, estimate.confidence, parameters.min_confidence);
    match estimate.label {
        Some(label) => log::debug!("{id}: {task} {} with confidence {confidence:.2}", label.name()),
        None => log::debug!(
            "{id}: {task} unknown, as its confidence {confidence:.2} is below {task}.min_confidence {limit}"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faces::{BoundingBox, FaceIds};

    fn face(id: FaceId) -> FoundFace {
        let roi = BoundingBox { x: 3, y: 5, width: 60, height: 70 };
        FoundFace { id, roi, seen: true, followed_since: Duration::ZERO, confidence: 0.9, landmarks: None }
    }

    fn happy(probability: f32) -> RawEstimates {
        let mut probabilities = vec![(1.0 - probability) / 6.0; 7];
        probabilities[Emotion::Happy.position()] = probability;
        RawEstimates { emotion: Some(Estimate::from_probabilities(probabilities, 0.4)), gender: None }
    }

    /// The probability of happy that holds for the face.
    fn held_happy(people: &mut People, id: FaceId, millis: u64, raw: RawEstimates) -> Option<f32> {
        let time = Duration::from_millis(millis);
        let described = people.describe(face(id), time, raw, 1.0, &AttributeParameters::default());
        described.emotion.map(|held| held.probabilities[Emotion::Happy.position()])
    }

    #[test]
    fn each_person_has_own_answers_and_the_first_one_is_the_raw_one() {
        let ids = FaceIds::of_camera(0);
        let (one, other) = (ids.next_id(), ids.next_id());
        let mut people = People::default();
        assert_eq!(held_happy(&mut people, one, 0, happy(0.9)), Some(0.9));
        assert_eq!(held_happy(&mut people, other, 0, happy(0.2)), Some(0.2));
        let [held, held_of_other] = [one, other].map(|id| held_happy(&mut people, id, 33, happy(0.5)).unwrap());
        assert!(held > 0.6 && held_of_other < 0.4, "{held} {held_of_other}");
    }

    #[test]
    fn without_an_answer_the_last_one_holds_and_before_the_first_one_there_is_none() {
        let id = FaceIds::of_camera(0).next_id();
        let mut people = People::default();
        assert_eq!(held_happy(&mut people, id, 0, RawEstimates::default()), None);
        held_happy(&mut people, id, 33, happy(0.9));
        let held = held_happy(&mut people, id, 66, RawEstimates::default()).unwrap();
        assert!((0.8..0.9).contains(&held), "{held}");
    }

    #[test]
    fn who_is_not_reported_for_longer_than_the_maximal_age_is_forgotten() {
        let id = FaceIds::of_camera(0).next_id();
        let max_age = Duration::from_secs(1);
        let mut people = People::default();
        held_happy(&mut people, id, 2000, happy(0.9));
        people.forget(Duration::from_millis(3000), max_age);
        assert!(held_happy(&mut people, id, 3000, happy(0.2)).unwrap() > 0.21);
        // The time went back: what is known is of a time to come.
        for (now, last) in [(4001, 3000), (1999, 2000)] {
            people.clear();
            held_happy(&mut people, id, last, happy(0.9));
            people.forget(Duration::from_millis(now), max_age);
            assert_eq!(held_happy(&mut people, id, now, happy(0.2)), Some(0.2));
        }
    }

    #[test]
    fn a_time_constant_of_0_gives_the_raw_answer_and_none_where_it_is_switched_off() {
        let mut parameters = AttributeParameters::default();
        parameters.emotion.time_constant = 0.0;
        let id = FaceIds::of_camera(0).next_id();
        let mut people = People::default();
        for (millis, probability) in [(0, 0.9), (33, 0.2), (66, 0.45)] {
            let raw = happy(probability);
            let described = people.describe(face(id), Duration::from_millis(millis), raw.clone(), 1.0, &parameters);
            assert_eq!(described.emotion, raw.emotion);
        }
        let unseen = people.describe(face(id), Duration::from_millis(99), RawEstimates::default(), 0.0, &parameters);
        assert_eq!(unseen.emotion, None);
    }
}
