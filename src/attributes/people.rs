//! What is known of the people of one camera, by the ids of their faces.

use std::collections::HashMap;
use std::time::Duration;

use super::held::{Held, HoldParameters};
use super::turns::{Candidate, Turns};
use super::{
    Attribute, AttributeParameters, ClassifierParameters, Emotion, Estimate, FaceAttributes, Gender, RawEstimates,
};
use crate::faces::{FaceId, FoundFace};

/// For so long, a face that waits for its turn keeps a raw answer, where nothing is held over time.
const KEPT: Duration = Duration::from_secs(1);

/// What was done about a face in a frame.
#[derive(Debug, Clone, PartialEq)]
pub enum Look {
    /// It was classified.
    Classified {
        /// The answers.
        raw: RawEstimates,
        /// Their weight, above 0 to 1.
        worth: f64,
    },
    /// It is seen, and was not classified, because it was the turn of others.
    Waiting,
    /// It is not seen.
    Unseen,
}

/// The answers about each person up to now.
#[derive(Debug, Default)]
pub struct People {
    people: HashMap<FaceId, Person>,
    turns: Turns,
}

#[derive(Debug)]
struct Person {
    emotion: Known<Emotion>,
    gender: Known<Gender>,
    last_reported: Duration,
    /// Time of the last frame for which it was classified, with or without success.
    tried: Option<Duration>,
    /// Time of the last frame for which it was classified with success.
    answered: Option<Duration>,
}

/// What is known of one attribute.
#[derive(Debug)]
struct Known<A> {
    held: Option<Held<A>>,
    /// The last answer and its time, where nothing is held over time.
    last: Option<(Duration, Estimate<A>)>,
    /// The label that was logged, so that only changes are.
    logged: Option<Option<A>>,
}

impl<A> Default for Known<A> {
    fn default() -> Self {
        Self { held: None, last: None, logged: None }
    }
}

impl People {
    /// Decides which of the faces at `time` are classified: all that are seen, or `max` of them where that is not 0. See
    /// [`People::has_turn`].
    pub fn give_turns(&mut self, faces: &[FoundFace], time: Duration, max: usize) {
        let Self { people, turns } = self;
        let seen = faces.iter().filter(|face| face.seen);
        let candidates = seen.map(|face| {
            let tried = people.get(&face.id).and_then(|person| person.tried);
            let waiting = tried.map(|tried| time.saturating_sub(tried));
            Candidate { id: face.id, side: face.roi.longer_side(), waiting }
        });
        turns.give(candidates, max);
    }

    /// Whether this face is to be classified, by the last [`People::give_turns`].
    pub fn has_turn(&self, id: FaceId) -> bool {
        self.turns.includes(id)
    }

