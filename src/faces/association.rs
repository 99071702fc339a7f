//! Which detection continues which track.
//!
//! The cost of a pair adds the distance, the difference in size and the difference in looks. Pairs are taken by rising
//! cost. This greedy assignment is the one of Bochinski, Eiselein, Sikora, "High-Speed Tracking-by-Detection Without Using
//! Image Information" (2017), with another cost.

use super::BoundingBox;
use super::appearance::Thumbnail;
use super::motion::Motion;

/// Largest distance between prediction and detection, in sides of the face, for a face that was seen a moment ago.
const MAX_DISTANCE: f64 = 0.7;
/// What each second without the face adds to it.
const MAX_DISTANCE_PER_SEC: f64 = 1.5;
/// Largest ratio of the sizes, as a logarithm: 1.8.
const MAX_SIZE_ERROR: f64 = 0.588;
/// What the place where a face was seen last is worse than the place where it should be by now: people who are covered often
/// stop, and people who leave return at the same edge.
const AT_REST_COST: f64 = 0.3;
/// What an entirely different look costs.
const LOOK_COST: f64 = 0.5;
/// A face further away than its motion allows continues the track only if it looks so much the same,
const MIN_JUMP_SIMILARITY: f64 = 0.8;
/// and has about the same size.
const MAX_JUMP_SIZE_ERROR: f64 = 0.25;
/// What such a jump costs beside its distance.
const JUMP_COST: f64 = 2.0;

/// What is known of a track when a frame comes.
#[derive(Debug)]
pub struct Expected<'a> {
    /// Where the face should be by now.
    pub motion: &'a Motion,
    /// Where it was seen last.
    pub last_seen_at: BoundingBox,
    /// The time since it was seen, in seconds.
    pub missed_secs: f64,
    /// How it looked when it was seen last.
    pub thumbnail: Option<&'a Thumbnail>,
}

/// The cost of continuing a track with a face at `roi` that looks like `thumbnail`, or `None` where it cannot be the same
/// face.
pub fn cost(expected: &Expected, roi: BoundingBox, thumbnail: Option<&Thumbnail>) -> Option<f64> {
    let side = expected.motion.side();
    let size_error = (roi.longer_side() / side).ln().abs();
    let from = |(x, y): (f64, f64)| (roi.center().0 - x).hypot(roi.center().1 - y) / side;
    let distance = from(expected.motion.center()).min(from(expected.last_seen_at.center()) + AT_REST_COST);
    let similarity = expected.thumbnail.zip(thumbnail).map(|(a, b)| a.similarity(b));
    let is_near = distance <= MAX_DISTANCE + MAX_DISTANCE_PER_SEC * expected.missed_secs;
    let look_cost = LOOK_COST * (1.0 - similarity.unwrap_or(0.0));
    if is_near && size_error <= MAX_SIZE_ERROR {
        return Some(distance + size_error + look_cost);
    }
    let looks_the_same = similarity.is_some_and(|similarity| similarity >= MIN_JUMP_SIMILARITY);
    let is_jump = looks_the_same && size_error <= MAX_JUMP_SIZE_ERROR;
    is_jump.then_some(JUMP_COST + distance + size_error + look_cost)
}

/// A row that may be paired with a column, and what that costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    pub cost: f64,
    pub row: usize,
    pub column: usize,
}

/// Keeps the cheapest pairs, of each row and of each column at most one.
pub fn assign(pairs: &mut Vec<Pair>) {
    pairs.sort_by(|a, b| a.cost.total_cmp(&b.cost));
    let mut kept = 0;
    for position in 0..pairs.len() {
        let Pair { row, column, .. } = pairs[position];
        if pairs[..kept].iter().all(|pair| pair.row != row && pair.column != column) {
            pairs.swap(kept, position);
            kept += 1;
        }
    }
    pairs.truncate(kept);
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACE: BoundingBox = BoundingBox { x: 100, y: 50, width: 60, height: 60 };

    fn cost_at(x: i32, width: i32, missed_secs: f64) -> Option<f64> {
        let motion = Motion::new(FACE);
        let expected = Expected { motion: &motion, last_seen_at: FACE, missed_secs, thumbnail: None };
        cost(&expected, BoundingBox { x, width, height: width, ..FACE }, None)
    }

    #[test]
    fn the_reach_grows_with_the_time_for_which_a_face_is_missed() {
        assert!(cost_at(130, 60, 0.03).is_some());
        assert_eq!(cost_at(190, 60, 0.03), None);
        assert!(cost_at(190, 60, 1.0).is_some());
        assert_eq!(cost_at(100, 130, 1.0), None);
    }

    #[test]
    fn each_row_and_column_is_assigned_once_the_cheapest_pair_first() {
        let costs = [(0, 0, 0.4), (0, 1, 0.1), (1, 0, 0.9), (1, 1, 0.2), (2, 3, 7.0)];
        let mut pairs = costs.map(|(row, column, cost)| Pair { cost, row, column }).to_vec();
        assign(&mut pairs);
        assert_eq!(pairs.iter().map(|pair| (pair.row, pair.column)).collect::<Vec<_>>(), [(0, 1), (1, 0), (2, 3)]);
        pairs.clear();
        assign(&mut pairs);
        assert_eq!(pairs, []);
    }
}
