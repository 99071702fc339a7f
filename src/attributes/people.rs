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
        let nobody = || Person { emotion: None, gender: None, last_reported: time };
        let person = self.people.entry(face.id).or_insert_with(nobody);
        person.last_reported = time;
        let emotion = hold(&mut person.emotion, time, raw.emotion.as_ref(), worth, &parameters.emotion);
        let gender = hold(&mut person.gender, time, raw.gender.as_ref(), worth, &parameters.gender);
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
