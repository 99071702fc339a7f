//! Gives the same face the same id from frame to frame.
//!
//! Faces are matched by how much their boxes overlap, best pairs first: the greedy form of the association in Bochinski,
//! Eiselein, Sikora, "High-Speed Tracking-by-Detection Without Using Image Information" (2017). It knows nothing of who a
//! person is: somebody who leaves and returns gets a new id, and two who cross may swap theirs.

use std::fmt;

use crate::geometry::BoundingBox;

/// Overlap (intersection over union) from which a box continues a face of an earlier frame.
const MIN_IOU: f64 = 0.3;

/// Frames that a face may be missed in before its id is given up; the cascade drops a face for a few frames now and then.
const MAX_MISSED_FRAMES: u32 = 10;

/// Names a face for as long as it is followed. Ids are never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FaceId(u64);

impl fmt::Display for FaceId {
    /// Begins with a letter, as REP-155 asks of ids.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "face{}", self.0)
    }
}

#[derive(Debug)]
struct Track {
    id: FaceId,
    face: BoundingBox,
    missed_frames: u32,
}

/// Remembers the faces of the last frames.
#[derive(Debug, Default)]
pub struct Tracker {
    tracks: Vec<Track>,
    faces_seen: u64,
}

impl Tracker {
    /// Takes the faces of the next frame and gives each its id, in the same order.
    pub fn update(&mut self, faces: &[BoundingBox]) -> Vec<FaceId> {
        let mut pairs: Vec<(f64, usize, usize)> = Vec::new();
        for (t, track) in self.tracks.iter().enumerate() {
            for (f, face) in faces.iter().enumerate() {
                pairs.push((track.face.iou(face), t, f));
            }
        }
        pairs.retain(|(iou, ..)| *iou >= MIN_IOU);
        pairs.sort_by(|(a, ..), (b, ..)| b.total_cmp(a));

        for track in &mut self.tracks {
            track.missed_frames += 1;
        }
        let mut ids = vec![None; faces.len()];
        for (_, t, f) in pairs {
            let track = &mut self.tracks[t];
            if track.missed_frames > 0 && ids[f].is_none() {
                *track = Track { id: track.id, face: faces[f], missed_frames: 0 };
                ids[f] = Some(track.id);
            }
        }
        self.tracks.retain(|track| track.missed_frames <= MAX_MISSED_FRAMES);
        ids.into_iter().zip(faces).map(|(id, face)| id.unwrap_or_else(|| self.begin(*face))).collect()
    }

    fn begin(&mut self, face: BoundingBox) -> FaceId {
        self.faces_seen += 1;
        let id = FaceId(self.faces_seen);
        self.tracks.push(Track { id, face, missed_frames: 0 });
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(x: i32, y: i32) -> BoundingBox {
        BoundingBox { x, y, width: 60, height: 50 }
    }

    fn names(ids: &[FaceId]) -> Vec<String> {
        ids.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_moving_face_keeps_its_id_also_when_the_order_changes() {
        let mut tracker = Tracker::default();
        assert_eq!(names(&tracker.update(&[at(0, 0), at(200, 90)])), ["face1", "face2"]);
        assert_eq!(names(&tracker.update(&[at(190, 85), at(10, 5)])), ["face2", "face1"]);
        assert_eq!(names(&tracker.update(&[at(20, 10), at(400, 300)])), ["face1", "face3"]);
    }

    #[test]
    fn the_nearer_box_continues_the_face() {
        let mut tracker = Tracker::default();
        tracker.update(&[at(0, 0)]);
        assert_eq!(names(&tracker.update(&[at(20, 0), at(3, 0)])), ["face2", "face1"]);
    }

    #[test]
    fn an_id_outlives_missed_frames_but_is_never_used_again() {
        let mut tracker = Tracker::default();
        tracker.update(&[at(0, 0)]);
        for _ in 0..MAX_MISSED_FRAMES {
            tracker.update(&[]);
        }
        assert_eq!(names(&tracker.update(&[at(0, 0)])), ["face1"]);
        for _ in 0..=MAX_MISSED_FRAMES {
            tracker.update(&[]);
        }
        assert_eq!(names(&tracker.update(&[at(0, 0)])), ["face2"]);
    }
}
