//! Whose turn it is to be classified, where more faces are seen than are classified in one frame.

use std::time::Duration;

use crate::faces::FaceId;

/// A face that could be classified in this frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// The face.
    pub id: FaceId,
    /// Its longer side in pixels.
    pub side: f64,
    /// Time since it was classified last; `None` where it never was.
    pub waiting: Option<Duration>,
}

/// The faces whose turn it is in a frame.
#[derive(Debug, Default)]
pub struct Turns {
    /// Those whose turn it is come first. Kept from frame to frame for its memory.
    candidates: Vec<Candidate>,
    count: usize,
}

impl Turns {
    /// Gives a turn to at most `max` of the `candidates`, or to all where `max` is 0.
    ///
    /// A face that was never classified comes first, a large one before a small one. After those, it is the one that waits longest.
    /// The time of a small face counts less, but at least half of that of the largest one. So large faces are classified more often,
    /// up to twice as often, and each face has its turn.
    pub fn give(&mut self, candidates: impl Iterator<Item = Candidate>, max: usize) {
        self.candidates.clear();
        self.candidates.extend(candidates);
        self.count = if max == 0 { self.candidates.len() } else { max.min(self.candidates.len()) };
        if self.count == self.candidates.len() {
            return;
        }
        let largest = self.candidates.iter().map(|candidate| candidate.side).fold(1.0, f64::max);
        let urgency = |candidate: &Candidate| {
            let size = candidate.side / largest;
            let Some(waiting) = candidate.waiting else { return (true, size) };
            (false, waiting.as_secs_f64() * (1.0 + size) / 2.0)
        };
        // Stable, so that equal faces keep their order and the same frames give the same answers.
        self.candidates.sort_by(|a, b| {
            let ((is_new, urgency), (other_is_new, other_urgency)) = (urgency(b), urgency(a));
            is_new.cmp(&other_is_new).then(urgency.total_cmp(&other_urgency))
        });
    }

    /// Whether it is the turn of this face.
    pub fn includes(&self, id: FaceId) -> bool {
        self.candidates.iter().take(self.count).any(|candidate| candidate.id == id)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::faces::FaceIds;

    fn chosen(candidates: &[Candidate], max: usize) -> Vec<FaceId> {
        let mut turns = Turns::default();
        turns.give(candidates.iter().copied(), max);
        candidates.iter().map(|candidate| candidate.id).filter(|id| turns.includes(*id)).collect()
    }

    #[test]
    fn new_faces_come_first_then_who_waits_longest_and_of_those_the_largest() {
        let ids = FaceIds::of_camera(0);
        let face = |side, waiting_ms: Option<u64>| Candidate {
            id: ids.next_id(),
            side,
            waiting: waiting_ms.map(Duration::from_millis),
        };
        let (small_new, new) = (face(20.0, None), face(60.0, None));
        let (large, longest, recent) = (face(100.0, Some(300)), face(90.0, Some(500)), face(100.0, Some(33)));
        let small = face(10.0, Some(300));
        let faces = [recent, small, small_new, large, new, longest];
        let order = [new, small_new, longest, large, small, recent].map(|face| face.id);
        for max in 1..=order.len() {
            let mut expected = order[..max].to_vec();
            let mut got = chosen(&faces, max);
            [&mut expected, &mut got].iter_mut().for_each(|ids| ids.sort_by_key(ToString::to_string));
            assert_eq!(got, expected, "{max}");
        }
        assert_eq!(chosen(&faces, 0).len(), faces.len(), "0 is no limit");
        assert_eq!(chosen(&[], 3), []);
    }

    #[test]
    fn every_face_of_a_crowd_has_its_turn_and_a_large_one_at_most_twice_as_often() {
        const FRAMES: u32 = 3000;
        const MAX: usize = 4;
        let ids = FaceIds::of_camera(0);
        let crowd: Vec<_> = (0..29).map(|n| (ids.next_id(), 12.0 * 1.15_f64.powi(n))).collect();
        let mut turns = Turns::default();
        let (mut last, mut counts) = (HashMap::new(), HashMap::new());
        let mut longest_wait = 0;
        for frame in 0..FRAMES {
            let candidate = |(id, side): &(FaceId, f64)| {
                let waiting = last.get(id).map(|last| (frame - last) * Duration::from_millis(33));
                Candidate { id: *id, side: *side, waiting }
            };
            turns.give(crowd.iter().map(candidate), MAX);
            let now: Vec<_> = crowd.iter().map(|(id, _)| *id).filter(|id| turns.includes(*id)).collect();
            assert_eq!(now.len(), MAX);
            for id in now {
                if let Some(last) = last.insert(id, frame) {
                    longest_wait = longest_wait.max(frame - last);
                }
                *counts.entry(id).or_insert(0) += 1;
            }
        }
        let counts: Vec<i32> = crowd.iter().map(|(id, _)| counts[id]).collect();
        assert!(counts.is_sorted(), "{counts:?}");
        let (least, most) = (counts[0], counts[counts.len() - 1]);
        assert!(most > least && most <= 2 * least + 2, "{counts:?}");
        // Half as often as the mean of all at the least.
        assert!(longest_wait <= 2 * (29 / 4 + 1), "{longest_wait}");
    }
}
