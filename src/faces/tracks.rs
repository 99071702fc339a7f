//! Follows faces from frame to frame.
//!
//! A track predicts its face by a Kalman filter ([`super::motion`]). A detection continues the track to which it fits best
//! in place, size and looks ([`super::association`]). Persons are not recognised: somebody who stays away for longer than the
//! maximum age gets a new id.

use std::time::Duration;

use opencv::core::Mat;

use super::appearance::Thumbnail;
use super::association::{Expected, Pair, assign, cost};
use super::motion::Motion;
use super::{BoundingBox, Detection, FaceId, FaceIds, Landmarks};

/// A face that was seen in fewer frames may be an error of the finder, so it is not predicted.
const MIN_TIMES_SEEN: u32 = 2;
/// A seen face that covers a box by so much (intersection over union) is the face in that box.
const COVERED_IOU: f64 = 0.4;
/// A box of which a seen face covers such a share is a part of that face.
const COVERED_SHARE: f64 = 0.8;
/// A detection further away than this from the prediction, in sides of the face, says nothing about the velocity.
const JUMP_DISTANCE: f64 = 1.0;

/// How faces are followed, see the table of all parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct TrackingParameters {
    /// Longest time for which a face may be missed before its track ends, in seconds, 0.1 to 10.
    pub max_age: f64,
}

impl Default for TrackingParameters {
    fn default() -> Self {
        Self { max_age: 1.5 }
    }
}

impl TrackingParameters {
    /// The maximum age as a duration.
    pub fn max_age(&self) -> Duration {
        Duration::try_from_secs_f64(self.max_age).unwrap_or(Duration::MAX)
    }
}

/// A face in one frame.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundFace {
    /// The same from frame to frame while the face is followed.
    pub id: FaceId,
    /// Where the face is, in pixels of the frame. It lies inside the frame.
    pub roi: BoundingBox,
    /// Whether the face was detected in this frame. Otherwise its place is predicted.
    pub seen: bool,
    /// The time of the first frame in which the face was seen.
    pub followed_since: Duration,
    /// How sure the finder was when it saw the face last, 0 to 1.
    pub confidence: f32,
    /// Points of the face in this frame; where the finder gives them, and the face is seen.
    pub landmarks: Option<Landmarks>,
}

/// A detection with the look of the face, where its picture is at hand.
#[derive(Debug, Clone)]
pub struct Sighting {
    /// What the finder said.
    pub detection: Detection,
    /// How the face looks.
    pub thumbnail: Option<Thumbnail>,
}

impl Sighting {
    /// A detection in `gray` (height x width, 8-bit, one channel).
    ///
    /// # Errors
    /// Only those of OpenCV.
    pub fn new(gray: &Mat, detection: Detection) -> opencv::Result<Self> {
        let thumbnail = Thumbnail::of_face(gray, detection.roi)?;
        Ok(Self { detection, thumbnail })
    }
}

/// How the place of a face in the present frame is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Seen,
    /// By optical flow.
    Located,
    /// By its motion before.
    Predicted,
    /// Not at all, because the scene is another one.
    Unknown,
}

#[derive(Debug)]
struct Track {
    id: FaceId,
    motion: Motion,
    place: Place,
    /// The box in the present frame, and in the one before until that is known.
    roi: BoundingBox,
    first_seen: Duration,
    last_seen: Duration,
    last_seen_at: BoundingBox,
    times_seen: u32,
    sighting: Sighting,
}

impl Track {
    fn see(&mut self, sighting: Sighting, time: Duration) {
        let roi = sighting.detection.roi;
        let ((x, y), (seen_x, seen_y)) = (self.motion.center(), roi.center());
        if (seen_x - x).hypot(seen_y - y) > JUMP_DISTANCE * self.motion.side() {
            self.motion = Motion::new(roi);
        } else {
            self.motion.correct(roi, sighting.detection.confidence);
        }
        self.place = Place::Seen;
        // The filter takes the noise of the finder out of the box.
        (self.roi, self.last_seen_at, self.last_seen) = (self.motion.square(), roi, time);
        self.times_seen += 1;
        // On one grey a face has no look; the one before is kept.
        let thumbnail = sighting.thumbnail.or_else(|| self.sighting.thumbnail.take());
        self.sighting = Sighting { detection: sighting.detection, thumbnail };
    }