    /// What holds about `face` at `time`, after this `look` at it.
    pub fn describe(
        &mut self,
        face: FoundFace,
        time: Duration,
        look: Look,
        parameters: &AttributeParameters,
    ) -> FaceAttributes {
        let nobody = || Person {
            emotion: Known::default(),
            gender: Known::default(),
            last_reported: time,
            tried: None,
            answered: None,
        };
        let person = self.people.entry(face.id).or_insert_with(nobody);
        person.last_reported = time;
        let is_waiting = look == Look::Waiting;
        let (raw, worth) = match look {
            Look::Classified { raw, worth } => {
                person.tried = Some(time);
                (raw, worth)
            }
            Look::Waiting | Look::Unseen => (RawEstimates::default(), 0.0),
        };
        if raw.emotion.is_some() || raw.gender.is_some() {
            person.answered = Some(time);
        }
        let now = Moment { time, worth, is_waiting };
        let emotion = person.emotion.hold(now, raw.emotion.as_ref(), &parameters.emotion);
        let gender = person.gender.hold(now, raw.gender.as_ref(), &parameters.gender);
        person.emotion.log_change(face.id, emotion.as_ref(), &parameters.emotion);
        person.gender.log_change(face.id, gender.as_ref(), &parameters.gender);
        let FoundFace { id, roi, seen, followed_since, confidence, landmarks } = face;
        let answered = person.answered;
        FaceAttributes { id, roi, seen, followed_since, confidence, landmarks, answered, emotion, gender, raw }
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

/// A frame, as a face was looked at in it.
#[derive(Debug, Clone, Copy)]
struct Moment {
    time: Duration,
    worth: f64,
    is_waiting: bool,
}

impl<A: Attribute> Known<A> {
    /// What holds now, after the answer `raw`.
    fn hold(
        &mut self,
        now: Moment,
        raw: Option<&Estimate<A>>,
        parameters: &ClassifierParameters,
    ) -> Option<Estimate<A>> {
        let Moment { time, worth, is_waiting } = now;
        let ClassifierParameters { enabled, time_constant, min_confidence, .. } = *parameters;
        if !enabled {
            (self.held, self.last) = (None, None);
            return None;
        }
        if time_constant <= 0.0 {
            self.held = None;
            return self.keep(now, raw);
        }
        self.last = None;
        let parameters = HoldParameters { time_constant, min_confidence };
        self.held = self.held.take().filter(|held| held.is_current(time, parameters));
        match (self.held.as_mut(), raw) {
            (Some(held), Some(raw)) => held.add(time, raw, worth, parameters),
            (None, Some(raw)) => {
                self.held = Some(Held::new(time, raw, worth));
                // Of a single answer there is nothing to hold yet.
                return Some(raw.clone());
            }
            (_, None) => {}
        }
        let held = self.held.as_mut()?;
        Some(if is_waiting { held.estimate_while_waiting(time, parameters) } else { held.estimate(time, parameters) })
    }

    /// The raw answer; for a moment the last one, where the face waits for its turn.
    fn keep(&mut self, now: Moment, raw: Option<&Estimate<A>>) -> Option<Estimate<A>> {
        if let Some(raw) = raw {
            self.last = Some((now.time, raw.clone()));
        } else if !now.is_waiting {
            self.last = None;
        }
        let kept = self.last.as_ref().filter(|(time, _)| now.time.saturating_sub(*time) <= KEPT);
        kept.map(|(_, estimate)| estimate.clone())
    }

    /// Logs what an answer is and why, where its label is another one than before.
    fn log_change(&mut self, id: FaceId, estimate: Option<&Estimate<A>>, parameters: &ClassifierParameters) {
        let Some(estimate) = estimate.filter(|estimate| self.logged != Some(estimate.label)) else { return };
        self.logged = Some(estimate.label);
        let (task, confidence, limit) = (A::TASK, estimate.confidence, parameters.min_confidence);
        match estimate.label {
            Some(label) => log::debug!("{id}: {task} {} with confidence {confidence:.2}", label.name()),
            None => log::debug!(
                "{id}: {task} unknown, as its confidence {confidence:.2} is too low for {task}.min_confidence {limit}"
            ),
        }
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
        let look = Look::Classified { raw, worth: 1.0 };
        let described = people.describe(face(id), time, look, &AttributeParameters::default());
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
            let look = Look::Classified { raw: raw.clone(), worth: 1.0 };
            let described = people.describe(face(id), Duration::from_millis(millis), look, &parameters);
            assert_eq!(described.emotion, raw.emotion);
        }
        let unseen = people.describe(face(id), Duration::from_millis(99), Look::Unseen, &parameters);
        assert_eq!(unseen.emotion, None);
    }

    #[test]
    fn a_face_that_waits_keeps_its_raw_answer_for_a_moment_where_nothing_is_held() {
        let mut parameters = AttributeParameters::default();
        parameters.emotion.time_constant = 0.0;
        let id = FaceIds::of_camera(0).next_id();
        let mut people = People::default();
        let raw = happy(0.9);
        let mut at = |millis, look| people.describe(face(id), Duration::from_millis(millis), look, &parameters);
        assert_eq!((at(0, Look::Waiting).emotion, at(0, Look::Waiting).answered), (None, None));
        at(33, Look::Classified { raw: raw.clone(), worth: 1.0 });
        for millis in [66, 1033] {
            let waiting = at(millis, Look::Waiting);
            assert_eq!((waiting.emotion, waiting.raw.emotion), (raw.emotion.clone(), None));
            assert_eq!(waiting.answered, Some(Duration::from_millis(33)));
        }
        let later = at(1034, Look::Waiting);
        assert_eq!((later.emotion, later.answered), (None, Some(Duration::from_millis(33))));
    }

    #[test]
    fn a_face_that_waits_has_no_answer_where_the_network_is_switched_off_meanwhile() {
        for time_constant in [0.0, 0.5] {
            let mut parameters = AttributeParameters::default();
            parameters.emotion.time_constant = time_constant;
            let id = FaceIds::of_camera(0).next_id();
            let mut people = People::default();
            let answer = Look::Classified { raw: happy(0.9), worth: 1.0 };
            assert!(people.describe(face(id), Duration::ZERO, answer, &parameters).emotion.is_some());
            parameters.emotion.enabled = false;
            let waiting = people.describe(face(id), Duration::from_millis(33), Look::Waiting, &parameters);
            assert_eq!(waiting.emotion, None);
        }
    }

    #[test]
    fn what_holds_ends_without_answers_and_begins_anew_with_one() {
        let id = FaceIds::of_camera(0).next_id();
        let mut people = People::default();
        held_happy(&mut people, id, 0, happy(0.9));
        // Four time constants of 0.5 s.
        let at = |people: &mut People, millis, look| {
            let parameters = AttributeParameters::default();
            people.describe(face(id), Duration::from_millis(millis), look, &parameters).emotion
        };
        for look in [Look::Waiting, Look::Unseen] {
            assert!(at(&mut people, 2000, look).is_some());
        }
        assert_eq!(at(&mut people, 2033, Look::Waiting), None);
        assert_eq!(held_happy(&mut people, id, 2066, happy(0.2)), Some(0.2));
    }

    #[test]
    fn an_answer_of_a_face_that_waited_counts_for_the_time_of_its_wait() {
        // A clear new expression, which is asked for in every sixth frame.
        let frames_until_happy = |look: Look| {
            let id = FaceIds::of_camera(0).next_id();
            let mut people = People::default();
            let sad = {
                let mut probabilities = vec![0.02; 7];
                probabilities[Emotion::Sad.position()] = 0.88;
                RawEstimates { emotion: Some(Estimate::from_probabilities(probabilities, 0.4)), gender: None }
            };
            (0..300).position(|frame| {
                let look = match frame % 6 {
                    0 => Look::Classified { raw: if frame < 30 { sad.clone() } else { happy(0.9) }, worth: 1.0 },
                    _ => look.clone(),
                };
                let time = Duration::from_millis(33 * frame);
                let face = people.describe(face(id), time, look, &AttributeParameters::default());
                face.emotion.and_then(|emotion| emotion.label) == Some(Emotion::Happy)
            })
        };
        let (waiting, unseen) = (frames_until_happy(Look::Waiting), frames_until_happy(Look::Unseen));
        assert!(waiting.is_some_and(|frame| frame <= 30 + 12), "{waiting:?}");
        assert!(unseen > waiting, "{unseen:?}");
    }
}
