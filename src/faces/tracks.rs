//! Gives a face the same id from frame to frame.
//!
//! Boxes are matched by their overlap, best pairs first. This is the greedy form of the association in Bochinski,
//! Eiselein, Sikora, "High-Speed Tracking-by-Detection Without Using Image Information" (2017). Persons are not
//! recognised: somebody who leaves and returns gets a new id, and two persons who cross may swap their ids.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::BoundingBox;

/// Smallest overlap (intersection over union) at which a box continues the track of an earlier frame.
const MIN_IOU: f64 = 0.3;

/// Longest time for which a face may be missing before its track ends. The cascade sometimes misses a face for some
/// frames.
pub const MAX_AGE: Duration = Duration::from_millis(1500);

/// Identifies a face while it is tracked. Among the ids of one [`FaceIds`], none is used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FaceId {
    camera: u16,
    number: u64,
}

impl fmt::Display for FaceId {
    /// Begins with a letter, as REP-155 requires. Ids of the first camera have no prefix.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { camera, number } = self;
        match camera {
            0 => write!(f, "face{number}"),
            camera => write!(f, "camera{}_face{number}", u32::from(*camera) + 1),
        }
    }
}

/// The ids of one camera. Clones count on together, so that a camera that is started again uses none twice.
#[derive(Debug, Clone)]
pub struct FaceIds {
    camera: u16,
    last: Arc<AtomicU64>,
}

impl FaceIds {
    /// `camera` counts from 0 and makes the ids of several cameras differ.
    pub fn of_camera(camera: u16) -> Self {
        Self { camera, last: Arc::default() }
    }

    /// An id that was not used before.
    pub fn next_id(&self) -> FaceId {
        FaceId { camera: self.camera, number: self.last.fetch_add(1, Ordering::Relaxed) + 1 }
    }
}

#[derive(Debug)]
struct Track {
    id: FaceId,
    face: BoundingBox,
    last_seen: Duration,
}

/// Tracks the faces of one camera. A track ends when its face is missing for longer than [`MAX_AGE`].
#[derive(Debug)]
pub struct Tracker {
    ids: FaceIds,
    tracks: Vec<Track>,
    last_update: Duration,
}

impl Tracker {
    /// Follows the faces of the camera that these ids are for.
    pub fn new(ids: FaceIds) -> Self {
        Self { ids, tracks: Vec::new(), last_update: Duration::ZERO }
    }

    /// Takes the faces of the frame at `time` and returns their ids in the same order.
    ///
    /// `time` counts from any fixed origin. Where it goes back, all tracks end, because the frames are of another
    /// recording.
    pub fn update(&mut self, faces: &[BoundingBox], time: Duration) -> Vec<FaceId> {
        if time < self.last_update {
            self.tracks.clear();
        }
        self.last_update = time;
        self.tracks.retain(|track| time - track.last_seen <= MAX_AGE);

        let mut pairs: Vec<(f64, usize, usize)> = Vec::new();
        for (t, track) in self.tracks.iter().enumerate() {
            for (f, face) in faces.iter().enumerate() {
                pairs.push((track.face.iou(face), t, f));
            }
        }
        pairs.retain(|(iou, ..)| *iou >= MIN_IOU);
        pairs.sort_by(|(a, ..), (b, ..)| b.total_cmp(a));

        let mut ids = vec![None; faces.len()];
        let mut is_continued = vec![false; self.tracks.len()];
        for (_, t, f) in pairs {
            if !is_continued[t] && ids[f].is_none() {
                is_continued[t] = true;
                let track = &mut self.tracks[t];
                *track = Track { id: track.id, face: faces[f], last_seen: time };
                ids[f] = Some(track.id);
            }
        }
        ids.into_iter().zip(faces).map(|(id, face)| id.unwrap_or_else(|| self.begin(*face, time))).collect()
    }

    fn begin(&mut self, face: BoundingBox, time: Duration) -> FaceId {
        let id = self.ids.next_id();
        self.tracks.push(Track { id, face, last_seen: time });
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(x: i32, y: i32) -> BoundingBox {
        BoundingBox { x, y, width: 60, height: 50 }
    }

    fn tracker() -> Tracker {
        Tracker::new(FaceIds::of_camera(0))
    }

    fn names(ids: &[FaceId]) -> Vec<String> {
        ids.iter().map(ToString::to_string).collect()
    }

    /// The time of frame `number` of a camera.
    fn frame(number: u32, rate_hz: f64) -> Duration {
        Duration::from_secs_f64(f64::from(number) / rate_hz)
    }

    #[test]
    fn a_moving_face_keeps_its_id_also_when_the_order_changes() {
        let mut tracker = tracker();
        assert_eq!(names(&tracker.update(&[at(0, 0), at(200, 90)], frame(0, 30.0))), ["face1", "face2"]);
        assert_eq!(names(&tracker.update(&[at(190, 85), at(10, 5)], frame(1, 30.0))), ["face2", "face1"]);
        assert_eq!(names(&tracker.update(&[at(20, 10), at(400, 300)], frame(2, 30.0))), ["face1", "face3"]);
    }

    #[test]
    fn the_nearer_box_continues_the_face() {
        let mut tracker = tracker();
        tracker.update(&[at(0, 0)], Duration::ZERO);
        assert_eq!(names(&tracker.update(&[at(20, 0), at(3, 0)], frame(1, 30.0))), ["face2", "face1"]);
    }

    #[test]
    fn an_id_outlives_missed_frames_for_the_same_time_at_every_frame_rate() {
        for rate_hz in [2.0, 30.0, 60.0] {
            let mut tracker = tracker();
            tracker.update(&[at(0, 0)], Duration::ZERO);
            let last = (MAX_AGE.as_secs_f64() * rate_hz).floor() as u32;
            for number in 1..last {
                tracker.update(&[], frame(number, rate_hz));
            }
            assert_eq!(names(&tracker.update(&[at(0, 0)], frame(last, rate_hz))), ["face1"], "{rate_hz} Hz");
            for number in 1..=last {
                tracker.update(&[], frame(last + number, rate_hz));
            }
            let late = tracker.update(&[at(0, 0)], frame(2 * last + 1, rate_hz));
            assert_eq!(names(&late), ["face2"], "{rate_hz} Hz");
        }
    }

    #[test]
    fn a_pause_or_a_jump_back_in_time_ends_all_tracks() {
        let mut tracker = tracker();
        tracker.update(&[at(0, 0)], Duration::from_secs(10));
        let after_a_pause = tracker.update(&[at(0, 0)], Duration::from_secs(3610));
        assert_eq!(names(&after_a_pause), ["face2"]);
        assert_eq!(names(&tracker.update(&[at(0, 0)], Duration::from_secs(3609))), ["face3"]);
        assert_eq!(names(&tracker.update(&[at(1, 0)], Duration::from_secs(3609))), ["face3"]);
    }

    #[test]
    fn ids_of_two_cameras_differ_and_a_camera_that_starts_again_uses_none_twice() {
        let cameras = [0, 1].map(FaceIds::of_camera);
        let first_id = |ids: &FaceIds| Tracker::new(ids.clone()).update(&[at(0, 0)], Duration::ZERO)[0];
        let [front, rear, front_again] = [&cameras[0], &cameras[1], &cameras[0]].map(first_id);
        assert_eq!(names(&[front, rear, front_again]), ["face1", "camera2_face1", "face2"]);
    }
}