    fn expected(&self, time: Duration) -> Expected<'_> {
        Expected {
            motion: &self.motion,
            last_seen_at: self.last_seen_at,
            missed_secs: (time - self.last_seen).as_secs_f64(),
            thumbnail: self.sighting.thumbnail.as_ref(),
        }
    }

    /// The longer a face was seen, the longer its motion alone predicts it.
    fn is_predictable(&self, time: Duration) -> bool {
        let was_seen_for = self.last_seen - self.first_seen;
        let is_known = match self.place {
            Place::Seen | Place::Located => true,
            Place::Predicted => time - self.last_seen <= was_seen_for,
            Place::Unknown => false,
        };
        self.times_seen >= MIN_TIMES_SEEN && is_known
    }
}

/// A track that is not seen in the present frame.
#[derive(Debug, Clone)]
pub struct Missed {
    /// Its position among the tracks.
    pub position: usize,
    /// Where the face was in the frame before.
    pub before: BoundingBox,
    /// How it looked when it was seen last.
    pub thumbnail: Option<Thumbnail>,
    /// Whether another track is near, so that the pixels may be those of another face.
    pub is_crowded: bool,
}

/// Follows the faces of one camera.
///
/// Each frame takes these steps: [`Tracker::begin_frame`], [`Tracker::assign`], for the [`Tracker::missed`] tracks
/// [`Tracker::locate`], [`Tracker::begin`] for new faces, and [`Tracker::faces`].
#[derive(Debug)]
pub struct Tracker {
    ids: FaceIds,
    tracks: Vec<Track>,
    time: Duration,
    /// Kept for its memory.
    pairs: Vec<Pair>,
}

impl Tracker {
    /// Follows the faces of the camera that these ids are for.
    pub fn new(ids: FaceIds) -> Self {
        Self { ids, tracks: Vec::new(), time: Duration::ZERO, pairs: Vec::new() }
    }

    /// Predicts all tracks at `time`, and ends those that are missed for longer than `max_age`.
    ///
    /// `time` counts from any fixed origin. Where it goes back, all tracks end, because the frames are of another
    /// recording.
    pub fn begin_frame(&mut self, time: Duration, max_age: Duration) {
        if time < self.time {
            log::debug!("the time goes back from {:?} to {time:?}: {} faces end", self.time, self.tracks.len());
            self.tracks.clear();
        }
        let dt = time.saturating_sub(self.time).as_secs_f64();
        self.time = time;
        self.tracks.retain(|track| {
            let missed_for = time - track.last_seen;
            if missed_for > max_age {
                log::debug!("{} ends: missed for {missed_for:?}, longer than tracking.max_age", track.id);
            }
            missed_for <= max_age
        });
        for track in &mut self.tracks {
            track.motion.advance(dt);
            if track.place != Place::Unknown {
                track.place = Place::Predicted;
            }
        }
    }

    /// Predicts the faces no more that are not seen in this frame, until they are seen again.
    pub fn end_predictions(&mut self) {
        for track in self.tracks.iter_mut().filter(|track| track.place != Place::Seen) {
            track.place = Place::Unknown;
        }
    }

    /// Ends all tracks.
    pub fn end_all(&mut self) {
        self.tracks.clear();
    }

    /// Continues the tracks that are not seen yet with what was detected, and leaves the detections that fit to no track.
    pub fn assign(&mut self, sightings: &mut Vec<Sighting>) {
        self.pairs.clear();
        for (row, track) in self.tracks.iter().enumerate().filter(|(_, track)| track.place != Place::Seen) {
            let expected = track.expected(self.time);
            self.pairs.extend(sightings.iter().enumerate().filter_map(
                |(column, Sighting { detection, thumbnail })| {
                    Some(Pair { cost: cost(&expected, detection.roi, thumbnail.as_ref())?, row, column })
                },
            ));
        }
        assign(&mut self.pairs);
        let mut column = 0;
        sightings.retain(|sighting| {
            let pair = self.pairs.iter().find(|pair| pair.column == column);
            column += 1;
            let track = pair.and_then(|pair| self.tracks.get_mut(pair.row));
            track.map(|track| track.see(sighting.clone(), self.time)).is_none()
        });
    }

