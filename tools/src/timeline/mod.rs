//! The answers about each person in a video over time. [`plot_timeline`] draws them.

mod plot;

pub use plot::plot_timeline;

use std::time::Duration;

use face_attributes::attributes::{Attribute, Emotion, Estimate, FaceAttributes, Gender};
use face_attributes::faces::FaceId;
use face_attributes::pipeline::Scene;

/// The answers about each person, frame by frame.
#[derive(Debug, Default)]
pub struct Timeline {
    people: Vec<Person>,
    scenes: u64,
    begin: Option<Duration>,
    end: Duration,
}

/// One person, by the id of the face.
#[derive(Debug)]
struct Person {
    id: FaceId,
    /// In the order of time, and not empty.
    samples: Vec<Sample>,
}

/// The answers about a person in one frame.
#[derive(Debug)]
struct Sample {
    /// The number of the frame.
    scene: u64,
    time_secs: f64,
    emotion: Answers<Emotion>,
    gender: Answers<Gender>,
}

#[derive(Debug)]
struct Answers<A> {
    held: Option<Estimate<A>>,
    raw: Option<Estimate<A>>,
}

impl Timeline {
    /// Adds the next frame of the video.
    pub fn add(&mut self, scene: &Scene) {
        self.begin.get_or_insert(scene.time);
        self.end = scene.time;
        for face in &scene.faces {
            let sample = Sample::new(face, self.scenes, scene.time);
            match self.people.iter_mut().rev().find(|person| person.id == face.id) {
                Some(person) => person.samples.push(sample),
                None => self.people.push(Person { id: face.id, samples: vec![sample] }),
            }
        }
        self.scenes += 1;
    }

    /// Whether there was no frame.
    pub fn is_empty(&self) -> bool {
        self.scenes == 0
    }

    /// The time from the first frame to the last one.
    pub fn duration(&self) -> Duration {
        self.end.saturating_sub(self.begin.unwrap_or(self.end))
    }

    /// Those who were followed longest, at most `count` of them, and how many more there are.
    fn longest_followed(&self, count: usize) -> (Vec<&Person>, usize) {
        let mut people: Vec<_> = self.people.iter().collect();
        people.sort_by(|a, b| b.followed_secs().total_cmp(&a.followed_secs()));
        let left_out = people.len().saturating_sub(count);
        people.truncate(count);
        (people, left_out)
    }
}

impl Person {
    fn followed_secs(&self) -> f64 {
        let [first, .., last] = self.samples.as_slice() else { return 0.0 };
        last.time_secs - first.time_secs
    }
}

impl Sample {
    fn new(face: &FaceAttributes, scene: u64, time: Duration) -> Self {
        let FaceAttributes { emotion, gender, raw, .. } = face.clone();
        Self {
            scene,
            time_secs: time.as_secs_f64(),
            emotion: Answers { held: emotion, raw: raw.emotion },
            gender: Answers { held: gender, raw: raw.gender },
        }
    }
}

/// An attribute that can be plotted.
trait Plotted: Attribute {
    fn answers(sample: &Sample) -> &Answers<Self>;
}

impl Plotted for Emotion {
    fn answers(sample: &Sample) -> &Answers<Self> {
        &sample.emotion
    }
}

impl Plotted for Gender {
    fn answers(sample: &Sample) -> &Answers<Self> {
        &sample.gender
    }
}

#[cfg(test)]
mod tests {
    use face_attributes::attributes::RawEstimates;
    use face_attributes::faces::{BoundingBox, FaceIds};

    use super::*;

    /// A frame in which these people are seen, whose answers are `emotion` and `gender`.
    pub fn scene(time_secs: f64, ids: &[FaceId], emotion: [f32; 7], gender: [f32; 2]) -> Scene {
        let face = |id: &FaceId| FaceAttributes {
            id: *id,
            roi: BoundingBox { x: 3, y: 5, width: 40, height: 50 },
            seen: true,
            followed_since: Duration::ZERO,
            confidence: 1.0,
            landmarks: None,
            answered: None,
            emotion: Some(Estimate::from_probabilities(emotion.to_vec(), 0.4)),
            gender: Some(Estimate::from_probabilities(gender.to_vec(), 0.6)),
            raw: RawEstimates::default(),
        };
        let faces = ids.iter().map(face).collect();
        Scene {
            time: Duration::from_secs_f64(time_secs),
            faces,
            waiting: 0,
            failures: Vec::new(),
            times: Default::default(),
        }
    }

    #[test]
    fn those_followed_longest_are_first_and_the_others_are_counted() {
        let ids = FaceIds::of_camera(0);
        let [a, b, c, d] = [(); 4].map(|()| ids.next_id());
        let mut timeline = Timeline::default();
        assert!(timeline.is_empty());
        for (time, present) in [(1.0, vec![a, b]), (2.0, vec![b, a, c]), (3.5, vec![c, b]), (4.0, vec![d])] {
            timeline.add(&scene(time, &present, [1.0; 7], [0.5; 2]));
        }
        let ids_of = |count| {
            let (people, left_out) = timeline.longest_followed(count);
            (people.iter().map(|person| person.id).collect::<Vec<_>>(), left_out)
        };
        assert_eq!(ids_of(3), (vec![b, c, a], 1));
        assert_eq!(ids_of(9), (vec![b, c, a, d], 0));
        assert_eq!((timeline.is_empty(), timeline.duration()), (false, Duration::from_secs(3)));
    }
}
