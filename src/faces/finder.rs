//! The detector and the tracks of one camera: which faces are in a frame, and which of them were in earlier frames.

use std::time::Duration;

use opencv::core::Mat;
use opencv::prelude::*;

use super::appearance::Thumbnail;
use super::flow::displacement;
use super::tracks::{Missed, Sighting};
use super::{
    BoundingBox, Detection, DetectorParameters, FaceIds, FoundFace, HaarDetector, Tracker, TrackingParameters, WindowSearch,
};

/// What is searched around a missed face on each side, as a fraction of its size.
const WINDOW_MARGIN: f64 = 0.5;
/// The sizes that are searched there, relative to that of the face.
const WINDOW_SIZES: (f64, f64) = (0.7, 1.4);
/// How much a place that optical flow found must look like the face, as a normalised cross-correlation. A hand over the face
/// looks different.
const MIN_SIMILARITY: f64 = 0.4;

/// Detects the faces of one camera and follows them from frame to frame.
#[derive(Debug)]
pub struct FaceFinder {
    detector: HaarDetector,
    tracker: Tracker,
    /// The frame before, which optical flow needs.
    previous: Option<Mat>,
}

impl FaceFinder {
    /// Finds with `detector` and names new faces by `ids`.
    pub fn new(detector: HaarDetector, ids: FaceIds) -> Self {
        Self { detector, tracker: Tracker::new(ids), previous: None }
    }

    /// The faces of the next frame, from left to right. `gray` is height x width, 8-bit, one channel. `time` is when
    /// the frame was taken, from any fixed origin.
    ///
    /// # Errors
    /// Only those of OpenCV, for example when memory is short.
    pub fn find(
        &mut self,
        gray: &Mat,
        time: Duration,
        parameters: &DetectorParameters,
        tracking: &TrackingParameters,
    ) -> opencv::Result<Vec<FoundFace>> {
        // Places in frames of another size are other places.
        if self.previous.as_ref().is_some_and(|previous| previous.size().ok() != gray.size().ok()) {
            self.tracker.end_all();
        }
        self.tracker.begin_frame(time, tracking.max_age());
        let boxes = self.detector.detect(gray, parameters)?;
        let new = self.tracker.assign(sightings(gray, boxes)?);
        for missed in self.tracker.missed() {
            self.bridge(gray, &missed, parameters)?;
        }
        for sighting in new {
            self.tracker.begin(sighting);
        }
        let faces = self.tracker.faces(BoundingBox::of_image(gray.cols(), gray.rows()));
        self.previous = Some(gray.try_clone()?);
        Ok(faces)
    }

    /// Looks for a face that the search has missed: by a finer search about its predicted place, else by optical flow.
    fn bridge(&mut self, gray: &Mat, missed: &Missed, parameters: &DetectorParameters) -> opencv::Result<()> {
        let window = missed.predicted.square_with_margin(WINDOW_MARGIN);
        let boxes = self.detector.detect_in(gray, window, &search_about(missed.predicted, parameters))?;
        let found = sightings(gray, boxes)?.into_iter();
        let fitting = found.filter_map(|sighting| Some((self.tracker.cost(missed.position, &sighting)?, sighting)));
        if let Some((_, sighting)) = fitting.min_by(|(a, _), (b, _)| a.total_cmp(b)) {
            self.tracker.see(missed.position, sighting);
        } else if let Some(roi) = self.flow(gray, missed)? {
            self.tracker.locate(missed.position, roi);
        }
        Ok(())
    }

    /// Where optical flow finds a missed face, if the place looks like it.
    fn flow(&self, gray: &Mat, missed: &Missed) -> opencv::Result<Option<BoundingBox>> {
        let (Some(previous), Some(thumbnail)) = (&self.previous, &missed.thumbnail) else { return Ok(None) };
        // The points would follow the face in front.
        if missed.is_crowded {
            return Ok(None);
        }
        let Some((right, down)) = displacement(previous, gray, missed.before)? else { return Ok(None) };
        let (x, y) = (missed.before.x + right.round() as i32, missed.before.y + down.round() as i32);
        let roi = BoundingBox { x, y, ..missed.before };
        let look = Thumbnail::of_face(gray, roi)?;
        Ok(look.filter(|look| look.similarity(thumbnail) >= MIN_SIMILARITY).map(|_| roi))
    }

    /// Begins another recording: ends all tracks, and names new faces by `ids`.
    pub fn begin_recording(&mut self, ids: FaceIds) {
        self.tracker = Tracker::new(ids);
        self.previous = None;
    }
}

fn search_about(face: BoundingBox, parameters: &DetectorParameters) -> WindowSearch {
    let size = |factor: f64| (factor * face.longer_side()).round() as i32;
    WindowSearch {
        min_side_px: size(WINDOW_SIZES.0),
        max_side_px: size(WINDOW_SIZES.1),
        scale_factor: parameters.scale_factor.min(1.1),
        min_neighbors: parameters.min_neighbors.min(3),
    }
}

/// The cascade does not say how sure it is, so that each of its faces counts fully.
fn sightings(gray: &Mat, boxes: Vec<BoundingBox>) -> opencv::Result<Vec<Sighting>> {
    let sighting = |roi| {
        let detection = Detection { roi, confidence: 1.0, landmarks: None };
        Ok(Sighting { detection, thumbnail: Thumbnail::of_face(gray, roi)? })
    };
    boxes.into_iter().map(sighting).collect()
}