    /// The tracks whose faces are not seen yet in this frame, without those that may be errors of the finder.
    pub fn missed(&self) -> Vec<Missed> {
        let missed = self
            .tracks
            .iter()
            .enumerate()
            .filter(|(_, track)| track.place != Place::Seen && track.times_seen >= MIN_TIMES_SEEN);
        let missed = missed.map(|(position, track)| {
            let predicted = track.motion.square();
            let mut others = self.tracks.iter().enumerate().filter(|(other, _)| *other != position);
            let is_crowded =
                others.any(|(_, other)| [track.roi, predicted].iter().any(|roi| other.roi.intersection(roi).is_some()));
            let thumbnail = track.sighting.thumbnail.clone();
            Missed { position, before: track.roi, thumbnail, is_crowded }
        });
        missed.collect()
    }

    /// Whether no face is known.
    pub fn is_empty(&self) -> bool {
        self.tracks.is_empty()
    }

    /// The number of known faces, seen or not.
    pub fn count(&self) -> usize {
        self.tracks.len()
    }

    /// Where the face of each track should be. The squares may leave the image.
    pub fn places(&self) -> impl Iterator<Item = BoundingBox> {
        self.tracks.iter().map(|track| track.motion.square())
    }

    /// Whether a face that is seen in this frame covers `roi`.
    pub fn is_seen_at(&self, roi: &BoundingBox) -> bool {
        let mut seen = self.tracks.iter().filter(|track| track.place == Place::Seen);
        // A window that shows a part of a face gives a small box.
        seen.any(|track| track.roi.iou(roi) > COVERED_IOU || roi.share_in(&track.roi) > COVERED_SHARE)
    }

    /// Moves the track at `position` to `roi`, where optical flow says that the face is.
    pub fn locate(&mut self, position: usize, roi: BoundingBox) {
        if let Some(track) = self.tracks.get_mut(position) {
            track.motion.correct_center(roi.center());
            track.place = Place::Located;
        }
    }

    /// Begins a track.
    pub fn begin(&mut self, sighting: Sighting) {
        let roi = sighting.detection.roi;
        let id = self.ids.next_id();
        log::debug!("{id} begins: found at {roi:?} with confidence {:.2}", sighting.detection.confidence);
        self.tracks.push(Track {
            id,
            motion: Motion::new(roi),
            place: Place::Seen,
            roi,
            first_seen: self.time,
            last_seen: self.time,
            last_seen_at: roi,
            times_seen: 1,
            sighting,
        });
    }

    /// The faces in the present frame of this size, from left to right: those that are seen, and those whose place is
    /// known well enough.
    pub fn faces(&mut self, image: BoundingBox) -> Vec<FoundFace> {
        for track in self.tracks.iter_mut().filter(|track| track.place != Place::Seen) {
            track.roi = track.motion.square();
        }
        let seen = || self.tracks.iter().filter(|track| track.place == Place::Seen).map(|track| &track.roi);
        let is_shown = |track: &&Track| {
            let (x, y) = track.roi.center();
            let center = BoundingBox { x: x.floor() as i32, y: y.floor() as i32, width: 1, height: 1 };
            let is_inside = center.intersection(&image).is_some();
            let is_covered = seen().any(|roi| roi.iou(&track.roi) > COVERED_IOU);
            track.place == Place::Seen || (is_inside && !is_covered && track.is_predictable(self.time))
        };
        let faces = self.tracks.iter().filter(is_shown).filter_map(|track| {
            let is_seen = track.place == Place::Seen;
            Some(FoundFace {
                id: track.id,
                roi: track.roi.intersection(&image)?,
                seen: is_seen,
                followed_since: track.first_seen,
                confidence: track.sighting.detection.confidence,
                landmarks: track.sighting.detection.landmarks.filter(|_| is_seen),
            })
        });
        let mut faces: Vec<_> = faces.collect();
        faces.sort_by_key(|face| (face.roi.x, face.roi.y));
        faces
    }
}

#[cfg(test)]
#[path = "tracks_tests.rs"]
mod tests;
