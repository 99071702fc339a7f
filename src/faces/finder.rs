//! The detector and the tracks of one camera: which faces are in a frame, and which of them were in earlier frames.

use std::time::Duration;

use opencv::core::Mat;

use super::{BoundingBox, DetectorParameters, FaceId, FaceIds, HaarDetector, Tracker};

/// A face in one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundFace {
    /// The same from frame to frame while the face is tracked.
    pub id: FaceId,
    /// Where the face is, in pixels of the frame.
    pub roi: BoundingBox,
}

/// Detects the faces of one camera and tracks them from frame to frame.
#[derive(Debug)]
pub struct FaceFinder {
    detector: HaarDetector,
    tracker: Tracker,
}

impl FaceFinder {
    /// Finds with `detector` and names new faces by `ids`.
    pub fn new(detector: HaarDetector, ids: FaceIds) -> Self {
        Self { detector, tracker: Tracker::new(ids) }
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
    ) -> opencv::Result<Vec<FoundFace>> {
        let boxes = self.detector.detect(gray, parameters)?;
        let ids = self.tracker.update(&boxes, time);
        Ok(ids.into_iter().zip(boxes).map(|(id, roi)| FoundFace { id, roi }).collect())
    }

    /// Begins another recording: ends all tracks, and names new faces by `ids`.
    pub fn begin_recording(&mut self, ids: FaceIds) {
        self.tracker = Tracker::new(ids);
    }
}
